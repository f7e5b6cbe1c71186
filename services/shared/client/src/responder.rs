//! Answers the requests to one service, in the order in which they were sent, and describes it.
//!
//! async-nats has a `service` module of its own. It subscribes once for each endpoint, so requests
//! of different verbs overtake each other, and its error answers have no body to carry a fault; so
//! this is one subscription for all verbs, and `$SRV` is answered here.
//!
//! **Invariant:** every request that has an inbox gets an answer, and no other subject ever does.

mod incoming;
mod micro;
mod stats;

use std::sync::Arc;

use async_nats::{Message, Subject, Subscriber};
use futures::StreamExt;
use schemas::{
    ErrorCode, Fault, PrincipalId, Timestamp,
    subject::{self, ServiceName},
};
use tokio::{task::AbortHandle, time::Instant};

use incoming::Answerer;
pub use incoming::IncomingRequest;
use stats::Stats;

use crate::wire::RequestHeaders;

/// Most of a bad verb or principal that an error repeats, in characters.
const SHOWN_CHARS_MAX: usize = 64;

/// What a service says about itself.
#[derive(Clone, Debug)]
pub struct ServiceInfo {
    /// The word in its subjects.
    pub name: ServiceName,
    /// Tells this process start from others; the id in `nats micro ls`.
    pub instance: String,
    /// Version of the program, as `1.2.3`.
    pub version: String,
    /// For people.
    pub description: String,
    /// All that it can be asked.
    pub verbs: &'static [&'static str],
    /// Responders of one group share the requests; of different groups, each hears all.
    pub queue_group: String,
}

/// Why requests cannot be heard.
#[derive(Debug, thiserror::Error)]
#[error("subscribing to {subject}")]
pub struct ServeError {
    subject: String,
    #[source]
    source: async_nats::SubscribeError,
}

/// Hears the requests to one service until it is dropped.
#[derive(Debug)]
pub struct Responder {
    nats: async_nats::Client,
    info: Arc<ServiceInfo>,
    stats: Arc<Stats>,
    messages: Subscriber,
    describing: AbortHandle,
}

impl Responder {
    /// Subscribes to all verbs of a service, and to the NATS service protocol.
    ///
    /// # Errors
    ///
    /// [`ServeError`] when the connection is closed.
    pub async fn serve(nats: &async_nats::Client, info: ServiceInfo) -> Result<Self, ServeError> {
        let subject = subject::command_endpoint(info.name, ">");
        let messages = nats
            .queue_subscribe(subject.clone(), info.queue_group.clone())
            .await
            .map_err(|source| ServeError { subject, source })?;
        let (info, stats) = (Arc::new(info), Arc::new(Stats::new(Timestamp(now_ms()))));
        let heard = micro::subscribe(nats, &info).await?;
        let describing = tokio::spawn(micro::describe(
            nats.clone(),
            heard,
            Arc::clone(&info),
            Arc::clone(&stats),
        ));
        let describing = describing.abort_handle();
        Ok(Self { nats: nats.clone(), info, stats, messages, describing })
    }

    /// The next request that makes sense; others are answered here. `None` when the connection was
    /// closed.
    pub async fn recv(&mut self) -> Option<IncomingRequest> {
        loop {
            let message = self.messages.next().await?;
            if let Some(request) = self.admit(message) {
                return Some(request);
            }
        }
    }

    fn admit(&self, message: Message) -> Option<IncomingRequest> {
        let principal = principal_of(&message.subject);
        let Some(reply) = message.reply.filter(|reply| may_hear(principal.as_ref().ok(), reply))
        else {
            let subject = &message.subject;
            tracing::warn!(%subject, "a request without an inbox of its sender's is dropped");
            return None;
        };
        let verb = verb_of(&message.subject, self.info.name, self.info.verbs);
        let answerer = Answerer {
            nats: self.nats.clone(),
            reply,
            stats: Arc::clone(&self.stats),
            verb: verb.as_ref().ok().copied(),
            heard_at: Instant::now(),
        };
        let read = || Ok((principal?, verb?, RequestHeaders::read(message.headers.as_ref())?));
        match read() {
            Ok((principal, verb, headers)) => {
                let body = message.payload;
                Some(IncomingRequest { principal, verb, headers, body, answerer })
            }
            Err(fault) => {
                answerer.answer(Err(fault));
                None
            }
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.describing.abort();
    }
}

/// The broker does not check where an answer is sent to: a sender could aim it at a subject that only
/// this service may use, or at somebody else, who would take it for an answer of ours.
fn may_hear(principal: Option<&PrincipalId>, reply: &Subject) -> bool {
    match principal {
        Some(principal) => subject::is_inbox_of(principal, reply),
        None => subject::is_inbox(reply),
    }
}

fn principal_of(subject: &str) -> Result<PrincipalId, Fault> {
    subject::command_principal(subject).ok_or_else(|| {
        let token = shown(subject.split('.').nth(2).unwrap_or_default());
        Fault::new(ErrorCode::InvalidId, format!("{token:?} in the subject is not a principal"))
    })
}

fn verb_of(
    subject: &str,
    service: ServiceName,
    verbs: &'static [&'static str],
) -> Result<&'static str, Fault> {
    let verb = subject.splitn(5, '.').nth(4).unwrap_or_default();
    verbs.iter().copied().find(|known| *known == verb).ok_or_else(|| {
        let message = format!("{service} has no verb {:?}", shown(verb));
        let details = serde_json::json!({ "verbs": verbs });
        Fault::new(ErrorCode::UnknownVerb, message).with_details(details)
    })
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

fn now_ms() -> u64 {
    use std::time::{SystemTime, UNIX_EPOCH};
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
