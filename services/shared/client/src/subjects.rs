//! Core subjects, for what is not a request to a service; whatever the broker denies is told.

use std::time::Duration;

use async_nats::{Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use schemas::{ErrorCode, Fault, PrincipalId};
use tokio::{sync::broadcast, time::timeout};

use crate::{Client, link::Denial};

/// What the broker denied to one connection, from when on it was asked for.
#[derive(Debug)]
pub struct Denials {
    principal: PrincipalId,
    heard: broadcast::Receiver<Denial>,
}

impl Denials {
    /// The next denial, as `PERMISSION_DENIED` with subject and principal; waits until there is one.
    pub async fn next(&mut self) -> Fault {
        loop {
            match self.heard.recv().await {
                Ok(denial) => return denial.fault(&self.principal),
                Err(broadcast::error::RecvError::Lagged(_)) => (),
                // The client holds the sender; without it nothing more is denied.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// The next denial of one subject.
    async fn of(&mut self, subject: &str) -> Fault {
        loop {
            let fault = self.next().await;
            if fault.details["subject"] == subject {
                return fault;
            }
        }
    }
}

/// What comes on one subject.
#[derive(Debug)]
pub struct Subscription {
    subject: String,
    messages: Subscriber,
    denials: Denials,
}

impl Subscription {
    /// The next message; `PERMISSION_DENIED` when the broker does not let us hear the subject;
    /// nothing when the connection was closed.
    pub async fn next(&mut self) -> Option<Result<Message, Fault>> {
        tokio::select! {
            biased;
            message = self.messages.next() => message.map(Ok),
            fault = self.denials.of(&self.subject) => Some(Err(fault)),
        }
    }
}

impl Client {
    /// What the broker denies from now on.
    #[must_use]
    pub fn denials(&self) -> Denials {
        Denials { principal: self.principal().clone(), heard: self.link().denials() }
    }

    /// Hears a subject.
    ///
    /// # Errors
    ///
    /// `UNREACHABLE` when the connection was closed.
    pub async fn subscribe(&self, subject: impl Into<String>) -> Result<Subscription, Fault> {
        let subject = subject.into();
        let denials = self.denials();
        let messages = self.nats().subscribe(subject.clone()).await.map_err(|error| {
            Fault::new(ErrorCode::Unreachable, format!("subscribing to {subject}: {error}"))
        })?;
        Ok(Subscription { subject, messages, denials })
    }

    /// Asks once on any subject, and returns the first answer.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED`, `UNREACHABLE` when nobody listens there, or `TIMED_OUT`.
    pub async fn ask(
        &self,
        subject: &str,
        body: Bytes,
        within: Duration,
    ) -> Result<Message, Fault> {
        let (mut slot, mut denials) = (self.slot(), self.denials());
        let reply = slot.reply().to_owned();
        let sent = self.nats().publish_with_reply(subject.to_owned(), reply, body).await;
        sent.map_err(|error| {
            Fault::new(ErrorCode::Unreachable, format!("sending to {subject}: {error}"))
        })?;
        let answer = async {
            tokio::select! {
                biased;
                message = slot.next() => Ok(message),
                fault = denials.of(subject) => Err(fault),
            }
        };
        let late = |_| Fault::new(ErrorCode::TimedOut, format!("no answer came on {subject}"));
        let message = timeout(within, answer).await.map_err(late)??;
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            let text = format!("nobody answers on {subject}");
            return Err(Fault::new(ErrorCode::Unreachable, text));
        }
        Ok(message)
    }
}
