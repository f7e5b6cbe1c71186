//! Runs that a beat names although they have ended or belong to somebody else by now.
//!
//! **Invariant:** a run is told to end only when it still should a while after it was seen: what was
//! decided a moment ago may not be committed yet, and a beat may have crossed the end of its run.

use std::collections::BTreeMap;

use schemas::{PrincipalId, TaskId, agent::RunningTask, task::TaskState};

use crate::{
    command::Effect,
    limits::{REMIND_MAX_MS, REMIND_MS},
    state::State,
};

/// What was seen where, and when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strays {
    seen: BTreeMap<(PrincipalId, TaskId), Stray>,
}

#[derive(Clone, Copy, Debug)]
struct Stray {
    epoch: u64,
    seen_ms: u64,
    told: bool,
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
        if unwanted_by(state, node, run).is_some() {
            let stray = Stray { epoch: run.epoch, seen_ms: lease_ms, told: false };
            self.seen.entry((node.clone(), run.task.clone())).or_insert(stray);
        }
    }

    /// Cancels for those that have been seen for a while; each is told once, then forgotten.
    pub(crate) fn due(&mut self, state: &State, lease_ms: u64) -> Vec<Effect> {
        self.seen.retain(|_, stray| lease_ms.saturating_sub(stray.seen_ms) < REMIND_MAX_MS);
        let ripe = |stray: &Stray| !stray.told && stray.seen_ms + REMIND_MS <= lease_ms;
        let mut effects = Vec::new();
        for ((node, task), stray) in self.seen.iter_mut().filter(|(_, stray)| ripe(stray)) {
            stray.told = true;
            let run = RunningTask { task: task.clone(), epoch: stray.epoch };
            if let Some(by) = unwanted_by(state, node, &run) {
                let (task, node, epoch) = (task.clone(), node.clone(), stray.epoch);
                effects.push(Effect::SendCancel { task, node, epoch, by });
            }
        }
        effects
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
