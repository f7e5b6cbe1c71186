//! Committed events as others see them: live, or read from a cursor on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Cursor, PrincipalId, Timestamp};

/// Verb of every service: [`EventsRequest`] to [`EventsAnswer`].
pub const EVENTS_VERB: &str = "events";

/// One committed event with its place in the log.
///
/// The live feed may lose, repeat and reorder: drop what is not newer than the last cursor, and
/// ask the service's `events` for what was missed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedEvent {
    /// Right after this event.
    pub cursor: Cursor,
    /// When it was decided.
    pub at: Timestamp,
    /// Who asked for it.
    pub principal: PrincipalId,
    /// What the event is about, for example `agent` or `task`.
    pub kind: String,
    /// Which one.
    pub id: String,
    /// W3C `traceparent` of the request that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The event itself.
    #[schemars(with = "serde_json::Value")]
    pub event: Box<RawValue>,
}

/// How far a log is committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadNotice {
    /// Right after its newest event.
    pub cursor: Cursor,
}

/// Asks a service for the events after a cursor.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsRequest {
    /// Where to go on; absent means from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
    /// How many at most; the service may send fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Answer to [`EventsRequest`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsAnswer {
    /// In log order.
    pub events: Vec<FeedEvent>,
    /// Where to go on.
    pub next: Cursor,
    /// Whether the end of the log was reached.
    pub at_head: bool,
}
