//! The unit of the log: decisions that were committed together, chained to those before.
//!
//! **Invariant:** frames are JSON that `nats stream view` and jq can read; events stay raw here,
//! since their meaning belongs to the service that wrote them.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{CommandId, InstanceId, PrincipalId, Sha256Hash, Timestamp};

/// Version of the frame format.
pub const FRAME_VERSION: u16 = 1;
/// Largest encoded frame, in bytes.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;

/// One message of an event log.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// [`FRAME_VERSION`].
    pub v: u16,
    /// Tells a writer's own frame from a rival's: 32 hexadecimal digits, random.
    pub id: String,
    /// The process start that wrote it.
    pub instance: InstanceId,
    /// Revision of the `log.term-started` frame that this writer's term began with.
    pub term: u64,
    /// Counts frames from 1, densely, through generations.
    pub revision: u64,
    /// SHA-256 of the bytes of the frame before; zeros before the first.
    pub prev: Sha256Hash,
    /// What was decided, in order.
    pub decisions: Vec<DecisionRecord>,
}

/// One command's outcome, as the log keeps it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionRecord {
    /// The command's id: its sender's, or one made up for a command without.
    pub id: CommandId,
    /// The command's verb, for example `register`.
    pub command: String,
    /// Who asked.
    pub principal: PrincipalId,
    /// The cursor or command that led to this one, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// W3C `traceparent` of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// When it was decided; never before the decision that precedes it.
    pub at: Timestamp,
    /// What a repeat of the same command is answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<RecordedAnswer>,
    /// What happened.
    #[schemars(with = "Vec<serde_json::Value>")]
    pub events: Vec<Box<RawValue>>,
}

/// Lets a repeated command be answered alike, by this writer or the next.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedAnswer {
    /// SHA-256 of verb and body; another body under the same id is refused.
    pub command_hash: Sha256Hash,
    /// Until when the command may be repeated.
    pub not_after: Timestamp,
    /// The answer as it was sent.
    #[schemars(with = "serde_json::Value")]
    pub body: Box<RawValue>,
}

/// Events of the log itself, told apart from a service's by their `log.` prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum LogEvent {
    /// A writer took over; the frame's revision is the number of its term.
    #[serde(rename = "log.term-started")]
    TermStarted {
        /// The writer.
        instance: InstanceId,
    },
    /// A snapshot of the state up to `cursor` can be read from the blobs.
    #[serde(rename = "log.snapshot-taken")]
    SnapshotTaken {
        /// The last event that the snapshot includes.
        cursor: Cursor,
        /// Blob that holds it.
        blob: Sha256Hash,
        /// SHA-256 of the uncompressed state.
        state_hash: Sha256Hash,
        /// Version of the state's encoding.
        schema: u32,
    },
}

/// Prefix of the `type` of every [`LogEvent`].
pub const LOG_EVENT_PREFIX: &str = "log.";

/// A place in a service's log: right after one event. Opaque to whoever only carries it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    /// Partition of the service.
    pub partition: u32,
    /// Generation of the partition's stream.
    pub generation: u32,
    /// Sequence in that stream; 0 is before the first frame.
    pub sequence: u64,
    /// Index of the event, counted across the frame from 0.
    pub index: u32,
}

/// The text is not a cursor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a cursor")]
pub struct InvalidCursor(String);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.partition, self.generation, self.sequence, self.index)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;
    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let invalid = || InvalidCursor(text.chars().take(64).collect());
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or_else(invalid);
        let cursor = Self {
            partition: next()?.parse().map_err(|_| invalid())?,
            generation: next()?.parse().map_err(|_| invalid())?,
            sequence: next()?.parse().map_err(|_| invalid())?,
            index: next()?.parse().map_err(|_| invalid())?,
        };
        if parts.next().is_some() || cursor.to_string() != text {
            return Err(invalid());
        }
        Ok(cursor)
    }
}

impl TryFrom<String> for Cursor {
    type Error = InvalidCursor;
    fn try_from(text: String) -> Result<Self, InvalidCursor> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

impl JsonSchema for Cursor {
    fn schema_name() -> Cow<'static, str> {
        "Cursor".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "opaque" })
    }
}

#[cfg(test)]
mod tests;
