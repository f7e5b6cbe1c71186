//! What every log keeps, whoever holds it.

use cortex_tests::eventually_some;
use jetstream_config::{Append, Commit, EventLog, StoredFrame, commit};
use schemas::frame::FRAME_BYTES_MAX;

use crate::support::{
    PATIENCE, all_ids, bulk_ids, check_nothing_lost, frame, padded_frame, rival, write,
};

/// Something that holds logs, each empty and with room for a few frames of full size.
pub(crate) trait Bed {
    type Log: EventLog;

    /// A log that nobody has used.
    async fn empty_log(&self) -> Self::Log;

    /// A log that is full after a few frames of full size.
    async fn small_log(&self) -> Self::Log;

    /// A handle on `log` over a connection of its own.
    async fn reopen(&self, log: &Self::Log) -> Self::Log;
}

/// Every promise, one after another, since what holds the logs is costly to start.
pub(crate) async fn keep_all(bed: &impl Bed) {
    an_empty_log_has_nothing_and_takes_a_first_frame(bed).await;
    a_frame_stands_right_after_its_fence_and_is_read_as_it_was_written(bed).await;
    a_passed_fence_is_refused_and_shows_who_has_the_place(bed).await;
    a_fence_beyond_the_end_is_refused(bed).await;
    a_frame_that_is_sent_again_stands_once(bed).await;
    bulk_reads_are_gapless_bounded_and_never_empty_before_the_end(bed).await;
    a_frame_of_full_size_fits(bed).await;
    a_full_log_says_so_keeps_its_writer_and_what_it_holds(bed).await;
    rivals_lose_nothing_and_double_nothing(bed).await;
}

/// Sends a frame that cannot be stored until the answer is more than a time-out.
async fn refuses(log: &impl EventLog, fence: u64, id: &str) {
    let mut answer = Append::Unknown;
    while answer == Append::Unknown {
        answer = log.append(fence, frame(id)).await;
    }
    assert_eq!(answer, Append::Refused);
}

async fn an_empty_log_has_nothing_and_takes_a_first_frame(bed: &impl Bed) {
    let log = bed.empty_log().await;
    assert!(log.connected());
    let last = eventually_some(PATIENCE, || async { log.last_sequence().await.ok() }).await;
    assert_eq!(last.unwrap(), 0);
    assert_eq!(log.next_after(0).await.unwrap(), None);
    assert_eq!(log.read(0, 1_000).await.unwrap(), []);
    assert_eq!(write(&log, 0, "a").await.unwrap(), Commit::Committed { sequence: 1 });
}

async fn a_frame_stands_right_after_its_fence_and_is_read_as_it_was_written(bed: &impl Bed) {
    let log = bed.empty_log().await;
    for fence in 0..20 {
        let committed = write(&log, fence, &format!("f{fence}")).await.unwrap();
        assert_eq!(committed, Commit::Committed { sequence: fence + 1 });
    }
    let expected: Vec<_> =
        (1..=20).map(|sequence| (sequence, format!("f{}", sequence - 1))).collect();
    let other = bed.reopen(&log).await;
    assert_eq!(other.last_sequence().await.unwrap(), 20);
    assert_eq!(all_ids(&other).await, expected);
    let stored = StoredFrame { sequence: 8, bytes: frame("f7") };
    assert_eq!(other.next_after(7).await.unwrap(), Some(stored));
    assert_eq!(other.next_after(20).await.unwrap(), None);
}

async fn a_passed_fence_is_refused_and_shows_who_has_the_place(bed: &impl Bed) {
    let log = bed.empty_log().await;
    write(&log, 0, "first").await.unwrap();
    write(&log, 1, "second").await.unwrap();
    let late = bed.reopen(&log).await;
    refuses(&late, 0, "late").await;
    for (fence, winner) in [(0, "first"), (1, "second")] {
        let by = StoredFrame { sequence: fence + 1, bytes: frame(winner) };
        assert_eq!(write(&late, fence, "late").await.unwrap(), Commit::Replaced { by });
    }
    assert_eq!(all_ids(&log).await.len(), 2);
}

async fn a_fence_beyond_the_end_is_refused(bed: &impl Bed) {
    let log = bed.empty_log().await;
    write(&log, 0, "a").await.unwrap();
    refuses(&log, 7, "beyond").await;
    assert_eq!(all_ids(&log).await.len(), 1);
}

async fn a_frame_that_is_sent_again_stands_once(bed: &impl Bed) {
    let log = bed.empty_log().await;
    write(&log, 0, "a").await.unwrap();
    refuses(&log, 0, "a").await;
    assert_eq!(write(&log, 0, "a").await.unwrap(), Commit::Committed { sequence: 1 });
    write(&log, 1, "b").await.unwrap();
    assert_eq!(write(&log, 0, "a").await.unwrap(), Commit::Committed { sequence: 1 });
    assert_eq!(all_ids(&log).await.len(), 2);
}

async fn bulk_reads_are_gapless_bounded_and_never_empty_before_the_end(bed: &impl Bed) {
    let log = bed.empty_log().await;
    let mut expected = Vec::new();
    for fence in 0..30 {
        let id = format!("f{fence}");
        commit(&log, fence, &id, padded_frame(&id, 1_000)).await.unwrap();
        expected.push((fence + 1, id));
    }
    for bytes_max in [0, 1, 2_500, 10_000, 1_000_000] {
        assert_eq!(bulk_ids(&log, bytes_max).await, expected, "{bytes_max} bytes at a time");
    }
    let some = log.read(10, 5_000).await.unwrap();
    assert_eq!(some.first().map(|frame| frame.sequence), Some(11));
    assert!(some.len() < 10, "{} frames are far more than 5,000 bytes", some.len());
    assert_eq!(log.read(30, 5_000).await.unwrap(), []);
    assert_eq!(log.read(99, 5_000).await.unwrap(), []);
}

async fn a_frame_of_full_size_fits(bed: &impl Bed) {
    let log = bed.empty_log().await;
    let padding = FRAME_BYTES_MAX - frame("large").len();
    let large = padded_frame("large", padding);
    assert_eq!(large.len(), FRAME_BYTES_MAX);
    let committed = commit(&log, 0, "large", large.clone()).await.unwrap();
    assert_eq!(committed, Commit::Committed { sequence: 1 });
    assert_eq!(log.next_after(0).await.unwrap().unwrap().bytes, large);
    assert_eq!(bulk_ids(&log, 1).await, [(1, "large".to_owned())]);
}

async fn a_full_log_says_so_keeps_its_writer_and_what_it_holds(bed: &impl Bed) {
    let log = bed.small_log().await;
    let mut fence = 0;
    let full = loop {
        let id = format!("f{fence}");
        let committed = commit(&log, fence, &id, padded_frame(&id, 200_000)).await;
        match committed.unwrap() {
            Commit::Committed { sequence } => fence = sequence,
            other @ (Commit::Replaced { .. } | Commit::Full) => break other,
        }
        assert!(fence < 100, "the log never fills");
    };
    assert_eq!(full, Commit::Full);
    assert!(0 < fence);
    assert_eq!(log.last_sequence().await.unwrap(), fence);
    assert_eq!(bulk_ids(&log, 1_000_000).await.len() as u64, fence);
    let id = format!("f{fence}");
    let again = commit(&log, fence, &id, padded_frame(&id, 200_000)).await;
    assert_eq!(again.unwrap(), Commit::Full, "the writer keeps its place and may ask again");
}

async fn rivals_lose_nothing_and_double_nothing(bed: &impl Bed) {
    let log = bed.empty_log().await;
    let mut rivals = Vec::new();
    for writer in 0..4 {
        let handle = bed.reopen(&log).await;
        rivals.push(tokio::spawn(rival(handle, format!("w{writer}"), |count| count == 25)));
    }
    let mut acknowledged = Vec::new();
    for rival in rivals {
        acknowledged.push(rival.await.unwrap());
    }
    check_nothing_lost(&log, acknowledged).await;
}
