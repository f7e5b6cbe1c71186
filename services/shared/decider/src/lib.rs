//! The shape of every pure core: commands are decided, events are evolved, effects are named.
//!
//! **Invariant:** nothing reachable from a [`Decider`] performs IO, reads a clock or draws
//! randomness. Everything that it needs arrives as an argument.
//! **Invariant:** no dependency at all.

#![forbid(unsafe_code)]

use std::fmt::Debug;

/// A pure, replayable description of one service.
///
/// There are two kinds of memory. *State* is the fold of the log: the same events make the same
/// state anywhere. *Facts* are everything else that a rule may look at, such as the time or the
/// last heartbeats: they are observed, never recorded, and start empty with every process.
pub trait Decider {
    /// What somebody asks to be done. Named in the imperative.
    type Command;
    /// What somebody asks to know.
    type Query;
    /// What is said in return, to a command or to a query.
    type Answer;
    /// What has happened. Named in the past tense.
    type Event;
    /// What is remembered. The default is the state before any event.
    type State: Default;
    /// What is known of the world, but not from the log.
    type Facts: Default;
    /// Something seen that becomes part of the facts, such as a heartbeat.
    type Observation;
    /// Why a command or a query was refused.
    type Rejection;
    /// Something to be done in the world once an event is committed.
    type Effect;

    /// Decides on a command: what happens, and what is answered once that is committed.
    ///
    /// No events mean that the command has already taken effect.
    ///
    /// # Errors
    ///
    /// A rejection when a rule forbids the command.
    fn decide(
        state: &Self::State,
        command: &Self::Command,
        facts: &Self::Facts,
    ) -> Result<Decided<Self>, Self::Rejection>;

    /// Answers a query; changes nothing.
    ///
    /// # Errors
    ///
    /// A rejection when a rule forbids the query, or what it names does not exist.
    fn answer(
        state: &Self::State,
        query: &Self::Query,
        facts: &Self::Facts,
    ) -> Result<Self::Answer, Self::Rejection>;

    /// Takes one event into the state. Total by design: history is applied, not judged.
    fn evolve(state: &mut Self::State, event: &Self::Event, recorded: &Recorded);

    /// Names what the world must be told of a committed event. `state` includes the event.
    fn react(state: &Self::State, event: &Self::Event) -> Vec<Self::Effect>;

    /// Names everything that should have been done by now and may not have been, for a new writer.
    fn resume(state: &Self::State) -> Vec<Self::Effect>;

    /// Takes the time and its like into the facts.
    fn tell(facts: &mut Self::Facts, moment: Moment);

    /// Takes an observation into the facts.
    fn observe(state: &Self::State, facts: &mut Self::Facts, observation: Self::Observation);

    /// Names the commands that time or observations call for.
    ///
    /// Asked every so often; must be cheap when nothing is due and must name nothing twice once
    /// the first has been decided.
    fn due(state: &Self::State, facts: &Self::Facts) -> Vec<Self::Command>;

    /// Names what the world should be told again because nothing shows that it heard.
    ///
    /// Asked as often as [`Self::due`]; the facts remember what was named, so that it can pause.
    fn due_effects(_state: &Self::State, _facts: &mut Self::Facts) -> Vec<Self::Effect> {
        Vec::new()
    }
}

/// What a decider made of a command.
pub struct Decided<D: Decider + ?Sized> {
    /// What happens.
    pub events: Vec<D::Event>,
    /// What is said in return, once that is committed.
    pub answer: D::Answer,
}

impl<D: Decider + ?Sized> Debug for Decided<D>
where
    D::Event: Debug,
    D::Answer: Debug,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decided")
            .field("events", &self.events)
            .field("answer", &self.answer)
            .finish()
    }
}

/// What the log says of an event beside the event itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// When it was decided, in milliseconds since the Unix epoch; never goes back.
    pub at_ms: u64,
    /// Term of the writer that decided it.
    pub term: u64,
}

/// The present, as the loop tells it before it decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since the Unix epoch; may jump.
    pub now_ms: u64,
    /// Milliseconds on the clock that leases are judged by: it only advances while the service is
    /// connected and keeps up, so a pause of this process makes nobody else look dead.
    pub lease_ms: u64,
    /// What `lease_ms` was when the service was last (re)connected: no lease is older than that.
    pub connected_at_lease_ms: u64,
    /// Term that this writer decides in.
    pub term: u64,
    /// Fresh randomness for ids.
    pub entropy: u64,
}

/// Folds a history into a state.
pub fn replay<'a, D: Decider>(
    history: impl IntoIterator<Item = &'a (D::Event, Recorded)>,
) -> D::State
where
    D::Event: 'a,
{
    let mut state = D::State::default();
    for (event, recorded) in history {
        D::evolve(&mut state, event, recorded);
    }
    state
}
