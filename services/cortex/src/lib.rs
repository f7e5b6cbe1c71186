//! The one binary: every command, every service, the supervisor.

#![forbid(unsafe_code)]

pub mod broker;
pub mod context;
pub mod files;
pub mod home;
pub mod material;
pub mod output;
