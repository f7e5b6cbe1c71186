//! Rows of a bucket: read in bulk, written one by one over the revision that the writer knows.
//!
//! **Invariant:** a row is written only over the revision that its writer expects, so two projectors
//! cannot undo each other unnoticed.
//! **Invariant:** the rows can be read with plain `nats kv`; a tombstone looks deleted there, and
//! still carries its bytes.

use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use futures::StreamExt;
use schemas::subject::Bucket;

use crate::{
    bulk::{self, Source},
    publish::{Destination, Outgoing},
    settle::{Settled, settle},
    store::StoreError,
    stored::{self, Stored},
};

/// Rows on their way to the broker at once.
const IN_FLIGHT_MAX: usize = 256;
/// Bytes that one bulk request asks for.
const BULK_BYTES: usize = 4 * 1024 * 1024;
/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 256;
/// How NATS marks what a row is.
pub(crate) const OPERATION: &str = "KV-Operation";
const DELETED: &str = "DEL";

/// Whether a row is there or was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// The row holds a value.
    Value,
    /// The row is deleted; its bytes say since when, for whoever writes next.
    Tombstone,
}

/// One row as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name in the bucket.
    pub key: String,
    /// Grows with every write to the bucket; what a writer must expect to replace the row.
    pub revision: u64,
    /// Value or tombstone.
    pub kind: RowKind,
    /// What was written.
    pub bytes: Bytes,
}

/// One row to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// Its name in the bucket.
    pub key: String,
    /// The revision that it replaces; 0 is none.
    pub expected: u64,
    /// Value or tombstone.
    pub kind: RowKind,
    /// The whole row.
    pub bytes: Bytes,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is stored.
    Stored {
        /// What to expect next time.
        revision: u64,
    },
    /// It is not: the row has another revision than was expected.
    Occupied {
        /// The row as it is; `None` if there is none.
        by: Option<Row>,
    },
    /// It is not: the bucket is full.
    Full,
}

/// A bucket on the broker.
#[derive(Clone, Debug)]
pub struct KvBucket {
    client: Client,
    stream: String,
    prefix: String,
}

impl KvBucket {
    /// The bucket, over `client`. Its stream must exist, see [`crate::apply`].
    #[must_use]
    pub fn new(client: Client, bucket: Bucket) -> Self {
        let name = bucket.as_str();
        Self { client, stream: format!("KV_{name}"), prefix: format!("$KV.{name}.") }
    }

    /// All rows by revision, tombstones too. On a cluster the newest may be missing; writing over
    /// them is refused.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn rows(&self) -> Result<Vec<Row>, StoreError> {
        let filter = format!("{}>", self.prefix);
        let mut rows: Vec<Row> = Vec::new();
        loop {
            let after = rows.last().map_or(0, |row| row.revision);
            let source = Source { stream: &self.stream, filter: &filter };
            let found = bulk::read(&self.client, source, after, BULK_BYTES)
                .await
                .map_err(|error| StoreError::of(&self.stream, "reading rows of", error))?;
            if found.is_empty() {
                return Ok(rows);
            }
            rows.extend(found.into_iter().map(|stored| self.row_of(stored)));
        }
    }

    /// One row, from the leader; `None` if it was never written.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn row(&self, key: &str) -> Result<Option<Row>, StoreError> {
        let subject = self.subject(key)?;
        match stored::last_on(&self.client, &self.stream, &subject).await {
            Ok(found) => Ok(found.map(|stored| self.row_of(stored))),
            Err(error) => Err(StoreError::of(&self.stream, "reading a row of", error)),
        }
    }

    /// Writes one row, for as long as it takes to know what became of it.
    ///
    /// # Errors
    ///
    /// Only what no further attempt can mend, see [`StoreError`].
    pub async fn put(&self, put: Put) -> Result<Written, StoreError> {
        let subject = self.subject(&put.key)?;
        let to = Destination { subject: &subject, stream: &self.stream };
        let message = Outgoing { headers: headers(put.kind), payload: put.bytes };
        Ok(match settle(&self.client, to, put.expected, &message).await? {
            Settled::Stored { sequence } => Written::Stored { revision: sequence },
            Settled::Occupied(found) => {
                Written::Occupied { by: found.map(|stored| self.row_of(stored)) }
            }
            Settled::Full => Written::Full,
        })
    }

    /// Writes many rows at once, each of another key, and says what became of each, in their order.
    pub async fn put_all(&self, puts: Vec<Put>) -> Vec<Result<Written, StoreError>> {
        let writes = puts.into_iter().map(|put| self.put(put));
        futures::stream::iter(writes).buffered(IN_FLIGHT_MAX).collect().await
    }

    fn subject(&self, key: &str) -> Result<String, StoreError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=/.".contains(&byte);
        let whole = !key.is_empty() && key.len() <= KEY_BYTES_MAX && key.bytes().all(allowed);
        if !whole || key.split('.').any(str::is_empty) {
            let key = key.chars().take(64).collect();
            return Err(StoreError::InvalidKey { key });
        }
        Ok(format!("{}{key}", self.prefix))
    }

    fn row_of(&self, stored: Stored) -> Row {
        let Stored { sequence, subject, headers, payload } = stored;
        let key = subject.strip_prefix(&self.prefix).unwrap_or(&subject).to_owned();
        let kind = if headers.get(OPERATION).is_some_and(|operation| operation.as_str() != "PUT") {
            RowKind::Tombstone
        } else {
            RowKind::Value
        };
        Row { key, revision: sequence, kind, bytes: payload }
    }
}

fn headers(kind: RowKind) -> HeaderMap {
    let mut headers = HeaderMap::new();
    match kind {
        RowKind::Value => {}
        RowKind::Tombstone => headers.insert(OPERATION, DELETED),
    }
    headers
}
