//! Interleavings on one real server: it is killed, frozen, filled, or its disk goes back in time.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream;
use cortex_tests::{NatsServer, eventually};
use jetstream_config::streams::{self, Replicas};
use jetstream_config::{
    Append, ApplyError, Commit, Destructive, EventLog, JetStreamLog, LogError, apply,
};
use schemas::subject::LogName;
use serde_json::json;

use crate::support::{
    PATIENCE, all_ids, check_nothing_lost, connect, frame, log_name, make_log, padded_frame, rival,
    wanted_log, write,
};

async fn one_log() -> (NatsServer, JetStreamLog) {
    let server = NatsServer::start().await.unwrap();
    let client = connect(&server.url()).await;
    let log = make_log(&client, log_name(0), Replicas::One).await;
    (server, log)
}

/// F6: what times out at a frozen server is stored when it thaws, and is found to be ours.
#[tokio::test]
async fn a_frame_sent_to_a_frozen_server_is_unknown_until_it_is_found_stored_once() {
    let (server, log) = one_log().await;
    write(&log, 0, "a").await.unwrap();
    server.pause().unwrap();
    assert_eq!(log.append(1, frame("ghost")).await, Append::Unknown);
    let committing = tokio::spawn({
        let log = log.clone();
        async move { write(&log, 1, "ghost").await }
    });
    server.resume().unwrap();
    let ended = tokio::time::timeout(PATIENCE, committing).await.unwrap().unwrap();
    assert_eq!(ended.unwrap(), Commit::Committed { sequence: 2 });
    assert_eq!(all_ids(&log).await, [(1, "a".to_owned()), (2, "ghost".to_owned())]);
}

/// F6 with a rival: whoever comes second learns it, and the ghost has no second life.
#[tokio::test]
async fn a_ghost_that_lands_first_replaces_whoever_came_after_it() {
    let (server, log) = one_log().await;
    server.pause().unwrap();
    assert_eq!(log.append(0, frame("ghost")).await, Append::Unknown);
    server.resume().unwrap();
    let rival = JetStreamLog::new(connect(&server.url()).await, log.name());
    let mut replaced = write(&rival, 0, "rival").await.unwrap();
    if replaced == (Commit::Committed { sequence: 1 }) {
        replaced = write(&log, 0, "ghost").await.unwrap();
    }
    assert!(matches!(replaced, Commit::Replaced { .. }), "{replaced:?}");
    assert_eq!(all_ids(&log).await.len(), 1);
}

/// F7: async-nats queues what is sent while it is disconnected; a commit sends nothing then.
#[tokio::test]
async fn nothing_is_queued_while_the_server_is_away() {
    let server = NatsServer::start().await.unwrap();
    let client = connect(&server.url()).await;
    let log = make_log(&client, log_name(0), Replicas::One).await;
    server.kill().unwrap();
    eventually(PATIENCE, || async { !log.connected() }).await.unwrap();
    let sent = || client.statistics().out_messages.load(std::sync::atomic::Ordering::Relaxed);
    let before = sent();
    let committing = tokio::spawn({
        let log = log.clone();
        async move { write(&log, 0, "a").await }
    });
    assert_eq!(log.append(0, frame("b")).await, Append::Unknown);
    assert!(log.next_after(0).await.unwrap_err().is_transient());
    server.restart().await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, committing).await.unwrap().unwrap();
    assert_eq!(ended.unwrap(), Commit::Committed { sequence: 1 });
    assert_eq!(all_ids(&log).await, [(1, "a".to_owned())], "b was never sent");
    assert!(sent() - before < 30, "{} messages for one frame", sent() - before);
}

#[tokio::test]
async fn writers_outlive_a_server_that_is_killed_again_and_again() {
    let (server, log) = one_log().await;
    let mut writers = Vec::new();
    for writer in 0..3 {
        let handle = JetStreamLog::new(connect(&server.url()).await, log.name());
        writers.push(tokio::spawn(rival(handle, format!("w{writer}"), |count| count == 150)));
    }
    for kill in 1..=4 {
        let enough = kill * 40;
        eventually(PATIENCE, || async {
            log.last_sequence().await.is_ok_and(|last| enough <= last)
        })
        .await
        .unwrap();
        server.restart().await.unwrap();
    }
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.push(writer.await.unwrap());
    }
    check_nothing_lost(&log, acknowledged).await;
}

/// Case 2: an acknowledgement other than fence + 1 shows that somebody else uses the stream.
#[tokio::test]
async fn an_acknowledgement_elsewhere_than_after_the_fence_halts_the_writer() {
    let server = NatsServer::start().await.unwrap();
    let client = connect(&server.url()).await;
    let name = log_name(0);
    let mut wanted = wanted_log(name, Replicas::One);
    wanted.settings.insert("subjects".to_owned(), json!([name.subject(), "foreign"]));
    apply(&client, &[wanted], Destructive::Withheld).await.unwrap();
    let context = jetstream::new(client.clone());
    context.publish("foreign", "meddling".into()).await.unwrap().await.unwrap();
    let log = JetStreamLog::new(client, name);
    let halted = write(&log, 0, "a").await.unwrap_err();
    assert!(matches!(halted, LogError::AckedElsewhere { fence: 0, sequence: 2 }), "{halted}");
    // Asked again, by whoever was not told: it is ours, and still not where it belongs.
    let halted = write(&log, 0, "a").await.unwrap_err();
    assert!(matches!(halted, LogError::AckedElsewhere { fence: 0, sequence: 2 }), "{halted}");
}

/// Case 4: each partition and generation has a stream of its own, so none is in another's way.
#[tokio::test]
async fn a_new_generation_and_a_full_partition_leave_the_others_alone() {
    let server = NatsServer::start().await.unwrap();
    let client = connect(&server.url()).await;
    let first = log_name(0);
    let next = LogName { generation: 2, ..first };
    let small = wanted_log(first, Replicas::One).with_max_bytes(300_000);
    apply(&client, &[small], Destructive::Withheld).await.unwrap();
    let full = JetStreamLog::new(client.clone(), first);
    assert_eq!(full.append(0, padded_frame("a", 200_000)).await, Append::Committed { sequence: 1 });
    assert_eq!(full.append(1, padded_frame("b", 200_000)).await, Append::Full);

    let following = make_log(&client, next, Replicas::One).await;
    let neighbour = make_log(&client, log_name(1), Replicas::One).await;
    for log in [&following, &neighbour] {
        assert_eq!(write(log, 0, "c").await.unwrap(), Commit::Committed { sequence: 1 });
    }
    assert_eq!(full.last_sequence().await.unwrap(), 1);
    assert_eq!(full.append(1, frame("small enough")).await, Append::Committed { sequence: 2 });

    // The reason: two streams cannot share a subject.
    let mut shared = wanted_log(log_name(7), Replicas::One);
    shared.settings.insert("subjects".to_owned(), json!([first.subject()]));
    let refused = apply(&client, &[shared], Destructive::Withheld).await.unwrap_err();
    assert!(matches!(refused, ApplyError::Refused { code: 10_065, .. }), "{refused}");
}

/// Case 9b: a full log neither loops nor fails over, and goes on when it is given room.
#[tokio::test]
async fn a_full_log_goes_on_where_it_stopped_once_it_is_given_room() {
    let server = NatsServer::start().await.unwrap();
    let client = connect(&server.url()).await;
    let name = log_name(0);
    let small = wanted_log(name, Replicas::One).with_max_bytes(2_000);
    apply(&client, std::slice::from_ref(&small), Destructive::Withheld).await.unwrap();
    let log = JetStreamLog::new(client.clone(), name);
    let large = padded_frame("large", 3_000);
    let full = jetstream_config::commit(&log, 0, "large", large.clone()).await.unwrap();
    assert_eq!(full, Commit::Full);
    let applied = apply(&client, &[small.with_max_bytes(10_000)], Destructive::Withheld).await;
    assert_eq!(applied.unwrap().updated, [name.stream()]);
    let stored = jetstream_config::commit(&log, 0, "large", large).await.unwrap();
    assert_eq!(stored, Commit::Committed { sequence: 1 });
}

#[tokio::test]
async fn a_log_whose_disk_went_back_in_time_halts_its_writer() {
    let (server, log) = one_log().await;
    write(&log, 0, "a").await.unwrap();
    server.kill().unwrap();
    let saved = server.save_store().unwrap();
    server.restart().await.unwrap();
    for fence in 1..4 {
        write(&log, fence, &format!("f{fence}")).await.unwrap();
    }
    server.kill().unwrap();
    server.restore_store(&saved).unwrap();
    server.restart().await.unwrap();
    let halted = tokio::time::timeout(PATIENCE, write(&log, 4, "e")).await.unwrap().unwrap_err();
    assert!(matches!(halted, LogError::Regressed { fence: 4, last: 1 }), "{halted}");
    assert_eq!(halted.code(), schemas::ErrorCode::LogRegressed);
}

/// A record forbids deletion, so a hole is damage of the disk, or somebody changed the stream.
#[tokio::test]
async fn a_hole_in_a_log_is_damage_and_never_skipped() {
    let server = NatsServer::start().await.unwrap();
    let client = connect(&server.url()).await;
    let name = log_name(0);
    let mut wanted = wanted_log(name, Replicas::One);
    wanted.settings.insert("deny_delete".to_owned(), json!(false));
    apply(&client, &[wanted], Destructive::Withheld).await.unwrap();
    let log = JetStreamLog::new(client.clone(), name);
    for fence in 0..5 {
        write(&log, fence, &format!("f{fence}")).await.unwrap();
    }
    let stream = jetstream::new(client).get_stream(name.stream()).await.unwrap();
    stream.delete_message(3).await.unwrap();
    let damaged = log.read(0, 1_000_000).await.unwrap_err();
    assert!(matches!(damaged, LogError::Damaged { sequence: 3, .. }), "{damaged}");
    assert_eq!(damaged.code(), schemas::ErrorCode::LogDamaged);
    let damaged = log.read(2, 1_000_000).await.unwrap_err();
    assert!(matches!(damaged, LogError::Damaged { sequence: 3, .. }), "{damaged}");
    assert_eq!(log.read(3, 1_000_000).await.unwrap().len(), 2, "what follows can be looked at");
}

#[tokio::test]
async fn a_log_that_is_gone_is_missed_by_everyone_who_asks() {
    let (server, log) = one_log().await;
    write(&log, 0, "a").await.unwrap();
    let context = jetstream::new(connect(&server.url()).await);
    context.delete_stream(log.name().stream()).await.unwrap();
    let missing = |error: LogError| matches!(error, LogError::Missing { .. });
    assert!(missing(write(&log, 1, "b").await.unwrap_err()));
    assert!(missing(log.last_sequence().await.unwrap_err()));
    assert!(missing(log.next_after(0).await.unwrap_err()));
    assert!(missing(log.read(0, 1_000).await.unwrap_err()));
}

/// What no resending mends ends at once, where resending would never end.
#[tokio::test]
async fn a_sealed_log_rejects_its_writer() {
    let (server, log) = one_log().await;
    let client = connect(&server.url()).await;
    let mut settings = streams::event_log(log.name(), Replicas::One).settings;
    settings.extend(BTreeMap::from([
        ("sealed".to_owned(), json!(true)),
        ("max_bytes".to_owned(), json!(64 * 1024 * 1024)),
    ]));
    let context = jetstream::new(client);
    let sealed: jetstream::stream::Config = serde_json::from_value(settings.into()).unwrap();
    context.update_stream(sealed).await.unwrap();
    let rejected = tokio::time::timeout(Duration::from_secs(20), write(&log, 0, "a")).await;
    let rejected = rejected.unwrap().unwrap_err();
    assert!(matches!(rejected, LogError::Rejected { code: 10_109, .. }), "{rejected}");
}
