//! Hides the values of a run's credentials in what the run prints, as it prints it.
//!
//! **Invariant:** what leaves holds no value of [`MASKED_BYTES_MIN`] bytes or more, nor a line of
//! such a value, wherever the pieces were cut.
//! **Invariant:** only what may yet become a value is held back, and no longer than until it is
//! clear: other output leaves at once.

mod automaton;
mod stream;

use std::sync::Arc;

use bytes::Bytes;
use sandbox_process::{CHUNK_BYTES_MAX, Chunk, Stream, StreamTotals};

use super::secret::Secret;
use automaton::Automaton;
use stream::{Leaving, MaskedStream};

/// Shortest value that is masked, in bytes: shorter ones stand in any text by chance.
pub(crate) const MASKED_BYTES_MIN: usize = 6;

/// What has to be hidden.
pub(crate) struct Mask {
    automaton: Automaton,
    /// What stands for each credential.
    tags: Vec<Vec<u8>>,
}

impl Mask {
    /// Hides each value, with or without the white space around it, and each line of it.
    pub(super) fn new(credentials: &[(String, Secret)]) -> Self {
        let mut texts: Vec<(usize, &[u8])> = Vec::new();
        for (index, (_, secret)) in credentials.iter().enumerate() {
            let value = secret.bytes().trim_ascii();
            let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            texts.extend(std::iter::once(value).chain(lines).map(|text| (index, text)));
        }
        texts.retain(|(_, text)| MASKED_BYTES_MIN <= text.len());
        let tag = |(name, _): &(String, Secret)| format!("[credential {name}]").into_bytes();
        Self { automaton: Automaton::new(&texts), tags: credentials.iter().map(tag).collect() }
    }
}

/// The output of one run on its way, both streams.
pub(crate) struct Masked {
    streams: [MaskedStream; 2],
}

impl Masked {
    /// Lets through at most `limit` bytes of each stream, as the run may print no more either.
    pub(crate) fn new(mask: &Arc<Mask>, limit: u64) -> Self {
        let stream = || MaskedStream::new(Arc::clone(mask), limit);
        Self { streams: [stream(), stream()] }
    }

    /// Takes the next piece and returns what can leave.
    pub(crate) fn take(&mut self, chunk: &Chunk) -> Vec<Chunk> {
        let stream = &mut self.streams[index(chunk.stream)];
        pieces(chunk.stream, stream.take(chunk.offset, &chunk.bytes))
    }

    /// Ends both streams: what leaves last, and the totals of what left.
    pub(crate) fn finish(&mut self, totals: [StreamTotals; 2]) -> (Vec<Chunk>, [StreamTotals; 2]) {
        let mut last = Vec::new();
        let mut end = |which: Stream, totals: StreamTotals| {
            let stream = &mut self.streams[index(which)];
            last.extend(pieces(which, stream.finish(totals.bytes)));
            stream.totals(totals)
        };
        let totals = [end(Stream::Stdout, totals[0]), end(Stream::Stderr, totals[1])];
        (last, totals)
    }
}

/// A tag may be longer than what it hides, so one piece may become several.
fn pieces(stream: Stream, leaving: Vec<Leaving>) -> Vec<Chunk> {
    let mut pieces = Vec::new();
    for Leaving { mut offset, bytes } in leaving {
        for piece in bytes.chunks(CHUNK_BYTES_MAX) {
            pieces.push(Chunk { stream, offset, bytes: Bytes::copy_from_slice(piece) });
            offset += length(piece.len());
        }
    }
    pieces
}

fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a usize fits 64 bits")
}

#[cfg(test)]
mod tests;
