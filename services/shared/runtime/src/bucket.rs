//! One bucket as the projector writes it: rows by compare-and-set, then the checkpoint.
//!
//! **Invariant:** the checkpoint is written after every earlier row was acknowledged.
//! **Invariant:** a row is only ever replaced by one of a later cursor; whoever finds a later one
//! than its own stops, for somebody else is ahead.
//! **Invariant:** a bucket that lost what was acknowledged, as one that is not synced does when its
//! broker crashes, is noticed at the next checkpoint at the latest.

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
    /// It does not hold any more what was written to it.
    #[error("row {key} of {bucket} is older than what was written there")]
    WentBack {
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
    /// Rows that were ahead of the checkpoint when the bucket was read, as a projector leaves them
    /// that ended between its rows and its checkpoint.
    ahead: HashMap<String, Cursor>,
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
        let last = rows.iter().find(|row| row.key == CHECKPOINT_KEY);
        let checkpoint = last.and_then(|row| cursor_of(&row.bytes)).unwrap_or_default();
        let mut ahead = HashMap::new();
        for row in rows {
            let cursor = cursor_of(&row.bytes).unwrap_or_default();
            if checkpoint < cursor {
                ahead.insert(row.key.clone(), cursor);
            }
            revisions.insert(row.key, row.revision);
        }
        Ok(Self { bucket, kv, revisions, ahead, checkpoint })
    }

    /// Catching up begins: forgets what claims to come from beyond the end of the log, for nobody
    /// can have projected that.
    pub(crate) fn catches_up_to(&mut self, sequence: u64) {
        self.ahead.retain(|_, cursor| cursor.sequence <= sequence);
    }

    /// Catching up is done: no row can be ahead any more.
    pub(crate) fn has_caught_up(&mut self) {
        self.ahead.clear();
    }

    /// Reads the live rows as they are, without the checkpoint and without tombstones.
    pub(crate) async fn live(&mut self) -> Result<BTreeMap<String, Bytes>, ProjectionError> {
        let rows = self.kv.rows().await.map_err(|cause| self.store_error("reading", cause))?;
        self.revisions = rows.iter().map(|row| (row.key.clone(), row.revision)).collect();
        self.ahead.clear();
        let live =
            |row: &jetstream_config::Row| row.kind == RowKind::Value && row.key != CHECKPOINT_KEY;
        Ok(rows.into_iter().filter(live).map(|row| (row.key, row.bytes)).collect())
    }

    /// Writes rows, and then that everything up to `checkpoint` is in the bucket. With `log_end`,
    /// what claims to come from beyond it is taken for meddling and written over.
    pub(crate) async fn write(
        &mut self,
        rows: Rows,
        checkpoint: Cursor,
        log_end: Option<Cursor>,
    ) -> Result<(), ProjectionError> {
        let mut puts: Vec<(Cursor, Put)> = Vec::with_capacity(rows.len());
        for (key, (cursor, body)) in rows {
            let is_there = self.ahead.get(&key).is_some_and(|ahead| cursor < *ahead);
            if !is_there {
                self.ahead.remove(&key);
                puts.push((cursor, self.put_of(key, cursor, body)));
            }
        }
        for _ in 0..OVERWRITES_MAX {
            let newest_row = self.put_all(puts.clone(), log_end).await?;
            let put = self.put_of(CHECKPOINT_KEY.to_owned(), checkpoint, None);
            let put = Put { kind: RowKind::Value, ..put };
            if newest_row < self.put_all(vec![(checkpoint, put)], log_end).await? {
                self.checkpoint = checkpoint;
                return Ok(());
            }
            // The broker crashed in between and lost the rows: what it has now is not known.
            puts.iter_mut().for_each(|(_, put)| put.expected = 0);
        }
        Err(self.went_back(CHECKPOINT_KEY.to_owned()))
    }

    fn put_of(&self, key: String, cursor: Cursor, body: Option<Box<RawValue>>) -> Put {
        let kind = if body.is_some() { RowKind::Value } else { RowKind::Tombstone };
        let expected = self.revisions.get(&key).copied().unwrap_or(0);
        Put { kind, expected, bytes: encode(cursor, body), key }
    }

    /// Writes all of `puts` and returns the highest revision that one of them got.
    async fn put_all(
        &mut self,
        mut puts: Vec<(Cursor, Put)>,
        log_end: Option<Cursor>,
    ) -> Result<u64, ProjectionError> {
        let mut newest = 0;
        for _ in 0..OVERWRITES_MAX {
            if puts.is_empty() {
                return Ok(newest);
            }
            let written = self.kv.put_all(puts.iter().map(|(_, put)| put.clone()).collect()).await;
            let mut again = Vec::new();
            for ((cursor, mut put), result) in puts.into_iter().zip(written) {
                match result.map_err(|cause| self.store_error("writing", cause))? {
                    Written::Stored { revision } => {
                        newest = newest.max(revision);
                        self.revisions.insert(put.key, revision);
                    }
                    Written::Occupied { by } => {
                        self.check_occupant((cursor, &put), by.as_ref(), log_end)?;
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

    /// Whether a row that is not as expected may be written over.
    fn check_occupant(
        &self,
        (cursor, put): (Cursor, &Put),
        by: Option<&jetstream_config::Row>,
        log_end: Option<Cursor>,
    ) -> Result<(), ProjectionError> {
        let found = by.and_then(|row| cursor_of(&row.bytes));
        let is_ahead = found
            .is_some_and(|found| cursor < found && log_end.is_none_or(|log_end| found <= log_end));
        if is_ahead {
            let bucket = self.bucket.as_str();
            return Err(ProjectionError::Ahead { bucket, key: put.key.clone() });
        }
        let is_lost = by.map_or(0, |row| row.revision) < put.expected;
        let is_old_checkpoint = put.key == CHECKPOINT_KEY && found < Some(self.checkpoint);
        if is_lost || (is_old_checkpoint && log_end.is_none()) {
            return Err(self.went_back(put.key.clone()));
        }
        Ok(())
    }

    fn went_back(&self, key: String) -> ProjectionError {
        ProjectionError::WentBack { bucket: self.bucket.as_str(), key }
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
