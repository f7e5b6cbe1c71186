//! The IO around registry-core.
//!
//! **Invariant:** decides nothing: requests become commands, queries and observations, events
//! become rows, and every rule is in the core.

#![forbid(unsafe_code)]

mod pages;
mod presence;
mod project;
mod requests;
mod service;

pub use presence::PresenceRows;
pub use service::RegistryService;

#[cfg(test)]
mod tests;
