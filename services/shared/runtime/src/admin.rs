//! Requests that every service answers alike, from its log and buckets instead of its state.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use client::IncomingRequest;
use jetstream_config::JetStreamLog;
use schemas::{
    ErrorCode, Fault, PrincipalId,
    feed::{EVENTS_VERB, EventsAnswer, EventsRequest, FeedEvent},
    projection::{REBUILD_VERB, RebuildRequest},
    strict,
    subject::{Bucket, LogName},
};
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::{
    AskAbout, FactsOf, Lines, Rebuild, RebuildMode, Service, StateOf, door,
    feed::{Page, ReadEvent, read_events},
};

/// Requests for events that are read from the log at once, each up to a few MiB; others wait.
const READERS_MAX: usize = 8;

/// An answer on its way.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Bytes, Fault>> + Send>>;

/// Answers `events` and `rebuild`.
pub(crate) struct Admin<S: Service> {
    log: JetStreamLog,
    name: LogName,
    rebuilds: mpsc::Sender<Rebuild>,
    readers: Arc<Semaphore>,
    service: std::marker::PhantomData<fn() -> S>,
}

impl<S: Service> Clone for Admin<S> {
    fn clone(&self) -> Self {
        Self {
            log: self.log.clone(),
            name: self.name,
            rebuilds: self.rebuilds.clone(),
            readers: Arc::clone(&self.readers),
            service: std::marker::PhantomData,
        }
    }
}

impl<S: Service> Admin<S> {
    /// Answers from the log `name`, and asks its projector over `rebuilds`.
    pub(crate) fn new(log: JetStreamLog, name: LogName, rebuilds: mpsc::Sender<Rebuild>) -> Self {
        let readers = Arc::new(Semaphore::new(READERS_MAX));
        Self { log, name, rebuilds, readers, service: std::marker::PhantomData }
    }

    /// The answer to a request that is ours to answer. What its sender may know is asked over
    /// `lines`.
    pub(crate) fn answers(&self, request: &IncomingRequest, lines: &Lines<S>) -> Option<Answering> {
        let (admin, lines, body) = (self.clone(), lines.clone(), request.body().clone());
        let viewer = request.principal().clone();
        match request.verb() {
            EVENTS_VERB => Some(Box::pin(async move { admin.events(&body, viewer, lines).await })),
            REBUILD_VERB => {
                Some(Box::pin(async move { admin.rebuild(&body, viewer, lines).await }))
            }
            _ => None,
        }
    }

    async fn events(
        &self,
        body: &[u8],
        viewer: PrincipalId,
        lines: Lines<S>,
    ) -> Result<Bytes, Fault> {
        let request: EventsRequest = strict::parse(body)?;
        // Closed never: it lives as long as whoever asks it.
        let _turn = self.readers.acquire().await;
        let read = read_events::<S, _>(&self.log, self.name, &request).await;
        let Page { events, next, at_head } = read.map_err(|error| error.fault())?;
        if events.is_empty() {
            return Ok(encode(&EventsAnswer { events: Vec::new(), next, at_head }));
        }
        let about = AskAbout::once(viewer.clone(), EVENTS_VERB);
        let seen = move |state: &_, facts: &_| visible::<S>(state, facts, &viewer, events);
        let events = door::look(&lines, about, seen).await?;
        Ok(encode(&EventsAnswer { events, next, at_head }))
    }

    async fn rebuild(
        &self,
        body: &[u8],
        viewer: PrincipalId,
        lines: Lines<S>,
    ) -> Result<Bytes, Fault> {
        let RebuildRequest { bucket, check_only } = strict::parse(body)?;
        let about = AskAbout::once(viewer.clone(), REBUILD_VERB);
        let may = move |state: &_, facts: &_| S::may_rebuild(state, facts, &viewer);
        if !door::look(&lines, about, may).await? {
            let message = "making rows anew is for admins and operators";
            return Err(Fault::new(ErrorCode::NotAllowed, message));
        }
        let known = Bucket::parse(&bucket).filter(|bucket| S::BUCKETS.contains(bucket));
        let unknown = || {
            let known: Vec<_> = S::BUCKETS.iter().map(|bucket| bucket.as_str()).collect();
            let message = format!("{bucket} is not made from this log");
            Fault::new(ErrorCode::InvalidValue, message)
                .with_hint(format!("its buckets are {}", known.join(", ")))
        };
        let mode = if check_only { RebuildMode::Check } else { RebuildMode::Mend };
        let (reply, answer) = oneshot::channel();
        let ask = Rebuild { bucket: known.ok_or_else(unknown)?, mode, reply };
        let stopped = || Fault::new(ErrorCode::NotTheWriter, "this instance has stopped writing");
        self.rebuilds.send(ask).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?.map(|answer| encode(&answer))
    }
}

/// Those of the events that `viewer` may read.
fn visible<S: Service>(
    state: &StateOf<S>,
    facts: &FactsOf<S>,
    viewer: &PrincipalId,
    events: Vec<ReadEvent<S>>,
) -> Vec<FeedEvent> {
    let seen = events.into_iter().filter(|read| S::sees(state, facts, viewer, &read.event));
    seen.map(|read| read.shown).collect()
}

fn encode(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("answers are plain structs with text keys").into()
}
