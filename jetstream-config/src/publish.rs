//! One guarded publish, and what JetStream's answer to it proves.
//!
//! **Invariant:** a code that is not known to be certain is unknown, never a failure.

use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use serde::Deserialize;

use crate::{
    kv::OPERATION,
    log::Append,
    stored::Stored,
    wire::{self, CallError, ParseError, Refusal},
};

/// Header that lets the broker store a message only right after a sequence of its subject.
const EXPECTED_LAST: &str = "Nats-Expected-Last-Subject-Sequence";

const WRONG_LAST_SEQUENCE: u64 = 10_071;
/// As above, while a rival write is in flight; async-nats has no kind of its own for it.
const WRONG_LAST_SEQUENCE_IN_FLIGHT: u64 = 10_164;
/// The store did not take it: its limit is reached, or writing failed.
const STORE_FAILED: u64 = 10_077;
/// How [`STORE_FAILED`] is worded at a limit; any other wording leaves the outcome open.
const LIMIT_WORDS: &str = "maximum";
/// The account's or the server's storage is used up.
const OUT_OF_STORAGE: [u64; 3] = [10_002, 10_023, 10_047];
/// What no resending mends: too large, foreign subject or stream, sealed, bad header.
const HOPELESS: [u64; 6] = [10_054, 10_056, 10_060, 10_097, 10_109, 10_193];

#[derive(Deserialize)]
struct Acknowledgement {
    stream: String,
    seq: u64,
}

/// A message to publish.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

impl Outgoing {
    /// Whether `stored` is this message.
    pub(crate) fn is(&self, stored: &Stored) -> bool {
        let operation = |headers: &HeaderMap| headers.get(OPERATION).cloned();
        self.payload == stored.payload && operation(&self.headers) == operation(&stored.headers)
    }
}

/// Publishes `message` for the stream to store right after `fence`, once.
pub(crate) async fn publish(
    client: &Client,
    to: Destination<'_>,
    fence: u64,
    message: &Outgoing,
) -> Append {
    let mut headers = message.headers.clone();
    headers.insert(EXPECTED_LAST, fence.to_string());
    match wire::call(client, to.subject, Some(headers), message.payload.clone()).await {
        Ok(answer) => judge(to.stream, &answer.payload),
        Err(error) => unanswered(&error),
    }
}

/// Where a message is published, and who must store it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination<'a> {
    pub(crate) subject: &'a str,
    pub(crate) stream: &'a str,
}

fn judge(stream: &str, payload: &[u8]) -> Append {
    match wire::parse::<Acknowledgement>(payload) {
        Ok(ack) if ack.stream == stream => Append::Committed { sequence: ack.seq },
        Ok(ack) => Append::Rejected {
            code: 0,
            description: format!("stream {} stored what was meant for {stream}", ack.stream),
        },
        Err(ParseError::Refused(refusal)) => classify(refusal),
        Err(ParseError::Malformed(cause)) => {
            tracing::warn!(stream, %cause, "an acknowledgement does not parse");
            Append::Unknown
        }
    }
}

fn classify(refusal: Refusal) -> Append {
    let Refusal { err_code, description } = refusal;
    match err_code {
        WRONG_LAST_SEQUENCE | WRONG_LAST_SEQUENCE_IN_FLIGHT => Append::Refused,
        STORE_FAILED if description.contains(LIMIT_WORDS) => Append::Full,
        code if OUT_OF_STORAGE.contains(&code) => Append::Full,
        code if HOPELESS.contains(&code) => Append::Rejected { code, description },
        code => {
            tracing::warn!(code, description, "JetStream's answer leaves a write open");
            Append::Unknown
        }
    }
}

fn unanswered(error: &CallError) -> Append {
    match error {
        CallError::Client { cause, .. } => {
            tracing::warn!(%cause, "the client could not publish");
            Append::Unknown
        }
        CallError::Disconnected
        | CallError::NoResponders { .. }
        | CallError::TimedOut { .. }
        | CallError::Refused(_)
        | CallError::Lost { .. }
        | CallError::Unreadable { .. }
        | CallError::Malformed { .. } => Append::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(payload: &str, expected: Append) {
        assert_eq!(judge("S", payload.as_bytes()), expected, "{payload}");
    }

    fn error(code: u64, words: &str) -> String {
        format!(
            r#"{{"error":{{"code":400,"err_code":{code},"description":"{words}"}},"stream":"S","seq":0}}"#
        )
    }

    #[test]
    fn an_acknowledgement_of_the_stream_is_committed_where_it_says() {
        check(r#"{"stream":"S","seq":7}"#, Append::Committed { sequence: 7 });
        check(r#"{"stream":"S","domain":"d","seq":8}"#, Append::Committed { sequence: 8 });
    }

    #[test]
    fn an_acknowledgement_of_another_stream_is_no_commit() {
        let answer = judge("S", br#"{"stream":"T","seq":7}"#);
        assert!(matches!(answer, Append::Rejected { .. }), "{answer:?}");
    }

    #[test]
    fn both_codes_of_a_passed_fence_are_refusals() {
        check(&error(10_071, "wrong last sequence: 7"), Append::Refused);
        check(&error(10_164, "wrong last sequence"), Append::Refused);
    }

    #[test]
    fn a_limit_is_full_and_any_other_failure_of_the_store_is_open() {
        check(&error(10_077, "maximum bytes exceeded"), Append::Full);
        check(&error(10_077, "write failed"), Append::Unknown);
        check(&error(10_047, "insufficient storage resources available"), Append::Full);
    }

    #[test]
    fn what_no_resending_mends_is_rejected_and_the_rest_stays_open() {
        let description = "stream is sealed".to_owned();
        let sealed = Append::Rejected { code: 10_109, description };
        check(&error(10_109, "stream is sealed"), sealed);
        check(&error(10_008, "JetStream system temporarily unavailable"), Append::Unknown);
        check(&error(99_999, "something new"), Append::Unknown);
        check("not json", Append::Unknown);
    }
}
