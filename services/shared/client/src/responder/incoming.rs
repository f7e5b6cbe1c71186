//! A request as it was heard, and the way back to whoever asked.
//!
//! **Invariant:** answering never waits: what the connection cannot take at once is sent from a
//! task of its own.

use std::{
    future::Future,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use schemas::{CommandId, ErrorCode, Fault, PrincipalId, Timestamp};
use tokio::time::Instant;

use super::stats::Stats;
use crate::wire::{RequestHeaders, fault_body, fault_headers};

/// What the headers of an answer may add to its size, in bytes.
const HEADER_BYTES: usize = 1024;

/// A request to answer.
#[derive(Debug)]
pub struct IncomingRequest {
    pub(super) principal: PrincipalId,
    pub(super) verb: &'static str,
    pub(super) headers: RequestHeaders,
    pub(super) body: Bytes,
    pub(super) answerer: Answerer,
}

impl IncomingRequest {
    /// Who asks: the broker let nobody else use the subject.
    #[must_use]
    pub fn principal(&self) -> &PrincipalId {
        &self.principal
    }

    /// What is asked: one of the service's verbs.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        self.verb
    }

    /// The command's id; plain tools send none.
    #[must_use]
    pub fn command_id(&self) -> Option<&CommandId> {
        self.headers.command_id.as_ref()
    }

    /// When the command is no longer to be decided.
    #[must_use]
    pub fn not_after(&self) -> Option<Timestamp> {
        self.headers.not_after
    }

    /// W3C `traceparent`.
    #[must_use]
    pub fn trace(&self) -> Option<&str> {
        self.headers.trace.as_deref()
    }

    /// The body, still to be parsed.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Answers, without waiting for the connection.
    pub fn respond(self, answer: Result<Bytes, Fault>) {
        self.answerer.answer(answer);
    }
}

/// The way back to whoever asked.
#[derive(Debug)]
pub(super) struct Answerer {
    pub(super) nats: async_nats::Client,
    pub(super) reply: Subject,
    pub(super) stats: Arc<Stats>,
    /// Absent when it is none of the service's.
    pub(super) verb: Option<&'static str>,
    pub(super) heard_at: Instant,
}

impl Answerer {
    pub(super) fn answer(self, answer: Result<Bytes, Fault>) {
        let answer = answer.and_then(|body| self.fit(body));
        if let Some(verb) = self.verb {
            self.stats.count(verb, self.heard_at.elapsed(), answer.as_ref().err());
        }
        let (headers, body) = match answer {
            Ok(body) => (None, body),
            Err(fault) => (Some(fault_headers(&fault)), fault_body(&fault)),
        };
        send(self.nats, self.reply, headers, body);
    }

    /// What the broker would not carry would look like no answer at all.
    fn fit(&self, body: Bytes) -> Result<Bytes, Fault> {
        let limit = self.nats.max_payload().saturating_sub(HEADER_BYTES);
        if body.len() <= limit {
            return Ok(body);
        }
        let message = format!("the answer has {} bytes, the broker carries {limit}", body.len());
        Err(Fault::new(ErrorCode::TooLarge, message).with_hint("ask for fewer with limit"))
    }
}

/// Hands a message to the connection, or to a task when the connection is behind.
pub(super) fn send(nats: async_nats::Client, to: Subject, headers: Option<HeaderMap>, body: Bytes) {
    let mut sending = Box::pin(tokio::task::unconstrained(async move {
        let sent = match headers {
            Some(headers) => nats.publish_with_headers(to, headers, body).await,
            None => nats.publish(to, body).await,
        };
        if let Err(error) = sent {
            tracing::warn!(%error, "an answer was not sent");
        }
    }));
    let first_try = sending.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    match first_try {
        Poll::Ready(()) => (),
        Poll::Pending => drop(tokio::spawn(sending)),
    }
}
