//! What is known of the connection: whether it is there, and what the broker forbade on it.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{ClientError, Event, ServerError};
use schemas::{ErrorCode, Fault, PrincipalId};
use tokio::sync::{broadcast, watch};

use crate::backoff;

/// Refusals that one slow request may lag behind before it misses one and times out instead.
const DENIALS_KEPT: usize = 256;

/// Whether the connection is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The broker answers.
    Connected,
    /// It does not; attempts to reconnect go on.
    Disconnected,
    /// Closed on purpose, or given up after the set number of attempts.
    Closed,
}

/// What the broker did not let this connection do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    Publish(String),
    Subscribe(String),
}

impl Denial {
    /// The denial as users see it.
    pub(crate) fn fault(&self, principal: &PrincipalId) -> Fault {
        match self {
            Self::Publish(subject) | Self::Subscribe(subject) => denied(principal, subject),
        }
    }
}

/// What the broker does not let a principal use.
pub(crate) fn denied(principal: &PrincipalId, subject: &str) -> Fault {
    let message = format!("the broker does not let {principal} use {subject}");
    let details = serde_json::json!({ "principal": principal, "subject": subject });
    Fault::new(ErrorCode::PermissionDenied, message).with_details(details)
}

/// Hears the events of one connection.
#[derive(Debug)]
pub(crate) struct Link {
    state: watch::Sender<LinkState>,
    denials: broadcast::Sender<Denial>,
    /// Without its inbox a connection gets no answer at all, so that refusal outlives the request.
    inbox_denied: Mutex<Option<String>>,
    inbox_prefix: String,
    was_connected: AtomicBool,
}

impl Link {
    pub(crate) fn new(inbox_prefix: &str) -> Self {
        Self {
            state: watch::Sender::new(LinkState::Connected),
            denials: broadcast::Sender::new(DENIALS_KEPT),
            inbox_denied: Mutex::new(None),
            inbox_prefix: inbox_prefix.to_owned(),
            was_connected: AtomicBool::new(false),
        }
    }

    /// The wait before attempt number `attempt`; none before the very first connection.
    pub(crate) fn reconnect_delay(&self, attempt: usize) -> Duration {
        if attempt <= 1 && !self.was_connected.swap(true, Ordering::Relaxed) {
            return Duration::ZERO;
        }
        backoff::reconnect_delay(attempt, rand::random())
    }

    pub(crate) fn watch(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    pub(crate) fn denials(&self) -> broadcast::Receiver<Denial> {
        self.denials.subscribe()
    }

    pub(crate) fn inbox_denied(&self) -> Option<String> {
        self.inbox_denied.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn hear(&self, event: Event) {
        match event {
            Event::Connected => self.become_state(LinkState::Connected),
            Event::Disconnected => {
                // Subscriptions are made anew on the next connection, where they may be allowed.
                *self.inbox_denied.lock().unwrap_or_else(PoisonError::into_inner) = None;
                self.become_state(LinkState::Disconnected);
            }
            Event::Closed | Event::ClientError(ClientError::MaxReconnects) => {
                self.become_state(LinkState::Closed);
            }
            Event::ServerError(ServerError::Other(text)) => self.hear_error(&text),
            Event::SlowConsumer(subscription) => {
                tracing::warn!(
                    subscription,
                    "messages were dropped: they are not read fast enough"
                );
            }
            Event::LameDuckMode
            | Event::Draining
            | Event::ServerError(
                ServerError::AuthorizationViolation | ServerError::SlowConsumer(_),
            )
            | Event::ClientError(ClientError::Other(_) | ClientError::ServerNotInPool) => {
                tracing::debug!(%event, "the connection reports");
            }
        }
    }

    fn become_state(&self, state: LinkState) {
        self.state.send_if_modified(|present| std::mem::replace(present, state) != state);
    }

    fn hear_error(&self, text: &str) {
        let Some(denial) = parse_denial(text) else {
            tracing::warn!(text, "the broker reports an error");
            return;
        };
        tracing::warn!(?denial, "the broker does not allow this");
        if let Denial::Subscribe(subject) = &denial
            && subject.starts_with(&self.inbox_prefix)
        {
            let mut denied = self.inbox_denied.lock().unwrap_or_else(PoisonError::into_inner);
            *denied = Some(subject.clone());
        }
        // Without a request in flight nobody listens.
        drop(self.denials.send(denial));
    }
}

/// Reads `Permissions Violation for Publish to "a.b"` and its like for subscriptions.
fn parse_denial(text: &str) -> Option<Denial> {
    let (about, quoted) = text.split_once('"')?;
    let subject = quoted.split('"').next()?.to_owned();
    if !about.starts_with("Permissions Violation") {
        None
    } else if about.contains("Publish") {
        Some(Denial::Publish(subject))
    } else {
        Some(Denial::Subscribe(subject))
    }
}

#[cfg(test)]
mod tests;
