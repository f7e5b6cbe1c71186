//! Interleavings on three real servers: leaders die and freeze, followers are gone for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cortex_tests::{NatsCluster, NatsServer, eventually, eventually_some};
use jetstream_config::streams::Replicas;
use jetstream_config::{Append, Commit, EventLog, JetStreamLog};

use crate::support::{
    PATIENCE, all_ids, check_nothing_lost, connect, frame, log_name, make_log, rival, write,
};

/// More than one server on each node, so that rivals meet at the leader and elsewhere.
const RIVALS: usize = 6;
/// How long a log must stand still to count as standing still.
const STANDSTILL: Duration = Duration::from_secs(1);

async fn three() -> (NatsCluster, JetStreamLog) {
    let cluster = NatsCluster::start().await.unwrap();
    let client = connect(&cluster.urls()).await;
    let log = make_log(&client, log_name(0), Replicas::Three).await;
    (cluster, log)
}

async fn followers<'a>(cluster: &'a NatsCluster, log: &JetStreamLog) -> Vec<&'a NatsServer> {
    let leader = cluster.leader_of(&log.name().stream()).await.unwrap();
    cluster.nodes().iter().filter(|node| node.name() != leader.name()).collect()
}

/// A handle on `log` over a connection to its leader alone.
async fn at_the_leader(cluster: &NatsCluster, log: &JetStreamLog) -> JetStreamLog {
    let leader = cluster.leader_of(&log.name().stream()).await.unwrap();
    JetStreamLog::new(connect(&leader.url()).await, log.name())
}

/// Case 1: a leader without followers refuses a resend, shows nothing, and stores the frame later. A
/// leader may notice its loss too soon for that; then it is tried again.
#[tokio::test]
async fn a_refused_frame_that_is_nowhere_to_be_seen_is_stored_after_all() {
    let (cluster, first) = three().await;
    let mut seen = refused_yet_stored(&cluster, &first).await;
    for partition in 1..=3 {
        if !seen {
            let client = connect(&cluster.urls()).await;
            let log = make_log(&client, log_name(partition), Replicas::Three).await;
            seen = refused_yet_stored(&cluster, &log).await;
        }
    }
    assert!(seen, "no leader refused what it stored later");
}

/// Whether the frame was refused, and nowhere to be seen, before it was found committed.
async fn refused_yet_stored(cluster: &NatsCluster, log: &JetStreamLog) -> bool {
    write(log, 0, "a").await.unwrap();
    let log = at_the_leader(cluster, log).await;
    let followers = followers(cluster, &log).await;
    for follower in &followers {
        follower.pause().unwrap();
    }
    assert_eq!(log.append(1, frame("f")).await, Append::Unknown, "1: it times out");
    let refused = log.append(1, frame("f")).await == Append::Refused;
    let nothing = log.next_after(1).await.is_ok_and(|next| next.is_none());
    let committing = tokio::spawn({
        let log = log.clone();
        async move { write(&log, 1, "f").await }
    });
    for follower in &followers {
        follower.resume().unwrap();
    }
    let ended = tokio::time::timeout(PATIENCE, committing).await.unwrap().unwrap().unwrap();
    assert_eq!(ended, Commit::Committed { sequence: 2 }, "5: it is stored");
    cluster.wait_ready().await.unwrap();
    assert_eq!(all_ids(&log).await, [(1, "a".to_owned()), (2, "f".to_owned())]);
    refused && nothing
}

/// Case 1 for a rival: who is refused by a frame in flight learns whose it was, once it is there.
#[tokio::test]
async fn a_rival_refused_by_a_frame_in_flight_learns_who_replaced_it() {
    let (cluster, log) = three().await;
    let log = at_the_leader(&cluster, &log).await;
    let followers = followers(&cluster, &log).await;
    for follower in &followers {
        follower.pause().unwrap();
    }
    assert_eq!(log.append(0, frame("first")).await, Append::Unknown);
    let rival = JetStreamLog::new(connect(&cluster.urls()).await, log.name());
    let writing = tokio::spawn(async move { write(&rival, 0, "second").await });
    for follower in &followers {
        follower.resume().unwrap();
    }
    let ended = tokio::time::timeout(PATIENCE, writing).await.unwrap().unwrap().unwrap();
    cluster.wait_ready().await.unwrap();
    let stored = all_ids(&log).await;
    match ended {
        Commit::Replaced { .. } => assert_eq!(stored, [(1, "first".to_owned())]),
        Commit::Committed { .. } => assert_eq!(stored, [(1, "second".to_owned())]),
        Commit::Full => unreachable!("the log is not full"),
    }
}

/// A frozen leader is replaced; when it thaws, what it held back is neither stored nor acknowledged
/// beside what its successor took.
#[tokio::test]
async fn a_leader_that_wakes_up_deposed_neither_keeps_nor_adds_a_frame() {
    let (cluster, log) = three().await;
    write(&log, 0, "a").await.unwrap();
    let stream = log.name().stream();
    let deposed = cluster.leader_of(&stream).await.unwrap();
    let held_back = at_the_leader(&cluster, &log).await;
    let others = followers(&cluster, &log).await;
    deposed.pause().unwrap();
    assert_eq!(held_back.append(1, frame("ghost")).await, Append::Unknown);
    let elsewhere = JetStreamLog::new(connect(&others[0].url()).await, log.name());
    let committed = tokio::time::timeout(PATIENCE, write(&elsewhere, 1, "b")).await.unwrap();
    assert_eq!(committed.unwrap(), Commit::Committed { sequence: 2 });
    deposed.resume().unwrap();
    cluster.wait_ready().await.unwrap();
    let ghost = tokio::time::timeout(PATIENCE, write(&held_back, 1, "ghost")).await.unwrap();
    assert!(matches!(ghost.unwrap(), Commit::Replaced { .. }));
    let expected = [(1, "a".to_owned()), (2, "b".to_owned())];
    eventually(PATIENCE, || async { held_back.last_sequence().await.is_ok_and(|last| last == 2) })
        .await
        .unwrap();
    assert_eq!(all_ids(&elsewhere).await, expected);
}

/// Rivals on all servers while the leader is killed, frozen, and loses its majority.
#[tokio::test]
async fn rivals_on_three_servers_outlive_leaders_that_die_and_freeze() {
    let (cluster, log) = three().await;
    let ended = Arc::new(AtomicBool::new(false));
    let mut rivals = Vec::new();
    for writer in 0..RIVALS {
        let ended = Arc::clone(&ended);
        let node = &cluster.nodes()[writer % cluster.nodes().len()];
        // Every address, its own first: a writer moves on when its server dies.
        let client = connect(&format!("{},{}", node.url(), cluster.urls())).await;
        let handle = JetStreamLog::new(client, log.name());
        rivals.push(tokio::spawn(rival(handle, format!("w{writer}"), move |_| {
            ended.load(Ordering::Relaxed)
        })));
    }
    let stream = log.name().stream();
    progress(&log, 100).await;
    let killed = cluster.kill_leader_of(&stream).await.unwrap();
    progress(&log, 50).await;
    killed.restart().await.unwrap();
    cluster.wait_ready().await.unwrap();

    progress(&log, 50).await;
    let frozen = cluster.pause_leader_of(&stream).await.unwrap();
    progress(&log, 50).await;
    frozen.resume().unwrap();
    cluster.wait_ready().await.unwrap();

    progress(&log, 50).await;
    let minority = followers(&cluster, &log).await;
    for follower in &minority {
        follower.kill().unwrap();
    }
    eventually(PATIENCE, || async {
        tokio::time::timeout(STANDSTILL, progress(&log, 1)).await.is_err()
    })
    .await
    .unwrap();
    for follower in &minority {
        follower.restart().await.unwrap();
    }

    cluster.wait_ready().await.unwrap();
    progress(&log, 50).await;

    ended.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for rival in rivals {
        acknowledged.push(tokio::time::timeout(PATIENCE, rival).await.unwrap().unwrap());
    }
    let silent = acknowledged.iter().filter(|frames| frames.is_empty()).count();
    assert_eq!(silent, 0, "every rival had its turn");
    check_nothing_lost(&log, acknowledged).await;
}

/// Waits until the log has grown by `frames`.
async fn progress(log: &JetStreamLog, frames: u64) {
    let start =
        eventually_some(PATIENCE, || async { log.last_sequence().await.ok() }).await.unwrap();
    eventually(PATIENCE, || async {
        log.last_sequence().await.is_ok_and(|last| start + frames <= last)
    })
    .await
    .unwrap();
}
