//! What goes into the result, what is sent, and what counts as dropped.

use agent_core::RunKey;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use sandbox_process::{Chunk, Stream, StreamTotals};
use schemas::{Sha256Hash, TaskId, agent::OutputChunk, protocol::INLINE_OUTPUT_BYTES_MAX};

use super::{Collector, Outlet};

/// Keeps what is sent, up to a number of pieces.
struct Recorder<'a> {
    sent: &'a mut Vec<OutputChunk>,
    room: usize,
}

impl Outlet for Recorder<'_> {
    async fn publish(&mut self, chunk: OutputChunk) -> bool {
        let fits = self.sent.len() < self.room;
        if fits {
            self.sent.push(chunk);
        }
        fits
    }
}

fn key() -> RunKey {
    RunKey { task: TaskId::parse("t1").unwrap(), epoch: 1 }
}

fn chunk(stream: Stream, offset: u64, bytes: &[u8]) -> Chunk {
    Chunk { stream, offset, bytes: Bytes::copy_from_slice(bytes) }
}

fn totals(bytes: u64, dropped: u64) -> StreamTotals {
    StreamTotals { bytes, dropped, sha256: Sha256Hash([7; 32]) }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// What was sent, as (offset, length, end).
fn shapes(sent: &[OutputChunk]) -> Vec<(u64, usize, bool)> {
    let length = |chunk: &OutputChunk| STANDARD.decode(&chunk.data).unwrap().len();
    sent.iter().map(|chunk| (chunk.offset, length(chunk), chunk.end)).collect()
}

#[test]
fn little_output_travels_in_the_result_alone() {
    let mut sent = Vec::new();
    let mut collector = Collector::new(key(), Recorder { sent: &mut sent, room: 9 });
    let [stdout, stderr] = block_on(async {
        collector.take(chunk(Stream::Stdout, 0, b"out")).await;
        collector.take(chunk(Stream::Stderr, 0, b"err")).await;
        collector.finish([totals(3, 0), totals(3, 0)]).await
    });
    assert_eq!(stdout.inline.as_deref(), Some("b3V0"));
    assert_eq!(stderr.inline.as_deref(), Some("ZXJy"));
    assert_eq!(sent, []);
}

#[test]
fn no_output_has_neither_hash_nor_text() {
    let mut sent = Vec::new();
    let collector = Collector::new(key(), Recorder { sent: &mut sent, room: 9 });
    let [stdout, _] = block_on(collector.finish([totals(0, 0), totals(0, 0)]));
    assert_eq!((stdout.inline, stdout.sha256), (None, None));
}

#[test]
fn output_that_grows_too_long_is_sent_from_its_beginning_on() {
    let mut sent = Vec::new();
    let mut collector = Collector::new(key(), Recorder { sent: &mut sent, room: 9 });
    let long = vec![b'x'; INLINE_OUTPUT_BYTES_MAX];
    let limit = u64::try_from(INLINE_OUTPUT_BYTES_MAX).unwrap();
    let [stdout, stderr] = block_on(async {
        collector.take(chunk(Stream::Stdout, 0, &long)).await;
        assert!(!collector.is_streaming());
        collector.take(chunk(Stream::Stdout, limit, b"y")).await;
        assert!(collector.is_streaming());
        collector.take(chunk(Stream::Stderr, 0, b"err")).await;
        collector.finish([totals(limit + 1, 0), totals(3, 0)]).await
    });
    let expected = [(0, INLINE_OUTPUT_BYTES_MAX, false), (limit, 1, false), (0, 3, false)];
    assert_eq!(shapes(&sent), [&expected[..], &[(limit + 1, 0, true)]].concat());
    assert_eq!((stdout.inline, stdout.dropped), (None, 0));
    assert_eq!(stderr.inline.as_deref(), Some("ZXJy"));
}

#[test]
fn slow_output_is_sent_and_travels_in_the_result_too() {
    let mut sent = Vec::new();
    let mut collector = Collector::new(key(), Recorder { sent: &mut sent, room: 9 });
    let [stdout, _] = block_on(async {
        collector.take(chunk(Stream::Stdout, 0, b"a")).await;
        collector.stream().await;
        collector.take(chunk(Stream::Stdout, 1, b"b")).await;
        collector.finish([totals(2, 0), totals(0, 0)]).await
    });
    assert_eq!(shapes(&sent), [(0, 1, false), (1, 1, false), (2, 0, true)]);
    assert_eq!(stdout.inline.as_deref(), Some("YWI="));
}

#[test]
fn what_could_not_be_sent_counts_as_dropped() {
    let mut sent = Vec::new();
    let mut collector = Collector::new(key(), Recorder { sent: &mut sent, room: 1 });
    let long = vec![b'x'; INLINE_OUTPUT_BYTES_MAX + 1];
    let bytes = u64::try_from(long.len()).unwrap();
    let [stdout, _] = block_on(async {
        collector.take(chunk(Stream::Stdout, 0, &long)).await;
        collector.take(chunk(Stream::Stdout, bytes, b"lost")).await;
        collector.finish([totals(bytes + 10, 6), totals(0, 0)]).await
    });
    assert_eq!(stdout.dropped, 4 + 6);
    assert_eq!(stdout.inline, None);
}

#[test]
fn little_output_of_which_some_was_dropped_is_sent() {
    let mut sent = Vec::new();
    let mut collector = Collector::new(key(), Recorder { sent: &mut sent, room: 9 });
    let [stdout, _] = block_on(async {
        collector.take(chunk(Stream::Stdout, 0, b"kept")).await;
        collector.finish([totals(10, 6), totals(0, 0)]).await
    });
    assert_eq!(shapes(&sent), [(0, 4, false), (10, 0, true)]);
    assert_eq!((stdout.inline, stdout.dropped), (None, 6));
}
