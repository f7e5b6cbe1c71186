//! The wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use schemas::Timestamp;

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

/// Seconds since the Unix epoch.
pub(crate) fn now_s() -> u64 {
    now().seconds()
}
