//! A new process start takes over what the journal says of the old ones.
//!
//! What the journal proves decides: an `ended` is reported; a `started` without one is reported as
//! `lost`, for whatever ran went down with its process. An `accepted` alone proves that nothing
//! ran *on this disk*, so asking again as a new instance cannot make it run twice: a go needs a new
//! commit of the scheduler, which it makes only while no other instance holds the start. If one
//! does (the old process start, whose go was on its way, or the original of a copied disk), the
//! answer is to stand down, and then this instance says `lost` and never that nothing ran.

use std::collections::BTreeMap;

use schemas::{Timestamp, task::Outcome};

use crate::{
    Accepted, Action, Facts, Node, Profile, Record, RunKey, Started,
    backoff::Attempts,
    ending::lost,
    node::{Run, Stage},
};

/// What the journal says of one assignment.
struct Past {
    accepted: Accepted,
    started: Option<Started>,
    outcome: Option<Box<Outcome>>,
}

/// The fold of a journal.
#[derive(Default)]
struct Fold {
    open: BTreeMap<RunKey, Past>,
    used: BTreeMap<RunKey, Timestamp>,
    terms: BTreeMap<u32, u64>,
}

impl Node {
    /// The node as a new process start finds it, and what it has to do at once.
    #[must_use]
    pub fn recover(
        profile: Profile,
        journal: impl IntoIterator<Item = Record>,
        facts: &Facts,
    ) -> (Self, Vec<Action>) {
        let mut fold = Fold::default();
        for record in journal {
            fold.take(record);
        }
        let mut node = Self::new(profile);
        (node.used, node.terms) = (fold.used, fold.terms);
        let mut actions = Vec::new();
        for (key, past) in fold.open {
            actions.extend(node.resume(&key, past, facts));
        }
        (node, actions)
    }

    fn resume(&mut self, key: &RunKey, past: Past, facts: &Facts) -> Vec<Action> {
        let Past { accepted, started, outcome } = past;
        let due = Attempts::due(facts.uptime);
        let stage = match &outcome {
            Some(outcome) => Stage::Reporting(outcome.clone(), due),
            None => Stage::Asking(due),
        };
        let ended_by_crash = outcome.is_none() && started.is_some();
        let began_at = started.as_ref().map(|started| started.at);
        let run = Run { accepted, started, recovered: true, asks: 0, stage };
        self.runs.insert(key.clone(), run);
        if ended_by_crash {
            return self.conclude(key, lost(began_at, facts), facts);
        }
        self.send_if_due(key, facts).into_iter().collect()
    }
}

impl Fold {
    fn take(&mut self, record: Record) {
        match record {
            Record::Accepted(accepted) => {
                let key = accepted.key();
                let past = Past { accepted: *accepted, started: None, outcome: None };
                self.open.insert(key, past);
            }
            Record::Started(started) => self.take_started(started),
            Record::Ended { task, epoch, outcome } => {
                if let Some(past) = self.open.get_mut(&RunKey { task, epoch }) {
                    past.outcome = Some(outcome);
                }
            }
            Record::Dropped { task, epoch, .. } | Record::Settled { task, epoch } => {
                self.open.remove(&RunKey { task, epoch });
            }
            Record::Used { task, epoch, until } => {
                self.used.insert(RunKey { task, epoch }, until);
            }
            Record::Term { partition, term } => self.raise_term(partition, term),
        }
    }

    fn take_started(&mut self, started: Started) {
        self.raise_term(started.partition, started.term);
        let key = RunKey { task: started.task.clone(), epoch: started.epoch };
        if let Some(past) = self.open.get_mut(&key) {
            self.used.insert(key, past.accepted.assigned_until);
            past.started = Some(started);
        }
    }

    fn raise_term(&mut self, partition: u32, term: u64) {
        let seen = self.terms.entry(partition).or_default();
        *seen = term.max(*seen);
    }
}
