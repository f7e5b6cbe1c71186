//! A node says how a run ended, or that it does not take a task.
//!
//! **Invariant:** only the instance that was told to run an epoch may say that nothing ran; any
//! other of the same node delivers an outcome, or says that it cannot tell.
//! **Invariant:** what is said of an older epoch changes nothing.

use schemas::{
    ErrorCode, Fault,
    scheduler::{ReportAnswer, SchedulerEvent},
    task::{Outcome, TaskState, Verdict},
};

use super::{Decision, Draft, no_such, nothing, start::not_the_runner};
use crate::{
    command::{Answer, Run},
    refusal::{RefusalSort, sort},
    state::{Known, Task},
};

/// Takes an outcome.
pub(super) fn report(draft: Draft<'_>, run: &Run, outcome: &Outcome) -> Decision {
    let task = match present(&draft, run)? {
        Ok(task) => task,
        Err(state) => return Ok(uncounted(run, state)),
    };
    let is_runner = task.instance.as_ref() == Some(&run.instance);
    let nothing_ran = outcome.started_at.is_none() && outcome.verdict != Verdict::Lost;
    match task.view.state {
        TaskState::Started | TaskState::Lost if nothing_ran && !is_runner => {
            Err(not_the_runner(run, "only the instance that was told to may say that nothing ran"))
        }
        TaskState::Started if outcome.verdict == Verdict::Lost => {
            Ok(lose(draft, run, task, outcome))
        }
        TaskState::Started => Ok(finish(draft, run, task, outcome)),
        TaskState::Lost | TaskState::Queued if outcome.verdict == Verdict::Lost => {
            Ok(uncounted(run, task.view.state))
        }
        TaskState::Lost => Ok(finish(draft, run, task, outcome)),
        // Lost and waiting to run again: what the lost run reports after all settles it.
        TaskState::Queued if task.lost_epoch == Some(run.epoch) && !nothing_ran => {
            Ok(finish(draft, run, task, outcome))
        }
        TaskState::Queued => Ok(uncounted(run, task.view.state)),
        // Nobody was told to run it, so whatever the node fears to have lost has not begun.
        TaskState::Assigned if outcome.verdict == Verdict::Lost => {
            let message = format!("{} restarted before it was told to run the task", run.node);
            refused(draft, run, task, &Fault::new(ErrorCode::NodeDraining, message))
        }
        TaskState::Assigned if nothing_ran => Ok(finish(draft, run, task, outcome)),
        TaskState::Assigned => Err(not_the_runner(run, "it was not told to run it")),
        TaskState::Succeeded
        | TaskState::Failed
        | TaskState::TimedOut
        | TaskState::Cancelled
        | TaskState::Expired => Ok(uncounted(run, task.view.state)),
    }
}

/// Takes a task back.
pub(super) fn refuse(draft: Draft<'_>, run: &Run, fault: &Fault) -> Decision {
    let task = match present(&draft, run)? {
        Ok(task) => task,
        Err(state) => return Ok(uncounted(run, state)),
    };
    let is_runner = task.instance.as_ref() == Some(&run.instance);
    match task.view.state {
        TaskState::Assigned => refused(draft, run, task, fault),
        TaskState::Started | TaskState::Lost if is_runner => refused(draft, run, task, fault),
        TaskState::Started | TaskState::Lost => {
            Err(not_the_runner(run, "only the instance that was told to may say that nothing ran"))
        }
        TaskState::Queued
        | TaskState::Succeeded
        | TaskState::Failed
        | TaskState::TimedOut
        | TaskState::Cancelled
        | TaskState::Expired => Ok(uncounted(run, task.view.state)),
    }
}

/// The task that the node speaks of, or the state of one of which it has nothing to say any more.
fn present<'a>(
    draft: &Draft<'a>,
    run: &Run,
) -> Result<Result<&'a Task, TaskState>, crate::Rejection> {
    let task = match draft.state.known(&run.task) {
        Some(Known::Whole(task)) => task,
        Some(known @ (Known::Kept(_) | Known::Spent(_))) => return Ok(Err(known.state())),
        None => return Err(no_such(&run.task)),
    };
    if run.epoch != task.view.epoch {
        return Ok(Err(task.view.state));
    }
    if task.view.node.as_ref() != Some(&run.node) {
        return Err(not_the_runner(run, "another node was given it"));
    }
    Ok(Ok(task))
}

fn finish(
    mut draft: Draft<'_>,
    run: &Run,
    task: &Task,
    outcome: &Outcome,
) -> decider::Decided<crate::Scheduler> {
    let state = outcome.verdict.state();
    draft.push(SchedulerEvent::TaskFinished {
        task: run.task.clone(),
        epoch: run.epoch,
        state,
        outcome: Some(Box::new(outcome.clone())),
        by: None,
    });
    draft.take(&run.task);
    draft.give_back(task);
    draft.decided(counted(run, state))
}

fn lose(
    mut draft: Draft<'_>,
    run: &Run,
    task: &Task,
    outcome: &Outcome,
) -> decider::Decided<crate::Scheduler> {
    let message = outcome.fault.as_ref().map(|fault| fault.message.clone());
    draft.push(SchedulerEvent::TaskLost {
        task: run.task.clone(),
        epoch: run.epoch,
        node: run.node.clone(),
        reason: message.unwrap_or_else(|| "its node cannot tell how it ended".to_owned()),
    });
    draft.lose(task);
    // It speaks, so it is there.
    draft.offer_to(&run.node);
    let state = if task.may_run_again() { draft.place(task, None).state } else { TaskState::Lost };
    draft.decided(counted(run, state))
}

/// Nothing ran and nothing will by this assignment: the task goes on elsewhere, or ends when
/// nobody else may run it or its end was asked for.
fn refused(mut draft: Draft<'_>, run: &Run, task: &Task, fault: &Fault) -> Decision {
    draft.push(SchedulerEvent::TaskRefused {
        task: run.task.clone(),
        epoch: run.epoch,
        node: run.node.clone(),
        fault: fault.clone(),
    });
    let sort = sort(fault);
    if sort == RefusalSort::Busy {
        draft.retract(task);
    } else {
        draft.give_back(task);
    }
    let state = match ends_with(task, fault, sort) {
        Some(state) => {
            draft.push(ended(task, state, fault, draft.now()));
            state
        }
        None => draft.place(task, Some(&run.node)).state,
    };
    Ok(draft.decided(counted(run, state)))
}

/// The state that a refusal ends the task with, if it does.
fn ends_with(task: &Task, fault: &Fault, sort: RefusalSort) -> Option<TaskState> {
    if task.is_cancel_requested() {
        return Some(TaskState::Cancelled);
    }
    let only_choice = match &task.view.audience {
        schemas::Audience::Node(_) => true,
        schemas::Audience::Can(_) => false,
    };
    let for_ever = sort == RefusalSort::Lasting && fault.code != ErrorCode::AssignmentMismatch;
    (only_choice && for_ever).then_some(TaskState::Failed)
}

fn ended(task: &Task, state: TaskState, fault: &Fault, at: schemas::Timestamp) -> SchedulerEvent {
    let outcome = Outcome {
        verdict: if state == TaskState::Cancelled { Verdict::Cancelled } else { Verdict::Failed },
        fault: Some(fault.clone()),
        ..crate::evolve::no_run(at)
    };
    SchedulerEvent::TaskFinished {
        task: task.view.id.clone(),
        epoch: task.view.epoch,
        state,
        outcome: Some(Box::new(outcome)),
        by: None,
    }
}

fn counted(run: &Run, state: TaskState) -> Answer {
    Answer::Reported(ReportAnswer { task: run.task.clone(), state, counted: true })
}

fn uncounted(run: &Run, state: TaskState) -> decider::Decided<crate::Scheduler> {
    nothing(Answer::Reported(ReportAnswer { task: run.task.clone(), state, counted: false }))
}
