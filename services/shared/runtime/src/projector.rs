//! Makes the buckets from the log, and snapshots on the way.
//!
//! **Invariant:** it folds committed frames with a replica of its own, so a row never shows more
//! than the log holds, and a live bucket and a rebuilt one come from the same code.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use jetstream_config::{EventLog, KvBucket};
use schemas::{
    Cursor, ErrorCode, Fault,
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
    chain::chain,
    follow::catch_up,
    partition::Companion,
    progress::Progress,
    replica::{Folded, Replica},
    snapshot::Snapshots,
};

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
pub(crate) enum ProjectorError {
    #[error("reading the log failed")]
    Follow(#[source] FollowError),
    #[error("writing a bucket failed")]
    Projection(#[source] ProjectionError),
    #[error("loading a snapshot failed")]
    Snapshot(#[source] SnapshotError),
}

impl ProjectorError {
    fn is_ahead(&self) -> bool {
        matches!(self, Self::Projection(ProjectionError::Ahead { .. }))
    }
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
                    Err(error) if error.is_ahead() => {
                        let (code, error) = (ErrorCode::ProjectionRefused, chain(&error));
                        tracing::error!(%code, error, "projecting stops until a rebuild mends the bucket");
                        if projector.wait_for_rebuild(&mut commits).await == AfterWait::TermEnded {
                            return;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(error = chain(&error), "projecting begins anew");
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        })
    }
}

/// How the wait of a projector that was refused ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AfterWait {
    TermEnded,
    Mended,
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
        let oldest = buckets.iter().map(|bucket| bucket.checkpoint).min();
        let newest = self.snapshots.newest::<S, L>(&self.log, self.name).await;
        let usable =
            |replica: &Replica<S>| oldest.is_none_or(|oldest| replica.head.cursor() <= oldest);
        let replica = newest.map_err(ProjectorError::Snapshot)?.filter(usable);
        let replica = replica.unwrap_or_else(|| Replica::genesis(self.name));
        Ok(Progress::new(replica, buckets))
    }

    /// Writes nothing until a rebuild has put right what refused this projector, or the term ends.
    async fn wait_for_rebuild(&self, commits: &mut mpsc::Receiver<Committed>) -> AfterWait {
        let mut rebuilds = self.rebuilds.lock().await;
        loop {
            tokio::select! {
                committed = commits.recv() => if committed.is_none() {
                    return AfterWait::TermEnded;
                },
                Some(Rebuild { bucket, mode, reply }) = rebuilds.recv() => {
                    let answer = match self.open().await {
                        Ok(mut progress) => self.rebuild(&mut progress, bucket, mode).await,
                        Err(error) => Err(unavailable(&error)),
                    };
                    let mended = answer.as_ref().is_ok_and(|answer| answer.mended);
                    // Nobody listens any more when this fails; then there is nobody to tell.
                    drop(reply.send(answer));
                    if mended {
                        return AfterWait::Mended;
                    }
                }
            }
        }
    }

    /// Folds the whole log into the rows of one bucket and compares them with what is there.
    async fn rebuild(
        &self,
        progress: &mut Progress<S>,
        bucket: Bucket,
        mode: RebuildMode,
    ) -> Result<RebuildAnswer, Fault> {
        match progress.catch_up(&self.log).await {
            Err(error) if !error.is_ahead() => return Err(unavailable(&error)),
            // What refuses the projector is what is to be mended.
            Ok(()) | Err(_) => (),
        }
        let (mut replica, mut made) = (Replica::<S>::genesis(self.name), Rows::new());
        let folding =
            catch_up(&mut replica, &self.log, |folded| collect(&mut made, bucket, &folded));
        folding.await.map_err(|error| unavailable(&error))?;
        let Some(target) = progress.buckets.iter_mut().find(|held| held.bucket == bucket) else {
            let message = format!("{} is not made from this log", bucket.as_str());
            return Err(Fault::new(ErrorCode::InvalidValue, message));
        };
        let live = target.live().await.map_err(|error| unavailable(&error))?;
        let (rows, cursor) = (made.len(), replica.head.cursor());
        let differing = differing(made, live, cursor);
        let answer = RebuildAnswer {
            bucket: bucket.as_str().to_owned(),
            rows: u64::try_from(rows).unwrap_or(u64::MAX),
            differing: u64::try_from(differing.len()).unwrap_or(u64::MAX),
            examples: differing.keys().take(EXAMPLES_MAX).cloned().collect(),
            mended: mode == RebuildMode::Mend,
            cursor,
        };
        if mode == RebuildMode::Mend && !differing.is_empty() {
            let writing = target.write(differing, cursor, Some(cursor));
            writing.await.map_err(|error| unavailable(&error))?;
        }
        Ok(answer)
    }
}

fn unavailable(error: &dyn std::error::Error) -> Fault {
    Fault::new(ErrorCode::StorageUnconfirmed, chain(error))
}

/// Rows that the log makes and the bucket lacks or has otherwise, and deletions of those that only
/// the bucket has.
fn differing(made: Rows, mut live: BTreeMap<String, Bytes>, cursor: Cursor) -> Rows {
    let mut differing = Rows::new();
    for (key, (made_at, row)) in made {
        if live.remove(&key) != Some(encode(made_at, row.clone())) {
            differing.insert(key, (made_at, row));
        }
    }
    differing.extend(live.into_keys().map(|key| (key, (cursor, None))));
    differing
}

/// Takes the rows that an event leaves; what it deletes leaves none.
fn collect<S: Service>(rows: &mut Rows, bucket: Bucket, folded: &Folded<'_, S>) {
    for row in S::project(folded.state, folded.event) {
        if row.bucket != bucket {
            continue;
        }
        if row.body.is_some() {
            rows.insert(row.key, (folded.cursor, row.body));
        } else {
            rows.remove(&row.key);
        }
    }
}
