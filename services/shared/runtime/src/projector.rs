//! Makes the buckets from the log, and snapshots on the way.
//!
//! **Invariant:** it folds committed frames with a replica of its own, so a row never shows more
//! than the log holds, and a live bucket and a rebuilt one come from the same code.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use jetstream_config::{EventLog, KvBucket, RowKind, StoreError};
use schemas::{
    Cursor, ErrorCode, Fault, Sha256Hash,
    frame::LogEvent,
    projection::RebuildAnswer,
    subject::{Bucket, LogName},
};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    Committed, FollowError, Service, SnapshotError,
    bucket::{ProjectedBucket, ProjectionError, Rows, encode},
    follow::{catch_up, catch_up_to},
    partition::Companion,
    replica::{Folded, Replica},
    snapshot::Snapshots,
};

/// Frames whose rows are written together at most.
const FRAMES_PER_WRITE: usize = 64;
/// Events after which a snapshot is taken.
const SNAPSHOT_EVENTS: u64 = 100_000;
/// Bytes of frames after which a snapshot is taken.
const SNAPSHOT_BYTES: usize = 64 * 1024 * 1024;
/// Pause after a failure before everything is read anew.
const RETRY: Duration = Duration::from_secs(2);
/// Keys that a rebuild names.
const EXAMPLES_MAX: usize = 10;

/// A request to make a bucket anew.
pub struct Rebuild {
    /// Which.
    pub bucket: Bucket,
    /// What to do with rows that differ.
    pub mode: RebuildMode,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<RebuildAnswer, Fault>>,
}

/// What a rebuild does with rows that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebuildMode {
    /// Counts them.
    Check,
    /// Mends them.
    Mend,
}

/// Why the buckets are not written at the moment.
#[derive(Debug, thiserror::Error)]
enum ProjectorError {
    #[error("reading the log failed")]
    Follow(#[source] FollowError),
    #[error("writing a bucket failed")]
    Projection(#[source] ProjectionError),
    #[error("loading a snapshot failed")]
    Snapshot(#[source] SnapshotError),
}

/// Makes a service's buckets.
pub struct Projector<S: Service, L: EventLog> {
    log: L,
    name: LogName,
    snapshots: Snapshots,
    buckets: Arc<dyn Fn(Bucket) -> KvBucket + Send + Sync>,
    rebuilds: Arc<Mutex<mpsc::Receiver<Rebuild>>>,
    service: std::marker::PhantomData<fn() -> S>,
}

impl<S: Service, L: EventLog> Clone for Projector<S, L> {
    fn clone(&self) -> Self {
        Self {
            log: self.log.clone(),
            name: self.name,
            snapshots: self.snapshots.clone(),
            buckets: Arc::clone(&self.buckets),
            rebuilds: Arc::clone(&self.rebuilds),
            service: std::marker::PhantomData,
        }
    }
}

impl<S: Service, L: EventLog> Companion for Projector<S, L> {
    fn start(
        &self,
        mut commits: mpsc::Receiver<Committed>,
        log_events: mpsc::Sender<LogEvent>,
    ) -> JoinHandle<()> {
        let projector = self.clone();
        tokio::spawn(async move {
            loop {
                match projector.project(&mut commits, &log_events).await {
                    Ok(()) => return,
                    Err(ProjectorError::Projection(error @ ProjectionError::Ahead { .. })) => {
                        tracing::error!(code = %ErrorCode::ProjectionRefused, %error, "projecting stops");
                        return;
                    }
                    Err(error) => {
                        let cause = std::error::Error::source(&error).map(ToString::to_string);
                        tracing::warn!(%error, cause, "projecting begins anew");
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        })
    }
}

impl<S: Service, L: EventLog> Projector<S, L> {
    /// Projects the log `name` into what `buckets` gives; rebuilds on request.
    pub fn new(
        log: L,
        name: LogName,
        snapshots: Snapshots,
        buckets: impl Fn(Bucket) -> KvBucket + Send + Sync + 'static,
    ) -> (Self, mpsc::Sender<Rebuild>) {
        let (asks, rebuilds) = mpsc::channel(1);
        let projector = Self {
            log,
            name,
            snapshots,
            buckets: Arc::new(buckets),
            rebuilds: Arc::new(Mutex::new(rebuilds)),
            service: std::marker::PhantomData,
        };
        (projector, asks)
    }

    async fn project(
        &self,
        commits: &mut mpsc::Receiver<Committed>,
        log_events: &mpsc::Sender<LogEvent>,
    ) -> Result<(), ProjectorError> {
        let mut rebuilds = self.rebuilds.lock().await;
        let mut progress = self.open().await?;
        progress.catch_up(&self.log).await?;
        progress.flush().await?;
        loop {
            progress.snapshot_if_due(&self.snapshots, log_events).await;
            tokio::select! {
                committed = commits.recv() => match committed {
                    Some(first) => progress.take(first, commits, &self.log).await?,
                    None => return Ok(()),
                },
                Some(Rebuild { bucket, mode, reply }) = rebuilds.recv() => {
                    let answer = self.rebuild(&mut progress, bucket, mode).await;
                    // Nobody listens any more when this fails; then there is nobody to tell.
                    drop(reply.send(answer));
                }
            }
        }
    }

    /// Reads the buckets, and the state of the log as it was when the oldest of them was written.
    async fn open(&self) -> Result<Progress<S>, ProjectorError> {
        let mut buckets = Vec::new();
        for bucket in S::BUCKETS {
            let opened = ProjectedBucket::open(*bucket, (self.buckets)(*bucket)).await;
            buckets.push(opened.map_err(ProjectorError::Projection)?);
        }
        let oldest = buckets.iter().map(|bucket| bucket.checkpoint).min().unwrap_or_default();
        let newest = self.snapshots.newest::<S, L>(&self.log, self.name).await;
        let usable = |replica: &Replica<S>| replica.head.cursor() <= oldest;
        let replica = newest.map_err(ProjectorError::Snapshot)?.filter(usable);
        let replica = replica.unwrap_or_else(|| Replica::genesis(self.name));
        Ok(Progress::new(replica, buckets))
    }

    /// Folds the whole log into the rows of one bucket and compares them with what is there.
    async fn rebuild(
        &self,
        progress: &mut Progress<S>,
        bucket: Bucket,
        mode: RebuildMode,
    ) -> Result<RebuildAnswer, Fault> {
        let unavailable = |error: &dyn std::error::Error| {
            Fault::new(ErrorCode::StorageUnconfirmed, error.to_string())
        };
        progress.catch_up(&self.log).await.map_err(|error| unavailable(&error))?;
        progress.flush().await.map_err(|error| unavailable(&error))?;
        let (mut replica, mut rows) = (Replica::<S>::genesis(self.name), Rows::new());
        let target = progress.replica.head.sequence;
        let collected = catch_up_to(&mut replica, &self.log, target, |folded| {
            collect(&mut rows, bucket, &folded);
        });
        collected.await.map_err(|error| unavailable(&error))?;
        let Some(target) = progress.buckets.iter_mut().find(|held| held.bucket == bucket) else {
            let message = format!("{} is not made from this log", bucket.as_str());
            return Err(Fault::new(ErrorCode::InvalidValue, message));
        };
        let live = target.live().await.map_err(|error| unavailable(&error))?;
        let cursor = replica.head.cursor();
        let made = u64::try_from(rows.values().filter(|(_, row)| row.is_some()).count());
        let differing = differing(rows, live, cursor);
        let answer = RebuildAnswer {
            bucket: bucket.as_str().to_owned(),
            rows: made.unwrap_or(u64::MAX),
            differing: u64::try_from(differing.len()).unwrap_or(u64::MAX),
            examples: differing.keys().take(EXAMPLES_MAX).cloned().collect(),
            mended: mode == RebuildMode::Mend,
            cursor,
        };
        if mode == RebuildMode::Mend && !differing.is_empty() {
            target.write(differing, cursor).await.map_err(|error| unavailable(&error))?;
        }
        Ok(answer)
    }
}

/// Rows that the log makes and the bucket lacks or has otherwise, and deletions of those that only
/// the bucket has.
fn differing(made: Rows, mut live: BTreeMap<String, Bytes>, cursor: Cursor) -> Rows {
    let mut differing = Rows::new();
    for (key, (made_at, row)) in made {
        let found = live.remove(&key);
        let same = match (&row, &found) {
            (Some(row), Some(found)) => *found == encode(made_at, Some(row.clone())),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same {
            differing.insert(key, (made_at, row));
        }
    }
    differing.extend(live.into_keys().map(|key| (key, (cursor, None))));
    differing
}

fn collect<S: Service>(rows: &mut Rows, bucket: Bucket, folded: &Folded<'_, S>) {
    for row in S::project(folded.state, folded.event) {
        if row.bucket == bucket {
            rows.insert(row.key, (folded.cursor, row.body));
        }
    }
}

/// How far the buckets are.
struct Progress<S: Service> {
    replica: Replica<S>,
    buckets: Vec<ProjectedBucket>,
    waiting: Vec<Rows>,
    events_since_snapshot: u64,
    bytes_since_snapshot: usize,
    snapshots: Vec<Sha256Hash>,
}

impl<S: Service> Progress<S> {
    fn new(replica: Replica<S>, buckets: Vec<ProjectedBucket>) -> Self {
        let waiting = buckets.iter().map(|_| Rows::new()).collect();
        let mut progress = Self {
            replica,
            buckets,
            waiting,
            events_since_snapshot: 0,
            bytes_since_snapshot: 0,
            snapshots: Vec::new(),
        };
        progress.note_snapshot();
        progress
    }

    async fn catch_up<L: EventLog>(&mut self, log: &L) -> Result<(), ProjectorError> {
        let Self { replica, buckets, waiting, events_since_snapshot, .. } = self;
        let folding = catch_up(replica, log, |folded| {
            *events_since_snapshot += 1;
            keep(buckets, waiting, &folded);
        });
        folding.await.map_err(ProjectorError::Follow)?;
        self.note_snapshot();
        Ok(())
    }

    /// Takes committed frames, as many as wait, and writes their rows.
    async fn take<L: EventLog>(
        &mut self,
        first: Committed,
        commits: &mut mpsc::Receiver<Committed>,
        log: &L,
    ) -> Result<(), ProjectorError> {
        let mut next = Some(first);
        let mut frames = 0;
        while let Some(Committed { stored, .. }) = next {
            if self.replica.head.sequence + 1 < stored.sequence {
                self.catch_up(log).await?;
            }
            self.bytes_since_snapshot += stored.bytes.len();
            let Self { replica, buckets, waiting, events_since_snapshot, .. } = self;
            let folded = replica.fold(&stored, |folded| {
                *events_since_snapshot += 1;
                keep(buckets, waiting, &folded);
            });
            folded.map_err(|cause| ProjectorError::Follow(FollowError::Fold(cause)))?;
            self.note_snapshot();
            frames += 1;
            next = if frames < FRAMES_PER_WRITE { commits.try_recv().ok() } else { None };
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), ProjectorError> {
        let checkpoint = self.replica.head.cursor();
        for (bucket, waiting) in self.buckets.iter_mut().zip(&mut self.waiting) {
            if bucket.checkpoint < checkpoint {
                let rows = std::mem::take(waiting);
                bucket.write(rows, checkpoint).await.map_err(ProjectorError::Projection)?;
            }
        }
        Ok(())
    }

    /// Keeps the replica as a snapshot when enough has happened since the last one. A failure is
    /// no harm: the log is all there.
    async fn snapshot_if_due(
        &mut self,
        snapshots: &Snapshots,
        log_events: &mpsc::Sender<LogEvent>,
    ) {
        let due = SNAPSHOT_EVENTS <= self.events_since_snapshot
            || SNAPSHOT_BYTES <= self.bytes_since_snapshot;
        if !due {
            return;
        }
        (self.events_since_snapshot, self.bytes_since_snapshot) = (0, 0);
        if let [older @ .., _, newest] = self.snapshots.as_slice() {
            for blob in older {
                if let Err(error) = snapshots.forget(*blob, &[*newest]).await {
                    tracing::warn!(%error, "an old snapshot stays");
                }
            }
            let kept = self.snapshots.split_off(self.snapshots.len() - 2);
            self.snapshots = kept;
        }
        match snapshots.save(self.replica.clone()).await {
            // The loop is gone only when the term ends; then the next writer takes a snapshot.
            Ok(event) => drop(log_events.send(event).await),
            Err(error) => tracing::warn!(%error, "a snapshot could not be taken"),
        }
    }

    fn note_snapshot(&mut self) {
        if let Some(LogEvent::SnapshotTaken { blob, .. }) = &self.replica.snapshot
            && self.snapshots.last() != Some(blob)
        {
            self.snapshots.push(*blob);
        }
    }
}

/// Remembers the rows that an event changes for every bucket that does not have them yet.
fn keep<S: Service>(buckets: &[ProjectedBucket], waiting: &mut [Rows], folded: &Folded<'_, S>) {
    for row in S::project(folded.state, folded.event) {
        let place = buckets.iter().position(|held| held.bucket == row.bucket);
        if let Some(place) = place
            && buckets[place].checkpoint < folded.cursor
        {
            waiting[place].insert(row.key, (folded.cursor, row.body));
        }
    }
}

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
        let fault = |error: StoreError| Fault::new(error.code(), error.to_string());
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
