//! Requests to JetStream by hand, so that its error codes arrive as it sent them.
//!
//! **Invariant:** nothing is sent over a connection that is known to be lost, and an answer is not
//! awaited over a connection that was lost since.

use std::{sync::atomic::Ordering, time::Duration};

use async_nats::{Client, HeaderMap, Message, Request, RequestErrorKind, connection::State};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Prefix of JetStream's own subjects.
pub(crate) const API: &str = "$JS.API";
/// How long an answer is awaited, in milliseconds. A stalled disk answers within seconds; an
/// election takes longer, and then only asking again helps.
pub(crate) const ANSWER_TIMEOUT_MS: u64 = 3_000;
/// How often a connection is looked at while an answer is awaited over it, in milliseconds.
const CONNECTION_POLL_MS: u64 = 25;

/// JetStream's code for a stream that does not exist.
pub(crate) const STREAM_NOT_FOUND: u64 = 10_059;
/// JetStream's code for a message that does not exist.
pub(crate) const NO_MESSAGE_FOUND: u64 = 10_037;

/// Why a request brought no answer, or not the hoped-for one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the connection to the broker is lost")]
    Disconnected,
    #[error("nobody answers on {subject}")]
    NoResponders { subject: String },
    #[error("no answer on {subject} within {ANSWER_TIMEOUT_MS} ms")]
    TimedOut { subject: String },
    #[error("the client could not send to {subject}")]
    Client {
        subject: String,
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("JetStream answers: {}", .0.description)]
    Refused(Refusal),
    #[error("message {expected} was lost on the way; {found} came instead")]
    Lost { expected: u64, found: u64 },
    #[error("message {sequence} is not base64")]
    Unreadable {
        sequence: u64,
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the answer on {subject} does not parse")]
    Malformed {
        subject: String,
        #[source]
        cause: serde_json::Error,
    },
}

impl CallError {
    /// JetStream's code, where it gave one.
    pub(crate) fn refusal_code(&self) -> Option<u64> {
        match self {
            Self::Refused(refusal) => Some(refusal.err_code),
            Self::Disconnected
            | Self::NoResponders { .. }
            | Self::TimedOut { .. }
            | Self::Client { .. }
            | Self::Lost { .. }
            | Self::Unreadable { .. }
            | Self::Malformed { .. } => None,
        }
    }
}

/// An error as JetStream writes it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Refusal {
    #[serde(default)]
    pub(crate) err_code: u64,
    #[serde(default)]
    pub(crate) description: String,
}

pub(crate) fn is_connected(client: &Client) -> bool {
    client.connection_state() == State::Connected
}

/// Sends one message and returns its one answer.
pub(crate) async fn call(
    client: &Client,
    subject: &str,
    headers: Option<HeaderMap>,
    payload: Bytes,
) -> Result<Message, CallError> {
    let connects = connects(client);
    if !is_connected(client) {
        return Err(CallError::Disconnected);
    }
    let timeout = Some(Duration::from_millis(ANSWER_TIMEOUT_MS));
    let request = Request { headers, ..Request::new().payload(payload).timeout(timeout) };
    let mut answer = Box::pin(client.send_request(subject.to_owned(), request));
    let poll = Duration::from_millis(CONNECTION_POLL_MS);
    let answer = loop {
        match tokio::time::timeout(poll, &mut answer).await {
            Ok(answer) => break answer,
            Err(_elapsed) if is_connected(client) && connects == self::connects(client) => {}
            Err(_elapsed) => return Err(CallError::Disconnected),
        }
    };
    answer.map_err(|error| {
        let subject = subject.to_owned();
        match error.kind() {
            RequestErrorKind::TimedOut => CallError::TimedOut { subject },
            RequestErrorKind::NoResponders => CallError::NoResponders { subject },
            RequestErrorKind::InvalidSubject
            | RequestErrorKind::MaxPayloadExceeded
            | RequestErrorKind::Other => CallError::Client { subject, cause: Box::new(error) },
        }
    })
}

/// Asks JetStream something on `$JS.API.` + `verb`, and parses the answer.
pub(crate) async fn ask<T: DeserializeOwned>(
    client: &Client,
    verb: &str,
    body: &impl Serialize,
) -> Result<T, CallError> {
    let subject = format!("{API}.{verb}");
    let malformed = |cause| CallError::Malformed { subject: subject.clone(), cause };
    let body = serde_json::to_vec(body).map_err(malformed)?;
    let answer = call(client, &subject, None, body.into()).await?;
    parse(&answer.payload).map_err(|error| error.on(&subject))
}

/// Why an answer's bytes are not what was hoped for.
pub(crate) enum ParseError {
    Refused(Refusal),
    Malformed(serde_json::Error),
}

impl ParseError {
    fn on(self, subject: &str) -> CallError {
        match self {
            Self::Refused(refusal) => CallError::Refused(refusal),
            Self::Malformed(cause) => CallError::Malformed { subject: subject.to_owned(), cause },
        }
    }
}

/// Parses an answer of JetStream, which is an error or a `T`.
pub(crate) fn parse<T: DeserializeOwned>(payload: &[u8]) -> Result<T, ParseError> {
    #[derive(Deserialize)]
    struct Failure {
        error: Option<Refusal>,
    }
    let failure: Failure = serde_json::from_slice(payload).map_err(ParseError::Malformed)?;
    match failure.error {
        Some(refusal) => Err(ParseError::Refused(refusal)),
        None => serde_json::from_slice(payload).map_err(ParseError::Malformed),
    }
}

/// How often the client has connected; a change tells of a loss that came and went.
fn connects(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::Relaxed)
}
