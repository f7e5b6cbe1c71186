//! The clocks of a loop: what time it is, and how much of it counts towards leases.
//!
//! **Invariant:** a turn of the loop counts at most two seconds towards any lease, and time without
//! a connection counts nothing, so that a pause of this process makes nobody else look dead.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use decider::Moment;
use rand::Rng as _;

/// Most that one turn of the loop counts towards a lease.
const TURN_MAX: Duration = Duration::from_secs(2);

/// Milliseconds since the Unix epoch, as this machine's clock has it.
#[must_use]
pub fn wall_clock_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// Time as one writer's loop sees it.
pub(crate) struct LoopClock {
    last_turn: Instant,
    lease: Duration,
    connected: bool,
    connected_at: Duration,
}

impl LoopClock {
    /// Starts with a lease clock of zero.
    pub(crate) fn start() -> Self {
        Self {
            last_turn: Instant::now(),
            lease: Duration::ZERO,
            connected: true,
            connected_at: Duration::ZERO,
        }
    }

    /// Begins a turn of the loop.
    pub(crate) fn turn(&mut self, now: Instant, connected: bool) {
        let elapsed = now.saturating_duration_since(self.last_turn).min(TURN_MAX);
        self.last_turn = now;
        if connected && self.connected {
            self.lease += elapsed;
        }
        if connected && !self.connected {
            self.connected_at = self.lease;
        }
        self.connected = connected;
    }

    /// The present, for the core.
    pub(crate) fn moment(&self, now_ms: u64, term: u64) -> Moment {
        Moment {
            now_ms,
            lease_ms: milliseconds(self.lease),
            connected_at_lease_ms: milliseconds(self.connected_at),
            term,
            entropy: rand::rng().next_u64(),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_pause_counts_two_seconds() {
        check(&[(60_000, true)], 2_000, 0);
    }

    #[test]
    fn time_without_a_connection_counts_nothing() {
        check(
            &[(1_000, true), (1_000, false), (1_000, false), (1_000, true), (500, true)],
            1_500,
            1_000,
        );
    }

    #[track_caller]
    fn check(turns: &[(u64, bool)], lease_ms: u64, connected_at_lease_ms: u64) {
        let mut clock = LoopClock::start();
        let mut now = clock.last_turn;
        for (elapsed_ms, connected) in turns {
            now += Duration::from_millis(*elapsed_ms);
            clock.turn(now, *connected);
        }
        let moment = clock.moment(0, 1);
        assert_eq!(moment.lease_ms, lease_ms);
        assert_eq!(moment.connected_at_lease_ms, connected_at_lease_ms);
    }
}
