//! Puts the pieces of a run's output into their order, each byte once.
//!
//! **Invariant:** pure; a byte is handed out only after all that stand before it.

use std::collections::BTreeMap;

use schemas::agent::OutputStream;

/// A piece of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) epoch: u64,
    pub(crate) stream: OutputStream,
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
}

/// What has come so far.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    epoch: u64,
    next: BTreeMap<OutputStream, u64>,
    early: BTreeMap<(OutputStream, u64), Vec<u8>>,
}

impl Pieces {
    /// Takes a piece and returns what can be shown now. A later assignment begins anew.
    pub(crate) fn take(&mut self, piece: Piece) -> Vec<u8> {
        let Piece { epoch, stream, offset, bytes } = piece;
        if epoch < self.epoch {
            return Vec::new();
        }
        if self.epoch < epoch {
            *self = Self { epoch, ..Self::default() };
        }
        self.early.entry((stream, offset)).or_default().clone_from(&bytes);
        self.ready(stream)
    }

    fn ready(&mut self, stream: OutputStream) -> Vec<u8> {
        let mut next = self.shown(stream);
        let mut ready = Vec::new();
        while let Some(entry) = self.early.range((stream, 0)..=(stream, next)).next() {
            let (offset, key) = (entry.0.1, *entry.0);
            let bytes = self.early.remove(&key).unwrap_or_default();
            let end = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            // Pieces may overlap when they come from two sources.
            let known = usize::try_from(next.saturating_sub(offset)).unwrap_or(usize::MAX);
            if let Some(fresh) = bytes.get(known..) {
                ready.extend_from_slice(fresh);
            }
            next = next.max(end);
        }
        self.next.insert(stream, next);
        ready
    }

    /// Bytes of a stream that were handed out.
    pub(crate) fn shown(&self, stream: OutputStream) -> u64 {
        self.next.get(&stream).copied().unwrap_or(0)
    }

    /// The assignment whose output is shown.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }
}

#[cfg(test)]
mod tests {
    use OutputStream::{Stderr, Stdout};

    use super::*;

    #[test]
    fn pieces_in_order_are_shown_at_once() {
        check(&[(1, Stdout, 0, "ab", "ab"), (1, Stdout, 2, "c", "c")]);
    }

    #[test]
    fn an_early_piece_waits_for_the_one_before_it() {
        check(&[(1, Stdout, 2, "c", ""), (1, Stdout, 5, "f", ""), (1, Stdout, 0, "ab", "abc")]);
    }

    #[test]
    fn repeated_and_overlapping_pieces_are_shown_once() {
        check(&[
            (1, Stdout, 0, "abcd", "abcd"),
            (1, Stdout, 0, "abcd", ""),
            (1, Stdout, 2, "cdef", "ef"),
            (1, Stdout, 1, "b", ""),
        ]);
    }

    #[test]
    fn the_two_streams_do_not_wait_for_each_other() {
        check(&[(1, Stderr, 3, "x", ""), (1, Stdout, 0, "a", "a"), (1, Stderr, 0, "err", "errx")]);
    }

    #[test]
    fn a_later_assignment_begins_anew_and_an_earlier_one_is_over() {
        check(&[
            (1, Stdout, 0, "old", "old"),
            (2, Stdout, 0, "new", "new"),
            (1, Stdout, 3, "late", ""),
        ]);
    }

    #[test]
    fn what_was_shown_is_counted_for_each_stream_of_the_last_assignment() {
        let mut pieces = Pieces::default();
        pieces.take(Piece { epoch: 1, stream: Stdout, offset: 1, bytes: b"b".to_vec() });
        assert_eq!((pieces.shown(Stdout), pieces.epoch()), (0, 1));
        pieces.take(Piece { epoch: 1, stream: Stdout, offset: 0, bytes: b"a".to_vec() });
        assert_eq!((pieces.shown(Stdout), pieces.shown(Stderr), pieces.epoch()), (2, 0, 1));
    }

    fn check(steps: &[(u64, OutputStream, u64, &str, &str)]) {
        let mut pieces = Pieces::default();
        for (epoch, stream, offset, text, expected) in steps {
            let (epoch, stream, offset) = (*epoch, *stream, *offset);
            let bytes = text.as_bytes().to_vec();
            let shown = pieces.take(Piece { epoch, stream, offset, bytes });
            assert_eq!(String::from_utf8_lossy(&shown), *expected, "after {text:?} at {offset}");
        }
    }
}
