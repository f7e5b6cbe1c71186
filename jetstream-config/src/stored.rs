//! A message as a stream keeps it, and how its leader is asked for it.
//!
//! **Invariant:** what is read here is the leader's word, never that of a replica that may lag.

use async_nats::{Client, HeaderMap};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::wire::{self, CallError, NO_MESSAGE_FOUND};

/// A message as the stream keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

#[derive(Deserialize)]
struct Answer {
    message: Encoded,
}

#[derive(Deserialize)]
struct Encoded {
    seq: u64,
    subject: String,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
}

/// The first message on `subject` from `sequence` on.
pub(crate) async fn next_on(
    client: &Client,
    stream: &str,
    subject: &str,
    sequence: u64,
) -> Result<Option<Stored>, CallError> {
    get(client, stream, &json!({ "seq": sequence, "next_by_subj": subject })).await
}

/// The last message on `subject`.
pub(crate) async fn last_on(
    client: &Client,
    stream: &str,
    subject: &str,
) -> Result<Option<Stored>, CallError> {
    get(client, stream, &json!({ "last_by_subj": subject })).await
}

async fn get(client: &Client, stream: &str, query: &Value) -> Result<Option<Stored>, CallError> {
    let answer: Result<Answer, _> =
        wire::ask(client, &format!("STREAM.MSG.GET.{stream}"), query).await;
    match answer {
        Ok(Answer { message }) => decode(message).map(Some),
        Err(error) if error.refusal_code() == Some(NO_MESSAGE_FOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

fn decode(message: Encoded) -> Result<Stored, CallError> {
    let Encoded { seq, subject, hdrs, data } = message;
    let bytes = |text: String| {
        let unreadable = |cause| CallError::Unreadable { sequence: seq, cause: Box::new(cause) };
        BASE64_STANDARD.decode(text).map_err(unreadable)
    };
    let headers = parse_headers(&bytes(hdrs)?);
    Ok(Stored { sequence: seq, subject, headers, payload: bytes(data)?.into() })
}

/// Headers as they stand on the wire: a version line, then `name: value` lines.
fn parse_headers(block: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in String::from_utf8_lossy(block).lines().skip(1) {
        if let Some((name, value)) = line.split_once(':') {
            headers.append(name, value.trim());
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_stand_on_the_wire() {
        let headers = parse_headers(b"NATS/1.0\r\nKV-Operation: DEL\r\nA:b: c\r\n\r\n");
        assert_eq!(headers.get("KV-Operation").map(|value| value.as_str()), Some("DEL"));
        assert_eq!(headers.get("A").map(|value| value.as_str()), Some("b: c"));
        assert!(parse_headers(b"").is_empty());
    }
}
