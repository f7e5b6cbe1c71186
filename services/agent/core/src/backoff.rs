//! When to try again: later each time, and never all nodes at once.

use std::time::Duration;

/// How a kind of request is repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Pause after the first failure.
    pub(crate) first: Duration,
    /// Longest pause.
    pub(crate) longest: Duration,
}

/// Requests to start: somebody waits for the run.
pub(crate) const START_PACE: Pace =
    Pace { first: Duration::from_millis(20), longest: Duration::from_secs(2) };
/// Reports: somebody waits for the outcome.
pub(crate) const REPORT_PACE: Pace =
    Pace { first: Duration::from_millis(20), longest: Duration::from_secs(5) };
/// Refusals: the scheduler gives the task to another node when it hears of them.
pub(crate) const REFUSAL_PACE: Pace =
    Pace { first: Duration::from_millis(50), longest: Duration::from_secs(5) };

/// Doublings after which the pause has long reached its longest.
const DOUBLINGS_MAX: u32 = 16;

impl Pace {
    /// The pause after so many failures in a row: doubled each time, half of it random.
    pub(crate) fn pause(self, failures: u32, entropy: u64) -> Duration {
        let doublings = failures.saturating_sub(1).min(DOUBLINGS_MAX);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        let half = whole / 2;
        let span_us = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_micros(entropy % span_us)
    }
}

/// One request that is repeated until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempts {
    /// When the one that is under way was sent; none is under way otherwise.
    pub(crate) sent_at: Option<Duration>,
    /// When the next one is due, if none is under way.
    pub(crate) due_at: Duration,
    /// How many failed in a row.
    pub(crate) failures: u32,
}

impl Attempts {
    /// The first one is sent now.
    pub(crate) fn sent(now: Duration) -> Self {
        Self { sent_at: Some(now), due_at: now, failures: 0 }
    }

    /// The first one is due now.
    pub(crate) fn due(now: Duration) -> Self {
        Self { sent_at: None, due_at: now, failures: 0 }
    }

    pub(crate) fn is_due(&self, now: Duration) -> bool {
        self.sent_at.is_none() && self.due_at <= now
    }

    /// When it has to be looked at again; never while an answer is awaited.
    pub(crate) fn wake_at(&self) -> Option<Duration> {
        if self.sent_at.is_some() { None } else { Some(self.due_at) }
    }

    pub(crate) fn send(&mut self, now: Duration) {
        self.sent_at = Some(now);
    }

    pub(crate) fn fail(&mut self, pace: Pace, facts: &crate::Facts) {
        self.failures = self.failures.saturating_add(1);
        self.sent_at = None;
        self.due_at = facts.uptime + pace.pause(self.failures, facts.entropy);
    }

    pub(crate) fn hurry(&mut self, now: Duration) {
        self.due_at = self.due_at.min(now);
    }
}
