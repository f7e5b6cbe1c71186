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

use jetstream_config::KvBucket;
use runtime::{HostConfig, HostError};
use schemas::subject::Bucket;
use tokio::sync::watch;

/// Runs the registry until `stop`.
///
/// # Errors
///
/// What only a person can mend; see [`HostError`].
pub async fn serve(config: HostConfig, stop: watch::Receiver<bool>) -> Result<(), HostError> {
    let build = |context: runtime::HostContext| {
        let bucket = KvBucket::new(context.client.nats().clone(), Bucket::Presence);
        Ok(RegistryService::new(PresenceRows::new(bucket)))
    };
    runtime::host(config, build, stop).await
}

#[cfg(test)]
mod tests;
