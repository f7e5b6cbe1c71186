//! The node's loop: one thing that happened at a time into the core, its actions out.
//!
//! **Invariant:** nothing is decided here; what waits for an answer runs in a task of its own and
//! comes back as an input.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use agent_core::{Action, Input, Node, ReceivedRoster, Record, RecordKind, RunKey};
use client::{Client, LinkState};
use futures::{Stream, StreamExt as _};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::sleep_until,
};

use crate::{
    NodeError, clock,
    heartbeat::{Complaint, Pulse, Worry},
    incoming::{self, Incoming, Message},
    journal::JournalEvent,
    keeper::Keeper,
    requests::Requests,
    run::{KILL_GRACE, Workshop},
    timings::{StageMark, Timings},
};

/// Time beyond grace and kill for the last reports of a node that stops.
const LAST_REPORTS: Duration = Duration::from_secs(5);
/// Longest sleep of the loop; what is due earlier wakes it earlier.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// Everything that the loop holds.
pub(crate) struct Daemon {
    pub(crate) node: Node,
    pub(crate) keeper: Keeper,
    pub(crate) client: Client,
    pub(crate) requests: Requests,
    pub(crate) workshop: Workshop,
    pub(crate) pulse: Pulse,
    pub(crate) timings: Timings,
    /// What ends each run that is under way.
    pub(crate) stops: BTreeMap<RunKey, Arc<Notify>>,
    pub(crate) inputs: mpsc::UnboundedSender<Input>,
    /// Has a roster asked for at once.
    pub(crate) roster_wanted: Arc<Notify>,
    /// Takes rosters to the disk.
    pub(crate) rosters: mpsc::UnboundedSender<Box<ReceivedRoster>>,
}

/// What the loop hears.
pub(crate) struct Ears<M> {
    pub(crate) inputs: mpsc::UnboundedReceiver<Input>,
    pub(crate) journal: mpsc::UnboundedReceiver<JournalEvent>,
    pub(crate) messages: M,
    pub(crate) link: watch::Receiver<LinkState>,
    pub(crate) registration: watch::Receiver<Complaint>,
    pub(crate) worries: mpsc::UnboundedReceiver<(Worry, Complaint)>,
}

/// A node that stops.
struct Stopping {
    /// When it ends whatever is left to do.
    at_the_latest: Instant,
}

impl Daemon {
    /// Runs until `shutdown`, and then until nothing is left that must not be interrupted.
    pub(crate) async fn run<M: Stream<Item = Message> + Unpin>(
        mut self,
        mut ears: Ears<M>,
        grace: Duration,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), NodeError> {
        tokio::pin!(shutdown);
        let mut stopping: Option<Stopping> = None;
        loop {
            let wake_at = self.wake_at(stopping.as_ref());
            tokio::select! {
                biased;
                event = ears.journal.recv() => {
                    self.on_journal(event.ok_or(NodeError::JournalThread)?);
                }
                Some(input) = ears.inputs.recv() => self.feed(input),
                message = ears.messages.next() => {
                    self.on_message(&message.ok_or(NodeError::Disconnected)?);
                }
                () = &mut shutdown, if stopping.is_none() => {
                    stopping = Some(self.begin_to_stop(grace));
                }
                Ok(()) = ears.link.changed() => {
                    let state = *ears.link.borrow_and_update();
                    self.on_link(state)?;
                }
                Ok(()) = ears.registration.changed(), if stopping.is_none() => {
                    let complaint = ears.registration.borrow_and_update().clone();
                    self.pulse.worry(Worry::Registration, complaint);
                }
                Some((about, complaint)) = ears.worries.recv() => {
                    self.pulse.worry(about, complaint);
                }
                () = sleep_until(wake_at.into()) => self.on_time(),
            }
            if stopping.as_ref().is_some_and(|stopping| self.may_stop(stopping)) {
                break;
            }
        }
        self.close().await;
        Ok(())
    }

    fn begin_to_stop(&mut self, grace: Duration) -> Stopping {
        tracing::info!(running = self.stops.len(), ?grace, "stopping");
        self.requests.hurry();
        self.feed(Input::Drain(grace));
        self.pulse.hurry();
        let at_the_latest = Instant::now() + grace + KILL_GRACE + LAST_REPORTS;
        Stopping { at_the_latest }
    }

    fn may_stop(&self, stopping: &Stopping) -> bool {
        self.node.is_drained() || stopping.at_the_latest <= Instant::now()
    }

    async fn close(self) {
        let left = self.node.presence().running.len();
        if 0 < left {
            tracing::warn!(left, "stopped; the next start goes on with what is left");
        } else {
            tracing::info!("stopped; nothing is left to do");
        }
        self.client.close().await;
    }

    fn wake_at(&self, stopping: Option<&Stopping>) -> Instant {
        let now = Instant::now();
        let core = self.node.next_wake().map(|due| now + due.saturating_sub(clock::uptime()));
        let stop = stopping.map(|stopping| stopping.at_the_latest);
        let times = [core, stop, Some(self.pulse.next_at()), self.keeper.heal_at()];
        times.into_iter().flatten().min().unwrap_or(now + SLEEP_MAX).min(now + SLEEP_MAX)
    }

    fn on_time(&mut self) {
        if self.node.next_wake().is_some_and(|due| due <= clock::uptime()) {
            self.feed(Input::Tick);
        }
        if self.pulse.next_at() <= Instant::now() {
            self.pulse.beat(&self.node, &self.client);
        }
        self.keeper.heal_if_due(&self.node);
    }

    fn on_link(&mut self, state: LinkState) -> Result<(), NodeError> {
        match state {
            LinkState::Connected => {
                tracing::info!("connected again");
                self.pulse.hurry();
                self.feed(Input::Reconnected);
                Ok(())
            }
            LinkState::Disconnected => {
                tracing::warn!("the connection to the broker is lost; trying again");
                Ok(())
            }
            LinkState::Closed => Err(NodeError::Disconnected),
        }
    }

    fn on_message(&mut self, message: &Message) {
        let came_at = Instant::now();
        match incoming::read(message) {
            Ok(Incoming::Input(input)) => self.feed_at(*input, came_at),
            Ok(Incoming::Ping(reply)) => self.pulse.pong(&self.node, &self.client, reply),
            Err(fault) => {
                tracing::warn!(%fault, subject = message.subject, "a message is not understood");
            }
        }
    }

    fn on_journal(&mut self, event: JournalEvent) {
        match event {
            JournalEvent::Synced(records, bytes) => {
                for (key, kind) in records {
                    self.mark_recorded(&key, kind);
                    self.feed(Input::Recorded(key, kind));
                }
                self.keeper.on_grown(bytes, &self.node);
            }
            JournalEvent::Rolled(bytes) => {
                if self.keeper.on_rolled(bytes) {
                    tracing::info!("the journal can be written again");
                    self.feed(Input::JournalHealed);
                    self.keeper.roll(&self.node);
                    self.pulse.hurry();
                }
            }
            JournalEvent::Failed(complaint) => {
                self.keeper.on_failed();
                self.feed(Input::JournalFailed(complaint));
                self.pulse.hurry();
            }
        }
    }

    pub(crate) fn feed(&mut self, input: Input) {
        self.feed_at(input, Instant::now());
    }

    fn feed_at(&mut self, input: Input, came_at: Instant) {
        self.mark_input(&input);
        let actions = self.node.step(input, &clock::facts());
        self.carry_out(actions, came_at);
    }

    pub(crate) fn carry_out(&mut self, actions: Vec<Action>, came_at: Instant) {
        for action in actions {
            match action {
                Action::Write(record) => self.write(record, came_at),
                Action::AskStart(request) => self.requests.ask_start(request),
                Action::Run(order) => self.run_order(*order),
                Action::Kill(key) => {
                    if let Some(stop) = self.stops.get(&key) {
                        stop.notify_one();
                    }
                }
                Action::Report(report) => self.requests.report(*report),
                Action::Refuse(refusal) => self.requests.refuse(refusal),
                Action::AskRoster => self.roster_wanted.notify_one(),
                Action::KeepRoster(roster) => {
                    // Whoever keeps it is gone only when the process ends.
                    drop(self.rosters.send(roster));
                }
            }
        }
    }

    fn write(&mut self, record: Record, came_at: Instant) {
        match &record {
            Record::Accepted(accepted) => self.timings.begin(&accepted.key(), came_at),
            Record::Dropped { task, epoch, code } => {
                tracing::info!(%task, epoch, %code, "dropped before it began");
                self.timings.forget(&RunKey { task: task.clone(), epoch: *epoch });
            }
            Record::Settled { task, epoch } => {
                self.timings.forget(&RunKey { task: task.clone(), epoch: *epoch });
            }
            Record::Started(_)
            | Record::Ended { .. }
            | Record::Used { .. }
            | Record::Term { .. } => (),
        }
        self.keeper.append(record);
    }

    fn run_order(&mut self, order: agent_core::RunOrder) {
        let (key, stop) = (order.key.clone(), Arc::new(Notify::new()));
        self.stops.insert(key.clone(), Arc::clone(&stop));
        let (workshop, inputs) = (self.workshop.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let outcome = workshop.run_caught(order, stop).await;
            // The loop is gone only when the process ends, and then the journal says `lost`.
            drop(inputs.send(Input::Ended(key, Box::new(outcome))));
        });
    }

    fn mark_input(&mut self, input: &Input) {
        match input {
            Input::StartAnswered(answer) => {
                let key = RunKey { task: answer.task.clone(), epoch: answer.epoch };
                self.timings.mark(&key, StageMark::Go);
            }
            Input::Ended(key, _) => {
                self.stops.remove(key);
                self.timings.mark(key, StageMark::Ended);
            }
            Input::ReportAnswered(key) => self.timings.mark(key, StageMark::Reported),
            Input::Offer(_)
            | Input::Recorded(..)
            | Input::JournalFailed(_)
            | Input::JournalHealed
            | Input::StartFailed(..)
            | Input::Cancel(_)
            | Input::ReportFailed(..)
            | Input::RefusalAnswered(_)
            | Input::RefusalFailed(..)
            | Input::Roster(_)
            | Input::Reconnected
            | Input::Tick
            | Input::Drain(_) => (),
        }
    }

    fn mark_recorded(&mut self, key: &RunKey, kind: RecordKind) {
        let stage = match kind {
            RecordKind::Accepted => StageMark::Accepted,
            RecordKind::Started => StageMark::Started,
            RecordKind::Ended => StageMark::EndRecorded,
        };
        self.timings.mark(key, stage);
    }
}
