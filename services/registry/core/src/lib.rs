//! Decides who is in the fleet, what they can do, and who may ask whom.
//!
//! **Invariant:** no IO, no clock, no randomness: the time and the heartbeats arrive as [`Facts`].
//! **Invariant:** the [`State`] is a fold of the log alone; heartbeats are never recorded, only
//! what they change in what is shown.

#![forbid(unsafe_code)]

mod agent;
mod answer;
mod command;
mod decide;
mod due;
mod evolve;
mod facts;
mod index;
mod presence;
mod principals;
mod query;
mod react;
mod state;

pub use agent::{Agent, Listing};
pub use command::Command;
pub use decide::Rejection;
pub use decider::Recorded;
pub use due::DUE_MAX;
pub use facts::{
    ARCHIVE_AFTER_MS, Beat, Facts, Observation, SHOW_PRESENCE_EVERY_MS, SWEEP_EVERY_MS,
};
pub use presence::{LATE_INTERVALS, RECOVERY_BEATS};
pub use principals::{
    ABUSES_RECORDED_MAX, BROKER_ADMIN, Deed, GATEWAY, Grant, INVITES_OPEN_MAX, Invitation,
    InviteGrant, Key, OVERSEERS_MAX, Offer, OfferedKey, Principal, Principals, PutOut,
    ROSTER_KEYS_MAX, Redeemed, Redemption, Refusal, RosterContent, SealedToken, SignedOrder,
    TOKENS_LIVING_MAX, Token, TokenTerms, sees_event,
};
pub use query::{
    Answer, MembershipQuestion, PAGE_DEFAULT, PAGE_MAX, Query, Question, RELATIONS_MAX,
};
pub use react::Effect;
pub use state::State;

use decider::{Decided, Decider, Moment};
use schemas::registry::RegistryEvent;

/// The rules of the registry.
#[derive(Clone, Copy, Debug)]
pub enum Registry {}

impl Decider for Registry {
    type Command = Command;
    type Query = Query;
    type Answer = Answer;
    type Event = RegistryEvent;
    type State = State;
    type Facts = Facts;
    type Observation = Observation;
    type Rejection = Rejection;
    type Effect = Effect;

    fn decide(state: &State, command: &Command, facts: &Facts) -> Result<Decided<Self>, Rejection> {
        decide::decide(state, command, facts)
    }

    fn answer(state: &State, query: &Query, facts: &Facts) -> Result<Answer, Rejection> {
        answer::answer(state, query, facts)
    }

    fn evolve(state: &mut State, event: &RegistryEvent, recorded: &Recorded) {
        evolve::evolve(state, event, recorded);
    }

    fn react(state: &State, event: &RegistryEvent) -> Vec<Effect> {
        react::react(state, event)
    }

    fn resume(state: &State) -> Vec<Effect> {
        react::resume(state)
    }

    fn tell(facts: &mut Facts, moment: Moment) {
        facts.tell(moment);
    }

    fn observe(state: &State, facts: &mut Facts, observation: Observation) {
        presence::observe(state, facts, observation);
    }

    fn due(state: &State, facts: &Facts) -> Vec<Command> {
        due::due(state, facts)
    }

    fn due_effects(state: &State, facts: &mut Facts) -> Vec<Effect> {
        due::due_effects(state, facts)
    }
}

#[cfg(test)]
mod tests;
