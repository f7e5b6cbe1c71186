//! People end tasks: by name, in bulk, or by settling a lost one.
//!
//! **Invariant:** after `cancelled` was answered no start is granted.
//! **Invariant:** one decision ends a bounded number of tasks, and says when there are more.

use schemas::{
    PrincipalId, TaskId,
    scheduler::{CancelAnswer, SchedulerEvent, TaskSelection},
    task::TaskState,
};

use super::{Decision, Draft, may_end, no_such};
use crate::{
    command::{Answer, CancelTarget, Rejection},
    evolve::settled_by_hand,
    limits::CANCELS_PER_DECISION_MAX,
    queries::selects,
    state::{Known, Task},
};

pub(super) fn cancel(draft: Draft<'_>, by: &PrincipalId, target: &CancelTarget) -> Decision {
    match target {
        CancelTarget::One(id) => cancel_one(draft, by, id),
        CancelTarget::Select(selection) => Ok(cancel_many(draft, by, selection)),
    }
}

fn cancel_one(mut draft: Draft<'_>, by: &PrincipalId, id: &TaskId) -> Decision {
    let known = draft.state.known(id).ok_or_else(|| no_such(id))?;
    let mut answer = CancelAnswer { cancelled: Vec::new(), stopping: Vec::new(), more: false };
    if known.state() == TaskState::Cancelled {
        answer.cancelled.push(id.clone());
        return Ok(draft.decided(Answer::Cancelled(answer)));
    }
    let task = match known {
        Known::Whole(task) if !task.view.state.is_final() => task,
        Known::Whole(_) | Known::Kept(_) | Known::Spent(_) => {
            let (task, state) = (id.clone(), known.state().as_str());
            return Err(Rejection::Finished { task, state });
        }
    };
    if !may_end(draft.facts, by, task) {
        return Err(Rejection::NotAllowed { by: by.clone(), task: id.clone() });
    }
    end(&mut draft, by, task, &mut answer);
    Ok(draft.decided(Answer::Cancelled(answer)))
}

fn cancel_many(
    mut draft: Draft<'_>,
    by: &PrincipalId,
    selection: &TaskSelection,
) -> decider::Decided<crate::Scheduler> {
    let mut answer = CancelAnswer { cancelled: Vec::new(), stopping: Vec::new(), more: false };
    let live = draft.state.tasks.values().filter(|task| {
        let view = &task.view;
        let theirs = view.issuer == *by || view.subject == *by;
        let open = !view.state.is_final() && view.cancelled_by.is_none();
        open && theirs && selects(selection, view.state, (view.node.as_ref(), &view.issuer))
    });
    for task in live {
        if answer.cancelled.len() + answer.stopping.len() == CANCELS_PER_DECISION_MAX {
            answer.more = true;
            break;
        }
        end(&mut draft, by, task, &mut answer);
    }
    draft.decided(Answer::Cancelled(answer))
}

fn end(draft: &mut Draft<'_>, by: &PrincipalId, task: &Task, answer: &mut CancelAnswer) {
    let (id, by) = (task.view.id.clone(), by.clone());
    match task.view.state {
        TaskState::Queued | TaskState::Assigned => {
            draft.push(SchedulerEvent::TaskFinished {
                task: id.clone(),
                epoch: task.view.epoch,
                state: TaskState::Cancelled,
                outcome: None,
                by: Some(by),
            });
            draft.take(&id);
            draft.give_back(task);
            answer.cancelled.push(id);
        }
        TaskState::Started | TaskState::Lost => {
            if task.view.cancelled_by.is_none() {
                draft.push(SchedulerEvent::TaskCancelRequested { task: id.clone(), by });
            }
            answer.stopping.push(id);
        }
        TaskState::Succeeded
        | TaskState::Failed
        | TaskState::TimedOut
        | TaskState::Cancelled
        | TaskState::Expired => (),
    }
}

pub(super) fn force_lost(mut draft: Draft<'_>, by: &PrincipalId, id: &TaskId) -> Decision {
    let known = draft.state.known(id).ok_or_else(|| no_such(id))?;
    let not_lost = || Rejection::NotLost { task: id.clone(), state: known.state().as_str() };
    let Known::Whole(task) = known else { return Err(not_lost()) };
    if !may_end(draft.facts, by, task) {
        return Err(Rejection::NotAllowed { by: by.clone(), task: id.clone() });
    }
    if task.view.state != TaskState::Lost {
        return Err(not_lost());
    }
    let outcome = settled_by_hand(by, draft.now());
    let mut view = task.view.clone();
    view.state = TaskState::Failed;
    view.finished_at = Some(draft.now());
    view.outcome = Some(outcome.clone());
    view.cancelled_by.get_or_insert_with(|| by.clone());
    draft.push(SchedulerEvent::TaskFinished {
        task: id.clone(),
        epoch: task.view.epoch,
        state: TaskState::Failed,
        outcome: Some(Box::new(outcome)),
        by: Some(by.clone()),
    });
    draft.give_back(task);
    Ok(draft.decided(Answer::Task(Box::new(view))))
}
