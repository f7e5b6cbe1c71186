//! Byte strings of any size under their hash: snapshots, member lists, large specifications.
//!
//! **Invariant:** what is stored under a hash has that hash, and every read checks it; the blob's own
//! name is the hash of its root, which lists the hashes of its chunks.
//! **Invariant:** a chunk that another blob in use shares is never deleted.

use std::collections::BTreeSet;

use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use schemas::{
    Sha256Hash,
    subject::{self, BLOB_STREAM},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    publish::{Destination, Outgoing},
    settle::{Settled, settle},
    store::StoreError,
    stored,
    wire::{self, CallError},
};

/// Largest chunk, in bytes: with its base64 it stays below the broker's 1 MiB a message.
const CHUNK_BYTES_MAX: usize = 512 * 1024;
/// Chunks on their way at once.
const IN_FLIGHT_MAX: usize = 4;
/// Version of the root's format.
const ROOT_VERSION: u16 = 1;

/// What the root of a blob holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Root {
    v: u16,
    size: usize,
    chunks: Vec<Sha256Hash>,
}

/// The blobs on the broker.
#[derive(Clone, Debug)]
pub struct BlobStore {
    client: Client,
}

impl BlobStore {
    /// The blobs, over `client`. Their stream must exist, see [`crate::apply`].
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Stores `bytes` and returns the blob's name; storing the same again changes nothing. When it
    /// returns, all of it is on disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], or what no further attempt can mend.
    pub async fn put(&self, bytes: &Bytes) -> Result<Sha256Hash, StoreError> {
        let parts = (0..bytes.len()).step_by(CHUNK_BYTES_MAX);
        let part = |start: usize| bytes.slice(start..bytes.len().min(start + CHUNK_BYTES_MAX));
        let chunks: Vec<Sha256Hash> = futures::stream::iter(parts)
            .map(|start| self.put_chunk(part(start)))
            .buffered(IN_FLIGHT_MAX)
            .try_collect()
            .await?;
        let root = Root { v: ROOT_VERSION, size: bytes.len(), chunks };
        let root = serde_json::to_vec(&root).expect("numbers and hashes can be written as JSON");
        self.put_chunk(root.into()).await
    }

    /// Reads the blob called `blob`, and checks every byte of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchBlob`], [`StoreError::Damaged`], or that the broker cannot be read.
    pub async fn get(&self, blob: Sha256Hash) -> Result<Bytes, StoreError> {
        let root = self.root(blob).await?;
        let mut chunks = futures::stream::iter(root.chunks)
            .map(|chunk| self.get_chunk(blob, chunk))
            .buffered(IN_FLIGHT_MAX);
        let mut whole = Vec::new();
        while let Some(chunk) = chunks.next().await {
            whole.extend_from_slice(&chunk?);
        }
        if whole.len() != root.size {
            return Err(damaged(blob, format!("it is {} bytes, not {}", whole.len(), root.size)));
        }
        Ok(whole.into())
    }

    /// Deletes the blob called `blob`, except what blobs of `in_use` share. A blob that is not there
    /// is no error. Whoever deletes must not store a blob at the same time, since it could share
    /// chunks too.
    ///
    /// # Errors
    ///
    /// As [`Self::get`], for `blob` and for those in use; then nothing was deleted.
    pub async fn delete(&self, blob: Sha256Hash, in_use: &[Sha256Hash]) -> Result<(), StoreError> {
        let mut kept = BTreeSet::new();
        for other in in_use {
            kept.insert(*other);
            kept.extend(self.root(*other).await?.chunks);
        }
        let root = match self.root(blob).await {
            Err(StoreError::NoSuchBlob { .. }) => return Ok(()),
            root => root?,
        };
        // The root goes last: until then, a deletion that was cut short can be repeated.
        for chunk in root.chunks.into_iter().chain([blob]) {
            if !kept.contains(&chunk) {
                self.delete_chunk(chunk).await?;
            }
        }
        Ok(())
    }

    async fn root(&self, blob: Sha256Hash) -> Result<Root, StoreError> {
        let bytes = self.get_chunk(blob, blob).await?;
        let root: Root = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(blob, format!("it is not the root of a blob: {error}")))?;
        if root.v != ROOT_VERSION {
            return Err(damaged(blob, format!("its format is version {}", root.v)));
        }
        Ok(root)
    }

    async fn put_chunk(&self, payload: Bytes) -> Result<Sha256Hash, StoreError> {
        let hash = hash_of(&payload);
        let subject = subject::blob(&hash);
        let to = Destination { subject: &subject, stream: BLOB_STREAM };
        let message = Outgoing { headers: HeaderMap::new(), payload };
        match settle(&self.client, to, 0, &message).await? {
            Settled::Stored { .. } => Ok(hash),
            Settled::Full => Err(StoreError::Full { stream: BLOB_STREAM.to_owned() }),
            Settled::Occupied(_) => Err(damaged(hash, "other bytes are stored under it".into())),
        }
    }

    async fn get_chunk(&self, blob: Sha256Hash, chunk: Sha256Hash) -> Result<Bytes, StoreError> {
        let found = stored::last_on(&self.client, BLOB_STREAM, &subject::blob(&chunk)).await;
        let found = found.map_err(|error| failed("reading a chunk of", error))?;
        let Some(found) = found else {
            return Err(StoreError::NoSuchBlob { blob, missing: chunk });
        };
        if hash_of(&found.payload) != chunk {
            return Err(damaged(chunk, "its bytes have another hash".to_owned()));
        }
        Ok(found.payload)
    }

    async fn delete_chunk(&self, chunk: Sha256Hash) -> Result<(), StoreError> {
        let verb = format!("STREAM.PURGE.{BLOB_STREAM}");
        let query = json!({ "filter": subject::blob(&chunk) });
        let answer: Result<Value, _> = wire::ask(&self.client, &verb, &query).await;
        answer.map(drop).map_err(|error| failed("deleting a chunk of", error))
    }
}

fn hash_of(bytes: &[u8]) -> Sha256Hash {
    Sha256Hash(Sha256::digest(bytes).into())
}

fn damaged(chunk: Sha256Hash, problem: String) -> StoreError {
    StoreError::Damaged { chunk, problem }
}

fn failed(attempt: &'static str, cause: CallError) -> StoreError {
    StoreError::of(BLOB_STREAM, attempt, cause)
}
