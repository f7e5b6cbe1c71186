//! How long each run has been silent.
//!
//! **Invariant:** only the lease clock counts here: it stands still while this process is cut off
//! or behind, so nobody is given up because of a pause of ours.
//! **Invariant:** a run is renewed only by a beat of the instance that was told to run it, naming
//! the task at its present epoch.

use std::collections::{BTreeMap, BTreeSet};

use decider::Moment;
use schemas::{InstanceId, PrincipalId, TaskId, agent::RunningTask, task::TaskState};

use crate::{
    limits::{LEASE_TTL_MS, LEASES_DROPPED_PER_TICK_MAX},
    state::State,
};

#[derive(Clone, Copy, Debug)]
struct Lease {
    epoch: u64,
    renewed_ms: u64,
}

/// The leases of all runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases {
    leases: BTreeMap<TaskId, Lease>,
    by_renewal: BTreeSet<(u64, TaskId)>,
    /// Starts up to this step have their lease.
    adopted_step: u64,
}

impl Leases {
    /// Takes a beat's word that a run goes on.
    pub(crate) fn renew(
        &mut self,
        state: &State,
        node: &PrincipalId,
        instance: &InstanceId,
        run: &RunningTask,
        lease_ms: u64,
    ) {
        let Some(task) = state.tasks.get(&run.task) else { return };
        let runs = task.view.state == TaskState::Started
            && task.view.epoch == run.epoch
            && task.view.node.as_ref() == Some(node)
            && task.instance.as_ref() == Some(instance);
        if runs {
            self.set(&run.task, Lease { epoch: run.epoch, renewed_ms: lease_ms });
        }
    }

    /// Begins the leases of what was started lately, and drops those of what runs no more.
    pub(crate) fn adopt(&mut self, state: &State, moment: Moment) {
        let renewed_ms = moment.lease_ms;
        for (step, id) in state.index.steps.range(self.adopted_step + 1..) {
            let Some(task) = state.tasks.get(id) else { continue };
            let epoch = task.view.epoch;
            let known = self.leases.get(id).is_some_and(|lease| lease.epoch == epoch);
            if task.view.state == TaskState::Started && !known {
                self.set(id, Lease { epoch, renewed_ms });
            }
            self.adopted_step = *step;
        }
        self.drop_ended(state, moment);
    }

    /// Runs that have been silent for too long.
    pub(crate) fn run_out<'a>(
        &'a self,
        state: &'a State,
        moment: Moment,
    ) -> impl Iterator<Item = (&'a TaskId, u64)> {
        let silent =
            self.by_renewal.iter().take_while(move |(renewed_ms, _)| is_out(*renewed_ms, moment));
        silent.filter_map(move |(_, id)| {
            let epoch = self.leases.get(id)?.epoch;
            is_running(state, id, epoch).then_some((id, epoch))
        })
    }

    /// Whether this very run has been silent for too long.
    pub(crate) fn has_run_out(&self, id: &TaskId, epoch: u64, moment: Moment) -> bool {
        let lease = self.leases.get(id).filter(|lease| lease.epoch == epoch);
        lease.is_some_and(|lease| is_out(lease.renewed_ms, moment))
    }

    fn set(&mut self, id: &TaskId, lease: Lease) {
        if let Some(before) = self.leases.insert(id.clone(), lease) {
            self.by_renewal.remove(&(before.renewed_ms, id.clone()));
        }
        self.by_renewal.insert((lease.renewed_ms, id.clone()));
    }

    /// Those that are silent longest are looked at first: what goes on is renewed and moves back.
    fn drop_ended(&mut self, state: &State, moment: Moment) {
        let (mut examined, mut ended) = (0, Vec::new());
        for (renewed_ms, id) in &self.by_renewal {
            let half_ms = LEASE_TTL_MS / 2;
            if moment.lease_ms.saturating_sub(*renewed_ms) < half_ms
                || LEASES_DROPPED_PER_TICK_MAX < examined
            {
                break;
            }
            examined += 1;
            let epoch = self.leases.get(id).map_or(0, |lease| lease.epoch);
            if !is_running(state, id, epoch) {
                ended.push((*renewed_ms, id.clone()));
            }
        }
        for key in ended {
            self.by_renewal.remove(&key);
            self.leases.remove(&key.1);
        }
    }
}

fn is_out(renewed_ms: u64, moment: Moment) -> bool {
    let since_ms = renewed_ms.max(moment.connected_at_lease_ms);
    LEASE_TTL_MS <= moment.lease_ms.saturating_sub(since_ms)
}

fn is_running(state: &State, id: &TaskId, epoch: u64) -> bool {
    let task = state.tasks.get(id).filter(|task| task.view.epoch == epoch);
    task.is_some_and(|task| task.view.state == TaskState::Started)
}
