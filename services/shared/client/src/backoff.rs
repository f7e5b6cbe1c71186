//! How long to wait before the next attempt, spread so that a fleet does not come back as one.
//!
//! **Invariant:** pure; randomness comes in as a number.

use std::time::Duration;

/// Longest wait between two attempts to connect.
pub(crate) const RECONNECT_DELAY_MAX_MS: u64 = 4_000;
/// Wait before the second attempt to connect; doubles with each further one.
const RECONNECT_DELAY_FIRST_MS: u64 = 50;
/// A lost connection is tried again within this time, so that a fleet spreads over it.
const RECONNECT_SPREAD_MS: u64 = 100;
/// Shortest and longest wait before a request is sent again.
const RETRY_DELAY_MS: (u64, u64) = (50, 250);

/// The wait before attempt number `attempt` (from 1) to get a lost connection back.
pub(crate) fn reconnect_delay(attempt: usize, random: u64) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(2)).unwrap_or(u32::MAX);
    let full = 2_u64
        .saturating_pow(doublings)
        .saturating_mul(RECONNECT_DELAY_FIRST_MS)
        .min(RECONNECT_DELAY_MAX_MS);
    let delay_ms = match attempt {
        0 | 1 => random % RECONNECT_SPREAD_MS,
        _ => full / 2 + random % (full / 2 + 1),
    };
    Duration::from_millis(delay_ms)
}

/// The wait before a request is sent again.
pub(crate) fn retry_delay(random: u64) -> Duration {
    let (shortest, longest) = RETRY_DELAY_MS;
    Duration::from_millis(shortest + random % (longest - shortest + 1))
}

#[cfg(test)]
mod tests;
