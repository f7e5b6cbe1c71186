//! When a process that died is started again, and when it is given up.
//!
//! **Invariant:** pure; time comes in as a number.

use std::time::Duration;

/// Wait before the first restart; doubles with each further one in a row.
const DELAY_FIRST: Duration = Duration::from_millis(200);
/// Longest wait before a restart.
const DELAY_MAX: Duration = Duration::from_secs(10);
/// A process that has run so long was well; what comes then is a new row.
const WELL_AFTER: Duration = Duration::from_secs(60);
/// Deaths in a row after which it is given up.
const DEATHS_MAX: u32 = 6;

/// The deaths of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Restarts {
    in_a_row: u32,
    all: u32,
}

/// What to do about a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Start it again after a while.
    After(Duration),
    /// It will not do.
    GiveUp,
}

impl Restarts {
    /// Judges the death of a process that had run for `lived`.
    pub(crate) fn judge(&mut self, lived: Duration) -> Verdict {
        self.in_a_row = if WELL_AFTER <= lived { 1 } else { self.in_a_row + 1 };
        if DEATHS_MAX <= self.in_a_row {
            return Verdict::GiveUp;
        }
        self.all += 1;
        let doubled = DELAY_FIRST.saturating_mul(2_u32.saturating_pow(self.in_a_row - 1));
        Verdict::After(doubled.min(DELAY_MAX))
    }

    /// Starts after the first.
    pub(crate) fn count(&self) -> u32 {
        self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_keeps_dying_is_given_up() {
        let verdicts = check(&[0, 0, 0, 0, 0, 0]);
        let waits = [200, 400, 800, 1600, 3200].map(after);
        assert_eq!(verdicts[..5], waits);
        assert_eq!(verdicts[5], Verdict::GiveUp);
    }

    #[test]
    fn a_process_that_was_well_begins_a_new_row() {
        assert_eq!(check(&[0, 0, 0, 0, 0, 60, 0])[5..], [after(200), after(400)]);
    }

    fn check(lived_s: &[u64]) -> Vec<Verdict> {
        let mut restarts = Restarts::default();
        lived_s.iter().map(|lived_s| restarts.judge(Duration::from_secs(*lived_s))).collect()
    }

    fn after(delay_ms: u64) -> Verdict {
        Verdict::After(Duration::from_millis(delay_ms))
    }
}
