//! One process's part in one partition: standby, candidate, writer, and round again.
//!
//! **Invariant:** whoever was replaced throws its speculative state away and reads the log anew.

use std::{sync::Arc, time::Duration};

use jetstream_config::{EventLog, LogError};
use schemas::{ErrorCode, Fault, InstanceId, frame::LogEvent, subject::LogName};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    EffectContext, EffectOf, FollowError, PositionError, PositionFile, Service,
    decision::Writer,
    follow::{Patience, catch_up, follow_until_silence},
    lead::{Ended, Inlets, Lead, Outlets, beat},
    mind::Mind,
    position::Position,
    replica::{Head, Replica},
    snapshot::{SnapshotError, Snapshots},
    stage::{Committed, Lines, Stage},
};

/// Requests that may wait in front of the loop.
const ASKS_MAX: usize = 4096;
/// Observations that may wait in front of the loop.
const OBSERVATIONS_MAX: usize = 65_536;
/// Effects that may wait to be performed.
const EFFECTS_MAX: usize = 16_384;
/// Committed frames that may wait for the projector before it has to read the log.
const COMMITS_MAX: usize = 1024;
/// How often the position is remembered outside the broker.
const POSITION_EVERY: Duration = Duration::from_secs(1);
/// How long a full log refuses at once before it is tried again.
const FULL_PAUSE: Duration = Duration::from_secs(1);

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

impl<S: Service, L: EventLog, T: Stage<S>> Partition<S, L, T> {
    /// Takes part until `stop`.
    ///
    /// # Errors
    ///
    /// What only a person can mend. The process should end, and say so.
    pub async fn run(self, stop: watch::Receiver<bool>) -> Result<(), PartitionError> {
        self.position.check(&self.log, self.name).await.map_err(PartitionError::Position)?;
        let mut patience = Patience::Fresh;
        let mut kept_term = None;
        loop {
            let mut replica = self.load().await?;
            if kept_term.is_none() {
                let following =
                    follow_until_silence(&mut replica, &self.log, &self.stage, patience);
                tokio::select! {
                    followed = following => followed.map_err(PartitionError::Follow)?,
                    () = stopped(stop.clone()) => return Ok(()),
                }
            }
            match self.lead(replica, kept_term.take(), stop.clone()).await? {
                Ended::Stopped => return Ok(()),
                Ended::Replaced => patience = Patience::Replaced,
                Ended::Full => kept_term = self.term(),
                Ended::Broken(error) => return Err(PartitionError::Log(error)),
            }
            if kept_term.is_none() {
                self.role.send_replace(Role::Standby);
            }
        }
    }

    fn term(&self) -> Option<u64> {
        match *self.role.borrow() {
            Role::Writer { term } => Some(term),
            Role::Standby => None,
        }
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

    /// One term. `kept_term` is the term to go on with after the log was full.
    async fn lead(
        &self,
        replica: Replica<S>,
        kept_term: Option<u64>,
        stop: watch::Receiver<bool>,
    ) -> Result<Ended, PartitionError> {
        let (lines, mut inlets, log_events) = lines::<S>();
        let (effects, effects_due) = mpsc::channel(EFFECTS_MAX);
        let (commits, committed) = mpsc::channel(COMMITS_MAX);
        let outlets = Outlets { effects, commits };
        let writer = Writer { instance: self.instance.clone(), term: kept_term.unwrap_or(0) };
        let (head_of_log, head_seen) = watch::channel(replica.head.clone());
        let mut mind = Mind::new(replica, writer);
        mind.watch_head(head_of_log);
        if kept_term.is_some() {
            mind.refuse_for(FULL_PAUSE);
        }
        let mut lead = Lead {
            mind,
            log: &self.log,
            stage: &self.stage,
            inlets: &mut inlets,
            outlets: &outlets,
        };
        if kept_term.is_none()
            && let Err(ended) = lead.open().await
        {
            return Ok(ended);
        }
        let opened = beat(&lead.mind);
        tracing::info!(service = %S::NAME, instance = %opened.instance, term = opened.term, "writes");
        let serving = self.stage.serve(lines.clone(), opened.clone()).await;
        let serving = serving.map_err(PartitionError::Serve)?;
        self.role.send_replace(Role::Writer { term: opened.term });
        let helpers = [
            Some(tokio::spawn(perform(Arc::clone(&self.service), effects_due))),
            Some(tokio::spawn(accompany(Arc::clone(&self.service), lines))),
            Some(tokio::spawn(remember(self.position.clone(), head_seen))),
            self.companion.as_ref().map(|companion| companion.start(committed, log_events)),
        ];
        let ended = lead.run(Box::pin(stopped(stop))).await;
        drop(serving);
        for helper in helpers.into_iter().flatten() {
            helper.abort();
        }
        tracing::info!(service = %S::NAME, term = opened.term, ?ended, "no longer writes");
        Ok(ended)
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

async fn perform<S: Service>(
    service: Arc<S>,
    mut due: mpsc::Receiver<(EffectOf<S>, EffectContext)>,
) {
    while let Some((effect, context)) = due.recv().await {
        service.perform(effect, &context).await;
    }
}

async fn accompany<S: Service>(service: Arc<S>, lines: Lines<S>) {
    service.accompany(crate::Observer(lines.observations)).await;
}

/// Writes the position down while the head moves.
async fn remember(file: PositionFile, mut head: watch::Receiver<Head>) {
    loop {
        let position = Position::from(&*head.borrow_and_update());
        let file = file.clone();
        let written = tokio::task::spawn_blocking(move || file.write(&position)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the position could not be remembered");
        }
        tokio::time::sleep(POSITION_EVERY).await;
        if head.changed().await.is_err() {
            return;
        }
    }
}
