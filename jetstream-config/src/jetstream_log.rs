//! The event log over JetStream.
//!
//! **Invariant:** no consumer is made; a log is read by sequence, so readers cost the broker nothing.
//! **Invariant:** what decides about a frame is read from the stream's leader.

use std::sync::Arc;

use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use schemas::subject::LogName;
use serde::Deserialize;
use serde_json::json;

use crate::{
    bulk,
    log::{Append, EventLog, LogError, StoredFrame},
    publish::{Destination, Outgoing, publish},
    stored,
    wire::{self, CallError, STREAM_NOT_FOUND},
};

/// A partition's log in one generation, kept by JetStream.
#[derive(Clone, Debug)]
pub struct JetStreamLog {
    client: Client,
    name: LogName,
    place: Arc<Place>,
}

#[derive(Debug)]
struct Place {
    stream: String,
    subject: String,
}

#[derive(Deserialize)]
struct InfoAnswer {
    state: StreamState,
}

#[derive(Deserialize)]
struct StreamState {
    last_seq: u64,
}

impl JetStreamLog {
    /// The log called `name`, over `client`. The stream must exist, see [`crate::apply`].
    #[must_use]
    pub fn new(client: Client, name: LogName) -> Self {
        let place = Arc::new(Place { stream: name.stream(), subject: name.subject() });
        Self { client, name, place }
    }

    /// Which log it is.
    #[must_use]
    pub fn name(&self) -> LogName {
        self.name
    }

    fn error(&self, attempt: &'static str, cause: CallError) -> LogError {
        let stream = self.place.stream.clone();
        if cause.refusal_code() == Some(STREAM_NOT_FOUND) {
            return LogError::Missing { stream };
        }
        LogError::Unavailable { attempt, stream, cause: Box::new(cause) }
    }

    fn damaged(&self, sequence: u64, problem: impl Into<String>) -> LogError {
        LogError::Damaged { stream: self.place.stream.clone(), sequence, problem: problem.into() }
    }

    /// Tells a stream that is gone from a broker that cannot answer: on a direct read, nobody
    /// answers in either case.
    async fn explain(&self, attempt: &'static str, cause: CallError) -> LogError {
        match cause {
            CallError::NoResponders { .. } => match self.last_sequence().await {
                Err(LogError::Missing { stream }) => LogError::Missing { stream },
                Ok(_) | Err(_) => self.error(attempt, cause),
            },
            CallError::Disconnected
            | CallError::TimedOut { .. }
            | CallError::Client { .. }
            | CallError::Refused(_)
            | CallError::Lost { .. }
            | CallError::Unreadable { .. }
            | CallError::Malformed { .. } => self.error(attempt, cause),
        }
    }
}

impl EventLog for JetStreamLog {
    async fn append(&self, fence: u64, bytes: Bytes) -> Append {
        let Place { stream, subject } = &*self.place;
        let message = Outgoing { headers: HeaderMap::new(), payload: bytes };
        publish(&self.client, Destination { subject, stream }, fence, &message).await
    }

    async fn next_after(&self, sequence: u64) -> Result<Option<StoredFrame>, LogError> {
        let Place { stream, subject } = &*self.place;
        match stored::next_on(&self.client, stream, subject, sequence.saturating_add(1)).await {
            Ok(found) => {
                Ok(found
                    .map(|found| StoredFrame { sequence: found.sequence, bytes: found.payload }))
            }
            Err(error) => Err(self.error("reading the next frame of", error)),
        }
    }

    async fn last_sequence(&self) -> Result<u64, LogError> {
        let verb = format!("STREAM.INFO.{}", self.place.stream);
        let answer: Result<InfoAnswer, _> = wire::ask(&self.client, &verb, &json!({})).await;
        match answer {
            Ok(info) => Ok(info.state.last_seq),
            Err(error) => Err(self.error("asking for the last sequence of", error)),
        }
    }

    async fn read(&self, after: u64, bytes_max: usize) -> Result<Vec<StoredFrame>, LogError> {
        let Place { stream, subject } = &*self.place;
        let source = bulk::Source { stream, filter: subject };
        let found = match bulk::read(&self.client, source, after, bytes_max).await {
            Ok(found) => found,
            Err(cause) => return Err(self.explain("reading", cause).await),
        };
        let mut frames: Vec<StoredFrame> = Vec::with_capacity(found.len());
        for (expected, message) in (after.saturating_add(1)..).zip(found) {
            if message.sequence != expected {
                return Err(self.gap(expected, message.sequence).await);
            }
            frames.push(StoredFrame { sequence: message.sequence, bytes: message.payload });
        }
        Ok(frames)
    }

    fn connected(&self) -> bool {
        wire::is_connected(&self.client)
    }
}

impl JetStreamLog {
    /// Asks the leader whether a message was lost between broker and client, or from the log.
    async fn gap(&self, expected: u64, found: u64) -> LogError {
        match self.next_after(expected.saturating_sub(1)).await {
            Ok(Some(frame)) if frame.sequence == expected => {
                let cause = CallError::Lost { expected, found };
                self.error("reading", cause)
            }
            Ok(_) => self.damaged(expected, format!("it is missing; {found} is next")),
            Err(error) => error,
        }
    }
}
