//! The node's memory, and the one way in: an input makes actions.
//!
//! **Invariant:** a run's stage only moves along the path of the crate's description; whoever
//! leaves it early does so through [`Node::conclude`] or [`Node::drop_run`].

use std::{collections::BTreeMap, time::Duration};

use schemas::{Fault, TaskId, Timestamp, protocol::GO_TTL, task::Outcome};

use crate::{
    Accepted, Action, Facts, Input, Profile, Record, RunKey, Started, backoff::Attempts,
    cancel::Cancelled, doubt::Doubt, drain::Drain, roster::Known,
};

/// Everything that a node remembers between two inputs.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) profile: Profile,
    pub(crate) runs: BTreeMap<RunKey, Run>,
    pub(crate) refusals: BTreeMap<RunKey, Refusal>,
    /// (task, epoch) whose go was taken, until the assignment could not be admitted anyway.
    pub(crate) used: BTreeMap<RunKey, Timestamp>,
    /// Cancels that were heard, also of tasks that are not here yet.
    pub(crate) cancelled: BTreeMap<TaskId, Cancelled>,
    /// Highest term that a go came from, by partition.
    pub(crate) terms: BTreeMap<u32, u64>,
    pub(crate) drain: Option<Drain>,
    /// Offers that wait for a fresher roster.
    pub(crate) doubts: BTreeMap<RunKey, Doubt>,
    /// What is known of the newest roster.
    pub(crate) roster: Known,
    /// Why the journal cannot be written any more.
    pub(crate) complaint: Option<String>,
    pub(crate) tasks_failed: u64,
    pub(crate) tasks_refused: u64,
}

/// One assignment that the node has taken on.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) accepted: Accepted,
    /// The go, once it was taken.
    pub(crate) started: Option<Started>,
    /// Whether an earlier process start took it on, so that only that one may say what ran.
    pub(crate) recovered: bool,
    /// Requests to start that were sent by this process start.
    pub(crate) asks: u64,
    pub(crate) stage: Stage,
}

/// Where a run is on its path.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// `accepted` is being written.
    Recording,
    /// It waits for the go.
    Asking(Attempts),
    /// `started` is being written.
    Committing,
    /// It runs; a reason says why it was told to end, if it was.
    Running(Option<EndReason>),
    /// `ended` is being written.
    Concluding(Box<Outcome>),
    /// Its outcome is on disk and the scheduler has not answered it.
    Reporting(Box<Outcome>, Attempts),
}

/// Why a run was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// Somebody cancelled it.
    Cancelled,
    /// The node stops.
    Draining,
    /// The task was given out again.
    Superseded,
}

/// A refusal that the scheduler has not answered.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) fault: Fault,
    pub(crate) attempts: Attempts,
}

impl Node {
    /// A node without a past.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            runs: BTreeMap::new(),
            refusals: BTreeMap::new(),
            used: BTreeMap::new(),
            cancelled: BTreeMap::new(),
            terms: BTreeMap::new(),
            drain: None,
            doubts: BTreeMap::new(),
            roster: Known::default(),
            complaint: None,
            tasks_failed: 0,
            tasks_refused: 0,
        }
    }

    /// Who the node is.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Takes one input and names what to do.
    #[must_use]
    pub fn step(&mut self, input: Input, facts: &Facts) -> Vec<Action> {
        match input {
            Input::Offer(offer) => self.on_offer(&offer, facts),
            Input::Recorded(key, kind) => self.on_recorded(&key, kind, facts),
            Input::JournalFailed(complaint) => self.on_journal_failed(complaint, facts),
            Input::JournalHealed => {
                self.complaint = None;
                Vec::new()
            }
            Input::StartAnswered(answer) => self.on_start_answered(&answer, facts),
            Input::StartFailed(key, ask, fault) => self.on_start_failed(&key, ask, &fault, facts),
            Input::Ended(key, outcome) => self.on_ended(&key, *outcome, facts),
            Input::Cancel(order) => self.on_cancel(&order, facts),
            Input::ReportAnswered(key) => self.on_report_answered(&key),
            Input::ReportFailed(key, fault) => self.on_report_failed(&key, &fault, facts),
            Input::RefusalAnswered(key) => self.on_refusal_answered(&key),
            Input::RefusalFailed(key, fault) => self.on_refusal_failed(&key, &fault, facts),
            Input::Roster(received) => self.on_roster(received, facts),
            Input::Reconnected => self.on_reconnected(facts),
            Input::Tick => self.on_tick(facts),
            Input::Drain(grace) => self.on_drain(grace, facts),
        }
    }

    /// When [`Input::Tick`] is next needed, on the clock of [`Facts::uptime`].
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        let runs = self.runs.values().filter_map(Run::wake_at);
        let refusals = self.refusals.values().filter_map(|refusal| refusal.attempts.wake_at());
        let drain = self.drain.as_ref().and_then(Drain::wake_at);
        let doubts = self.doubts.values().map(Doubt::wake_at);
        runs.chain(refusals).chain(drain).chain(doubts).min()
    }

    /// Records that make a fresh journal mean what all of the old one meant.
    #[must_use]
    pub fn carry_over(&self) -> Vec<Record> {
        let terms = self.terms.iter();
        let terms =
            terms.map(|(partition, term)| Record::Term { partition: *partition, term: *term });
        let used = self.used.iter().filter(|(key, _)| !self.runs.contains_key(key));
        let used = used.map(|(key, until)| {
            let RunKey { task, epoch } = key.clone();
            Record::Used { task, epoch, until: *until }
        });
        terms.chain(used).chain(self.runs.values().flat_map(Run::records)).collect()
    }

    fn on_reconnected(&mut self, facts: &Facts) -> Vec<Action> {
        for attempts in self.runs.values_mut().filter_map(Run::attempts) {
            attempts.hurry(facts.uptime);
        }
        for refusal in self.refusals.values_mut() {
            refusal.attempts.hurry(facts.uptime);
        }
        self.on_tick(facts)
    }

    fn on_tick(&mut self, facts: &Facts) -> Vec<Action> {
        self.used.retain(|_, until| facts.wall <= *until);
        self.cancelled.retain(|_, cancelled| facts.uptime < cancelled.until);
        let mut actions = self.end_overdue_runs(facts);
        let keys: Vec<RunKey> = self.runs.keys().cloned().collect();
        for key in keys {
            actions.extend(self.send_if_due(&key, facts));
        }
        actions.extend(self.resend_refusals(facts));
        actions.extend(self.give_up_doubts(facts));
        actions
    }

    pub(crate) fn send_if_due(&mut self, key: &RunKey, facts: &Facts) -> Option<Action> {
        let run = self.runs.get(key)?;
        match &run.stage {
            Stage::Asking(attempts)
                if attempts.is_due(facts.uptime) || run.go_is_overdue(facts) =>
            {
                self.ask(key, facts)
            }
            Stage::Reporting(_, attempts) if attempts.is_due(facts.uptime) => {
                self.report(key, facts)
            }
            Stage::Asking(_)
            | Stage::Reporting(..)
            | Stage::Recording
            | Stage::Committing
            | Stage::Running(_)
            | Stage::Concluding(_) => None,
        }
    }
}

impl Run {
    pub(crate) fn key(&self) -> RunKey {
        self.accepted.key()
    }

    /// The request that is repeated until it is answered, at the stages that have one.
    pub(crate) fn attempts(&mut self) -> Option<&mut Attempts> {
        match &mut self.stage {
            Stage::Asking(attempts) | Stage::Reporting(_, attempts) => Some(attempts),
            Stage::Recording | Stage::Committing | Stage::Running(_) | Stage::Concluding(_) => None,
        }
    }

    /// Whether it holds one of the node's slots.
    pub(crate) fn holds_slot(&self) -> bool {
        match self.stage {
            Stage::Recording | Stage::Asking(_) | Stage::Committing | Stage::Running(_) => true,
            Stage::Concluding(_) | Stage::Reporting(..) => false,
        }
    }

    /// Whether the request under way is so old that its go would not count.
    pub(crate) fn go_is_overdue(&self, facts: &Facts) -> bool {
        match &self.stage {
            Stage::Asking(Attempts { sent_at: Some(sent_at), .. }) => {
                *sent_at + GO_TTL <= facts.uptime
            }
            Stage::Asking(_)
            | Stage::Recording
            | Stage::Committing
            | Stage::Running(_)
            | Stage::Concluding(_)
            | Stage::Reporting(..) => false,
        }
    }

    fn wake_at(&self) -> Option<Duration> {
        match &self.stage {
            Stage::Asking(attempts) => {
                Some(attempts.sent_at.map_or(attempts.due_at, |sent_at| sent_at + GO_TTL))
            }
            Stage::Reporting(_, attempts) => attempts.wake_at(),
            Stage::Recording | Stage::Committing | Stage::Running(_) | Stage::Concluding(_) => None,
        }
    }

    /// What is on disk of it, or on its way there.
    fn records(&self) -> Vec<Record> {
        let mut records = vec![Record::Accepted(Box::new(self.accepted.clone()))];
        records.extend(self.started.clone().map(Record::Started));
        match &self.stage {
            Stage::Concluding(outcome) | Stage::Reporting(outcome, _) => {
                records.push(ended(self.key(), outcome.clone()));
            }
            Stage::Recording | Stage::Asking(_) | Stage::Committing | Stage::Running(_) => (),
        }
        records
    }
}

pub(crate) fn ended(key: RunKey, outcome: Box<Outcome>) -> Record {
    Record::Ended { task: key.task, epoch: key.epoch, outcome }
}
