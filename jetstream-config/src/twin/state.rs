//! The log in memory itself: frames that are stored, and frames that are on their way.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::fault::{Chance, Fault};
use crate::log::{Append, StoredFrame};

#[derive(Debug, Default)]
pub(super) struct State {
    frames: Vec<Bytes>,
    on_their_way: Vec<Ghost>,
    calls: u64,
    script: VecDeque<Fault>,
    chance: Chance,
    pub(super) limit_bytes: Option<usize>,
    pub(super) read_lag: u64,
    pub(super) sent_while_disconnected: u64,
    pub(super) faults_met: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
struct Ghost {
    fence: u64,
    bytes: Bytes,
    due: Due,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    AtCall(u64),
    AtReconnect,
}

impl State {
    pub(super) fn set_chance(&mut self, seed: u64, per_mille: u32) {
        self.chance = Chance::new(seed, per_mille);
    }

    pub(super) fn script(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.script.extend(faults);
    }

    pub(super) fn last_sequence(&self) -> u64 {
        self.frames.len() as u64
    }

    /// Counts a call, and lands what is due by then.
    pub(super) fn tick(&mut self) {
        self.calls += 1;
        let now = self.calls;
        self.land(|due| match due {
            Due::AtCall(call) => call <= now,
            Due::AtReconnect => false,
        });
    }

    pub(super) fn land_queued(&mut self) {
        self.land(|due| due == Due::AtReconnect);
    }

    pub(super) fn land_all(&mut self) {
        self.land(|_| true);
    }

    fn land(&mut self, is_due: impl Fn(Due) -> bool) {
        let waiting = std::mem::take(&mut self.on_their_way);
        for ghost in waiting {
            if !is_due(ghost.due) {
                self.on_their_way.push(ghost);
            } else if ghost.fence == self.last_sequence() {
                self.frames.push(ghost.bytes);
            }
        }
    }

    pub(super) fn append(&mut self, fence: u64, bytes: Bytes) -> Append {
        self.tick();
        match self.script.pop_front().or_else(|| self.chance.next_fault()) {
            None => self.append_faultlessly(fence, bytes),
            Some(fault) => {
                *self.faults_met.entry(fault.name()).or_default() += 1;
                self.append_with(fault, fence, bytes)
            }
        }
    }

    fn append_faultlessly(&mut self, fence: u64, bytes: Bytes) -> Append {
        if fence != self.last_sequence() {
            return Append::Refused;
        }
        let stored: usize = self.frames.iter().map(Bytes::len).sum();
        if self.limit_bytes.is_some_and(|limit| limit < stored + bytes.len()) {
            return Append::Full;
        }
        Append::Committed { sequence: self.store(bytes) }
    }

    fn append_with(&mut self, fault: Fault, fence: u64, bytes: Bytes) -> Append {
        match fault {
            Fault::RefusedButStored => {
                self.append_faultlessly(fence, bytes);
                Append::Refused
            }
            Fault::RefusedNotStored => Append::Refused,
            Fault::RefusedThenStored { after_calls } => {
                self.send_late(fence, bytes, after_calls);
                Append::Refused
            }
            Fault::UnknownButStored => {
                self.append_faultlessly(fence, bytes);
                Append::Unknown
            }
            Fault::UnknownAndLost => Append::Unknown,
            Fault::UnknownThenStored { after_calls } => {
                self.send_late(fence, bytes, after_calls);
                Append::Unknown
            }
            Fault::Full => Append::Full,
            Fault::AckedElsewhere => Append::Committed { sequence: self.last_sequence() + 2 },
        }
    }

    fn send_late(&mut self, fence: u64, bytes: Bytes, after_calls: u32) {
        let due = Due::AtCall(self.calls + 1 + u64::from(after_calls));
        self.on_their_way.push(Ghost { fence, bytes, due });
    }

    /// What async-nats does with a message while it is disconnected.
    pub(super) fn queue(&mut self, fence: u64, bytes: Bytes) -> Append {
        self.sent_while_disconnected += 1;
        self.on_their_way.push(Ghost { fence, bytes, due: Due::AtReconnect });
        Append::Unknown
    }

    pub(super) fn store(&mut self, bytes: Bytes) -> u64 {
        self.frames.push(bytes);
        self.last_sequence()
    }

    pub(super) fn truncate(&mut self, sequence: u64) {
        self.frames.truncate(index(sequence));
    }

    /// Frames after `after`, up to `bytes_max` bytes of them but at least one.
    pub(super) fn frames_after(&self, after: u64, bytes_max: usize) -> Vec<StoredFrame> {
        let mut room = bytes_max;
        let mut found = Vec::new();
        for (sequence, bytes) in
            (after.saturating_add(1)..).zip(self.frames.iter().skip(index(after)))
        {
            if !found.is_empty() && room < bytes.len() {
                break;
            }
            room = room.saturating_sub(bytes.len());
            found.push(StoredFrame { sequence, bytes: bytes.clone() });
        }
        found
    }
}

/// How many frames a sequence counts; more than memory can hold is as good as infinite.
fn index(sequence: u64) -> usize {
    usize::try_from(sequence).unwrap_or(usize::MAX)
}
