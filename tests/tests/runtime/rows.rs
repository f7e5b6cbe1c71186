//! Rows follow the log: whole, with their cursor, a checkpoint after them, and made anew when lost.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cortex_tests::{NatsServer, eventually};
use jetstream_config::{
    Destructive, Put, RowKind, Written, apply, buckets,
    streams::{Replicas, Wanted},
};
use schemas::{
    Cursor,
    projection::{CHECKPOINT_KEY, ProjectedRow, RebuildAnswer},
};
use serde_json::{Value, value::to_raw_value};
use tempfile::TempDir;

use crate::{
    hosted::{Asker, DEADLINE, Hosted, broker},
    ledger::BUCKET,
};

async fn begin() -> Result<(NatsServer, TempDir, Hosted, Asker)> {
    let (server, state) = (broker().await?, TempDir::new()?);
    let hosted = Hosted::start(&server.url(), &state).await?;
    let asker = Asker::connect(&server.url()).await?;
    Ok((server, state, hosted, asker))
}

/// Waits until the checkpoint is where the log ends now, and returns the rows.
async fn projected(asker: &Asker) -> Result<Vec<(String, Option<Value>, Cursor)>> {
    let last = asker.frames().await?.last().context("an empty log")?.revision;
    cortex_tests::eventually_some(DEADLINE, || async {
        let rows = asker.rows().await.ok()?;
        let parsed = rows.iter().map(|row| {
            let parsed: ProjectedRow = serde_json::from_slice(&row.bytes).ok()?;
            let body = parsed.row.map(|raw| serde_json::from_str(raw.get()).unwrap());
            Some((row.key.clone(), body, parsed.cursor))
        });
        let parsed: Vec<_> = parsed.collect::<Option<_>>()?;
        let (_, _, checkpoint) = parsed.iter().find(|(key, ..)| key == CHECKPOINT_KEY)?;
        (last <= checkpoint.sequence).then_some(parsed)
    })
    .await
    .with_context(|| format!("the checkpoint does not come to {last}"))
}

/// Waits until a rebuild finds nothing to mend.
async fn agrees_with_the_log(asker: &Asker) -> Result<()> {
    projected(asker).await?;
    let checked = asker.rebuild(true).await?;
    assert_eq!((checked.differing, checked.examples), (0, Vec::new()));
    Ok(())
}

async fn put(asker: &Asker, key: &str, kind: RowKind, bytes: Vec<u8>) -> Result<()> {
    let bucket = asker.bucket();
    let expected = bucket.row(key).await?.map_or(0, |row| row.revision);
    let written = bucket.put(Put { key: key.to_owned(), expected, kind, bytes: bytes.into() });
    anyhow::ensure!(matches!(written.await?, Written::Stored { .. }), "somebody else wrote");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_is_whole_and_tells_the_event_that_made_it() -> Result<()> {
    let (_server, _state, hosted, asker) = begin().await?;
    asker.add("a", 1).await?;
    asker.add("b", 2).await?;
    asker.add("a", 4).await?;
    asker.close("b").await?;
    let mut rows = projected(&asker).await?;
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    let cursor = |sequence| Cursor { partition: 0, generation: 1, sequence, index: 0 };
    let expected = [
        (CHECKPOINT_KEY.to_owned(), None, cursor(5)),
        ("a".to_owned(), Some(Value::from(5)), cursor(4)),
        ("b".to_owned(), None, cursor(5)),
    ];
    assert_eq!(rows, expected);
    assert_eq!(asker.keys().await?, ["a"], "a deleted row looks deleted to plain tools");
    agrees_with_the_log(&asker).await?;
    hosted.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_finds_what_somebody_meddled_with_and_mends_it() -> Result<()> {
    let (_server, _state, hosted, asker) = begin().await?;
    for account in ["changed", "deleted", "garbled", "kept", "purged", "future"] {
        asker.add(account, 1).await?;
    }
    asker.add("closed", 1).await?;
    asker.close("closed").await?;
    projected(&asker).await?;
    let kept = asker.bucket().row("kept").await?;
    let row = |sequence| ProjectedRow {
        cursor: Cursor { partition: 0, generation: 1, sequence, index: 0 },
        row: Some(to_raw_value(&1_000_000).unwrap()),
    };
    let forged = |sequence| serde_json::to_vec(&row(sequence)).unwrap();
    put(&asker, "changed", RowKind::Value, forged(2)).await?;
    put(&asker, "deleted", RowKind::Tombstone, Vec::new()).await?;
    put(&asker, "garbled", RowKind::Value, b"nonsense".to_vec()).await?;
    put(&asker, "invented", RowKind::Value, forged(3)).await?;
    put(&asker, "closed", RowKind::Value, forged(3)).await?;
    put(&asker, "future", RowKind::Value, forged(1_000_000)).await?;
    let nats = async_nats::jetstream::new(asker.client.nats().clone());
    let stream = nats.get_stream(format!("KV_{}", BUCKET.as_str())).await?;
    stream.purge().filter(format!("$KV.{}.purged", BUCKET.as_str())).await?;

    let broken = ["changed", "closed", "deleted", "future", "garbled", "invented", "purged"];
    let check = |answer: RebuildAnswer, mended| {
        assert_eq!(answer.examples, broken);
        assert_eq!((answer.differing, answer.mended), (7, mended));
    };
    check(asker.rebuild(true).await?, false);
    check(asker.rebuild(true).await?, false);
    check(asker.rebuild(false).await?, true);
    agrees_with_the_log(&asker).await?;
    assert_eq!(asker.keys().await?, ["changed", "deleted", "future", "garbled", "kept", "purged"]);
    assert_eq!(asker.bucket().row("kept").await?, kept, "what was right was left alone");
    asker.add("future", 1).await?;
    agrees_with_the_log(&asker).await?;
    hosted.stop().await
}

/// A row that claims to be ahead of the log stops the projector; a rebuild sets it going again.
#[tokio::test(flavor = "multi_thread")]
async fn a_projector_that_was_refused_goes_on_after_a_rebuild() -> Result<()> {
    let (_server, _state, hosted, asker) = begin().await?;
    asker.add("a", 1).await?;
    projected(&asker).await?;
    let cursor = Cursor { partition: 0, generation: 1, sequence: 1_000_000, index: 0 };
    let future = ProjectedRow { cursor, row: Some(to_raw_value(&7)?) };
    put(&asker, "a", RowKind::Value, serde_json::to_vec(&future)?).await?;
    asker.add("a", 1).await?;
    asker.add("b", 1).await?;
    let behind =
        serde_json::from_slice::<ProjectedRow>(&asker.bucket().row("a").await?.unwrap().bytes)?;
    assert_eq!(behind.cursor, cursor, "it was not written over");
    assert!(asker.rebuild(false).await?.mended);
    asker.add("c", 1).await?;
    agrees_with_the_log(&asker).await?;
    assert_eq!(asker.keys().await?, ["a", "b", "c"]);
    hosted.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_was_wiped_is_made_anew() -> Result<()> {
    let (_server, _state, hosted, asker) = begin().await?;
    for account in ["a", "b", "c"] {
        asker.add(account, 1).await?;
    }
    projected(&asker).await?;
    let stream = format!("KV_{}", BUCKET.as_str());
    let nats = asker.client.nats();
    async_nats::jetstream::new(nats.clone()).delete_stream(&stream).await?;
    let wanted: Vec<Wanted> =
        buckets::all(Replicas::One).into_iter().filter(|it| it.name() == stream).collect();
    apply(nats, &wanted, Destructive::Withheld).await?;
    asker.add("d", 1).await?;
    agrees_with_the_log(&asker).await?;
    assert_eq!(asker.keys().await?, ["a", "b", "c", "d"]);
    hosted.stop().await
}

/// Buckets are not synced: after a crash of the broker their last rows may be gone, while the
/// projector that wrote them lives on and remembers them as written.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_crash_of_the_broker_took_come_back() -> Result<()> {
    let (server, state, hosted, asker) = begin().await?;
    asker.add("early", 1).await?;
    projected(&asker).await?;
    server.kill()?;
    let saved = SavedBucket::of(&server)?;
    server.restart().await?;
    for account in ["lost", "lost-too", "early"] {
        asker.add(account, 1).await?;
    }
    projected(&asker).await?;
    server.kill()?;
    saved.put_back(&server)?;
    server.restart().await?;
    assert!(asker.keys().await?.len() < 3, "the crash took some");
    asker.add("late", 1).await?;
    agrees_with_the_log(&asker).await?;
    assert_eq!(asker.keys().await?, ["early", "late", "lost", "lost-too"]);
    // The same while nobody projects, and with rows older than any snapshot.
    for amount in 1..=1200 {
        asker.add(&format!("many{}", amount % 7), amount).await?;
    }
    projected(&asker).await?;
    hosted.stop().await?;
    server.kill()?;
    saved.put_back(&server)?;
    server.restart().await?;
    let hosted = Hosted::start(&server.url(), &state).await?;
    agrees_with_the_log(&asker).await?;
    hosted.stop().await
}

/// The bucket's part of a killed broker's store.
struct SavedBucket(TempDir);

impl SavedBucket {
    fn of(server: &NatsServer) -> Result<Self> {
        let saved = TempDir::new()?;
        copy(&Self::place(server)?, &saved.path().join("copy"))?;
        Ok(Self(saved))
    }

    fn put_back(&self, server: &NatsServer) -> Result<()> {
        let place = Self::place(server)?;
        std::fs::remove_dir_all(&place)?;
        copy(&self.0.path().join("copy"), &place)
    }

    fn place(server: &NatsServer) -> Result<PathBuf> {
        let place = server.store_dir().join("jetstream/$G/streams");
        let place = place.join(format!("KV_{}", BUCKET.as_str()));
        anyhow::ensure!(place.is_dir(), "{} is no directory", place.display());
        Ok(place)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Rows of a service that is killed again and again are those that the log makes.
#[tokio::test(flavor = "multi_thread")]
async fn rows_agree_with_the_log_after_any_number_of_deaths() -> Result<()> {
    let (server, state, mut hosted, asker) = begin().await?;
    for round in 0..4 {
        let adding = (0..60).map(|n| {
            let (asker, account) = (asker.clone(), format!("a{}", n % 11));
            async move {
                asker.add(&account, n + 1).await?;
                if n % 5 == 0 { asker.close(&account).await.map(drop) } else { Ok(()) }
            }
        });
        let adding = tokio::spawn(futures::future::join_all(adding));
        eventually(DEADLINE, || async {
            asker.amounts().await.is_ok_and(|amounts| round * 60 + 10 < amounts.len())
        })
        .await?;
        hosted.abort().await;
        hosted = Hosted::start(&server.url(), &state).await?;
        for added in adding.await? {
            added?;
        }
    }
    agrees_with_the_log(&asker).await?;
    hosted.stop().await
}
