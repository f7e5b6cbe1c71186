//! Commands become events, or a rejection.
//!
//! **Invariant:** at most one epoch of a task is live, and at most one instance is ever told to run
//! an epoch.
//! **Invariant:** whatever frees a slot offers it to the queue in the same decision.

use decider::Decided;
use schemas::{TaskId, scheduler::SchedulerEvent};

use crate::{
    Scheduler,
    command::{Answer, Command},
    facts::Facts,
    rejection::Rejection,
    state::{State, Task},
};

mod cancel;
pub(crate) mod descent;
mod draft;
mod report;
mod start;
pub(crate) mod submit;
mod upkeep;

use draft::Draft;

pub(crate) type Decision = Result<Decided<Scheduler>, Rejection>;

/// Decides on a command.
pub(crate) fn decide(state: &State, command: &Command, facts: &Facts) -> Decision {
    let draft = Draft::new(state, facts);
    match command {
        Command::Submit(submission) => submit::submit(draft, submission),
        Command::Start { run, ask } => start::start(draft, run, *ask),
        Command::Report { run, outcome } => report::report(draft, run, outcome),
        Command::Refuse { run, fault } => report::refuse(draft, run, fault),
        Command::Cancel { by, target } => cancel::cancel(draft, by, target),
        Command::ForceLost { by, task } => cancel::force_lost(draft, by, task),
        Command::PlaceQueued { nodes } => Ok(upkeep::place_queued(draft, nodes)),
        Command::ExpireAssignment { task, epoch } => {
            Ok(upkeep::expire_assignment(draft, task, *epoch))
        }
        Command::DeclareLost { task, epoch } => Ok(upkeep::declare_lost(draft, task, *epoch)),
        Command::ExpireRequest { task } => Ok(upkeep::expire_request(draft, task)),
        Command::EndBarred { task } => Ok(upkeep::end_barred(draft, task)),
        Command::EndChildren { parent } => Ok(cancel::end_children(draft, parent)),
    }
}

fn nothing(answer: Answer) -> Decided<Scheduler> {
    Decided { events: Vec::new(), answer }
}

fn finished(task: &Task, state: schemas::task::TaskState) -> SchedulerEvent {
    SchedulerEvent::TaskFinished {
        task: task.view.id.clone(),
        epoch: task.view.epoch,
        state,
        outcome: None,
        by: None,
    }
}

fn no_such(task: &TaskId) -> Rejection {
    Rejection::NoSuchTask(task.clone())
}
