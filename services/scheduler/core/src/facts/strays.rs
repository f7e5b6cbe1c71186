//! Runs that a beat names although they have ended or belong to somebody else by now.
//!
//! **Invariant:** a stray is told once a while to end; a beat that merely crossed the end of a run
//! does no harm, for its node no longer knows the run.

use std::collections::BTreeMap;

use schemas::{PrincipalId, TaskId, agent::RunningTask, task::TaskState};

use crate::{command::Effect, limits::REMIND_MAX_MS, state::State};

/// What was told to which strays, and when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strays {
    told: BTreeMap<(PrincipalId, TaskId), u64>,
    pending: Vec<Effect>,
}

impl Strays {
    /// Takes a beat's word that a run goes on, and notes it when it should not.
    pub(crate) fn note(
        &mut self,
        state: &State,
        node: &PrincipalId,
        run: &RunningTask,
        lease_ms: u64,
    ) {
        let Some(by) = unwanted_by(state, node, run) else { return };
        self.told.retain(|_, told_ms| lease_ms.saturating_sub(*told_ms) < REMIND_MAX_MS);
        let key = (node.clone(), run.task.clone());
        if self.told.contains_key(&key) {
            return;
        }
        self.told.insert(key, lease_ms);
        let (task, node, epoch) = (run.task.clone(), node.clone(), run.epoch);
        self.pending.push(Effect::SendCancel { task, node, epoch, by });
    }

    pub(crate) fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.pending)
    }
}

/// Who wants the run to end: whoever cancelled it, or the issuer for whom another run counts.
fn unwanted_by(state: &State, node: &PrincipalId, run: &RunningTask) -> Option<PrincipalId> {
    let view = &state.tasks.get(&run.task)?.view;
    let elsewhere = run.epoch < view.epoch || view.node.as_ref() != Some(node);
    let given_up = view.state.is_final() || view.state == TaskState::Lost;
    let ended = view.cancelled_by.is_some() && given_up;
    let moved_on = elsewhere && view.state != TaskState::Lost;
    (ended || moved_on).then(|| view.cancelled_by.as_ref().unwrap_or(&view.issuer).clone())
}
