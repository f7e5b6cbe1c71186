//! The IO around scheduler-core.
//!
//! **Invariant:** decides nothing: requests become commands and queries, events become rows, effects
//! become signed offers, and every rule is in the core.

#![forbid(unsafe_code)]

mod chain;
mod config;
mod effects;
mod follow;
mod output;
mod pages;
mod project;
mod requests;
mod service;
mod verifier;

pub use config::{ConfigError, SchedulerConfig, SchedulerTrust};
pub use service::SchedulerService;

use runtime::HostError;
use tokio::sync::watch;

/// Runs the scheduler until `stop`.
///
/// # Errors
///
/// What only a person can mend; see [`HostError`].
pub async fn serve(config: SchedulerConfig, stop: watch::Receiver<bool>) -> Result<(), HostError> {
    let SchedulerConfig { host, trust } = config;
    let build = |context| Ok(SchedulerService::new(trust, context));
    runtime::host(host, build, stop).await
}

#[cfg(test)]
mod tests;
