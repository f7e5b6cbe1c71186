//! The clocks of the machine, read in one place.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent_core::Facts;
use rustix::time::{ClockId, clock_gettime};
use schemas::Timestamp;

/// The wall clock.
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Time since the machine's start, its sleep included where the system counts that.
pub(crate) fn uptime() -> Duration {
    #[cfg(target_os = "linux")]
    const SINCE_START: ClockId = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const SINCE_START: ClockId = ClockId::Monotonic;
    Duration::try_from(clock_gettime(SINCE_START))
        .expect("the time since the start of the machine is not negative")
}

/// The present, as the core wants to be told.
pub(crate) fn facts() -> Facts {
    Facts { wall: wall(), uptime: uptime(), entropy: rand::random() }
}
