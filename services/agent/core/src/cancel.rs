//! A cancel, heard before, during or after whatever it ends.
//!
//! **Invariant:** after a cancel was heard, nothing that it covers begins to run.

use std::time::Duration;

use schemas::{agent::CancelOrder, protocol::ASSIGNMENT_TTL};

use crate::{
    Action, Facts, Node, RunKey,
    node::{EndReason, Stage},
};

/// How long a cancel is remembered: longer than any assignment that it could cover is valid.
const REMEMBERED: Duration = ASSIGNMENT_TTL.saturating_add(Duration::from_secs(60));
/// Most cancels that are remembered; safety rests on the scheduler, this only saves a question.
const REMEMBERED_MAX: usize = 16_384;

/// A cancel that was heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cancelled {
    /// The newest assignment that it ends.
    pub(crate) epoch: u64,
    /// Until when it is remembered, on the clock of [`Facts::uptime`].
    pub(crate) until: Duration,
}

impl Node {
    pub(crate) fn on_cancel(&mut self, order: &CancelOrder, facts: &Facts) -> Vec<Action> {
        self.remember(order, facts);
        let first = RunKey { task: order.task.clone(), epoch: 0 };
        let last = RunKey { task: order.task.clone(), epoch: order.epoch };
        let keys: Vec<RunKey> = self.runs.range(first..=last).map(|(key, _)| key.clone()).collect();
        keys.into_iter().flat_map(|key| self.cancel_one(&key, facts)).collect()
    }

    fn remember(&mut self, order: &CancelOrder, facts: &Facts) {
        if REMEMBERED_MAX <= self.cancelled.len() && !self.cancelled.contains_key(&order.task) {
            self.cancelled.pop_first();
        }
        let heard = self.cancelled.get(&order.task).map_or(0, |heard| heard.epoch);
        let epoch = heard.max(order.epoch);
        let until = facts.uptime + REMEMBERED;
        self.cancelled.insert(order.task.clone(), Cancelled { epoch, until });
    }

    fn cancel_one(&mut self, key: &RunKey, facts: &Facts) -> Vec<Action> {
        let Some(run) = self.runs.get_mut(key) else { return Vec::new() };
        match &mut run.stage {
            Stage::Recording | Stage::Asking(_) | Stage::Committing => {
                self.conclude_unseen(key, facts)
            }
            Stage::Running(reason @ None) => {
                *reason = Some(EndReason::Cancelled);
                vec![Action::Kill(key.clone())]
            }
            Stage::Running(Some(_)) | Stage::Concluding(_) | Stage::Reporting(..) => Vec::new(),
        }
    }
}
