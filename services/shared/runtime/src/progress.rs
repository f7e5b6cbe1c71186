//! How far a projector has come: a replica, the rows that wait, and what was snapshotted.
//!
//! **Invariant:** rows are made by a replica that folds committed frames alone, each frame once.

use std::time::Duration;

use jetstream_config::EventLog;
use schemas::{Sha256Hash, frame::LogEvent};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use crate::{
    Committed, FollowError, Service, SnapshotAfter,
    bucket::{ProjectedBucket, Rows},
    chain::chain,
    follow::{catch_up_to, patiently},
    projector::ProjectorError,
    replica::{Folded, Replica},
    snapshot::Snapshots,
};

/// Frames whose rows are written together at most.
const FRAMES_PER_WRITE: usize = 1024;
/// How long further frames are waited for before rows are written: what changes often, as a task
/// does in its short life, is written once, and the broker stays free for the log meanwhile.
const LINGER: Duration = Duration::from_millis(10);
/// Frames that are read from the log before their rows are written, when catching up.
const FRAMES_PER_PORTION: u64 = 4096;

/// How far the buckets are.
pub(crate) struct Progress<S: Service> {
    pub(crate) replica: Replica<S>,
    pub(crate) buckets: Vec<ProjectedBucket>,
    waiting: Vec<Rows>,
    since_snapshot: SinceSnapshot,
    snapshots: Vec<Sha256Hash>,
}

impl<S: Service> Progress<S> {
    pub(crate) fn new(replica: Replica<S>, buckets: Vec<ProjectedBucket>) -> Self {
        let waiting = buckets.iter().map(|_| Rows::new()).collect();
        let (since_snapshot, snapshots) = (SinceSnapshot::default(), Vec::new());
        let mut progress = Self { replica, buckets, waiting, since_snapshot, snapshots };
        progress.note_snapshot();
        progress
    }

    /// Reads the log to its end and writes the rows, a portion at a time.
    pub(crate) async fn catch_up<L: EventLog>(&mut self, log: &L) -> Result<(), ProjectorError> {
        let target = patiently(|| log.last_sequence()).await.map_err(ProjectorError::Follow)?;
        self.buckets.iter_mut().for_each(|bucket| bucket.catches_up_to(target));
        while self.replica.head.sequence < target {
            let portion = self.replica.head.sequence.saturating_add(FRAMES_PER_PORTION).min(target);
            let Self { replica, buckets, waiting, since_snapshot, .. } = self;
            let folding = catch_up_to(replica, log, portion, |folded| {
                since_snapshot.count(&folded);
                keep(buckets, waiting, &folded);
            });
            folding.await.map_err(ProjectorError::Follow)?;
            self.note_snapshot();
            self.flush().await?;
        }
        self.flush().await?;
        self.buckets.iter_mut().for_each(ProjectedBucket::has_caught_up);
        Ok(())
    }

    /// Takes committed frames, and those that follow them closely, and writes their rows.
    pub(crate) async fn take<L: EventLog>(
        &mut self,
        first: Committed,
        commits: &mut mpsc::Receiver<Committed>,
        log: &L,
    ) -> Result<(), ProjectorError> {
        let until = Instant::now() + LINGER;
        let mut next = Some(first);
        let mut frames = 0;
        while let Some(Committed { stored, .. }) = next {
            if self.replica.head.sequence + 1 < stored.sequence {
                self.catch_up(log).await?;
            }
            let Self { replica, buckets, waiting, since_snapshot, .. } = self;
            let folded = replica.fold(&stored, |folded| {
                since_snapshot.count(&folded);
                keep(buckets, waiting, &folded);
            });
            folded.map_err(|cause| ProjectorError::Follow(FollowError::Fold(cause)))?;
            self.note_snapshot();
            frames += 1;
            next = match frames < FRAMES_PER_WRITE {
                true => timeout_at(until, commits.recv()).await.ok().flatten(),
                false => None,
            };
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), ProjectorError> {
        let checkpoint = self.replica.head.cursor();
        for (bucket, waiting) in self.buckets.iter_mut().zip(&mut self.waiting) {
            if bucket.checkpoint < checkpoint {
                let rows = std::mem::take(waiting);
                bucket.write(rows, checkpoint, None).await.map_err(ProjectorError::Projection)?;
            }
        }
        Ok(())
    }

    /// Keeps the replica as a snapshot when enough has happened since the last one. A failure is
    /// no harm: the log is all there.
    pub(crate) async fn snapshot_if_due(
        &mut self,
        snapshots: &Snapshots,
        log_events: &mpsc::Sender<LogEvent>,
    ) {
        if !self.since_snapshot.is_due::<S>() {
            return;
        }
        self.since_snapshot = SinceSnapshot::default();
        // Whoever starts just now may be reading the one before the newest.
        let older = self.snapshots.len().saturating_sub(2);
        let kept = self.snapshots.split_off(older);
        for blob in std::mem::replace(&mut self.snapshots, kept) {
            if let Err(error) = snapshots.forget(blob, &self.snapshots).await {
                tracing::warn!(error = chain(&error), "an old snapshot stays");
            }
        }
        match snapshots.save(self.replica.clone()).await {
            // The loop is gone only when the term ends; then the next writer takes a snapshot.
            Ok(event) => drop(log_events.send(event).await),
            Err(error) => tracing::warn!(error = chain(&error), "a snapshot could not be taken"),
        }
    }

    fn note_snapshot(&mut self) {
        if let Some(LogEvent::SnapshotTaken { blob, .. }) = &self.replica.snapshot
            && self.snapshots.last() != Some(blob)
        {
            self.snapshots.push(*blob);
            self.since_snapshot = SinceSnapshot::default();
        }
    }
}

/// What happened since the last snapshot.
#[derive(Clone, Copy, Default)]
struct SinceSnapshot {
    events: u64,
    bytes: usize,
}

impl SinceSnapshot {
    fn count<S: Service>(&mut self, folded: &Folded<'_, S>) {
        self.events += 1;
        self.bytes += folded.bytes;
    }

    fn is_due<S: Service>(&self) -> bool {
        let SnapshotAfter { events, bytes } = S::SNAPSHOT_AFTER;
        events <= self.events || bytes <= self.bytes
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
