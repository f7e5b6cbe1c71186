//! A log that reached its size limit says so, and goes on when it is raised.

use anyhow::Result;
use cortex_tests::eventually;
use jetstream_config::{
    Destructive, apply,
    streams::{self, Replicas},
};
use schemas::{ErrorCode, Fault, subject::ServiceName};
use tempfile::TempDir;

use crate::{
    hosted::{Asker, DEADLINE, Hosted, broker, config, name},
    ledger::Add,
};

async fn limit(asker: &Asker, bytes: u64) -> Result<()> {
    let wanted = streams::event_log(name(), Replicas::One).with_max_bytes(bytes);
    apply(asker.client.nats(), &[wanted], Destructive::Allowed).await?;
    Ok(())
}

/// Once, without the client's own repetitions of what may pass.
async fn try_add(asker: &Asker, note: usize) -> Option<Fault> {
    let add = Add { account: "a".to_owned(), amount: 1, note: "x".repeat(note) };
    let answer = asker.client.call(ServiceName::Registry, "add").send(&add).await;
    answer.map(|_: crate::ledger::Sum| ()).err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_refuses_answers_queries_and_recovers_in_the_same_term() -> Result<()> {
    let (server, state) = (broker().await?, TempDir::new()?);
    let hosted = Hosted::start(&server.url(), &state).await?;
    let asker = Asker::connect(&server.url()).await?;
    limit(&asker, 300_000).await?;
    let mut added = 0;
    let refused = loop {
        match try_add(&asker, 20_000).await {
            None => added += 1,
            Some(fault) => break fault,
        }
    };
    assert_eq!(refused.code, ErrorCode::StorageFull);
    assert!((5..20).contains(&added), "{added}");
    assert_eq!(asker.total().await?.additions, added);
    assert_eq!(try_add(&asker, 20_000).await.map(|fault| fault.code), Some(ErrorCode::StorageFull));
    limit(&asker, 1_000_000).await?;
    eventually(DEADLINE, || async { try_add(&asker, 20_000).await.is_none() }).await?;
    assert_eq!(asker.total().await?.additions, added + 1);
    assert!(asker.frames().await?.iter().all(|frame| frame.term == 1), "the writer kept its term");
    hosted.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_starts_on_a_full_log_says_so() -> Result<()> {
    let (server, state) = (broker().await?, TempDir::new()?);
    let hosted = Hosted::start(&server.url(), &state).await?;
    let asker = Asker::connect(&server.url()).await?;
    asker.add("a", 1).await?;
    // A start raises the limit, so the one that finds the log full is a standby.
    let standby_state = TempDir::new()?;
    let mut standby = Hosted::begin(config(&server.url(), standby_state.path(), Replicas::One));
    standby.takes_part().await?;
    limit(&asker, 1000).await?;
    hosted.abort().await;
    eventually(DEADLINE, || async {
        asker.total().await.is_err_and(|fault| fault.code == ErrorCode::StorageFull)
    })
    .await?;
    limit(&asker, 1_000_000).await?;
    eventually(DEADLINE, || async { asker.add("a", 2).await.is_ok() }).await?;
    assert_eq!(asker.amounts().await?, [1, 2]);
    standby.stop().await
}
