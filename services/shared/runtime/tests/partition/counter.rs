//! The smallest service: adds numbers, and says what they make.

use std::sync::{Arc, Mutex};

use decider::{Decided, Decider, Moment, Recorded};
use runtime::{
    AskAbout, Caller, CommandOf, EffectContext, EffectOf, EventOf, ObservationOf, Request, Row,
    Service, StateOf,
};
use schemas::{
    CommandId, ErrorCode, Fault, PrincipalId, Sha256Hash,
    subject::{Bucket, ServiceName},
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Add(pub(crate) u64);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum Event {
    Added { number: u64 },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sum {
    pub(crate) total: u64,
    pub(crate) additions: u64,
}

/// What the world is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A number was added.
    Added(u64),
    /// Told again and again: what all of them make.
    Total(u64),
}

/// What can be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    /// What all numbers make.
    Sum,
    /// The same, after this long.
    HardSum(std::time::Duration),
}

/// A number whose effect panics.
pub(crate) const UNLUCKY: u64 = 13;

pub(crate) enum Core {}

impl Decider for Core {
    type Command = Add;
    type Query = Question;
    type Answer = Sum;
    type Event = Event;
    type State = Sum;
    type Facts = ();
    type Observation = ();
    type Rejection = Fault;
    type Effect = Effect;

    fn decide(state: &Sum, command: &Add, (): &()) -> Result<Decided<Self>, Fault> {
        if command.0 == 0 {
            return Err(Fault::new(ErrorCode::InvalidValue, "zero adds nothing"));
        }
        let answer = Sum { total: state.total + command.0, additions: state.additions + 1 };
        Ok(Decided { events: vec![Event::Added { number: command.0 }], answer })
    }

    fn answer(state: &Sum, question: &Question, (): &()) -> Result<Sum, Fault> {
        match question {
            Question::Sum => (),
            Question::HardSum(time) => {
                let begin = std::time::Instant::now();
                while begin.elapsed() < *time {
                    std::hint::spin_loop();
                }
            }
        }
        Ok(state.clone())
    }

    fn evolve(state: &mut Sum, event: &Event, _: &Recorded) {
        let Event::Added { number } = event;
        state.total += number;
        state.additions += 1;
    }

    fn react(_: &Sum, event: &Event) -> Vec<Effect> {
        let Event::Added { number } = event;
        vec![Effect::Added(*number)]
    }

    fn resume(_: &Sum) -> Vec<Effect> {
        Vec::new()
    }

    fn tell((): &mut (), _: Moment) {}

    fn observe(_: &Sum, (): &mut (), (): ()) {}

    fn due(_: &Sum, (): &()) -> Vec<Add> {
        Vec::new()
    }

    fn due_effects(state: &Sum, (): &mut ()) -> Vec<Effect> {
        vec![Effect::Total(state.total)]
    }
}

/// Borrows the registry's name, for services are a closed list.
pub(crate) struct Counter {
    /// What was performed so far.
    pub(crate) performed: Arc<Mutex<Vec<Effect>>>,
    /// Effects wait while this is false.
    pub(crate) performs: watch::Receiver<bool>,
}

impl Service for Counter {
    type Core = Core;
    const NAME: ServiceName = ServiceName::Registry;
    const VERBS: &'static [&'static str] = &["add"];
    const BUCKETS: &'static [Bucket] = &[];
    const STATE_SCHEMA: u32 = 1;

    fn read(&self, _: &str, body: &[u8], _: &Caller) -> Result<Request<Core>, Fault> {
        schemas::strict::parse(body).map(Request::Command)
    }

    fn verb(_: &CommandOf<Self>) -> &'static str {
        "add"
    }

    fn about(_: &EventOf<Self>) -> (&'static str, &str) {
        ("sum", "only")
    }

    fn project(_: &StateOf<Self>, _: &EventOf<Self>) -> Vec<Row> {
        Vec::new()
    }

    async fn perform(&self, effect: EffectOf<Self>, _: &EffectContext) {
        drop(self.performs.clone().wait_for(|performs| *performs).await);
        assert_ne!(
            effect,
            Effect::Added(UNLUCKY),
            "this effect fails in a way that it never should"
        );
        self.performed.lock().expect("nobody panics with it in hand").push(effect);
    }

    fn hear(&self, _: &str, _: &[u8], _: u64) -> Result<ObservationOf<Self>, Fault> {
        Ok(())
    }
}

/// What surrounds the command `id` of somebody.
pub(crate) fn about(id: &str, body: u64) -> AskAbout {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&body.to_le_bytes());
    AskAbout {
        principal: PrincipalId::parse("somebody").expect("an id"),
        verb: "add",
        command_id: Some(CommandId::parse(id).expect("an id")),
        not_after: None,
        hash: Sha256Hash(hash),
        trace: None,
    }
}
