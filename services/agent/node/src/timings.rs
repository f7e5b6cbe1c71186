//! How long each stage of a task took, for those who look for where the time goes.
//!
//! **Invariant:** nothing is kept unless debug logging is on.

use std::{collections::BTreeMap, time::Instant};

use agent_core::RunKey;

/// The stages of a task on its node, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StageMark {
    Verified,
    Accepted,
    Go,
    Started,
    Ended,
    EndRecorded,
    Reported,
}

const STAGES: usize = 7;

/// Microseconds since the offer came, of every task that is under way.
pub(crate) struct Timings {
    on: bool,
    tasks: BTreeMap<RunKey, (Instant, [u64; STAGES])>,
}

impl Timings {
    pub(crate) fn new() -> Self {
        Self { on: tracing::enabled!(tracing::Level::DEBUG), tasks: BTreeMap::new() }
    }

    /// An offer was taken on that came at `at`.
    pub(crate) fn begin(&mut self, key: &RunKey, at: Instant) {
        if self.on {
            self.tasks.insert(key.clone(), (at, [0; STAGES]));
            self.mark(key, StageMark::Verified);
        }
    }

    /// A stage was reached; the last one writes the line.
    pub(crate) fn mark(&mut self, key: &RunKey, stage: StageMark) {
        if !self.on {
            return;
        }
        let Some((at, marks)) = self.tasks.get_mut(key) else { return };
        marks[index(stage)] = u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX);
        if stage == StageMark::Reported {
            let [verified, accepted, go, started, ended, recorded, reported] = *marks;
            tracing::debug!(
                task = %key.task,
                epoch = key.epoch,
                verified,
                accepted,
                go,
                started,
                ended,
                recorded,
                reported,
                "timings in microseconds since the offer"
            );
            self.tasks.remove(key);
        }
    }

    /// The task went another way.
    pub(crate) fn forget(&mut self, key: &RunKey) {
        self.tasks.remove(key);
    }
}

fn index(stage: StageMark) -> usize {
    match stage {
        StageMark::Verified => 0,
        StageMark::Accepted => 1,
        StageMark::Go => 2,
        StageMark::Started => 3,
        StageMark::Ended => 4,
        StageMark::EndRecorded => 5,
        StageMark::Reported => 6,
    }
}
