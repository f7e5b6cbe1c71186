//! One bucket as the projector writes it: rows by compare-and-set, then the checkpoint.
//!
//! **Invariant:** the checkpoint is written after every earlier row was acknowledged.
//! **Invariant:** a row is only ever replaced by one of a later cursor; whoever finds a later one
//! than its own stops, for somebody else is ahead.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use jetstream_config::{KvBucket, Put, RowKind, StoreError, Written};
use schemas::{
    Cursor,
    projection::{CHECKPOINT_KEY, ProjectedRow},
    subject::Bucket,
};
use serde_json::value::RawValue;

/// How often a row is tried again over an older one that was not expected.
const OVERWRITES_MAX: u32 = 8;

/// Why a bucket is not written any more.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// The bucket could not be read or written.
    #[error("{attempt} {bucket} failed")]
    Store {
        /// What was attempted.
        attempt: &'static str,
        /// Which bucket.
        bucket: &'static str,
        /// Why.
        #[source]
        cause: StoreError,
    },
    /// Somebody who has read more of the log writes it.
    #[error("row {key} of {bucket} is ahead of this projector")]
    Ahead {
        /// Which bucket.
        bucket: &'static str,
        /// Which row.
        key: String,
    },
}

/// Rows that wait to be written: the last state of each, and the event that made it.
pub(crate) type Rows = BTreeMap<String, (Cursor, Option<Box<RawValue>>)>;

/// A bucket, with what is known of its rows.
pub(crate) struct ProjectedBucket {
    pub(crate) bucket: Bucket,
    kv: KvBucket,
    revisions: HashMap<String, u64>,
    /// Up to where its rows follow the log.
    pub(crate) checkpoint: Cursor,
}

impl ProjectedBucket {
    /// Reads what the bucket holds.
    pub(crate) async fn open(bucket: Bucket, kv: KvBucket) -> Result<Self, ProjectionError> {
        let rows = kv.rows().await.map_err(|cause| ProjectionError::Store {
            attempt: "reading",
            bucket: bucket.as_str(),
            cause,
        })?;
        let mut revisions = HashMap::with_capacity(rows.len());
        let mut checkpoint = Cursor::default();
        for row in rows {
            if row.key == CHECKPOINT_KEY
                && let Some(cursor) = cursor_of(&row.bytes)
            {
                checkpoint = cursor;
            }
            revisions.insert(row.key, row.revision);
        }
        Ok(Self { bucket, kv, revisions, checkpoint })
    }

    /// The live rows as they are, without the checkpoint and without tombstones.
    pub(crate) async fn live(&self) -> Result<BTreeMap<String, Bytes>, ProjectionError> {
        let rows = self.kv.rows().await.map_err(|cause| self.store_error("reading", cause))?;
        let live =
            |row: &jetstream_config::Row| row.kind == RowKind::Value && row.key != CHECKPOINT_KEY;
        Ok(rows.into_iter().filter(live).map(|row| (row.key, row.bytes)).collect())
    }

    /// Writes rows, and then that everything up to `checkpoint` is in the bucket.
    pub(crate) async fn write(
        &mut self,
        rows: Rows,
        checkpoint: Cursor,
    ) -> Result<(), ProjectionError> {
        let mut puts: Vec<(Cursor, Put)> = Vec::with_capacity(rows.len());
        for (key, (cursor, body)) in rows {
            puts.push((cursor, self.put_of(key, cursor, body)));
        }
        self.put_all(puts).await?;
        let last = self.put_of(CHECKPOINT_KEY.to_owned(), checkpoint, None);
        let last = Put { kind: RowKind::Value, ..last };
        self.put_all(vec![(checkpoint, last)]).await?;
        self.checkpoint = checkpoint;
        Ok(())
    }

    fn put_of(&self, key: String, cursor: Cursor, body: Option<Box<RawValue>>) -> Put {
        let kind = if body.is_some() { RowKind::Value } else { RowKind::Tombstone };
        let expected = self.revisions.get(&key).copied().unwrap_or(0);
        Put { kind, expected, bytes: encode(cursor, body), key }
    }

    async fn put_all(&mut self, mut puts: Vec<(Cursor, Put)>) -> Result<(), ProjectionError> {
        for _ in 0..OVERWRITES_MAX {
            if puts.is_empty() {
                return Ok(());
            }
            let written = self.kv.put_all(puts.iter().map(|(_, put)| put.clone()).collect()).await;
            let mut again = Vec::new();
            for ((cursor, mut put), result) in puts.into_iter().zip(written) {
                match result.map_err(|cause| self.store_error("writing", cause))? {
                    Written::Stored { revision } => {
                        self.revisions.insert(put.key, revision);
                    }
                    Written::Occupied { by } => {
                        let ahead = by.as_ref().and_then(|row| cursor_of(&row.bytes));
                        if ahead.is_some_and(|ahead| cursor < ahead) {
                            let bucket = self.bucket.as_str();
                            return Err(ProjectionError::Ahead { bucket, key: put.key });
                        }
                        put.expected = by.map_or(0, |row| row.revision);
                        again.push((cursor, put));
                    }
                    Written::Full => {
                        let stream = self.bucket.as_str().to_owned();
                        return Err(self.store_error("writing", StoreError::Full { stream }));
                    }
                }
            }
            puts = again;
        }
        let key = puts.into_iter().next().map_or_else(String::new, |(_, put)| put.key);
        Err(ProjectionError::Ahead { bucket: self.bucket.as_str(), key })
    }

    fn store_error(&self, attempt: &'static str, cause: StoreError) -> ProjectionError {
        ProjectionError::Store { attempt, bucket: self.bucket.as_str(), cause }
    }
}

/// The bytes of a row.
pub(crate) fn encode(cursor: Cursor, row: Option<Box<RawValue>>) -> Bytes {
    let row = ProjectedRow { cursor, row };
    serde_json::to_vec(&row).expect("rows are plain structs with text keys").into()
}

fn cursor_of(bytes: &[u8]) -> Option<Cursor> {
    serde_json::from_slice::<ProjectedRow>(bytes).ok().map(|row| row.cursor)
}
