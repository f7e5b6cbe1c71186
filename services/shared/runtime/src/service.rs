//! What a service must say about itself for the loop to run it.
//!
//! **Invariant:** rules stay in the core; an implementation only translates and performs.

use std::{future::Future, sync::Arc};

use decider::Decider;
use schemas::{
    Cursor, Fault, PrincipalId,
    subject::{Bucket, ServiceName},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;

/// A core with its surroundings: how requests are read, effects performed, rows made.
pub trait Service: Send + Sync + Sized + 'static {
    /// The rules.
    type Core: Decider<
            State: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
            Event: Serialize + DeserializeOwned + Send + Sync + 'static,
            Answer: Serialize + Send + 'static,
            Command: Send + 'static,
            Query: Send + 'static,
            Facts: Send + 'static,
            Observation: Send + 'static,
            Rejection: Into<Fault> + Send + 'static,
            Effect: Clone + Send + 'static,
        > + 'static;

    /// The word in its subjects.
    const NAME: ServiceName;
    /// Verbs that it understands.
    const VERBS: &'static [&'static str];
    /// The buckets that are made from its log.
    const BUCKETS: &'static [Bucket];
    /// Version of the state's encoding; a snapshot of another version is not used.
    const STATE_SCHEMA: u32;
    /// How much may happen between two snapshots.
    const SNAPSHOT_AFTER: SnapshotAfter = SnapshotAfter::USUAL;

    /// Reads a request (the verb is one of [`Self::VERBS`], never `events`).
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn read(&self, verb: &str, body: &[u8], caller: &Caller) -> Result<Request<Self::Core>, Fault>;

    /// Names the command that a decision without a request came from, for the record.
    fn verb(command: &CommandOf<Self>) -> &'static str;

    /// What an event is about, for the live feed: a kind such as `task`, and which one.
    fn about(event: &EventOf<Self>) -> (&'static str, &str);

    /// The rows that an event changes. `state` includes the event and nothing after it.
    fn project(state: &StateOf<Self>, event: &EventOf<Self>) -> Vec<Row>;

    /// Carries out an effect of a committed event; repeating it must do no harm.
    fn perform(
        &self,
        effect: EffectOf<Self>,
        context: &EffectContext,
    ) -> impl Future<Output = ()> + Send;

    /// Writes the log's head into an answer that names it: everything up to there is included.
    fn stamp(_answer: &mut AnswerOf<Self>, _head: Cursor) {}

    /// Whether `viewer` may read `event` among the service's events. `state` and `facts` are what is
    /// known now, not what was known then.
    fn sees(
        _state: &StateOf<Self>,
        _facts: &FactsOf<Self>,
        _viewer: &PrincipalId,
        _event: &EventOf<Self>,
    ) -> bool {
        true
    }

    /// Whether `viewer` may have the service's buckets made anew.
    fn may_rebuild(_state: &StateOf<Self>, _facts: &FactsOf<Self>, _viewer: &PrincipalId) -> bool {
        true
    }

    /// Completes the answer to a query, or to a command that is never answered from the record, with
    /// what is not in the state: rows that have left it for their buckets, signatures.
    ///
    /// # Errors
    ///
    /// `UNREACHABLE` and the like when the bucket cannot be read.
    fn complete(
        &self,
        answer: AnswerOf<Self>,
    ) -> impl Future<Output = Result<AnswerOf<Self>, Fault>> + Send {
        std::future::ready(Ok(answer))
    }

    /// Subjects whose messages are observations; the writer hears all of them.
    const HEARS: &'static [&'static str] = &[];

    /// Reads a message of one of [`Self::HEARS`].
    ///
    /// # Errors
    ///
    /// What is wrong with it; it is counted and dropped.
    fn hear(&self, subject: &str, body: &[u8], now_ms: u64) -> Result<ObservationOf<Self>, Fault>;

    /// Runs beside the loop while this process is the writer, for example to follow another
    /// service's events; dropped when the term ends.
    fn accompany(self: Arc<Self>, observer: Observer<Self>) -> impl Future<Output = ()> + Send {
        drop(observer);
        std::future::pending()
    }
}

/// How much may happen between two snapshots; whichever comes first.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotAfter {
    /// Events.
    pub events: u64,
    /// Their size, in bytes.
    pub bytes: usize,
}

impl SnapshotAfter {
    /// 100,000 events or 64 MiB of them: a restart reads no more than that.
    pub const USUAL: Self = Self { events: 100_000, bytes: 64 * 1024 * 1024 };
}

/// Where observations are handed to the loop.
pub struct Observer<S: Service>(pub(crate) mpsc::Sender<ObservationOf<S>>);

impl<S: Service> Observer<S> {
    /// Hands one over, waiting while the loop is behind; false when the loop is gone.
    pub async fn observe(&self, observation: ObservationOf<S>) -> bool {
        self.0.send(observation).await.is_ok()
    }
}

impl<S: Service> Clone for Observer<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Commands of a service's core.
pub type CommandOf<S> = <<S as Service>::Core as Decider>::Command;
/// Answers of a service's core.
pub type AnswerOf<S> = <<S as Service>::Core as Decider>::Answer;
/// Events of a service's core.
pub type EventOf<S> = <<S as Service>::Core as Decider>::Event;
/// State of a service's core.
pub type StateOf<S> = <<S as Service>::Core as Decider>::State;
/// Facts of a service's core.
pub type FactsOf<S> = <<S as Service>::Core as Decider>::Facts;
/// Effects of a service's core.
pub type EffectOf<S> = <<S as Service>::Core as Decider>::Effect;
/// Observations of a service's core.
pub type ObservationOf<S> = <<S as Service>::Core as Decider>::Observation;

/// Who asks, as the broker and the message's headers say.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The principal under whose subject the request came.
    pub principal: PrincipalId,
    /// W3C `traceparent`, where the request carried one.
    pub trace: Option<String>,
    /// When the request was read, in milliseconds since the Unix epoch.
    pub now_ms: u64,
}

/// A request that was understood.
pub enum Request<D: Decider> {
    /// To be decided.
    Command(D::Command),
    /// To be decided anew whenever it is repeated, and never answered from the record: the command
    /// is idempotent by itself, or its answer is only good while the present state says so.
    Unrepeatable(D::Command),
    /// To be answered.
    Query(D::Query),
    /// To be taken into the facts, and then answered.
    Observe(D::Observation, D::Query),
    /// To be shown what is known now; what it makes of that it keeps to itself.
    Look(Look<D>),
}

/// Looks at state and facts, on the loop's own time: what takes long is done elsewhere.
pub type Look<D> = Box<dyn FnOnce(&<D as Decider>::State, &<D as Decider>::Facts) + Send>;

/// One row of a bucket as an event leaves it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which bucket.
    pub bucket: Bucket,
    /// Which row: an id.
    pub key: String,
    /// The whole row in JSON; nothing when it is deleted.
    pub body: Option<Box<serde_json::value::RawValue>>,
}

impl Row {
    /// A row with a body.
    pub fn put(bucket: Bucket, key: impl Into<String>, body: &impl Serialize) -> Self {
        let body = serde_json::value::to_raw_value(body);
        Self {
            bucket,
            key: key.into(),
            body: Some(body.expect("rows are plain structs with text keys")),
        }
    }

    /// A row that is no more.
    pub fn deleted(bucket: Bucket, key: impl Into<String>) -> Self {
        Self { bucket, key: key.into(), body: None }
    }
}

/// What is known when an effect is performed.
#[derive(Clone, Debug)]
pub struct EffectContext {
    /// Term of the writer.
    pub term: u64,
    /// The event that caused it; the log's head for one that a new writer resumes.
    pub cursor: Cursor,
    /// Wall clock, in milliseconds since the Unix epoch.
    pub now_ms: u64,
}
