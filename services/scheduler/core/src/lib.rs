//! Decides which node runs a task, when, and at most once.
//!
//! A request becomes a task when it is submitted, a node is chosen at once or when one is free, the
//! node asks before it starts, and reports how it ended. `command.rs` lists what can be asked,
//! `decide/` the rules, `placement.rs` the choice of nodes, `facts.rs` what is seen but not
//! recorded.
//!
//! **Invariant:** a task that is not idempotent is started at most once, whoever crashes.

#![forbid(unsafe_code)]

mod command;
mod decide;
mod due;
mod evolve;
mod facts;
pub mod limits;
mod placement;
mod queries;
mod react;
mod refusal;
mod rejection;
mod state;
mod visibility;

use decider::{Decided, Decider, Moment, Recorded};
use schemas::{PrincipalId, scheduler::SchedulerEvent};

pub use command::{
    Answer, CancelTarget, ChainPage, Command, Dispatch, Effect, Handed, Lineage, Link, Observation,
    OutputSource, PageKey, Proof, Query, Question, Run, SignedRequest, Submission, TaskPage,
};
pub use facts::{Facts, Revocations};
pub use placement::check::violations;
pub use rejection::Rejection;
pub use state::{Kept, State, Task};

/// The rules of the scheduler.
#[derive(Clone, Copy, Debug)]
pub enum Scheduler {}

impl Decider for Scheduler {
    type Command = Command;
    type Query = Query;
    type Answer = Answer;
    type Event = SchedulerEvent;
    type State = State;
    type Facts = Facts;
    type Observation = Observation;
    type Rejection = Rejection;
    type Effect = Effect;

    fn decide(state: &State, command: &Command, facts: &Facts) -> Result<Decided<Self>, Rejection> {
        decide::decide(state, command, facts)
    }

    fn answer(state: &State, query: &Query, facts: &Facts) -> Result<Answer, Rejection> {
        queries::answer(state, query, facts)
    }

    fn evolve(state: &mut State, event: &SchedulerEvent, recorded: &Recorded) {
        evolve::evolve(state, event, *recorded);
    }

    fn react(state: &State, event: &SchedulerEvent) -> Vec<Effect> {
        react::react(state, event)
    }

    fn resume(state: &State) -> Vec<Effect> {
        react::resume(state)
    }

    fn tell(facts: &mut Facts, moment: Moment) {
        facts.moment = moment;
    }

    fn observe(state: &State, facts: &mut Facts, observation: Observation) {
        facts.observe(state, observation);
    }

    fn due(state: &State, facts: &Facts) -> Vec<Command> {
        due::due(state, facts)
    }

    fn due_effects(state: &State, facts: &mut Facts) -> Vec<Effect> {
        facts.tick(state)
    }
}

/// Whether somebody may hear of an event: they may see its task. Of tasks that are forgotten only
/// those hear who see everything.
#[must_use]
pub fn sees(state: &State, facts: &Facts, viewer: &PrincipalId, event: &SchedulerEvent) -> bool {
    visibility::sees_event(state, facts, viewer, event)
}

/// Whether somebody may have rows made anew: admins, operators and the control plane itself.
#[must_use]
pub fn may_rebuild(facts: &Facts, viewer: &PrincipalId) -> bool {
    visibility::Viewer::new(facts, viewer).oversees()
}

#[cfg(test)]
mod tests;
