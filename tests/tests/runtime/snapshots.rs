//! Snapshots: taken on the way, announced in the log, and all that a restart reads besides the tail.

use anyhow::{Context as _, Result};
use cortex_tests::{Direction, FaultProxy, eventually_some};
use jetstream_config::BlobStore;
use schemas::{
    Sha256Hash,
    frame::{Frame, LogEvent},
};
use tempfile::TempDir;

use crate::hosted::{Asker, DEADLINE, Hosted, broker};

/// Bytes of each event, so that reading the whole log would show.
const NOTE_BYTES: usize = 8 * 1024;
/// Events in a log of four snapshots.
const EVENTS: u64 = 2100;

fn announced(frames: &[Frame]) -> Vec<Sha256Hash> {
    let decisions = frames.iter().flat_map(|frame| &frame.decisions);
    let events = decisions.flat_map(|decision| &decision.events);
    let snapshot = |raw: &str| match serde_json::from_str(raw) {
        Ok(LogEvent::SnapshotTaken { blob, .. }) => Some(blob),
        Ok(LogEvent::TermStarted { .. }) | Err(_) => None,
    };
    events.filter_map(|raw| snapshot(raw.get())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_reads_a_snapshot_and_the_tail_and_old_snapshots_go() -> Result<()> {
    let (server, state) = (broker().await?, TempDir::new()?);
    let hosted = Hosted::start(&server.url(), &state).await?;
    let asker = Asker::connect(&server.url()).await?;
    for some in (0..EVENTS).collect::<Vec<_>>().chunks(8) {
        // A few in each frame, so that a look back from the end is a small part of the log.
        let adding = some.iter().map(|n| asker.add_noted("a", n + 1, NOTE_BYTES));
        for added in futures::future::join_all(adding).await {
            added?;
        }
    }
    let snapshots = eventually_some(DEADLINE, || async {
        let snapshots = announced(&asker.frames().await.ok()?);
        (4 <= snapshots.len()).then_some(snapshots)
    })
    .await?;
    let sum = asker.total().await?;
    hosted.stop().await?;
    let blobs = BlobStore::new(asker.client.nats().clone());
    assert!(blobs.get(snapshots[0]).await.is_err(), "the oldest was removed");
    blobs.get(*snapshots.last().context("none")?).await?;

    let hosted = Hosted::start(&server.url(), &state).await?;
    assert_eq!(asker.total().await?, sum);
    assert_eq!(asker.rebuild(true).await.map(|answer| answer.differing), Ok(0));
    hosted.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_after_a_snapshot_does_not_read_the_whole_log() -> Result<()> {
    let (server, state) = (broker().await?, TempDir::new()?);
    let hosted = Hosted::start(&server.url(), &state).await?;
    let asker = Asker::connect(&server.url()).await?;
    for n in 0..EVENTS {
        asker.add_noted("a", n + 1, NOTE_BYTES).await?;
    }
    let sum = asker.total().await?;
    hosted.stop().await?;
    let proxy = FaultProxy::start(server.address()).await?;
    let hosted = Hosted::start(&proxy.url(), &state).await?;
    assert_eq!(asker.total().await?, sum);
    hosted.stop().await?;
    // Loop and projector each read it once more if they have no snapshot.
    let (read, whole) = (proxy.forwarded_bytes(Direction::ToClient), EVENTS * NOTE_BYTES as u64);
    assert!(read < whole, "{read} bytes were read of a log of {whole}");
    Ok(())
}
