//! Stopping: no new tasks, time for what runs, then an end.

use std::time::Duration;

use schemas::{ErrorCode, Fault};

use crate::{
    Action, Facts, Node, RunKey,
    backoff::Attempts,
    node::{EndReason, Refusal, Run, Stage},
};

/// Tries after which a stopping node leaves a request to its next process start.
const TRIES_BEFORE_STOP: u32 = 2;

/// The node is to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    /// When what still runs is ended; nothing once that was done.
    end_runs_at: Option<Duration>,
}

impl Drain {
    pub(crate) fn wake_at(&self) -> Option<Duration> {
        self.end_runs_at
    }
}

impl Node {
    pub(crate) fn on_drain(&mut self, grace: Duration, facts: &Facts) -> Vec<Action> {
        if self.drain.is_some() {
            return Vec::new();
        }
        self.drain = Some(Drain { end_runs_at: Some(facts.uptime + grace) });
        let unstarted = self.runs.values().filter(|run| run.may_be_given_back()).map(Run::key);
        let unstarted: Vec<RunKey> = unstarted.collect();
        unstarted.into_iter().map(|key| self.give_back_for_stop(key, facts)).collect()
    }

    /// Nothing ran of it, so another node may have it at once. The journal keeps it: if the refusal
    /// is not heard, the next process start asks for it again.
    fn give_back_for_stop(&mut self, key: RunKey, facts: &Facts) -> Action {
        self.runs.remove(&key);
        let fault = Fault::new(ErrorCode::NodeDraining, "the node is about to stop");
        self.refuse(key, fault, facts)
    }

    /// Whether a stopping node has nothing more to wait for: nothing runs, and what is left is on
    /// disk for the next process start.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let tried = |refusal: &Refusal| refusal.attempts.may_be_left();
        self.drain.is_some()
            && self.runs.values().all(Run::may_be_left)
            && self.refusals.values().all(tried)
    }

    pub(crate) fn end_overdue_runs(&mut self, facts: &Facts) -> Vec<Action> {
        let Some(drain) = &mut self.drain else { return Vec::new() };
        if drain.end_runs_at.is_none_or(|at| facts.uptime < at) {
            return Vec::new();
        }
        drain.end_runs_at = None;
        let keys: Vec<RunKey> = self.runs.keys().cloned().collect();
        keys.into_iter().filter_map(|key| self.end_for_stop(key)).collect()
    }

    fn end_for_stop(&mut self, key: RunKey) -> Option<Action> {
        match &mut self.runs.get_mut(&key)?.stage {
            Stage::Running(reason @ None) => {
                *reason = Some(EndReason::Draining);
                Some(Action::Kill(key))
            }
            Stage::Running(Some(_))
            | Stage::Recording
            | Stage::Asking(_)
            | Stage::Committing
            | Stage::Concluding(_)
            | Stage::Reporting(..) => None,
        }
    }
}

impl Run {
    fn may_be_given_back(&self) -> bool {
        match self.stage {
            Stage::Recording | Stage::Asking(_) => !self.recovered,
            Stage::Committing | Stage::Running(_) | Stage::Concluding(_) | Stage::Reporting(..) => {
                false
            }
        }
    }

    fn may_be_left(&self) -> bool {
        match &self.stage {
            Stage::Asking(attempts) | Stage::Reporting(_, attempts) => attempts.may_be_left(),
            Stage::Recording | Stage::Committing | Stage::Running(_) | Stage::Concluding(_) => {
                false
            }
        }
    }
}

impl Attempts {
    fn may_be_left(&self) -> bool {
        self.sent_at.is_none() && TRIES_BEFORE_STOP <= self.failures
    }
}
