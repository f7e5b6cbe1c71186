//! Waits between attempts: longer each time up to a limit, and never two parties in step.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// First wait, in milliseconds.
const FIRST_MS: u64 = 4;
/// Longest wait, in milliseconds: short beside the 4-9 s that a Raft election takes.
const LONGEST_MS: u64 = 500;

/// The waits of one endeavour.
#[derive(Debug)]
pub(crate) struct Backoff {
    ceiling_ms: u64,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { ceiling_ms: FIRST_MS }
    }

    /// The next wait: somewhere in the upper half of a range that doubles.
    pub(crate) fn next_wait(&mut self) -> Duration {
        let ceiling = self.ceiling_ms;
        self.ceiling_ms = (ceiling * 2).min(LONGEST_MS);
        let half_us = ceiling * 500;
        Duration::from_micros(half_us + entropy() % half_us.max(1))
    }

    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.next_wait()).await;
    }
}

/// A number that differs between calls and processes; good enough to spread waits, not for secrets.
fn entropy() -> u64 {
    RandomState::new().hash_one(0_u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit_and_stay_within_their_range() {
        let mut backoff = Backoff::new();
        for _ in 0..20 {
            let ceiling = Duration::from_millis(backoff.ceiling_ms);
            let wait = backoff.next_wait();
            assert!(ceiling / 2 <= wait && wait < ceiling, "{wait:?} of {ceiling:?}");
        }
        assert_eq!(backoff.ceiling_ms, LONGEST_MS);
    }

    #[test]
    fn two_parties_do_not_wait_in_step() {
        let waits = || {
            let mut backoff = Backoff::new();
            std::array::from_fn::<_, 8, _>(|_| backoff.next_wait())
        };
        assert_ne!(waits(), waits());
    }
}
