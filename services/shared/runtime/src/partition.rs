//! One process's part in one partition: standby, candidate, writer, and round again.
//!
//! **Invariant:** whoever was replaced throws its speculative state away and reads the log anew.

use std::{sync::Arc, time::Duration};

use jetstream_config::{EventLog, LogError};
use schemas::{ErrorCode, Fault, InstanceId, frame::LogEvent, subject::LogName};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
};

use crate::{
    Beat, EffectContext, EffectOf, FollowError, PositionError, PositionFile, Service,
    chain::chain,
    decision::Writer,
    follow::{Patience, catch_up, follow_until_silence},
    lead::{Ended, Inlets, Lead, Outlets},
    mind::Mind,
    position::Position,
    replica::{Head, Replica},
    snapshot::{SnapshotError, Snapshots},
    stage::{Committed, Lines, Stage},
};

/// Requests that may wait in front of the loop.
const ASKS_MAX: usize = 4096;
/// Observations that may wait in front of the loop; more wait in the subscription.
const OBSERVATIONS_MAX: usize = 16_384;
/// Effects that may wait in the line to their performer.
const EFFECTS_MAX: usize = 1024;
/// Committed frames that may wait for the projector before it has to read the log; 16 MiB at most.
const COMMITS_MAX: usize = 64;
/// How often the position is remembered outside the broker.
const POSITION_EVERY: Duration = Duration::from_secs(1);
/// How long a full log refuses at once before it is tried again.
const FULL_PAUSE: Duration = Duration::from_secs(1);
/// How long the end of a term waits for the last position to be written.
const REMEMBER_PATIENCE: Duration = Duration::from_secs(2);

/// Works beside the writer on what it commits, for one term.
pub trait Companion: Send + Sync + 'static {
    /// Starts; whatever it spawns ends when `commits` does.
    fn start(
        &self,
        commits: mpsc::Receiver<Committed>,
        log_events: mpsc::Sender<LogEvent>,
    ) -> JoinHandle<()>;
}

/// What a process does in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads the log.
    Standby,
    /// Writes it, in this term.
    Writer {
        /// Revision of the frame that opened the term.
        term: u64,
    },
}

/// Why a process cannot go on in a partition.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    /// The log could not be followed.
    #[error("following the log failed")]
    Follow(#[source] FollowError),
    /// The log went back.
    #[error("the log is not what it was")]
    Position(#[source] PositionError),
    /// The log must not be written.
    #[error("writing the log failed")]
    Log(#[source] LogError),
    /// The announced snapshot does not fit the log.
    #[error("loading the snapshot failed")]
    Snapshot(#[source] SnapshotError),
    /// The broker lets us write, but not take requests.
    #[error("taking requests failed")]
    Serve(#[source] Fault),
}

impl PartitionError {
    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Follow(error) => error.code(),
            Self::Log(error) => error.code(),
            Self::Position(error) => error.code(),
            Self::Snapshot(error) => error.code(),
            Self::Serve(fault) => fault.code,
        }
    }
}

/// A partition of a service, and what this process needs to take part in it.
pub struct Partition<S: Service, L: EventLog, T: Stage<S>> {
    /// Translates and performs.
    pub service: Arc<S>,
    /// Which log.
    pub name: LogName,
    /// The log.
    pub log: L,
    /// The world.
    pub stage: T,
    /// This process start.
    pub instance: InstanceId,
    /// Where the position is remembered.
    pub position: PositionFile,
    /// Where snapshots are kept; without them every start reads the whole log.
    pub snapshots: Option<Snapshots>,
    /// Works beside the writer.
    pub companion: Option<Box<dyn Companion>>,
    /// Shows what this process does.
    pub role: watch::Sender<Role>,
}

/// How a process comes to its next term.
#[derive(Clone, Copy, Debug)]
enum Approach {
    /// Just started: if certainly nobody writes, at once.
    Fresh,
    /// Was a writer, or failed to become one: after a silence.
    Patient,
    /// The log was full: goes on with this term, if it is still the last one.
    Full {
        /// The term; none when not even its first frame had room.
        term: Option<u64>,
    },
}

impl<S: Service, L: EventLog, T: Stage<S>> Partition<S, L, T> {
    /// Takes part until `stop`.
    ///
    /// # Errors
    ///
    /// What only a person can mend. The process should end, and say so.
    pub async fn run(self, stop: watch::Receiver<bool>) -> Result<(), PartitionError> {
        tokio::select! {
            checked = self.position.check(&self.log, self.name) => {
                checked.map_err(PartitionError::Position)?;
            }
            () = stopped(stop.clone()) => return Ok(()),
        }
        let mut approach = Approach::Fresh;
        loop {
            let (replica, kept_term) = tokio::select! {
                prepared = self.prepare(approach) => prepared?,
                () = stopped(stop.clone()) => return Ok(()),
            };
            let ended = self.lead(replica, kept_term, stop.clone()).await?;
            approach = match ended {
                Ended::Stopped => return Ok(()),
                Ended::Replaced | Ended::Deaf => Approach::Patient,
                Ended::Full => Approach::Full { term: self.term() },
                Ended::Broken(error) => return Err(PartitionError::Log(error)),
            };
        }
    }

    fn term(&self) -> Option<u64> {
        match *self.role.borrow() {
            Role::Writer { term } => Some(term),
            Role::Standby => None,
        }
    }

    /// Reads the log until it is time to write it. Returns the term to go on with, if there is one.
    async fn prepare(
        &self,
        approach: Approach,
    ) -> Result<(Replica<S>, Option<u64>), PartitionError> {
        let mut replica = match approach {
            Approach::Full { term: None } => self.refuse_for_a_while().await?,
            Approach::Fresh | Approach::Patient | Approach::Full { term: Some(_) } => {
                self.load().await?
            }
        };
        let is_ours = |term: &u64| {
            *term == replica.head.term && replica.head.instance.as_ref() == Some(&self.instance)
        };
        let patience = match approach {
            Approach::Fresh | Approach::Full { term: None } => Patience::Fresh,
            Approach::Patient => Patience::Replaced,
            Approach::Full { term: Some(term) } if is_ours(&term) => {
                return Ok((replica, Some(term)));
            }
            Approach::Full { term: Some(_) } => Patience::Replaced,
        };
        self.role.send_replace(Role::Standby);
        let following = follow_until_silence(&mut replica, &self.log, &self.stage, patience);
        following.await.map_err(PartitionError::Follow)?;
        Ok((replica, None))
    }

    /// The fold of the log up to its head.
    async fn load(&self) -> Result<Replica<S>, PartitionError> {
        let mut replica = None;
        if let Some(snapshots) = &self.snapshots {
            let newest = snapshots.newest::<S, L>(&self.log, self.name).await;
            replica = newest.map_err(PartitionError::Snapshot)?;
        }
        let mut replica = replica.unwrap_or_else(|| Replica::genesis(self.name));
        catch_up(&mut replica, &self.log, |_| ()).await.map_err(PartitionError::Follow)?;
        Ok(replica)
    }

    /// Tells whoever asks that the log is full: without room for a term there is no writer, and
    /// silence would look as if there were no service.
    async fn refuse_for_a_while(&self) -> Result<Replica<S>, PartitionError> {
        tracing::error!(service = %S::NAME, "the log is full; not even a term can begin");
        let replica = self.load().await?;
        let (lines, mut inlets, _log_events) = lines::<S>();
        let nobody = Beat { instance: self.instance.clone(), term: 0, sequence: 0 };
        let serving = self.stage.serve(lines, nobody).await.map_err(PartitionError::Serve)?;
        let refusing = async {
            while let Some(ask) = inlets.asks.recv().await {
                let full = Fault::new(ErrorCode::StorageFull, "the log is full");
                // Nobody listens any more when this fails; then there is nobody to tell.
                drop(ask.reply.send(Err(full)));
            }
        };
        drop(tokio::time::timeout(FULL_PAUSE, refusing).await);
        drop(serving);
        Ok(replica)
    }

    /// One term. `kept_term` is the term to go on with after the log was full.
    async fn lead(
        &self,
        replica: Replica<S>,
        kept_term: Option<u64>,
        stop: watch::Receiver<bool>,
    ) -> Result<Ended, PartitionError> {
        let (lines, inlets, log_events) = lines::<S>();
        let (effects, effects_due) = mpsc::channel(EFFECTS_MAX);
        let (commits, committed) = mpsc::channel(COMMITS_MAX);
        let writer = Writer { instance: self.instance.clone(), term: kept_term.unwrap_or(0) };
        let (head_of_log, head_seen) = watch::channel(replica.head.clone());
        let mut mind = Mind::new(replica, writer);
        mind.watch_head(head_of_log);
        if kept_term.is_some() {
            mind.refuse_for(FULL_PAUSE);
        }
        let outlets = Outlets { effects, commits };
        let mut lead = Lead::new(mind, (&self.log, &self.stage), inlets, outlets);
        if kept_term.is_none() {
            let opened = tokio::select! {
                opened = lead.open() => opened,
                () = stopped(stop.clone()) => Err(Ended::Stopped),
            };
            if let Err(ended) = opened {
                return Ok(ended);
            }
        }
        let opened = lead.sign_of_life();
        tracing::info!(service = %S::NAME, instance = %opened.instance, term = opened.term, "writes");
        let observer = crate::Observer(lines.observations.clone());
        let serving = self.stage.serve(lines, opened.clone()).await;
        let serving = serving.map_err(PartitionError::Serve)?;
        self.role.send_replace(Role::Writer { term: opened.term });
        let remembering = Helper(tokio::spawn(remember(self.position.clone(), head_seen)));
        let _helpers = [
            Some(Helper(tokio::spawn(perform(Arc::clone(&self.service), effects_due)))),
            Some(Helper(tokio::spawn(Arc::clone(&self.service).accompany(observer)))),
            self.companion.as_ref().map(|it| Helper(it.start(committed, log_events))),
        ];
        let ended = lead.run(Box::pin(stopped(stop))).await;
        drop(serving);
        remembering.finish(REMEMBER_PATIENCE).await;
        tracing::info!(service = %S::NAME, term = opened.term, ?ended, "no longer writes");
        Ok(ended)
    }
}

/// A task that must not outlive its term.
struct Helper(JoinHandle<()>);

impl Helper {
    /// Lets it come to its own end, within `patience`.
    async fn finish(mut self, patience: Duration) {
        drop(tokio::time::timeout(patience, &mut self.0).await);
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn lines<S: Service>() -> (Lines<S>, Inlets<S>, mpsc::Sender<LogEvent>) {
    let (asks, asks_due) = mpsc::channel(ASKS_MAX);
    let (observations, observations_due) = mpsc::channel(OBSERVATIONS_MAX);
    let (log_events, log_events_due) = mpsc::channel(1);
    let inlets =
        Inlets { asks: asks_due, observations: observations_due, log_events: log_events_due };
    (Lines { asks, observations }, inlets, log_events)
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // Whoever could ask to stop is gone: that is a reason to stop, too.
    drop(stop.wait_for(|stop| *stop).await);
}

/// Performs one effect after another, each in a task of its own: one that panics takes no other
/// with it.
async fn perform<S: Service>(
    service: Arc<S>,
    mut due: mpsc::Receiver<(EffectOf<S>, EffectContext)>,
) {
    let mut performing = JoinSet::new();
    while let Some((effect, context)) = due.recv().await {
        let service = Arc::clone(&service);
        performing.spawn(async move { service.perform(effect, &context).await });
        if let Some(Err(error)) = performing.join_next().await {
            tracing::error!(%error, "an effect failed in a way that it never should");
        }
    }
}

/// Writes the position down while the head moves, and once more when the term ends.
async fn remember(file: PositionFile, mut head: watch::Receiver<Head>) {
    loop {
        let position = Position::from(&*head.borrow_and_update());
        let file = file.clone();
        let written = tokio::task::spawn_blocking(move || file.write(&position)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(error = chain(&error), "the position could not be remembered");
        }
        let newest = head.clone();
        let term_ends = async { drop(head.wait_for(|_| false).await) };
        drop(tokio::time::timeout(POSITION_EVERY, term_ends).await);
        head = newest;
        if head.changed().await.is_err() {
            return;
        }
    }
}
