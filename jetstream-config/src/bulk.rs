//! Many messages of a stream in one request: JetStream's batched direct get.
//!
//! **Invariant:** messages come in the order of their sequences; a message that was lost on the way
//! ends the answer early or shows as an error, never as a silent gap at its end.

use std::time::Duration;

use async_nats::{Client, Message, StatusCode, Subscriber};
use futures::StreamExt;
use serde_json::json;
use tokio::time::timeout;

use crate::{
    stored::Stored,
    wire::{self, ANSWER_TIMEOUT_MS, API, CallError},
};

/// Most messages that one request asks for; the client buffers 65,536 a subscription.
const BATCH_MESSAGES_MAX: u32 = 4_096;
/// Most bytes that one request asks for; the broker drops a client that lags by 64 MiB.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Status that ends a batch.
const END_OF_BATCH: u16 = 204;
/// Status of a batch that holds nothing.
const NOTHING_FOUND: u16 = 404;

/// What is read: the messages of `stream` on subjects that match `filter`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) stream: &'a str,
    pub(crate) filter: &'a str,
}

/// Messages after `after`, about `bytes_max` bytes of them, but at least one if there is one.
/// Any replica answers, so the newest may be missing.
pub(crate) async fn read(
    client: &Client,
    source: Source<'_>,
    after: u64,
    bytes_max: usize,
) -> Result<Vec<Stored>, CallError> {
    let subject = format!("{API}.DIRECT.GET.{}", source.stream);
    let query = json!({
        "seq": after.saturating_add(1),
        "next_by_subj": source.filter,
        "batch": BATCH_MESSAGES_MAX,
        "max_bytes": bytes_max.clamp(1, BATCH_BYTES_MAX),
    });
    if !wire::is_connected(client) {
        return Err(CallError::Disconnected);
    }
    let inbox = client.new_inbox();
    let failed = |cause| CallError::Client { subject: subject.clone(), cause };
    let mut answers =
        client.subscribe(inbox.clone()).await.map_err(|error| failed(Box::new(error)))?;
    client
        .publish_with_reply(subject.clone(), inbox, query.to_string().into())
        .await
        .map_err(|error| failed(Box::new(error)))?;
    collect(&mut answers, &subject).await
}

async fn collect(answers: &mut Subscriber, subject: &str) -> Result<Vec<Stored>, CallError> {
    let mut found = Vec::new();
    loop {
        let patience = Duration::from_millis(ANSWER_TIMEOUT_MS);
        let timed_out = |_| CallError::TimedOut { subject: subject.to_owned() };
        let Some(message) = timeout(patience, answers.next()).await.map_err(timed_out)? else {
            return Err(CallError::Disconnected);
        };
        match message.status.map(|status| status.as_u16()) {
            None => found.push(stored(message, subject)?),
            Some(END_OF_BATCH | NOTHING_FOUND) => return Ok(found),
            Some(_) => return Err(refused(&message, subject)),
        }
    }
}

fn refused(message: &Message, subject: &str) -> CallError {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return CallError::NoResponders { subject: subject.to_owned() };
    }
    let description = message.description.clone().unwrap_or_default();
    CallError::Refused(wire::Refusal { err_code: 0, description })
}

fn stored(message: Message, subject: &str) -> Result<Stored, CallError> {
    let headers = message.headers.unwrap_or_default();
    let header = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
    let sequence = header("Nats-Sequence").and_then(|text| text.parse().ok());
    let (Some(sequence), Some(stored_on)) = (sequence, header("Nats-Subject")) else {
        let cause = "the message has no sequence or subject".into();
        return Err(CallError::Client { subject: subject.to_owned(), cause });
    };
    Ok(Stored { sequence, subject: stored_on, headers, payload: message.payload })
}
