//! People end tasks: by name, in bulk, or by settling a lost one.
//!
//! **Invariant:** after `cancelled` was answered no start is granted.
//! **Invariant:** when a task is to end, so is what it asked for, however far down.
//! **Invariant:** one decision ends a bounded number of tasks, and says when there are more.

use decider::Decided;
use schemas::{
    PrincipalId, TaskId,
    scheduler::{CancelAnswer, SchedulerEvent, TaskSelection},
    task::TaskState,
};

use super::{Decision, Draft, no_such};
use crate::{
    Scheduler,
    command::{Answer, CancelTarget},
    evolve::settled_by_hand,
    limits::CANCELS_PER_DECISION_MAX,
    queries::selects,
    rejection::Rejection,
    state::{Known, Task},
    visibility::{Viewer, check_in},
};

pub(super) fn cancel(draft: Draft<'_>, by: &PrincipalId, target: &CancelTarget) -> Decision {
    check_in(draft.facts, by)?;
    match target {
        CancelTarget::One(id) => cancel_one(draft, by, id),
        CancelTarget::Select(selection) => Ok(cancel_many(draft, by, selection)),
    }
}

fn cancel_one(mut draft: Draft<'_>, by: &PrincipalId, id: &TaskId) -> Decision {
    let known = draft.state.known(id).ok_or_else(|| no_such(id))?;
    check_ends(&draft, by, (id, known))?;
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
    end(&mut draft, by, task, &mut answer);
    Ok(draft.decided(Answer::Cancelled(answer)))
}

fn check_ends(
    draft: &Draft<'_>,
    by: &PrincipalId,
    (id, known): (&TaskId, Known<'_>),
) -> Result<(), Rejection> {
    let viewer = Viewer::new(draft.facts, by);
    match known.parties() {
        Some(parties) => viewer.check_ends(id, parties),
        None => Err(no_such(id)),
    }
}

fn cancel_many(
    mut draft: Draft<'_>,
    by: &PrincipalId,
    selection: &TaskSelection,
) -> Decided<Scheduler> {
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

/// Ends what a task asked for that is to end itself, and by it what those asked for in their turn.
pub(super) fn end_children(mut draft: Draft<'_>, parent: &TaskId) -> Decided<Scheduler> {
    let state = draft.state;
    let mut answer = CancelAnswer { cancelled: Vec::new(), stopping: Vec::new(), more: false };
    let going_on = state.index.going_on.get(parent).filter(|_| state.ending.contains(parent));
    let ended_by = state.tasks.get(parent).and_then(|parent| parent.view.cancelled_by.as_ref());
    for id in going_on.into_iter().flatten().take(CANCELS_PER_DECISION_MAX) {
        let Some(task) = state.tasks.get(id) else { continue };
        end(&mut draft, ended_by.unwrap_or(&task.view.subject), task, &mut answer);
    }
    draft.decided(Answer::Cancelled(answer))
}

pub(super) fn force_lost(mut draft: Draft<'_>, by: &PrincipalId, id: &TaskId) -> Decision {
    check_in(draft.facts, by)?;
    let known = draft.state.known(id).ok_or_else(|| no_such(id))?;
    check_ends(&draft, by, (id, known))?;
    let not_lost = || Rejection::NotLost { task: id.clone(), state: known.state().as_str() };
    let Known::Whole(task) = known else { return Err(not_lost()) };
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
