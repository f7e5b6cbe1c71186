//! Reads projected rows for whoever answers requests.

use std::sync::Arc;

use jetstream_config::{KvBucket, RowKind, StoreError};
use schemas::{ErrorCode, Fault, subject::Bucket};

use crate::chain::chain;

/// Reads rows for whoever answers requests.
#[derive(Clone)]
pub struct RowReader {
    buckets: Arc<dyn Fn(Bucket) -> KvBucket + Send + Sync>,
}

impl RowReader {
    /// Reads from what `buckets` gives.
    pub fn new(buckets: impl Fn(Bucket) -> KvBucket + Send + Sync + 'static) -> Self {
        Self { buckets: Arc::new(buckets) }
    }

    /// The body of a row; nothing when there is none.
    ///
    /// # Errors
    ///
    /// `STORAGE_UNCONFIRMED` and the like when the bucket cannot be read.
    pub async fn get(
        &self,
        bucket: Bucket,
        key: &str,
    ) -> Result<Option<Box<serde_json::value::RawValue>>, Fault> {
        let fault = |error: StoreError| Fault::new(error.code(), chain(&error));
        let found = (self.buckets)(bucket).row(key).await.map_err(fault)?;
        let live = found.filter(|row| row.kind == RowKind::Value);
        let parse = |row: jetstream_config::Row| {
            serde_json::from_slice::<schemas::projection::ProjectedRow>(&row.bytes)
        };
        let parsed = live.map(parse).transpose();
        let broken = |error: serde_json::Error| {
            Fault::new(ErrorCode::ProjectionRefused, format!("row {key} cannot be read: {error}"))
        };
        Ok(parsed.map_err(broken)?.and_then(|projected| projected.row))
    }
}
