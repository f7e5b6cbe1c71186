//! Buckets as views of the log: the shape of their rows, and making them anew.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Cursor;

/// Verb of every service with buckets: [`RebuildRequest`] to [`RebuildAnswer`].
pub const REBUILD_VERB: &str = "rebuild";
/// Key of the row that says up to where a bucket follows the log; no id looks like that.
pub const CHECKPOINT_KEY: &str = "_checkpoint";

/// A row of a bucket.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectedRow {
    /// The last event that changed it.
    pub cursor: Cursor,
    /// The row; null in the checkpoint and where the row was deleted.
    #[schemars(with = "Option<serde_json::Value>")]
    pub row: Option<Box<RawValue>>,
}

/// Makes a bucket anew from the log and compares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RebuildRequest {
    /// Name of the bucket, for example `cortex_agents`.
    pub bucket: String,
    /// Whether rows that differ are only counted and not mended.
    #[serde(default)]
    pub check_only: bool,
}

/// Answer to [`RebuildRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RebuildAnswer {
    /// Name of the bucket.
    pub bucket: String,
    /// Rows that the log makes.
    pub rows: u64,
    /// Rows that were missing, differed, or should not have been there.
    pub differing: u64,
    /// Some of their keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// Whether they were mended.
    pub mended: bool,
    /// Up to where the log was read.
    pub cursor: Cursor,
}
