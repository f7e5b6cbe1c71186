//! What a run writes: kept for the result when it is little, sent as it appears when it is not.
//!
//! **Invariant:** a byte that was neither sent nor put into the result counts as dropped.

use std::future::Future;

use agent_core::RunKey;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sandbox_process::{Chunk, Stream, StreamTotals};
use schemas::{
    agent::{OutputChunk, OutputStream},
    protocol::INLINE_OUTPUT_BYTES_MAX,
    task::OutputSummary,
};

/// Where pieces of output go.
pub(crate) trait Outlet: Send {
    /// Sends one piece; false when it was given up.
    fn publish(&mut self, chunk: OutputChunk) -> impl Future<Output = bool> + Send;
}

/// Gathers the output of one run.
pub(crate) struct Collector<O> {
    key: RunKey,
    outlet: O,
    heads: [Head; 2],
    /// Not sent yet, because the run may end before it has to be.
    waiting: Vec<Chunk>,
    streaming: bool,
}

/// The beginning of one stream.
#[derive(Default)]
struct Head {
    bytes: Vec<u8>,
    /// Bytes that could not be sent.
    unsent: u64,
}

impl<O: Outlet> Collector<O> {
    pub(crate) fn new(key: RunKey, outlet: O) -> Self {
        let heads = [Head::default(), Head::default()];
        Self { key, outlet, heads, waiting: Vec::new(), streaming: false }
    }

    /// Whether output is sent as it appears.
    pub(crate) fn is_streaming(&self) -> bool {
        self.streaming
    }

    /// Takes the next piece.
    pub(crate) async fn take(&mut self, chunk: Chunk) {
        let head = &mut self.heads[index(chunk.stream)].bytes;
        let fits = head.len() + chunk.bytes.len() <= INLINE_OUTPUT_BYTES_MAX;
        if fits {
            head.extend_from_slice(&chunk.bytes);
        }
        if self.streaming {
            self.send(chunk).await;
            return;
        }
        self.waiting.push(chunk);
        if !fits {
            self.stream().await;
        }
    }

    /// From here on output is sent as it appears; what waited is sent now.
    pub(crate) async fn stream(&mut self) {
        self.streaming = true;
        for chunk in std::mem::take(&mut self.waiting) {
            self.send(chunk).await;
        }
    }

    async fn send(&mut self, chunk: Chunk) {
        let (stream, length) = (chunk.stream, chunk.bytes.len());
        let piece = self.piece(output_stream(stream), chunk.offset, &chunk.bytes);
        if !self.outlet.publish(piece).await {
            self.heads[index(stream)].unsent += u64::try_from(length).unwrap_or(u64::MAX);
        }
    }

    /// Marks the end and sums up; the totals are those of stdout and stderr.
    pub(crate) async fn finish(mut self, totals: [StreamTotals; 2]) -> [OutputSummary; 2] {
        let whole = self.heads.iter().zip(totals).all(|(head, totals)| head.is_all_of(totals));
        if !self.streaming && !whole {
            self.stream().await;
        }
        if self.streaming {
            let mut end = self.piece(OutputStream::Stdout, totals[0].bytes, &[]);
            end.end = true;
            if !self.outlet.publish(end).await {
                tracing::warn!(task = %self.key.task, "the end of the output could not be sent");
            }
        }
        let [stdout, stderr] = self.heads;
        [stdout.sum_up(totals[0]), stderr.sum_up(totals[1])]
    }

    fn piece(&self, stream: OutputStream, offset: u64, bytes: &[u8]) -> OutputChunk {
        let RunKey { task, epoch } = self.key.clone();
        OutputChunk { task, epoch, stream, offset, data: STANDARD.encode(bytes), end: false }
    }
}

impl Head {
    fn is_all_of(&self, totals: StreamTotals) -> bool {
        u64::try_from(self.bytes.len()) == Ok(totals.bytes)
    }

    fn sum_up(self, totals: StreamTotals) -> OutputSummary {
        let whole = self.is_all_of(totals);
        OutputSummary {
            bytes: totals.bytes,
            dropped: if whole { 0 } else { totals.dropped.saturating_add(self.unsent) },
            sha256: (0 < totals.bytes).then_some(totals.sha256),
            inline: (whole && !self.bytes.is_empty()).then(|| STANDARD.encode(&self.bytes)),
        }
    }
}

fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}

fn output_stream(stream: Stream) -> OutputStream {
    match stream {
        Stream::Stdout => OutputStream::Stdout,
        Stream::Stderr => OutputStream::Stderr,
    }
}

#[cfg(test)]
mod tests;
