//! How long a writer may go on to speak for its partition without asking the log again.
//!
//! A frame that is committed proves that nobody wrote before it; a question to the log proves it
//! for a writer that has nothing to write. Without either a writer that was paused, or cut off,
//! would answer from a state that its successor has long left behind.
//!
//! **Invariant:** a proof counts from when it was asked for, not from when it arrived.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::wall_clock_ms;

/// How long a proof holds. Shorter than the shortest silence after which a standby takes over.
const HOLDS: Duration = Duration::from_secs(2);
/// How old a proof becomes before the next one is asked for.
const RENEW_AFTER: Duration = Duration::from_secs(1);

/// A time on two clocks: one that never jumps, and one that goes on while the machine sleeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskedAt {
    steady: Instant,
    wall_ms: u64,
}

impl AskedAt {
    /// The present.
    pub(crate) fn now() -> Self {
        Self { steady: Instant::now(), wall_ms: wall_clock_ms() }
    }

    /// The time since; a wall clock that went back counts as very long.
    fn elapsed(self) -> Duration {
        let on_the_wall = wall_clock_ms().checked_sub(self.wall_ms);
        on_the_wall.map_or(Duration::MAX, Duration::from_millis).max(self.steady.elapsed())
    }
}

/// What is known of a writer's right to speak.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    proven: Option<AskedAt>,
}

impl Standing {
    /// The log showed, to a question of that time, that nobody else has written.
    pub(crate) fn prove(&mut self, asked: AskedAt) {
        self.proven = Some(asked);
    }

    /// Forgets the proof: something happened after which it is worth nothing.
    pub(crate) fn doubt(&mut self) {
        self.proven = None;
    }

    /// Whether it may speak now.
    pub(crate) fn holds(&self) -> bool {
        self.is_younger_than(HOLDS)
    }

    /// Whether the log should be asked now.
    pub(crate) fn is_due(&self) -> bool {
        !self.is_younger_than(RENEW_AFTER)
    }

    fn is_younger_than(&self, age: Duration) -> bool {
        self.proven.is_some_and(|proven| proven.elapsed() < age)
    }
}
