//! One stream of a run's output on its way through the mask.
//!
//! Positions count what the run wrote; offsets count what leaves. Both count what was dropped.

use std::{collections::VecDeque, sync::Arc};

use sandbox_process::StreamTotals;
use schemas::Sha256Hash;
use sha2::{Digest as _, Sha256};

use super::{
    MASKED_BYTES_MIN, Mask,
    automaton::{Part, START, State},
    length,
};

/// One stream, between the run and whoever reads.
pub(super) struct MaskedStream {
    mask: Arc<Mask>,
    state: State,
    /// What has not left yet; its last byte stands before `position`.
    held: Vec<u8>,
    position: u64,
    /// Finds that have not left yet, by their beginning; none covers another.
    finds: VecDeque<Find>,
    /// Up to this position everything is hidden behind a tag that has left.
    hidden_until: u64,
    offset: u64,
    /// How many bytes may yet leave.
    allowance: u64,
    /// Bytes that would have left, had they been allowed to.
    refused: u64,
    hash: Sha256,
}

/// A text that was found.
#[derive(Clone, Copy)]
struct Find {
    start: u64,
    end: u64,
    number: usize,
}

/// What leaves.
pub(super) struct Leaving {
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
}

impl MaskedStream {
    pub(super) fn new(mask: Arc<Mask>, limit: u64) -> Self {
        Self {
            mask,
            state: START,
            held: Vec::new(),
            position: 0,
            finds: VecDeque::new(),
            hidden_until: 0,
            offset: 0,
            allowance: limit,
            refused: 0,
            hash: Sha256::new(),
        }
    }

    /// Takes what the run wrote at `position`.
    pub(super) fn take(&mut self, position: u64, bytes: &[u8]) -> Vec<Leaving> {
        let mut leaving = self.skip_to(position);
        for byte in bytes {
            self.search(*byte);
        }
        let clear = self.position - length(self.begun().length);
        leaving.extend(self.release(clear));
        leaving
    }

    /// The run wrote so many bytes in all.
    pub(super) fn finish(&mut self, bytes: u64) -> Vec<Leaving> {
        let mut leaving = self.skip_to(bytes);
        leaving.extend(self.release(self.position));
        leaving
    }

    /// What left of everything that the run wrote; the hash is of what left.
    pub(super) fn totals(&self, written: StreamTotals) -> StreamTotals {
        StreamTotals {
            bytes: self.offset,
            dropped: written.dropped.saturating_add(self.refused),
            sha256: Sha256Hash(self.hash.clone().finalize().into()),
        }
    }

    fn begun(&self) -> Part {
        self.mask.automaton.begun(self.state)
    }

    /// Steps over what was dropped. A value that has begun may have gone on there, so its
    /// beginning is hidden as well.
    fn skip_to(&mut self, position: u64) -> Vec<Leaving> {
        let dropped = position.saturating_sub(self.position);
        if dropped == 0 {
            return Vec::new();
        }
        let begun = self.begun();
        if MASKED_BYTES_MIN <= begun.length {
            self.note(begun);
        }
        let leaving = self.release(self.position);
        (self.state, self.position) = (START, position);
        self.offset += dropped;
        leaving.into_iter().collect()
    }

    fn search(&mut self, byte: u8) {
        self.held.push(byte);
        self.position += 1;
        self.state = self.mask.automaton.step(self.state, byte);
        if let Some(found) = self.mask.automaton.found(self.state) {
            self.note(found);
        }
    }

    fn note(&mut self, found: Part) {
        let start = self.position - length(found.length);
        while self.finds.back().is_some_and(|find| start <= find.start) {
            self.finds.pop_back();
        }
        self.finds.push_back(Find { start, end: self.position, number: found.number });
    }

    /// Lets go of everything before `clear`, with tags for what was found.
    fn release(&mut self, clear: u64) -> Option<Leaving> {
        let begin = self.position - length(self.held.len());
        let mut leaving = Vec::new();
        let mut at = begin.max(self.hidden_until);
        while let Some(find) = self.finds.front().copied().filter(|find| find.start < clear) {
            self.finds.pop_front();
            if self.hidden_until <= find.start {
                leaving.extend_from_slice(self.plain(begin, at, find.start));
                leaving.extend_from_slice(&self.mask.tags[find.number]);
            }
            self.hidden_until = self.hidden_until.max(find.end);
            at = self.hidden_until;
        }
        leaving.extend_from_slice(self.plain(begin, at, clear));
        self.held.drain(..index(clear - begin));
        self.let_go(leaving)
    }

    /// What stands between two positions; nothing where they are the wrong way round.
    fn plain(&self, begin: u64, from: u64, to: u64) -> &[u8] {
        self.held.get(index(from - begin)..index(to - begin)).unwrap_or_default()
    }

    fn let_go(&mut self, mut bytes: Vec<u8>) -> Option<Leaving> {
        let (offset, all) = (self.offset, length(bytes.len()));
        let allowed = all.min(self.allowance);
        self.offset += all;
        self.allowance -= allowed;
        self.refused += all - allowed;
        bytes.truncate(index(allowed));
        self.hash.update(&bytes);
        (!bytes.is_empty()).then_some(Leaving { offset, bytes })
    }
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("what is held fits into memory")
}
