//! A small service: accounts with balances, so that lost and doubled additions show.

use std::collections::BTreeMap;

use decider::{Decided, Decider, Moment, Recorded};
use runtime::{
    Caller, CommandOf, EffectContext, EffectOf, EventOf, ObservationOf, Request, Row, Service,
    SnapshotAfter, StateOf,
};
use schemas::{
    ErrorCode, Fault, PrincipalId, strict,
    subject::{Bucket, ServiceName},
};
use serde::{Deserialize, Serialize};

/// What its rows are kept in; borrowed, for buckets are a closed list.
pub(crate) const BUCKET: Bucket = Bucket::Agents;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Add {
    pub(crate) account: String,
    pub(crate) amount: u64,
    /// Makes the event as large as a test needs it.
    #[serde(default)]
    pub(crate) note: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Name {
    pub(crate) account: String,
}

pub(crate) enum Command {
    Add(Add),
    Close(Name),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sum {
    pub(crate) total: u64,
    pub(crate) additions: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum Event {
    Added { account: String, amount: u64, note: String },
    Closed { account: String },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    balances: BTreeMap<String, u64>,
    sum: Sum,
}

pub(crate) enum Core {}

impl Decider for Core {
    type Command = Command;
    type Query = ();
    type Answer = Sum;
    type Event = Event;
    type State = State;
    type Facts = ();
    type Observation = ();
    type Rejection = Fault;
    type Effect = ();

    fn decide(state: &State, command: &Command, (): &()) -> Result<Decided<Self>, Fault> {
        let Sum { total, additions } = state.sum;
        match command {
            Command::Add(Add { amount: 0, .. }) => {
                Err(Fault::new(ErrorCode::InvalidValue, "nothing to add"))
            }
            Command::Add(Add { account, amount, note }) => {
                let (account, amount, note) = (account.clone(), *amount, note.clone());
                let answer = Sum { total: total + amount, additions: additions + 1 };
                Ok(Decided { events: vec![Event::Added { account, amount, note }], answer })
            }
            Command::Close(Name { account }) => {
                let events = match state.balances.get(account) {
                    Some(_) => vec![Event::Closed { account: account.clone() }],
                    None => Vec::new(),
                };
                Ok(Decided { events, answer: state.sum.clone() })
            }
        }
    }

    fn answer(state: &State, (): &(), (): &()) -> Result<Sum, Fault> {
        Ok(state.sum.clone())
    }

    fn evolve(state: &mut State, event: &Event, _: &Recorded) {
        match event {
            Event::Added { account, amount, .. } => {
                *state.balances.entry(account.clone()).or_default() += amount;
                state.sum.total += amount;
                state.sum.additions += 1;
            }
            Event::Closed { account } => drop(state.balances.remove(account)),
        }
    }

    fn react(_: &State, _: &Event) -> Vec<()> {
        Vec::new()
    }

    fn resume(_: &State) -> Vec<()> {
        Vec::new()
    }

    fn tell((): &mut (), _: Moment) {}

    fn observe(_: &State, (): &mut (), (): ()) {}

    fn due(_: &State, (): &()) -> Vec<Command> {
        Vec::new()
    }
}

/// Whoever has an account that nobody else may know of.
pub(crate) const STRANGER: &str = "stranger";

/// Borrows the registry's name, for services are a closed list.
pub(crate) struct Ledger;

impl Service for Ledger {
    type Core = Core;
    const NAME: ServiceName = ServiceName::Registry;
    const VERBS: &'static [&'static str] = &["add", "close", "total", "events", "rebuild"];
    const BUCKETS: &'static [Bucket] = &[BUCKET];
    const STATE_SCHEMA: u32 = 1;
    const SNAPSHOT_AFTER: SnapshotAfter = SnapshotAfter { events: 500, bytes: usize::MAX };

    fn read(&self, verb: &str, body: &[u8], _: &Caller) -> Result<Request<Core>, Fault> {
        match verb {
            "add" => strict::parse(body).map(|add| Request::Command(Command::Add(add))),
            "close" => strict::parse(body).map(|name| Request::Command(Command::Close(name))),
            _ => Ok(Request::Query(())),
        }
    }

    fn verb(command: &CommandOf<Self>) -> &'static str {
        match command {
            Command::Add(_) => "add",
            Command::Close(_) => "close",
        }
    }

    fn about(event: &EventOf<Self>) -> (&'static str, &str) {
        match event {
            Event::Added { account, .. } | Event::Closed { account } => ("account", account),
        }
    }

    fn project(state: &StateOf<Self>, event: &EventOf<Self>) -> Vec<Row> {
        match event {
            Event::Added { account, .. } => {
                vec![Row::put(BUCKET, account, &state.balances.get(account))]
            }
            Event::Closed { account } => vec![Row::deleted(BUCKET, account)],
        }
    }

    /// What is in a stranger's own account is for them alone.
    fn sees(_: &State, (): &(), viewer: &PrincipalId, event: &Event) -> bool {
        match event {
            Event::Added { account, .. } | Event::Closed { account } => {
                account != STRANGER || viewer.as_str() == STRANGER
            }
        }
    }

    /// Strangers only look.
    fn may_rebuild(_: &State, (): &(), viewer: &PrincipalId) -> bool {
        viewer.as_str() != STRANGER
    }

    async fn perform(&self, (): EffectOf<Self>, _: &EffectContext) {}

    fn hear(&self, _: &str, _: &[u8], _: u64) -> Result<ObservationOf<Self>, Fault> {
        Ok(())
    }
}
