//! What becomes of what a run writes.

use std::time::Duration;

use sandbox_process::{CHUNK_BYTES_MAX, Status, Stream, StreamTotals, Verdict};
use sha2::{Digest, Sha256};

use crate::support::{command, read_all, script, within};

const MEBIBYTE: u64 = 1024 * 1024;

#[tokio::test]
async fn both_streams_arrive_apart_and_in_order() {
    let case = script("i=0; while [ $i -lt 2000 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done");
    let (exit, stdout, stderr) = case.finish().await;
    let expected = |letter| (0..2000).map(|i| format!("{letter}{i}\n")).collect::<String>();
    assert_eq!(String::from_utf8(stdout).unwrap(), expected('o'));
    assert_eq!(String::from_utf8(stderr).unwrap(), expected('e'));
    assert_totals(exit.stdout, expected('o').as_bytes(), 0);
    assert_totals(exit.stderr, expected('e').as_bytes(), 0);
}

#[tokio::test]
async fn what_is_written_just_before_the_end_is_not_lost() {
    for _ in 0..50 {
        let (_, stdout, stderr) =
            script("printf last; printf words >&2; kill -9 $$").finish().await;
        assert_eq!((stdout.as_slice(), stderr.as_slice()), (&b"last"[..], &b"words"[..]));
    }
}

#[tokio::test]
async fn silence_has_the_hash_of_nothing() {
    let (exit, ..) = command(&["true"]).finish().await;
    assert_totals(exit.stdout, b"", 0);
    assert_totals(exit.stderr, b"", 0);
}

#[tokio::test]
async fn a_hundred_megabytes_pass_through_little_memory() {
    let mut case = command(&["head", "-c", "104857600", "/dev/zero"]);
    case.request.limits.output_bytes = 200 * MEBIBYTE;
    let mut run = case.start().await;
    let (mut bytes, mut largest, mut peak_kib) = (0_u64, 0, 0);
    let before_kib = resident_kib();
    while let Some(chunk) = within(run.next_chunk()).await {
        assert_eq!(chunk.offset, bytes);
        bytes += u64::try_from(chunk.bytes.len()).unwrap();
        largest = largest.max(chunk.bytes.len());
        peak_kib = peak_kib.max(resident_kib());
    }
    let exit = within(run.wait()).await;
    assert_eq!((bytes, exit.stdout.bytes, exit.stdout.dropped), (100 * MEBIBYTE, bytes, 0));
    assert!(largest <= CHUNK_BYTES_MAX);
    // Other tests run in the same process, so this leaves them room; the output would not fit.
    assert!(peak_kib < before_kib + 50 * 1024, "grew from {before_kib} to {peak_kib} KiB");
    assert_eq!(exit.stdout.sha256.0, zeros_hash(100 * 1024 * 1024));
}

#[tokio::test]
async fn over_the_limit_bytes_are_counted_and_hashed_but_not_handed_on() {
    let mut case = script("head -c 1000000 /dev/zero; printf error >&2");
    case.request.limits.output_bytes = 100_000;
    let (exit, stdout, stderr) = case.finish().await;
    assert_eq!(exit.status, Status::Code(0));
    assert_eq!(stdout, vec![0; 100_000]);
    assert_totals(exit.stdout, &vec![0; 1_000_000], 900_000);
    // The limit is for each stream.
    assert_eq!(stderr, b"error");
    assert_totals(exit.stderr, b"error", 0);
}

#[tokio::test]
async fn a_limit_of_nothing_hands_nothing_on() {
    let mut case = script("echo unheard");
    case.request.limits.output_bytes = 0;
    let (exit, stdout, _) = case.finish().await;
    assert_eq!(stdout, b"");
    assert_totals(exit.stdout, b"unheard\n", 8);
}

#[tokio::test]
async fn a_run_whose_output_nobody_reads_ends_all_the_same() {
    let mut case = script("head -c 20000000 /dev/zero; echo done >&2");
    case.request.limits.output_bytes = u64::MAX;
    // Waiting as long for every chunk would take minutes.
    case.config.reader_patience = Duration::from_millis(300);
    let mut run = case.start().await;
    // The reader looks again only when the run has had its time to end.
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while crate::support::is_alive(run.pid()) {
        assert!(std::time::Instant::now() < deadline, "the run waits for its reader");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (mut received, mut gap) = (0, false);
    while let Some(chunk) = within(run.next_chunk()).await {
        if chunk.stream == Stream::Stdout {
            gap |= chunk.offset != received;
            received = chunk.offset + u64::try_from(chunk.bytes.len()).unwrap();
        }
    }
    let exit = within(run.wait()).await;
    assert_eq!((exit.verdict, exit.status), (Verdict::Exited, Status::Code(0)));
    assert_eq!(exit.stdout.bytes, 20_000_000);
    assert_eq!(exit.stdout.sha256.0, zeros_hash(20_000_000));
    assert!(0 < exit.stdout.dropped && exit.stdout.dropped < 20_000_000, "{:?}", exit.stdout);
    assert!(gap || received < 20_000_000, "the loss does not show in the offsets");
}

#[tokio::test]
async fn a_background_process_that_holds_the_streams_does_not_hold_the_run() {
    let case =
        script("(trap '' TERM HUP; echo up; exec sleep 1000) & read x < /dev/null; echo over");
    let (exit, stdout, _) = case.finish().await;
    assert_eq!((exit.verdict, exit.status), (Verdict::Exited, Status::Code(0)));
    assert!(stdout.ends_with(b"over\n") || stdout.ends_with(b"up\n"));
    assert_eq!(exit.leftovers.killed, 1);
    case.assert_gone_within(Duration::ZERO).await;
}

#[tokio::test]
async fn a_stranger_that_holds_the_stream_does_not_hold_the_run() {
    // The run writes a word and lingers; this process opens its stdout meanwhile, as any other
    // process of the same user could, and keeps it.
    let case = script("echo up; while [ ! -e go ]; do sleep 0.01; done; echo over");
    let mut run = case.start().await;
    let path = format!("/proc/{}/fd/1", run.pid());
    let first = within(run.next_chunk()).await.unwrap();
    let held = std::fs::File::options().append(true).open(path).unwrap();
    std::fs::write(case.request.cwd.join("go"), "").unwrap();
    let mut read = first.bytes.to_vec();
    while let Some(chunk) = within(run.next_chunk()).await {
        read.extend_from_slice(&chunk.bytes);
    }
    let exit = within(run.wait()).await;
    assert_eq!(read, b"up\nover\n");
    assert_eq!(exit.status, Status::Code(0));
    drop(held);
}

#[tokio::test]
async fn bytes_that_are_no_text_arrive_as_they_are() {
    let case = script("printf '\\377\\000\\033[31m\\200'");
    let mut run = case.start().await;
    let (stdout, _) = within(read_all(&mut run)).await;
    run.wait().await;
    assert_eq!(stdout, b"\xff\x00\x1b[31m\x80");
}

#[track_caller]
fn assert_totals(totals: StreamTotals, written: &[u8], dropped: u64) {
    assert_eq!(totals.bytes, u64::try_from(written.len()).unwrap());
    assert_eq!(totals.dropped, dropped);
    assert_eq!(totals.sha256.0, <[u8; 32]>::from(Sha256::digest(written)));
}

fn zeros_hash(mut bytes: usize) -> [u8; 32] {
    let block = vec![0; 1 << 20];
    let mut hash = Sha256::new();
    while 0 < bytes {
        let taken = bytes.min(block.len());
        hash.update(&block[..taken]);
        bytes -= taken;
    }
    hash.finalize().into()
}

/// Resident memory of this process.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
