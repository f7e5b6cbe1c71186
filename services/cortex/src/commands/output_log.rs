//! Reads what a task has written from the stream that keeps it for a while.

use std::time::Duration;

use client::Client;
use futures::StreamExt;
use schemas::{
    ErrorCode, Fault, TaskId,
    agent::OutputChunk,
    subject::{self, OUTPUT_STREAM},
};
use tokio::time::timeout;

/// Messages that one request asks for.
const BATCH: u32 = 512;
/// Bytes that one request asks for.
const BATCH_BYTES: u32 = 4 * 1024 * 1024;
/// How long the broker may take to send the next message.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Header of each message: its place in the stream.
const HEADER_SEQUENCE: &str = "Nats-Sequence";
/// Status that ends a batch.
const END_OF_BATCH: u16 = 204;
/// Status of a batch that holds nothing.
const NOTHING_FOUND: u16 = 404;

/// Hands every chunk that is kept of a task's output to `take`, in the order in which they came.
pub(crate) async fn read(
    client: &Client,
    task: &TaskId,
    mut take: impl FnMut(OutputChunk) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut from = 1;
    while let Some(last) = read_batch(client, task, from, &mut take).await? {
        from = last + 1;
    }
    Ok(())
}

/// One batch; the sequence of its last message, if there was one.
async fn read_batch(
    client: &Client,
    task: &TaskId,
    from: u64,
    take: &mut impl FnMut(OutputChunk) -> Result<(), Fault>,
) -> Result<Option<u64>, Fault> {
    let nats = client.nats();
    let unreachable = |error: &dyn std::fmt::Display| {
        Fault::new(ErrorCode::Unreachable, format!("reading the output of {task}: {error}"))
    };
    let inbox = nats.new_inbox();
    let mut answers = nats.subscribe(inbox.clone()).await.map_err(|e| unreachable(&e))?;
    let query = serde_json::json!({
        "seq": from,
        "next_by_subj": subject::output_of(task),
        "batch": BATCH,
        "max_bytes": BATCH_BYTES,
    });
    let api = format!("$JS.API.DIRECT.GET.{OUTPUT_STREAM}");
    let sent = nats.publish_with_reply(api, inbox, query.to_string().into()).await;
    sent.map_err(|e| unreachable(&e))?;
    let mut last = None;
    loop {
        let message = match timeout(ANSWER_TIMEOUT, answers.next()).await {
            Ok(Some(message)) => message,
            Ok(None) => return Err(unreachable(&"the connection was closed")),
            Err(_) => return Err(unreachable(&"no answer; raw streams may be forbidden to you")),
        };
        match message.status.map(|status| status.as_u16()) {
            None => (),
            Some(END_OF_BATCH | NOTHING_FOUND) => return Ok(last),
            Some(status) => return Err(unreachable(&format!("the broker says {status}"))),
        }
        let sequence = message.headers.as_ref().and_then(|headers| headers.get(HEADER_SEQUENCE));
        last = sequence.and_then(|sequence| sequence.as_str().parse().ok()).or(last);
        match serde_json::from_slice(&message.payload) {
            Ok(chunk) => take(chunk)?,
            Err(error) => tracing::warn!(%error, "a piece of output does not parse"),
        }
    }
}
