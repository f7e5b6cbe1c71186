//! What the world must be told of committed events, now or again.

use schemas::{TaskId, scheduler::SchedulerEvent, task::TaskState};

use crate::{
    command::{Dispatch, Effect, Proof, SignedRequest},
    state::{Forebear, State, Task},
};

/// Effects of one event.
pub(crate) fn react(state: &State, event: &SchedulerEvent) -> Vec<Effect> {
    let effect = match event {
        SchedulerEvent::TaskAssigned { task, epoch, .. } => {
            let assigned = state.tasks.get(task).filter(|task| task.view.epoch == *epoch);
            assigned.and_then(|task| dispatch(state, task))
        }
        SchedulerEvent::TaskCancelRequested { task, .. } => end(state, task),
        SchedulerEvent::TaskFinished { task, by: Some(_), .. } => end(state, task),
        SchedulerEvent::TaskSubmitted { .. }
        | SchedulerEvent::TaskQueued { .. }
        | SchedulerEvent::AssignmentExpired { .. }
        | SchedulerEvent::TaskRefused { .. }
        | SchedulerEvent::TaskStarted { .. }
        | SchedulerEvent::TaskFinished { by: None, .. }
        | SchedulerEvent::TaskLost { .. } => None,
    };
    effect.into_iter().collect()
}

/// What a new writer says again, for the one before may have died before it did.
pub(crate) fn resume(state: &State) -> Vec<Effect> {
    let held = state.index.steps.values().filter_map(|id| state.tasks.get(id));
    let lost = state.index.lost.values().flatten().filter_map(|id| state.tasks.get(id));
    held.chain(lost).filter_map(|task| pending(state, task)).collect()
}

/// What the task's node should know by now.
pub(crate) fn pending(state: &State, task: &Task) -> Option<Effect> {
    match task.view.state {
        TaskState::Assigned => dispatch(state, task),
        TaskState::Started | TaskState::Lost => send_cancel(task),
        TaskState::Queued
        | TaskState::Succeeded
        | TaskState::Failed
        | TaskState::TimedOut
        | TaskState::Cancelled
        | TaskState::Expired => None,
    }
}

fn dispatch(state: &State, task: &Task) -> Option<Effect> {
    if task.view.state != TaskState::Assigned {
        return None;
    }
    Some(Effect::Dispatch(Box::new(Dispatch {
        task: task.view.id.clone(),
        node: task.view.node.clone()?,
        epoch: task.view.epoch,
        attempt: task.view.attempt,
        request: task.envelope.clone()?,
        request_hash: task.envelope_hash,
        certificates: state.certificates_of(task).to_vec(),
        ancestors: task.lineage.iter().map(|link| proof(state, link)).collect(),
    })))
}

/// What proves the tasks that led to one of which `task` is the parent.
pub(crate) fn lineage(state: &State, task: &Task) -> Vec<Proof> {
    let links = task.lineage.iter().cloned().chain(task.as_forebear());
    links.map(|link| proof(state, &link)).collect()
}

fn proof(state: &State, link: &Forebear) -> Proof {
    let Forebear { task, envelope_hash, node, epoch, attempt, term, assigned_at, .. } =
        link.clone();
    let request = state.tasks.get(&task).and_then(|task| {
        let certificates = state.certificates_of(task).to_vec();
        Some(SignedRequest { envelope: task.envelope.clone()?, certificates })
    });
    Proof { task, node, epoch, attempt, term, assigned_at, request_hash: envelope_hash, request }
}

fn end(state: &State, id: &TaskId) -> Option<Effect> {
    state.tasks.get(id).and_then(send_cancel)
}

fn send_cancel(task: &Task) -> Option<Effect> {
    Some(Effect::SendCancel {
        task: task.view.id.clone(),
        node: task.view.node.clone()?,
        epoch: task.view.epoch,
        by: task.view.cancelled_by.clone()?,
    })
}
