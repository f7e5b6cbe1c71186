//! What the scheduler recorded, as a follower sees it, and what became of each task.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use client::{Client, StartAt};
use schemas::feed::{EventsAnswer, EventsRequest};
use schemas::scheduler::{SchedulerEvent, verb};
use schemas::subject::ServiceName::Scheduler;
use schemas::task::TaskState;
use schemas::{Cursor, TaskId};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::load::{Sort, Submitted};

/// How long a follower may take to see what is in the log.
const FOLLOW_DEADLINE: Duration = Duration::from_secs(20);

/// How far the work is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Tasks that have ended or are lost.
    pub(crate) ended: usize,
    /// Events so far.
    pub(crate) events: usize,
}

/// What happened to one task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life {
    pub(crate) submissions: usize,
    /// Epochs in which it was given to a node.
    pub(crate) assigned: Vec<u64>,
    /// Epochs with the instances that were told to run it.
    pub(crate) started: BTreeSet<(u64, String)>,
    /// Epochs of which the node that had them said that nothing ran, or will.
    pub(crate) taken_back: BTreeSet<u64>,
    /// Epochs in which it was lost, and not taken back since.
    pub(crate) lost: Vec<u64>,
    /// Epochs and how it ended.
    pub(crate) finished: Vec<(u64, TaskState)>,
    /// Whether it counts as ended, which it may do only once.
    pub(crate) was_counted: bool,
}

impl Life {
    fn has_ended(&self) -> bool {
        !self.lost.is_empty() || !self.finished.is_empty()
    }
}

/// Every task's life, in the order of the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) cursors: Vec<Cursor>,
    pub(crate) lives: BTreeMap<TaskId, Life>,
    ended: usize,
}

impl History {
    pub(crate) fn len(&self) -> usize {
        self.cursors.len()
    }

    fn take(&mut self, cursor: Cursor, event: &SchedulerEvent) {
        self.cursors.push(cursor);
        let life = self.lives.entry(event.task().clone()).or_default();
        match event {
            SchedulerEvent::TaskSubmitted { .. } => life.submissions += 1,
            SchedulerEvent::TaskAssigned { epoch, .. } => life.assigned.push(*epoch),
            SchedulerEvent::TaskStarted { epoch, instance, .. } => {
                life.started.insert((*epoch, instance.to_string()));
            }
            SchedulerEvent::TaskLost { epoch, .. } => life.lost.push(*epoch),
            SchedulerEvent::TaskRefused { epoch, .. } => {
                life.lost.retain(|lost| lost != epoch);
                life.taken_back.insert(*epoch);
            }
            SchedulerEvent::TaskFinished { epoch, state, .. } => {
                life.finished.push((*epoch, *state));
            }
            SchedulerEvent::TaskQueued { .. }
            | SchedulerEvent::AssignmentExpired { .. }
            | SchedulerEvent::TaskCancelRequested { .. } => (),
        }
        if life.has_ended() && !std::mem::replace(&mut life.was_counted, true) {
            self.ended += 1;
        }
    }

    /// Tasks that a kill fell on: lost, or given out more than once.
    pub(crate) fn interrupted(&self) -> usize {
        let hit = |life: &&Life| !life.lost.is_empty() || 1 < life.assigned.len();
        self.lives.values().filter(hit).count()
    }

    pub(crate) fn summary(&self) -> String {
        let count = |is: fn(&Life) -> bool| self.lives.values().filter(|life| is(life)).count();
        let succeeded = |life: &Life| life.finished.iter().any(|(_, s)| *s == TaskState::Succeeded);
        format!(
            "{} tasks: {} succeeded, {} lost for good, {} lost and then settled, {} assigned again",
            self.lives.len(),
            count(succeeded),
            count(|life| !life.lost.is_empty() && life.finished.is_empty()),
            count(|life| !life.lost.is_empty() && !life.finished.is_empty()),
            count(|life| 1 < life.assigned.len()),
        )
    }

    /// The first of `requests` of which more has to come: a task that may run again is not left lost.
    fn open<'a>(&self, requests: &'a [Submitted]) -> Option<&'a TaskId> {
        let is_open = |submitted: &&Submitted| match self.lives.get(&submitted.signed.task) {
            Some(life) if submitted.sort == Sort::Idempotent => life.finished.is_empty(),
            Some(life) => !life.has_ended(),
            None => true,
        };
        requests.iter().find(is_open).map(|submitted| &submitted.signed.task)
    }
}

/// Follows the events through every outage.
pub(crate) struct Follower {
    history: watch::Receiver<History>,
    progress: watch::Receiver<Progress>,
    following: JoinHandle<Result<()>>,
}

impl Follower {
    pub(crate) fn start(client: &Client) -> Self {
        let (told, history) = watch::channel(History::default());
        let (advanced, progress) = watch::channel(Progress::default());
        let mut events = client.events(Scheduler, StartAt::Beginning);
        let following = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let event = event.map_err(|fault| anyhow!("following the events: {fault}"))?;
                let parsed: SchedulerEvent = serde_json::from_str(event.event.get())?;
                told.send_modify(|history| history.take(event.cursor, &parsed));
                let (ended, events) = (told.borrow().ended, told.borrow().len());
                advanced.send_replace(Progress { ended, events });
            }
            Err(anyhow!("the events ended"))
        });
        Self { history, progress, following }
    }

    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until every request has ended or is lost.
    pub(crate) async fn rest(&self, requests: &[Submitted], deadline: Duration) -> Result<()> {
        let mut history = self.history.clone();
        let rest = history.wait_for(|history| history.open(requests).is_none());
        let outcome = timeout(deadline, rest).await.map(|rested| rested.map(drop));
        match outcome {
            Ok(rested) => rested.context("the follower stopped"),
            Err(_) => {
                let history = self.history.borrow();
                let open = history.open(requests);
                let life = open.and_then(|task| history.lives.get(task));
                Err(anyhow!("after {deadline:?} task {open:?} has not ended: {life:?}"))
            }
        }
    }

    /// What it saw, once it has seen as many events as the log has.
    pub(crate) async fn finish(mut self, events: usize) -> Result<History> {
        let reached = self.progress.wait_for(|progress| events <= progress.events);
        let reached = timeout(FOLLOW_DEADLINE, reached).await.map(|reached| reached.map(drop));
        if self.following.is_finished() {
            self.following.await??;
            return Err(anyhow!("the events ended"));
        }
        self.following.abort();
        reached.context("the follower does not see the end of the log")??;
        Ok(self.history.borrow().clone())
    }
}

/// Reads the log from its beginning to where it ends now.
pub(crate) async fn read_to_head(client: &Client) -> Result<History> {
    let mut history = History::default();
    let mut after = None;
    loop {
        let request = EventsRequest { after, limit: None };
        let answer: EventsAnswer = client.request(Scheduler, verb::EVENTS, &request).await?;
        for event in answer.events {
            history.take(event.cursor, &serde_json::from_str(event.event.get())?);
        }
        if answer.at_head {
            return Ok(history);
        }
        after = Some(answer.next);
    }
}
