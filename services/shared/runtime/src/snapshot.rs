//! Snapshots: the fold of a log up to a cursor, kept as a blob and announced by an event.
//!
//! **Invariant:** a snapshot holds committed state only, for it is made from a replica.
//! **Invariant:** what a snapshot holds is checked against the hash that the log announces, and its
//! last frame against the log.

use bytes::Bytes;
use jetstream_config::{BlobStore, EventLog, StoreError};
use schemas::{ErrorCode, Sha256Hash, frame::LogEvent, subject::LogName};
use serde::{Deserialize, Serialize};

use crate::{
    FollowError, Service, StateOf,
    follow::{patiently, wait_for_a_replica},
    repeats::Repeats,
    replica::{AnyEvent, FoldError, Head, Replica, hash_of, read_event, read_frame},
};

/// Level of zstd that is fast and still shrinks well.
const COMPRESSION_LEVEL: i32 = 1;
/// Frames that are looked through at first for the newest announcement; doubled each time.
const LOOK_BACK_FRAMES: u64 = 256;
/// How much is read at once, in bytes.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// Why a snapshot could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The log could not be read.
    #[error("looking for a snapshot failed")]
    Follow(#[source] FollowError),
    /// The blobs could not be read or written.
    #[error("{attempt} a snapshot failed")]
    Blobs {
        /// What was attempted.
        attempt: &'static str,
        /// Why it failed.
        #[source]
        cause: StoreError,
    },
    /// The state could not be encoded.
    #[error("encoding a snapshot failed: {0}")]
    Encode(String),
    /// It holds something else than the log announces.
    #[error("snapshot {blob} does not hold what the log announces: {problem}")]
    Damaged {
        /// Which.
        blob: Sha256Hash,
        /// What is wrong with it.
        problem: String,
    },
    /// Its last frame is not in the log.
    #[error("snapshot {blob} ends at frame {sequence}, which the log does not hold as it was")]
    Beyond {
        /// Which.
        blob: Sha256Hash,
        /// Where it ends.
        sequence: u64,
    },
}

impl SnapshotError {
    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Follow(cause) => cause.code(),
            Self::Blobs { cause, .. } => cause.code(),
            Self::Encode(_) => ErrorCode::Internal,
            Self::Damaged { .. } => ErrorCode::LogDamaged,
            Self::Beyond { .. } => ErrorCode::LogRegressed,
        }
    }
}

/// A replica as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct Kept<S: Service> {
    head: Head,
    state: StateOf<S>,
    repeats: Repeats,
}

/// Keeps snapshots among the blobs.
#[derive(Clone)]
pub struct Snapshots {
    blobs: BlobStore,
}

impl Snapshots {
    /// Snapshots in `blobs`.
    #[must_use]
    pub fn new(blobs: BlobStore) -> Self {
        Self { blobs }
    }

    /// Keeps `replica` and returns the event that announces it.
    ///
    /// # Errors
    ///
    /// When it cannot be encoded or stored.
    pub(crate) async fn save<S: Service>(
        &self,
        replica: Replica<S>,
    ) -> Result<LogEvent, SnapshotError> {
        let cursor = replica.head.cursor();
        let encoded = tokio::task::spawn_blocking(move || encode(replica)).await;
        let (state_hash, bytes) =
            encoded.map_err(|error| SnapshotError::Encode(error.to_string()))??;
        let stored = self.blobs.put(&bytes).await;
        let blob = stored.map_err(|cause| SnapshotError::Blobs { attempt: "storing", cause })?;
        Ok(LogEvent::SnapshotTaken { cursor, blob, state_hash, schema: S::STATE_SCHEMA })
    }

    /// Removes a snapshot that nobody will load any more; what `kept` needs of it stays.
    pub(crate) async fn forget(
        &self,
        blob: Sha256Hash,
        kept: &[Sha256Hash],
    ) -> Result<(), SnapshotError> {
        let removed = self.blobs.delete(blob, kept).await;
        removed.map_err(|cause| SnapshotError::Blobs { attempt: "removing", cause })
    }

    /// Loads the newest snapshot that the log announces; none when there is none, when it is of
    /// another schema, or when its blob is gone (then the log is read from its beginning).
    pub(crate) async fn newest<S: Service, L: EventLog>(
        &self,
        log: &L,
        name: LogName,
    ) -> Result<Option<Replica<S>>, SnapshotError> {
        let announced = newest_announcement(log).await?;
        match announced {
            Some(event) => self.load(log, name, event).await,
            None => Ok(None),
        }
    }

    async fn load<S: Service, L: EventLog>(
        &self,
        log: &L,
        name: LogName,
        announced: LogEvent,
    ) -> Result<Option<Replica<S>>, SnapshotError> {
        let LogEvent::SnapshotTaken { cursor, blob, state_hash, schema } = &announced else {
            return Ok(None);
        };
        if *schema != S::STATE_SCHEMA || cursor.generation != name.generation {
            return Ok(None);
        }
        let bytes = match self.blobs.get(*blob).await {
            Err(StoreError::NoSuchBlob { .. }) => {
                tracing::warn!(%blob, "the snapshot is gone, reading the whole log");
                return Ok(None);
            }
            found => found.map_err(|cause| SnapshotError::Blobs { attempt: "reading", cause })?,
        };
        let expected = *state_hash;
        let decoded = tokio::task::spawn_blocking(move || decode::<S>(&bytes, &expected)).await;
        let damaged = |problem: String| SnapshotError::Damaged { blob: *blob, problem };
        let decoded = decoded.map_err(|error| damaged(error.to_string()))?.map_err(damaged)?;
        let kept = match decoded {
            Decoded::Whole(kept) => *kept,
            Decoded::Foreign(error) => {
                tracing::warn!(%blob, error, "another version took the snapshot, reading the whole log");
                return Ok(None);
            }
        };
        check_head(log, &kept.head, blob).await?;
        let Kept { head, state, repeats } = kept;
        tracing::debug!(sequence = head.sequence, "starting from a snapshot");
        Ok(Some(Replica { state, repeats, head, snapshot: Some(announced) }))
    }
}

fn encode<S: Service>(replica: Replica<S>) -> Result<(Sha256Hash, Bytes), SnapshotError> {
    let Replica { state, repeats, head, snapshot: _ } = replica;
    let mut plain = Vec::new();
    ciborium::into_writer(&Kept::<S> { head, state, repeats }, &mut plain)
        .map_err(|error| SnapshotError::Encode(error.to_string()))?;
    let packed = zstd::encode_all(plain.as_slice(), COMPRESSION_LEVEL)
        .map_err(|error| SnapshotError::Encode(error.to_string()))?;
    Ok((hash_of(&plain), Bytes::from(packed)))
}

/// What the bytes of a snapshot turned out to be.
enum Decoded<S: Service> {
    /// A snapshot.
    Whole(Box<Kept<S>>),
    /// What was announced, and yet nothing that this version can read.
    Foreign(String),
}

fn decode<S: Service>(packed: &[u8], expected: &Sha256Hash) -> Result<Decoded<S>, String> {
    let plain = zstd::decode_all(packed).map_err(|error| error.to_string())?;
    if hash_of(&plain) != *expected {
        return Err("its hash differs".to_owned());
    }
    let decoded = ciborium::from_reader(plain.as_slice());
    Ok(decoded.map_or_else(|error| Decoded::Foreign(error.to_string()), Decoded::Whole))
}

async fn check_head<L: EventLog>(
    log: &L,
    head: &Head,
    blob: &Sha256Hash,
) -> Result<(), SnapshotError> {
    let Some(before) = head.sequence.checked_sub(1) else { return Ok(()) };
    let found = patiently(|| log.next_after(before)).await.map_err(SnapshotError::Follow)?;
    let same = found
        .is_some_and(|frame| frame.sequence == head.sequence && hash_of(&frame.bytes) == head.hash);
    if same {
        return Ok(());
    }
    Err(SnapshotError::Beyond { blob: *blob, sequence: head.sequence })
}

/// Looks through the log from its end for the newest announcement of a snapshot.
async fn newest_announcement<L: EventLog>(log: &L) -> Result<Option<LogEvent>, SnapshotError> {
    let mut end = patiently(|| log.last_sequence()).await.map_err(SnapshotError::Follow)?;
    let mut frames = LOOK_BACK_FRAMES;
    while end != 0 {
        let begin = end.saturating_sub(frames);
        if let Some(event) = newest_between(log, begin, end).await? {
            return Ok(Some(event));
        }
        end = begin;
        frames = frames.saturating_mul(2);
    }
    Ok(None)
}

/// The newest announcement in frames after `begin` up to `end`.
async fn newest_between<L: EventLog>(
    log: &L,
    begin: u64,
    end: u64,
) -> Result<Option<LogEvent>, SnapshotError> {
    let (mut after, mut newest) = (begin, None);
    while after < end {
        let read = patiently(|| log.read(after, READ_BYTES)).await;
        let frames = read.map_err(SnapshotError::Follow)?;
        if frames.is_empty() {
            wait_for_a_replica().await;
        }
        for stored in frames {
            after = stored.sequence;
            if after <= end
                && let Some(event) = announcement(&stored)?
            {
                newest = Some(event);
            }
        }
    }
    Ok(newest)
}

fn announcement(stored: &jetstream_config::StoredFrame) -> Result<Option<LogEvent>, SnapshotError> {
    const MARK: &[u8] = b"\"log.snapshot-taken\"";
    if !stored.bytes.windows(MARK.len()).any(|window| window == MARK) {
        return Ok(None);
    }
    let fold = |cause| SnapshotError::Follow(FollowError::Fold(cause));
    let frame = read_frame(stored).map_err(fold)?;
    let mut newest = None;
    for raw in frame.decisions.iter().flat_map(|decision| &decision.events) {
        let sequence = stored.sequence;
        let event = read_event::<serde::de::IgnoredAny>(raw)
            .map_err(|cause| fold(FoldError::Unreadable { sequence, cause }))?;
        if let AnyEvent::Log(event @ LogEvent::SnapshotTaken { .. }) = event {
            newest = Some(event);
        }
    }
    Ok(newest)
}
