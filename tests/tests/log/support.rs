//! Frames, writers and connections for the tests of the log.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::Client;
use bytes::Bytes;
use client::{ConnectOptions, Credentials};
use jetstream_config::streams::{self, Replicas, Wanted};
use jetstream_config::{
    Commit, Destructive, EventLog, JetStreamLog, LogError, StoredFrame, apply, commit,
};
use schemas::PrincipalId;
use schemas::subject::{LogName, ServiceName};

/// Long enough for any election and any restart on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A frame that is called `id`.
pub(crate) fn frame(id: &str) -> Bytes {
    padded_frame(id, 0)
}

/// A frame that is called `id` and has `padding` bytes more.
pub(crate) fn padded_frame(id: &str, padding: usize) -> Bytes {
    let pad = "x".repeat(padding);
    Bytes::from(format!(r#"{{"v":1,"id":"{id}","pad":"{pad}"}}"#))
}

/// What a frame is called.
pub(crate) fn id(frame: &StoredFrame) -> String {
    let value: serde_json::Value = serde_json::from_slice(&frame.bytes).unwrap();
    value["id"].as_str().unwrap().to_owned()
}

/// Commits the frame called `id` after `fence`.
pub(crate) async fn write<L: EventLog>(log: &L, fence: u64, id: &str) -> Result<Commit, LogError> {
    commit(log, fence, id, frame(id)).await
}

/// Every frame by sequence, read from the leader one by one.
pub(crate) async fn all_ids<L: EventLog>(log: &L) -> Vec<(u64, String)> {
    let mut ids = Vec::new();
    let mut after = 0;
    let reading = async {
        loop {
            match log.next_after(after).await {
                Ok(Some(frame)) => {
                    after = frame.sequence;
                    ids.push((frame.sequence, id(&frame)));
                }
                Ok(None) => break,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("there is a leader again");
    ids
}

/// Every frame by sequence, read in bulk until the leader's end is reached.
pub(crate) async fn bulk_ids<L: EventLog>(log: &L, bytes_max: usize) -> Vec<(u64, String)> {
    let mut ids: Vec<(u64, String)> = Vec::new();
    let reading = async {
        loop {
            let after = ids.last().map_or(0, |(sequence, _)| *sequence);
            match log.read(after, bytes_max).await {
                Ok(frames) => ids.extend(frames.iter().map(|frame| (frame.sequence, id(frame)))),
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
            let read = ids.last().map_or(0, |(sequence, _)| *sequence);
            if log.last_sequence().await.is_ok_and(|last| last == read) {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("a replica that lags catches up");
    ids
}

/// One of several writers of the same log: commits frames until `enough` of them are acknowledged, and
/// starts over behind whoever replaced it. Returns what was acknowledged, by sequence.
pub(crate) async fn rival<L: EventLog>(
    log: L,
    name: String,
    enough: impl Fn(usize) -> bool,
) -> BTreeMap<u64, String> {
    let mut acknowledged = BTreeMap::new();
    let mut fence = 0;
    let mut number = 0;
    while !enough(acknowledged.len()) {
        number += 1;
        let id = format!("{name}-{number}");
        match write(&log, fence, &id).await.unwrap() {
            Commit::Committed { sequence } => {
                let twice = acknowledged.insert(sequence, id);
                assert_eq!(twice, None, "two acknowledgements of sequence {sequence}");
                fence = sequence;
                // Without a pause, who holds the fence keeps it, and nobody rivals anybody.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Commit::Replaced { by } => fence = by.sequence,
            Commit::Full => unreachable!("the log is not full"),
        }
    }
    acknowledged
}

/// Checks that the log holds all that `acknowledged` says, and nothing else.
pub(crate) async fn check_nothing_lost<L: EventLog>(
    log: &L,
    acknowledged: impl IntoIterator<Item = BTreeMap<u64, String>>,
) {
    let mut everything = BTreeMap::new();
    for (sequence, id) in acknowledged.into_iter().flatten() {
        assert_eq!(everything.insert(sequence, id), None, "{sequence} is acknowledged twice");
    }
    let expected: Vec<_> = everything.into_iter().collect();
    assert_eq!(all_ids(log).await, expected, "by the leader, one by one");
    assert_eq!(bulk_ids(log, 4_000).await, expected, "in bulk");
}

/// The log of a partition that stands for one test.
pub(crate) fn log_name(partition: u32) -> LogName {
    LogName { service: ServiceName::Registry, partition, generation: 1 }
}

/// An event log that fits into the disk of a test's broker.
pub(crate) fn wanted_log(name: LogName, replicas: Replicas) -> Wanted {
    streams::event_log(name, replicas).with_max_bytes(64 * 1024 * 1024)
}

/// Makes an event log and opens it.
pub(crate) async fn make_log(client: &Client, name: LogName, replicas: Replicas) -> JetStreamLog {
    let wanted = wanted_log(name, replicas);
    let applied = apply(client, &[wanted], Destructive::Withheld).await.unwrap();
    assert_eq!(applied.created, [name.stream()]);
    JetStreamLog::new(client.clone(), name)
}

/// A connection as a service has it.
pub(crate) async fn connect(url: &str) -> Client {
    connect_as(url, "test", Credentials::None).await
}

/// The same as somebody, with credentials.
pub(crate) async fn connect_as(url: &str, principal: &str, credentials: Credentials) -> Client {
    let principal = PrincipalId::parse(principal).unwrap();
    let mut options = ConnectOptions::new(url, principal);
    options.credentials = credentials;
    options.connect_within = None;
    client::Client::connect(options).await.unwrap().nats().clone()
}
