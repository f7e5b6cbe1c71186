//! What time and observations call for; whatever no longer holds when it is decided does nothing.

use decider::Decided;
use schemas::{
    Fault, PrincipalId, TaskId,
    scheduler::SchedulerEvent,
    task::{Outcome, TaskState},
};

use super::{Draft, finished, submit::barred};
use crate::{Scheduler, command::Answer, evolve::no_run, limits::LEASE_TTL_MS, state::Task};

pub(super) fn place_queued(mut draft: Draft<'_>, nodes: &[PrincipalId]) -> Decided<Scheduler> {
    for node in nodes {
        draft.fill(node);
    }
    draft.decided(Answer::Done {})
}

pub(super) fn expire_assignment(
    mut draft: Draft<'_>,
    id: &TaskId,
    epoch: u64,
) -> Decided<Scheduler> {
    let due = |task: &&Task| {
        let assigned = task.view.state == TaskState::Assigned && task.view.epoch == epoch;
        assigned && task.until <= draft.now()
    };
    if let Some(task) = draft.state.tasks.get(id).filter(due) {
        draft.push(SchedulerEvent::AssignmentExpired { task: id.clone(), epoch });
        draft.give_back(task);
        draft.place(task, task.view.node.as_ref());
    }
    draft.decided(Answer::Done {})
}

pub(super) fn declare_lost(mut draft: Draft<'_>, id: &TaskId, epoch: u64) -> Decided<Scheduler> {
    let silent = |task: &&Task| {
        let runs = task.view.state == TaskState::Started && task.view.epoch == epoch;
        runs && draft.facts.leases.has_run_out(id, epoch, draft.facts.moment)
    };
    let task = draft.state.tasks.get(id).filter(silent);
    if let Some((task, node)) = task.and_then(|task| Some((task, task.view.node.clone()?))) {
        let reason = format!("{node} did not say for {} s that it runs", LEASE_TTL_MS / 1000);
        draft.push(SchedulerEvent::TaskLost { task: id.clone(), epoch, node, reason });
        draft.lose(task);
        if task.may_run_again() {
            draft.place(task, task.view.node.as_ref());
        }
    }
    draft.decided(Answer::Done {})
}

pub(super) fn expire_request(mut draft: Draft<'_>, id: &TaskId) -> Decided<Scheduler> {
    let due = |task: &&Task| match task.view.state {
        TaskState::Queued | TaskState::Assigned => task.view.expires_at <= draft.now(),
        TaskState::Started
        | TaskState::Succeeded
        | TaskState::Failed
        | TaskState::TimedOut
        | TaskState::Cancelled
        | TaskState::Lost
        | TaskState::Expired => false,
    };
    if let Some(task) = draft.state.tasks.get(id).filter(due) {
        draft.push(finished(task, TaskState::Expired));
        draft.take(id);
        draft.give_back(task);
    }
    draft.decided(Answer::Done {})
}

pub(super) fn end_barred(mut draft: Draft<'_>, id: &TaskId) -> Decided<Scheduler> {
    let task = draft.state.tasks.get(id).filter(|task| task.is_unstarted());
    let bar = task.and_then(|task| Some((task, draft.facts.bar(task)?)));
    if let Some((task, (issuer, bar))) = bar {
        let fault = Some(Fault::from(barred(issuer, bar)));
        let outcome = Outcome { fault, ..no_run(draft.now()) };
        draft.push(SchedulerEvent::TaskFinished {
            task: id.clone(),
            epoch: task.view.epoch,
            state: TaskState::Failed,
            outcome: Some(Box::new(outcome)),
            by: None,
        });
        draft.take(id);
        draft.give_back(task);
    }
    draft.decided(Answer::Done {})
}
