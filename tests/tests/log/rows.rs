//! Rows of a bucket: written over what is expected, read in bulk, and seen by the plain tools.

use std::time::Duration;

use bytes::Bytes;
use cortex_tests::{NatsCluster, NatsServer, eventually};
use futures::StreamExt;
use jetstream_config::streams::Replicas;
use jetstream_config::{
    Destructive, KvBucket, Put, Row, RowKind, StoreError, Written, apply, buckets,
};
use schemas::subject::Bucket;

use crate::support::{PATIENCE, connect};

/// Enough rows for several bulk requests and several rounds in flight.
const MANY: usize = 6_000;

async fn bucket(url: &str, replicas: Replicas) -> KvBucket {
    let client = connect(url).await;
    let wanted = buckets::bucket(Bucket::Agents, replicas).with_max_bytes(64 * 1024 * 1024);
    apply(&client, &[wanted], Destructive::Withheld).await.unwrap();
    KvBucket::new(client, Bucket::Agents)
}

fn put(key: &str, expected: u64, text: &str) -> Put {
    let (key, bytes) = (key.to_owned(), Bytes::copy_from_slice(text.as_bytes()));
    Put { key, expected, kind: RowKind::Value, bytes }
}

async fn stored(bucket: &KvBucket, put: Put) -> u64 {
    revision(&bucket.put(put).await.unwrap()).expect("the row is as expected")
}

fn revision(written: &Written) -> Option<u64> {
    match written {
        Written::Stored { revision } => Some(*revision),
        Written::Occupied { .. } | Written::Full => None,
    }
}

#[tokio::test]
async fn a_row_is_written_only_over_the_revision_that_was_expected() {
    let server = NatsServer::start().await.unwrap();
    let bucket = bucket(&server.url(), Replicas::One).await;
    assert_eq!(bucket.row("a").await.unwrap(), None);
    assert_eq!(bucket.rows().await.unwrap(), []);
    let first = stored(&bucket, put("a", 0, "one")).await;
    let second = stored(&bucket, put("a", first, "two")).await;
    let row = Row {
        key: "a".to_owned(),
        revision: second,
        kind: RowKind::Value,
        bytes: Bytes::from_static(b"two"),
    };
    for stale in [0, first] {
        let refused = bucket.put(put("a", stale, "three")).await.unwrap();
        assert_eq!(refused, Written::Occupied { by: Some(row.clone()) });
    }
    assert_eq!(bucket.row("a").await.unwrap(), Some(row.clone()));
    assert_eq!(bucket.rows().await.unwrap(), [row]);
}

#[tokio::test]
async fn a_row_that_is_sent_again_is_found_stored() {
    let server = NatsServer::start().await.unwrap();
    let bucket = bucket(&server.url(), Replicas::One).await;
    let first = stored(&bucket, put("a", 0, "one")).await;
    assert_eq!(stored(&bucket, put("a", 0, "one")).await, first);
    server.pause().unwrap();
    let mut writing = tokio::spawn({
        let bucket = bucket.clone();
        async move { bucket.put(put("a", first, "two")).await }
    });
    // Long enough for the row to time out once before the server goes on.
    tokio::time::timeout(Duration::from_secs(4), &mut writing).await.unwrap_err();
    server.resume().unwrap();
    let written = tokio::time::timeout(PATIENCE, writing).await.unwrap().unwrap().unwrap();
    assert!(matches!(written, Written::Stored { .. }), "{written:?}");
}

#[tokio::test]
async fn a_row_that_was_taken_away_by_hand_is_no_longer_what_was_expected() {
    let server = NatsServer::start().await.unwrap();
    let bucket = bucket(&server.url(), Replicas::One).await;
    let first = stored(&bucket, put("a", 0, "one")).await;
    let context = async_nats::jetstream::new(server.connect().await.unwrap());
    context.get_stream("KV_cortex_agents").await.unwrap().purge().await.unwrap();
    let refused = tokio::time::timeout(PATIENCE, bucket.put(put("a", first, "two"))).await;
    assert_eq!(refused.unwrap().unwrap(), Written::Occupied { by: None });
}

#[tokio::test]
async fn a_tombstone_looks_deleted_to_plain_tools_and_still_says_since_when() {
    let server = NatsServer::start().await.unwrap();
    let bucket = bucket(&server.url(), Replicas::One).await;
    let first = stored(&bucket, put("a", 0, "here")).await;
    let context = async_nats::jetstream::new(server.connect().await.unwrap());
    let plain = context.get_key_value("cortex_agents").await.unwrap();
    assert_eq!(plain.get("a").await.unwrap().unwrap(), "here");
    let gone = Put { kind: RowKind::Tombstone, ..put("a", first, "since 0.1.7.0") };
    let revision = stored(&bucket, gone).await;
    assert_eq!(plain.get("a").await.unwrap(), None);
    assert_eq!(plain.keys().await.unwrap().count().await, 0);
    let row = bucket.row("a").await.unwrap().unwrap();
    assert_eq!((row.revision, row.kind), (revision, RowKind::Tombstone));
    assert_eq!(row.bytes, "since 0.1.7.0");
    assert_eq!(bucket.rows().await.unwrap(), [row]);
    // What is deleted with the plain tools is a tombstone too.
    stored(&bucket, put("a", revision, "again")).await;
    plain.delete("a").await.unwrap();
    assert_eq!(bucket.row("a").await.unwrap().unwrap().kind, RowKind::Tombstone);
}

#[tokio::test]
async fn many_rows_are_written_at_once_and_each_says_what_became_of_it() {
    let server = NatsServer::start().await.unwrap();
    let bucket = bucket(&server.url(), Replicas::One).await;
    let taken = stored(&bucket, put("row-17", 0, "taken")).await;
    let padding = "x".repeat(1_000);
    let puts = (0..MANY).map(|number| put(&format!("row-{number}"), 0, &padding)).collect();
    let results = bucket.put_all(puts).await;
    assert_eq!(results.len(), MANY);
    for (number, result) in results.into_iter().enumerate() {
        match result.unwrap() {
            Written::Stored { .. } => assert_ne!(number, 17),
            Written::Occupied { by } => {
                assert_eq!((number, by.unwrap().revision), (17, taken));
            }
            Written::Full => unreachable!("the bucket is not full"),
        }
    }
    let rows = bucket.rows().await.unwrap();
    assert_eq!(rows.len(), MANY);
    assert!(rows.windows(2).all(|pair| pair[0].revision < pair[1].revision));
}

#[tokio::test]
async fn a_name_that_could_reach_beyond_its_bucket_is_no_key() {
    let server = NatsServer::start().await.unwrap();
    let bucket = bucket(&server.url(), Replicas::One).await;
    for key in ["", ">", "*", "a b", "a.*", ".a", "a.", "a..b", "a\r\nPUB", "\u{e9}"] {
        let refused = bucket.put(put(key, 0, "x")).await.unwrap_err();
        assert!(matches!(refused, StoreError::InvalidKey { .. }), "{key:?}: {refused}");
        assert!(bucket.row(key).await.is_err());
    }
    stored(&bucket, put("a.b-c_d=e/F", 0, "x")).await;
}

#[tokio::test]
async fn a_full_bucket_says_so_row_by_row() {
    let server = NatsServer::start().await.unwrap();
    let client = connect(&server.url()).await;
    let wanted = buckets::bucket(Bucket::Tasks, Replicas::One).with_max_bytes(2_000);
    apply(&client, &[wanted], Destructive::Withheld).await.unwrap();
    let bucket = KvBucket::new(client, Bucket::Tasks);
    let large = "x".repeat(1_500);
    let puts = vec![put("a", 0, &large), put("b", 0, &large)];
    let results: Vec<_> = bucket.put_all(puts).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(results, [Written::Stored { revision: 1 }, Written::Full]);
}

#[tokio::test]
async fn a_missing_bucket_is_missed() {
    let server = NatsServer::start().await.unwrap();
    let bucket = KvBucket::new(connect(&server.url()).await, Bucket::Agents);
    assert!(matches!(bucket.row("a").await.unwrap_err(), StoreError::Missing { .. }));
    assert!(matches!(bucket.put(put("a", 0, "x")).await.unwrap_err(), StoreError::Missing { .. }));
}

#[tokio::test]
async fn rows_on_three_servers_outlive_their_leader() {
    let cluster = NatsCluster::start().await.unwrap();
    let bucket = bucket(&cluster.urls(), Replicas::Three).await;
    let puts = (0..200).map(|number| put(&format!("row-{number}"), 0, "one")).collect();
    let results = bucket.put_all(puts).await;
    let puts: Vec<_> = results
        .into_iter()
        .enumerate()
        .map(|(number, result)| {
            let first = revision(&result.unwrap()).expect("the bucket was empty");
            put(&format!("row-{number}"), first, "two")
        })
        .collect();
    cluster.kill_leader_of("KV_cortex_agents").await.unwrap();
    let results = tokio::time::timeout(PATIENCE, bucket.put_all(puts)).await.unwrap();
    assert!(results.into_iter().all(|result| matches!(result, Ok(Written::Stored { .. }))));
    let two = |row: &Row| row.bytes == "two";
    eventually(PATIENCE, || async {
        bucket.rows().await.is_ok_and(|rows| rows.len() == 200 && rows.iter().all(two))
    })
    .await
    .unwrap();
}
