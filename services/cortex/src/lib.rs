//! The one binary: every command, every service, the supervisor.

#![forbid(unsafe_code)]

pub mod broker;
