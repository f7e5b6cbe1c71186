//! What was forbidden since the last report: each thing once, with its count.
//!
//! **Invariant:** bounded in all and for each key, so that one who tries everything does not hide
//! what the others try; what is more is counted.

use std::collections::BTreeMap;

use schemas::{
    Timestamp,
    registry::{DENIALS_REPORTED_MAX, DeniedAccess, ReportDenialsRequest},
};

use super::line::Denial;

/// Most different things of one key in one report.
const OF_ONE_KEY_MAX: usize = 16;

/// What was forbidden since the last report.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    entries: BTreeMap<Denial, Times>,
    /// How many of the entries are of one key.
    of_keys: BTreeMap<String, usize>,
    suppressed: u64,
}

#[derive(Debug)]
struct Times {
    count: u32,
    since: Timestamp,
}

/// What became of a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is the first of its kind in this report.
    First,
    /// It is like another.
    Again,
    /// There are too many others; it is only counted.
    Suppressed,
}

impl Gathered {
    /// Takes one in.
    pub(super) fn take(&mut self, denial: Denial, now: Timestamp) -> Heard {
        if let Some(times) = self.entries.get_mut(&denial) {
            times.count = times.count.saturating_add(1);
            return Heard::Again;
        }
        let of_key = self.of_keys.get(&denial.login).copied().unwrap_or_default();
        if DENIALS_REPORTED_MAX <= self.entries.len() || OF_ONE_KEY_MAX <= of_key {
            self.suppressed = self.suppressed.saturating_add(1);
            return Heard::Suppressed;
        }
        self.of_keys.insert(denial.login.clone(), of_key + 1);
        self.entries.insert(denial, Times { count: 1, since: now });
        Heard::First
    }

    /// What is to be told, and nothing of it is left.
    pub(super) fn drain(&mut self) -> Option<ReportDenialsRequest> {
        let Self { entries, suppressed, .. } = std::mem::take(self);
        let entry = |(denial, times): (Denial, Times)| {
            let Denial { login, action, subject } = denial;
            DeniedAccess { login, action, subject, count: times.count, since: times.since }
        };
        let denials: Vec<_> = entries.into_iter().map(entry).collect();
        let something = !denials.is_empty() || 0 < suppressed;
        something.then_some(ReportDenialsRequest { denials, suppressed })
    }

    /// Counts what was not told after all.
    pub(super) fn lose(&mut self, request: &ReportDenialsRequest) {
        self.suppressed = self.suppressed.saturating_add(number(request));
    }
}

/// How many denials a report tells of.
pub(super) fn number(request: &ReportDenialsRequest) -> u64 {
    let counts = request.denials.iter().map(|entry| u64::from(entry.count));
    counts.fold(request.suppressed, u64::saturating_add)
}

#[cfg(test)]
mod tests;
