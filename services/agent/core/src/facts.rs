//! What the shell tells with every input: the time, and randomness for jitter.

use std::time::Duration;

use schemas::Timestamp;

/// The present, as one step sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The wall clock; may jump. Judges signatures and stands in records, nothing else.
    pub wall: Timestamp,
    /// Time since the machine's start, sleep included; never goes back. Judges gos and pauses.
    pub uptime: Duration,
    /// Fresh randomness.
    pub entropy: u64,
}
