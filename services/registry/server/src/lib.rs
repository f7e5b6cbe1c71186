//! The IO around registry-core.
//!
//! **Invariant:** decides nothing: requests become commands, queries and observations, events
//! become rows, and every rule is in the core.

#![forbid(unsafe_code)]

mod complete;
mod config;
mod issuing;
mod orders;
mod pages;
mod presence;
mod project;
mod push;
mod requests;
mod service;

pub use config::{Issuing, IssuingError, RegistryConfig};
pub use presence::PresenceRows;
pub use service::RegistryService;

use jetstream_config::KvBucket;
use runtime::HostError;
use schemas::subject::Bucket;
use tokio::sync::watch;

/// Runs the registry until `stop`.
///
/// # Errors
///
/// What only a person can mend; see [`HostError`].
pub async fn serve(
    config: impl Into<RegistryConfig>,
    stop: watch::Receiver<bool>,
) -> Result<(), HostError> {
    let RegistryConfig { host, issuing } = config.into();
    let build = |context: runtime::HostContext| {
        let bucket = KvBucket::new(context.client.nats().clone(), Bucket::Presence);
        Ok(RegistryService::new(PresenceRows::new(bucket), context.client, issuing))
    };
    runtime::host(host, build, stop).await
}

#[cfg(test)]
mod tests;
