//! Blobs: any size, stored once, checked on every read, deleted without hurting others.

use bytes::Bytes;
use cortex_tests::NatsServer;
use jetstream_config::streams::{self, Replicas};
use jetstream_config::{BlobStore, Destructive, StoreError, apply};
use schemas::Sha256Hash;
use schemas::subject::{self, BLOB_STREAM};

use crate::support::connect;

/// As large as a chunk gets.
const CHUNK: usize = 512 * 1024;

async fn blobs() -> (NatsServer, BlobStore) {
    let server = NatsServer::start().await.unwrap();
    let client = connect(&server.url()).await;
    let wanted = streams::blobs(Replicas::One).with_max_bytes(256 * 1024 * 1024);
    apply(&client, &[wanted], Destructive::Withheld).await.unwrap();
    (server, BlobStore::new(client))
}

/// `size` bytes that repeat nowhere within a chunk; another `seed`, other bytes.
fn bytes(size: usize, seed: u64) -> Bytes {
    let words = (0..).map(|index: u64| (index ^ seed << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    words.flat_map(u64::to_le_bytes).take(size).collect::<Vec<u8>>().into()
}

async fn messages(server: &NatsServer) -> u64 {
    let context = async_nats::jetstream::new(server.connect().await.unwrap());
    context.get_stream(BLOB_STREAM).await.unwrap().cached_info().state.messages
}

#[tokio::test]
async fn what_is_stored_is_read_back_whatever_its_size() {
    let (_server, blobs) = blobs().await;
    for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 7] {
        let whole = bytes(size, 1);
        let name = blobs.put(&whole).await.unwrap();
        assert!(blobs.get(name).await.unwrap() == whole, "{size} bytes");
    }
}

#[tokio::test]
async fn the_same_bytes_are_stored_once_and_parts_are_shared() {
    let (server, blobs) = blobs().await;
    let whole = bytes(3 * CHUNK, 1);
    let name = blobs.put(&whole).await.unwrap();
    assert_eq!(messages(&server).await, 4);
    assert_eq!(blobs.put(&whole).await.unwrap(), name);
    assert_eq!(messages(&server).await, 4);
    let beginning = blobs.put(&whole.slice(..2 * CHUNK)).await.unwrap();
    assert_ne!(beginning, name);
    assert_eq!(messages(&server).await, 5, "only another root");
}

#[tokio::test]
async fn a_deleted_blob_is_gone_and_what_others_share_stays() {
    let (server, blobs) = blobs().await;
    let whole = bytes(3 * CHUNK, 1);
    let name = blobs.put(&whole).await.unwrap();
    let beginning = blobs.put(&whole.slice(..2 * CHUNK)).await.unwrap();
    blobs.delete(name, &[beginning]).await.unwrap();
    assert!(matches!(blobs.get(name).await.unwrap_err(), StoreError::NoSuchBlob { .. }));
    assert!(blobs.get(beginning).await.unwrap() == whole.slice(..2 * CHUNK));
    blobs.delete(name, &[]).await.unwrap();
    blobs.delete(beginning, &[]).await.unwrap();
    assert_eq!(messages(&server).await, 0);
}

#[tokio::test]
async fn deleting_what_is_in_use_leaves_it_whole() {
    let (_server, blobs) = blobs().await;
    let whole = bytes(CHUNK, 1);
    let name = blobs.put(&whole).await.unwrap();
    blobs.delete(name, &[name]).await.unwrap();
    assert!(blobs.get(name).await.unwrap() == whole);
}

#[tokio::test]
async fn bytes_that_do_not_have_their_hash_are_damage() {
    let (server, blobs) = blobs().await;
    let context = async_nats::jetstream::new(server.connect().await.unwrap());
    let whole = bytes(CHUNK + 100, 1);
    let name = blobs.put(&whole).await.unwrap();
    let root = blobs.put(&Bytes::from_static(b"another")).await.unwrap();
    // What a flipped bit on the disk would look like: other bytes of the same length under a hash.
    let stream = context.get_stream(BLOB_STREAM).await.unwrap();
    let part = stream.get_raw_message(2).await.unwrap().subject;
    let mut flipped = whole.slice(CHUNK..).to_vec();
    flipped[50] ^= 1;
    let other_root = stream.get_last_raw_message_by_subject(&subject::blob(&root)).await.unwrap();
    for (subject, forged, blob) in
        [(part.to_string(), flipped.into(), name), (subject::blob(&name), other_root.payload, name)]
    {
        context.publish(subject, forged).await.unwrap().await.unwrap();
        let damaged = blobs.get(blob).await.unwrap_err();
        assert!(matches!(damaged, StoreError::Damaged { .. }), "{damaged}");
        assert_eq!(damaged.code(), schemas::ErrorCode::LogDamaged);
    }
}

#[tokio::test]
async fn a_blob_that_was_never_stored_or_lost_a_part_is_missed() {
    let (server, blobs) = blobs().await;
    let unknown = Sha256Hash([7; 32]);
    let missing = blobs.get(unknown).await.unwrap_err();
    assert!(matches!(missing, StoreError::NoSuchBlob { blob, missing } if blob == missing));

    let name = blobs.put(&bytes(2 * CHUNK, 1)).await.unwrap();
    let context = async_nats::jetstream::new(server.connect().await.unwrap());
    let stream = context.get_stream(BLOB_STREAM).await.unwrap();
    let part = stream.get_raw_message(1).await.unwrap().subject.to_string();
    stream.purge().filter(&part).await.unwrap();
    let missing = blobs.get(name).await.unwrap_err();
    assert!(matches!(missing, StoreError::NoSuchBlob { blob, missing } if blob != missing));
}

#[tokio::test]
async fn a_chunk_is_no_blob() {
    let (server, blobs) = blobs().await;
    blobs.put(&bytes(100, 1)).await.unwrap();
    let context = async_nats::jetstream::new(server.connect().await.unwrap());
    let stream = context.get_stream(BLOB_STREAM).await.unwrap();
    let part = stream.get_raw_message(1).await.unwrap().subject.to_string();
    let chunk = Sha256Hash::parse(part.rsplit('.').next().unwrap()).unwrap();
    let damaged = blobs.get(chunk).await.unwrap_err();
    assert!(matches!(damaged, StoreError::Damaged { .. }), "{damaged}");
}

#[tokio::test]
async fn full_storage_is_told() {
    let server = NatsServer::start().await.unwrap();
    let client = connect(&server.url()).await;
    let wanted = streams::blobs(Replicas::One).with_max_bytes(100_000);
    apply(&client, &[wanted], Destructive::Withheld).await.unwrap();
    let full = BlobStore::new(client).put(&bytes(CHUNK, 1)).await.unwrap_err();
    assert_eq!(full.code(), schemas::ErrorCode::StorageFull, "{full}");
}
