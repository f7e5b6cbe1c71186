//! How terms begin and end: full logs, stops at any time, writers that do not know they are deposed.

use std::{sync::Arc, time::Duration};

use jetstream_config::twin::{Fault as LogFault, TwinLog};
use runtime::Request;
use schemas::{
    ErrorCode, PrincipalId, Sha256Hash, Timestamp,
    frame::{DecisionRecord, FRAME_VERSION, Frame, LogEvent},
};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::{
    counter::{Add, Question, Sum, about},
    stage::{Process, World, ask_at},
};

/// Nothing here takes longer, on a clock that may be a paused one.
const DEADLINE: Duration = Duration::from_secs(20);

async fn stop(process: Process) {
    process.stop.send_replace(true);
    let ended = timeout(DEADLINE, process.running).await.expect("it stops");
    ended.expect("no panic").expect("no error");
}

/// Stores the frame with which somebody else opens a term.
fn open_a_rival_term(log: &TwinLog) {
    let last = log.frames().pop().expect("a frame");
    let frame: Frame = serde_json::from_slice(&last.bytes).expect("a frame");
    let instance = PrincipalId::parse("rival").expect("an id").instance(7);
    let started = LogEvent::TermStarted { instance: instance.clone() };
    let decision = DecisionRecord {
        id: schemas::CommandId::parse("c1").expect("an id"),
        command: "start-term".to_owned(),
        principal: PrincipalId::parse("rival").expect("an id"),
        cause: None,
        trace: None,
        at: frame.decisions.last().map_or(Timestamp(0), |decision| decision.at),
        answer: None,
        events: vec![serde_json::value::to_raw_value(&started).expect("an event")],
    };
    let revision = frame.revision + 1;
    let frame = Frame {
        v: FRAME_VERSION,
        id: "0".repeat(32),
        instance,
        term: revision,
        revision,
        prev: Sha256Hash(Sha256::digest(&last.bytes).into()),
        decisions: vec![decision],
    };
    log.store_unguarded(serde_json::to_vec(&frame).expect("a frame").into());
}

/// A large frame does not fit any more and a rival's small one does: to write on in the old term
/// would break the chain for everybody.
#[tokio::test(start_paused = true)]
async fn a_writer_does_not_keep_a_term_that_was_taken_while_the_log_was_full() {
    let world = World::new(TwinLog::new());
    let first = world.start("one");
    world.add("a", 1).await.expect("added");
    world.log.script([LogFault::Full]);
    open_a_rival_term(&world.log);
    let full = world.ask(Request::Command(Add(2)), about("b", 2)).await;
    assert_eq!(full.expect_err("refused").code, ErrorCode::StorageFull);
    assert_eq!(world.add("b", 2).await, Ok(Sum { total: 3, additions: 2 }));
    stop(first).await;
    let _second = world.start("two");
    assert_eq!(world.add("c", 4).await, Ok(Sum { total: 7, additions: 3 }));
}

#[tokio::test(start_paused = true)]
async fn a_log_without_room_for_a_term_is_called_full_until_there_is_room() {
    let world = World::new(TwinLog::new());
    world.log.limit_bytes(Some(0));
    let _process = world.start("one");
    let refused = async {
        loop {
            let answer = world.ask(Request::Query(Question::Sum), about("q", 0)).await;
            if answer.expect_err("nobody writes").code == ErrorCode::StorageFull {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, refused).await.expect("it is said");
    world.log.limit_bytes(None);
    assert_eq!(world.add("a", 1).await, Ok(Sum { total: 1, additions: 1 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_stops_under_load_that_never_ends() {
    let world = Arc::new(World::new(TwinLog::new()));
    let process = world.start("one");
    world.add("first", 1).await.expect("added");
    let load: Vec<_> = (0..16)
        .map(|name| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                for number in 1.. {
                    world.add(&format!("a{name}-{number}"), 1).await.expect("added");
                }
            })
        })
        .collect();
    while world.log.frames().len() < 50 {
        tokio::task::yield_now().await;
    }
    stop(process).await;
    load.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_writer_stops_also_when_the_log_takes_nothing() {
    let world = World::new(TwinLog::new());
    let process = world.start("one");
    world.add("a", 1).await.expect("added");
    process.connection.disconnect();
    let lines = world.lines().expect("it writes");
    let adding = ask_at(lines, Request::Command(Add(2)), about("b", 2));
    tokio::pin!(adding);
    assert!(timeout(Duration::from_millis(500), &mut adding).await.is_err());
    stop(process).await;
    assert_eq!(adding.await.expect_err("unconfirmed").code, ErrorCode::NotTheWriter);
}

#[tokio::test(start_paused = true)]
async fn a_process_stops_before_it_could_reach_the_log() {
    let world = World::new(TwinLog::new());
    world.log.disconnect();
    let process = world.start("one");
    process.connection.disconnect();
    tokio::task::yield_now().await;
    stop(process).await;
}

/// Log-protocol case 3: whoever was replaced without noticing has no fence to tell it, if all that
/// it is asked are questions.
#[tokio::test(start_paused = true)]
async fn a_deposed_writer_answers_no_query_from_its_old_state() {
    let world = World::new(TwinLog::new());
    let first = world.start("one");
    world.add("a", 1).await.expect("added");
    let old_lines = world.lines().expect("it writes");
    first.connection.disconnect();
    let _second = world.start("two");
    while old_lines.asks.same_channel(&world.lines().expect("one writes").asks) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.add("b", 2).await, Ok(Sum { total: 3, additions: 2 }));
    first.connection.reconnect();
    let answer = ask_at(old_lines, Request::Query(Question::Sum), about("q", 0)).await;
    assert_eq!(answer.expect_err("it must not answer").code, ErrorCode::NotTheWriter);
}

/// Requests that never end must not keep a writer from showing that it lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_beats_also_under_queries_that_never_end() {
    let world = World::new(TwinLog::new());
    let _writer = world.start("one");
    world.add("a", 1).await.expect("added");
    let lines = world.lines().expect("it writes");
    let load: Vec<_> = (0..1000)
        .map(|_| {
            let lines = lines.clone();
            tokio::spawn(async move {
                loop {
                    let hard = Request::Query(Question::HardSum(Duration::from_micros(200)));
                    ask_at(lines.clone(), hard, about("q", 0)).await.expect("answered");
                }
            })
        })
        .collect();
    let mut beats = world.beats.subscribe();
    for _ in 0..3 {
        timeout(DEADLINE, beats.recv()).await.expect("it beats").expect("it beats");
    }
    load.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn the_position_is_remembered_when_a_writer_stops() {
    let world = World::new(TwinLog::new());
    let process = world.start("one");
    for number in 1..=5 {
        world.add(&format!("a{number}"), number).await.expect("added");
    }
    stop(process).await;
    let position = world.position().read().expect("readable").expect("written");
    assert_eq!(position.sequence, world.log.frames().len() as u64);
}
