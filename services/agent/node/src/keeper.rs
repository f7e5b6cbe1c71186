//! When the journal is carried over into a fresh segment: when it has grown, when little of it is
//! still needed, and after it could not be written.

use std::time::{Duration, Instant};

use agent_core::{Node, Record};

use crate::journal::Journal;

/// Size from which on a segment is not let grow further, in bytes; twice what it began with if
/// that is more, so that carrying over stays cheap.
const ROLL_BYTES: u64 = 4 * 1024 * 1024;
/// The same for a node that has nothing to do.
const ROLL_IDLE_BYTES: u64 = 256 * 1024;
/// How often a journal that could not be written is tried anew.
const HEAL_INTERVAL: Duration = Duration::from_secs(5);

/// Keeps the journal small and, where it can, alive.
pub(crate) struct Keeper {
    journal: Journal,
    /// What the live segment began with.
    began_with: u64,
    rolling: bool,
    /// When to try anew, if it could not be written.
    heal_at: Option<Instant>,
}

impl Keeper {
    pub(crate) fn new(journal: Journal) -> Self {
        Self { journal, began_with: 0, rolling: false, heal_at: None }
    }

    pub(crate) fn append(&self, record: Record) {
        self.journal.append(record);
    }

    pub(crate) fn roll(&mut self, node: &Node) {
        self.rolling = true;
        self.journal.roll(node.carry_over());
    }

    pub(crate) fn on_grown(&mut self, bytes: u64, node: &Node) {
        let has_grown = |limit: u64| limit.max(2 * self.began_with) < bytes;
        let due = has_grown(ROLL_BYTES)
            || has_grown(ROLL_IDLE_BYTES) && node.presence().running.is_empty();
        if due && !self.rolling {
            self.roll(node);
        }
    }

    /// Tells whether this ends a time in which it could not be written.
    pub(crate) fn on_rolled(&mut self, bytes: u64) -> bool {
        self.began_with = bytes;
        self.rolling = false;
        self.heal_at.take().is_some()
    }

    pub(crate) fn on_failed(&mut self) {
        self.rolling = false;
        self.heal_at = Some(Instant::now() + HEAL_INTERVAL);
    }

    pub(crate) fn heal_at(&self) -> Option<Instant> {
        self.heal_at.filter(|_| !self.rolling)
    }

    pub(crate) fn heal_if_due(&mut self, node: &Node) {
        if self.heal_at().is_some_and(|at| at <= Instant::now()) {
            self.roll(node);
        }
    }
}
