//! A node asks whether it may run what it was given: this is what makes a task run at most once.
//!
//! **Invariant:** a go is always a committed event of its own, also when it is given again.
//! **Invariant:** it is given only while the assignment is the present one, to one instance, and
//! not once an end was asked for or the request has expired.

use decider::Decided;
use schemas::{
    ErrorCode, Fault,
    scheduler::{SchedulerEvent, StartAnswer, StartDecision},
    task::TaskState,
};

use super::{Decision, Draft, finished, no_such};
use crate::{
    Scheduler,
    command::{Answer, Run},
    rejection::Rejection,
    state::{Known, Task},
};

pub(super) fn start(draft: Draft<'_>, run: &Run, ask: u64) -> Decision {
    let task = match draft.state.known(&run.task) {
        Some(Known::Whole(task)) => task,
        Some(Known::Kept(_) | Known::Spent(_)) => {
            return Ok(stand_down(draft, run, ask, ErrorCode::TaskFinished));
        }
        None => return Err(no_such(&run.task)),
    };
    if run.epoch != task.view.epoch {
        return Ok(stand_down(draft, run, ask, ErrorCode::StaleEpoch));
    }
    if task.view.node.as_ref() != Some(&run.node) {
        return Err(not_the_runner(run, "another node was given it"));
    }
    match task.view.state {
        TaskState::Assigned if task.view.expires_at <= draft.now() => {
            Ok(expire(draft, run, ask, task))
        }
        TaskState::Assigned => Ok(go(draft, run, ask)),
        TaskState::Started if task.instance.as_ref() != Some(&run.instance) => {
            Ok(stand_down(draft, run, ask, ErrorCode::NotTheRunner))
        }
        TaskState::Started if !task.is_cancel_requested() => Ok(go(draft, run, ask)),
        TaskState::Started if task.ask < ask => Ok(unrun(draft, run, ask, task)),
        TaskState::Lost if task.ask < ask && task.instance.as_ref() == Some(&run.instance) => {
            Ok(unrun(draft, run, ask, task))
        }
        TaskState::Started
        | TaskState::Succeeded
        | TaskState::Failed
        | TaskState::TimedOut
        | TaskState::Cancelled
        | TaskState::Expired => Ok(stand_down(draft, run, ask, ErrorCode::TaskFinished)),
        // It was taken back, or given up: what the node has is an old assignment.
        TaskState::Queued | TaskState::Lost => {
            Ok(stand_down(draft, run, ask, ErrorCode::StaleEpoch))
        }
    }
}

fn go(mut draft: Draft<'_>, run: &Run, ask: u64) -> Decided<Scheduler> {
    draft.push(SchedulerEvent::TaskStarted {
        task: run.task.clone(),
        epoch: run.epoch,
        node: run.node.clone(),
        instance: run.instance.clone(),
        ask,
    });
    let answer = answer(&draft, run, ask, StartDecision::Go {});
    draft.decided(answer)
}

/// The instance asks again after its last go, so it did not act on that go and never will: a node
/// takes only the answer to its latest request. Nothing ran, and this epoch is over.
fn unrun(mut draft: Draft<'_>, run: &Run, ask: u64, task: &Task) -> Decided<Scheduler> {
    if let Some(by) = &task.view.cancelled_by {
        draft.push(SchedulerEvent::TaskFinished {
            task: run.task.clone(),
            epoch: run.epoch,
            state: TaskState::Cancelled,
            outcome: None,
            by: Some(by.clone()),
        });
        draft.give_back(task);
        return stand_down(draft, run, ask, ErrorCode::TaskFinished);
    }
    let message = format!("{} did not get its go in time, nothing ran", run.node);
    draft.push(SchedulerEvent::TaskRefused {
        task: run.task.clone(),
        epoch: run.epoch,
        node: run.node.clone(),
        fault: Fault::new(ErrorCode::TimedOut, message),
    });
    draft.give_back(task);
    draft.place(task, Some(&run.node));
    stand_down(draft, run, ask, ErrorCode::StaleEpoch)
}

fn stand_down(draft: Draft<'_>, run: &Run, ask: u64, code: ErrorCode) -> Decided<Scheduler> {
    let answer = answer(&draft, run, ask, StartDecision::StandDown { code });
    draft.decided(answer)
}

fn expire(mut draft: Draft<'_>, run: &Run, ask: u64, task: &Task) -> Decided<Scheduler> {
    draft.push(finished(task, TaskState::Expired));
    draft.give_back(task);
    stand_down(draft, run, ask, ErrorCode::Expired)
}

fn answer(draft: &Draft<'_>, run: &Run, ask: u64, decision: StartDecision) -> Answer {
    Answer::Start(StartAnswer {
        task: run.task.clone(),
        epoch: run.epoch,
        instance: run.instance.clone(),
        ask,
        term: draft.facts.moment.term,
        decision,
    })
}

pub(super) fn not_the_runner(run: &Run, problem: &'static str) -> Rejection {
    let (who, task) = (run.node.clone(), run.task.clone());
    Rejection::NotTheRunner { who, task, epoch: run.epoch, problem }
}
