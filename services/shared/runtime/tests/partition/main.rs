//! What a partition promises, over a log in memory that fails in every way seen on real servers.

mod counter;
mod effects;
mod stage;
mod terms;

use std::time::Duration;

use counter::{Question, Sum, about};
use jetstream_config::twin::{Fault as LogFault, TwinLog};
use runtime::{PartitionError, Request};
use schemas::{ErrorCode, frame::Frame};
use stage::World;

/// Additions that the log holds, in order.
fn additions(log: &TwinLog) -> Vec<u64> {
    let mut numbers = Vec::new();
    for stored in log.frames() {
        let frame: Frame = serde_json::from_slice(&stored.bytes).expect("a frame");
        for raw in frame.decisions.iter().flat_map(|decision| &decision.events) {
            if let Ok(counter::Event::Added { number }) = serde_json::from_str(raw.get()) {
                numbers.push(number);
            }
        }
    }
    numbers
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_is_in_the_log() {
    let world = World::new(TwinLog::new());
    let _writer = world.start("one");
    assert_eq!(world.add("a", 5).await, Ok(Sum { total: 5, additions: 1 }));
    assert_eq!(world.add("b", 7).await, Ok(Sum { total: 12, additions: 2 }));
    assert_eq!(additions(&world.log), [5, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_is_answered_alike_and_does_nothing_also_by_the_next_writer() {
    let world = World::new(TwinLog::new());
    let writer = world.start("one");
    let first = world.add("a", 5).await;
    world.add("b", 7).await.expect("added");
    assert_eq!(world.add("a", 5).await, first);
    writer.stop.send(true).expect("it listens");
    writer.running.await.expect("no panic").expect("no error");
    let _next = world.start("two");
    assert_eq!(world.add("a", 5).await, first);
    assert_eq!(additions(&world.log), [5, 7]);
}

#[tokio::test(start_paused = true)]
async fn another_command_under_the_same_id_is_refused() {
    let world = World::new(TwinLog::new());
    let _writer = world.start("one");
    world.add("a", 5).await.expect("added");
    let fault = world.add("a", 6).await.expect_err("refused");
    assert_eq!(fault.code, ErrorCode::CommandIdReused);
}

#[tokio::test(start_paused = true)]
async fn rejections_are_answered_and_not_kept() {
    let world = World::new(TwinLog::new());
    let _writer = world.start("one");
    assert_eq!(world.add("a", 0).await.expect_err("refused").code, ErrorCode::InvalidValue);
    assert_eq!(world.add("a", 5).await, Ok(Sum { total: 5, additions: 1 }));
}

/// Log-protocol case 3: an answer must not run ahead of the frame that it rests on.
#[tokio::test(start_paused = true)]
async fn a_query_waits_for_the_frame_that_its_answer_rests_on() {
    let world = World::new(TwinLog::new());
    let writer = world.start("one");
    world.add("a", 1).await.expect("added");
    // The addition is stored but its acknowledgement is lost, then the connection is cut.
    world.log.script([LogFault::UnknownAndLost]);
    writer.connection.disconnect();
    let adding = world.add("b", 2);
    let asking = world.ask(Request::Query(Question::Sum), about("q", 0));
    let both = async { tokio::join!(adding, asking) };
    tokio::pin!(both);
    assert!(tokio::time::timeout(Duration::from_secs(2), &mut both).await.is_err());
    writer.connection.reconnect();
    let (added, asked) = both.await;
    assert_eq!(added, Ok(Sum { total: 3, additions: 2 }));
    assert_eq!(asked, Ok(Sum { total: 3, additions: 2 }));
}

/// Log-protocol case 9: whoever was replaced throws its state away and follows.
#[tokio::test(start_paused = true)]
async fn a_deposed_writer_answers_nothing_that_is_not_in_the_log() {
    let world = World::new(TwinLog::new());
    let first = world.start("one");
    world.add("a", 1).await.expect("added");
    first.connection.disconnect();
    let second = world.start("two");
    // The second hears no beat any more and takes over; the first learns that from its fence.
    let added = world.add("b", 2).await;
    assert_eq!(added, Ok(Sum { total: 3, additions: 2 }));
    first.connection.reconnect();
    assert_eq!(world.add("c", 4).await, Ok(Sum { total: 7, additions: 3 }));
    assert_eq!(additions(&world.log), [1, 2, 4]);
    assert!(!first.running.is_finished() && !second.running.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_full_log_answers_so_and_keeps_the_writer() {
    let world = World::new(TwinLog::new());
    let _writer = world.start("one");
    world.add("a", 1).await.expect("added");
    world.log.limit_bytes(Some(0));
    let full = world.ask(Request::Command(counter::Add(2)), about("b", 2)).await;
    assert_eq!(full.expect_err("refused").code, ErrorCode::StorageFull);
    world.log.limit_bytes(None);
    assert_eq!(world.add("b", 2).await, Ok(Sum { total: 3, additions: 2 }));
    let terms = world
        .log
        .frames()
        .into_iter()
        .map(|stored| serde_json::from_slice::<Frame>(&stored.bytes).expect("a frame").term);
    assert!(terms.into_iter().all(|term| term == 1), "the writer kept its term");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_went_back_halts() {
    let world = World::new(TwinLog::new());
    let writer = world.start("one");
    for number in 1..=3 {
        world.add(&format!("a{number}"), number).await.expect("added");
    }
    writer.stop.send(true).expect("it listens");
    writer.running.await.expect("no panic").expect("no error");
    world.log.truncate(2);
    let ended = world.start("two").running.await.expect("no panic");
    assert_eq!(ended.expect_err("it halts").code(), ErrorCode::LogRegressed);
}

/// Log-protocol case 2: an older broker may store a ghost behind a passed fence.
#[tokio::test(start_paused = true)]
async fn a_frame_that_does_not_continue_the_chain_halts() {
    let world = World::new(TwinLog::new());
    let writer = world.start("one");
    world.add("a", 1).await.expect("added");
    writer.stop.send(true).expect("it listens");
    writer.running.await.expect("no panic").expect("no error");
    let ghost = world.log.frames().pop().expect("a frame");
    world.log.store_unguarded(ghost.bytes);
    let ended: Result<(), PartitionError> = world.start("two").running.await.expect("no panic");
    assert_eq!(ended.expect_err("it halts").code(), ErrorCode::LogDamaged);
}

/// Whatever the log does: every acknowledged addition is in it exactly once, and the answers agree
/// with one another.
#[tokio::test(start_paused = true)]
async fn no_fault_loses_or_doubles_what_was_acknowledged() {
    let mut met = std::collections::BTreeMap::new();
    for seed in 0..60 {
        let world = World::new(TwinLog::with_faults(seed, 300));
        let _writers = [world.start("one"), world.start("two")];
        let mut totals = Vec::new();
        for number in 1..=20_u64 {
            let sum = world.add(&format!("a{number}"), number).await.expect("no rejection");
            totals.push(sum.total);
        }
        world.log.calm();
        world.log.land_ghosts();
        let expected: Vec<u64> = (1..=20).collect();
        assert_eq!(additions(&world.log), expected, "seed {seed}");
        let sums = expected.iter().scan(0, |sum, number| {
            *sum += number;
            Some(*sum)
        });
        assert_eq!(totals, sums.collect::<Vec<_>>(), "seed {seed}");
        for (fault, count) in world.log.faults_met() {
            *met.entry(fault).or_insert(0) += count;
        }
    }
    assert!(6 < met.len() && met.values().all(|count| 0 < *count), "faults were met: {met:?}");
}
