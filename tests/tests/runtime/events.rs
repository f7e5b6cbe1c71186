//! Events: pages of the log, the live feed, and a follower through deaths of the service.

use std::time::Duration;

use anyhow::{Context as _, Result};
use client::{EventStream, StartAt};
use futures::StreamExt as _;
use schemas::{
    Cursor, ErrorCode, Fault,
    feed::{EventsAnswer, EventsRequest, FeedEvent},
    projection::{RebuildAnswer, RebuildRequest},
    subject::{self, ServiceName},
};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    hosted::{Asker, DEADLINE, Hosted, broker},
    ledger::{Event, STRANGER},
};

async fn page(asker: &Asker, after: Option<Cursor>, limit: u32) -> Result<EventsAnswer> {
    let request = EventsRequest { after, limit: Some(limit) };
    Ok(asker.client.request(ServiceName::Registry, "events", &request).await?)
}

fn amount(event: &FeedEvent) -> Result<u64> {
    match serde_json::from_str(event.event.get())? {
        Event::Added { amount, .. } => Ok(amount),
        Event::Closed { account } => anyhow::bail!("{account} was closed"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_size_make_the_whole_log() -> Result<()> {
    let (server, state) = (broker().await?, TempDir::new()?);
    let hosted = Hosted::start(&server.url(), &state).await?;
    let asker = Asker::connect(&server.url()).await?;
    // At the same time, so that frames hold several.
    let adding = (1..=50).map(|amount| {
        let asker = asker.clone();
        async move { asker.add("a", amount).await }
    });
    for added in futures::future::join_all(adding).await {
        added?;
    }
    let expected = asker.amounts().await?;
    for limit in [1, 7, 50, 1000] {
        let (mut amounts, mut after) = (Vec::new(), None);
        loop {
            let answer = page(&asker, after, limit).await?;
            for event in &answer.events {
                assert!(after < Some(event.cursor), "cursors ascend");
                amounts.push(amount(event)?);
            }
            after = Some(answer.next);
            if answer.at_head {
                break;
            }
        }
        assert_eq!(amounts, expected, "pages of {limit}");
    }
    hosted.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_for_those_who_may_see_them_and_the_others_read_on_behind_them() -> Result<()> {
    let (server, state) = (broker().await?, TempDir::new()?);
    let hosted = Hosted::start(&server.url(), &state).await?;
    let alice = Asker::connect(&server.url()).await?;
    let stranger = Asker::connect_as(&server.url(), STRANGER).await?;
    for (account, amount) in [("a", 1), (STRANGER, 2), (STRANGER, 3), ("a", 4)] {
        alice.add(account, amount).await?;
    }
    for (reader, expected) in [(&alice, vec![1, 4]), (&stranger, vec![1, 2, 3, 4])] {
        let (mut amounts, mut after) = (Vec::new(), None);
        loop {
            let answer = page(reader, after, 1).await?;
            amounts.extend(answer.events.iter().map(amount).collect::<Result<Vec<_>>>()?);
            after = Some(answer.next);
            if answer.at_head {
                break;
            }
        }
        assert_eq!(amounts, expected);
    }
    let rebuild = RebuildRequest { bucket: "cortex_agents".to_owned(), check_only: true };
    let mut told = Vec::new();
    for reader in [&alice, &stranger] {
        let answer: Result<RebuildAnswer, Fault> =
            reader.client.request(ServiceName::Registry, "rebuild", &rebuild).await;
        told.push(answer.err().map(|fault| fault.code));
    }
    assert_eq!(told, [None, Some(ErrorCode::NotAllowed)]);
    hosted.stop().await
}

/// What is left of a message after many small events must have room for one that is large.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_fits_one_message_whatever_the_events_weigh() -> Result<()> {
    let (server, state) = (broker().await?, TempDir::new()?);
    let hosted = Hosted::start(&server.url(), &state).await?;
    let asker = Asker::connect(&server.url()).await?;
    let sizes: Vec<usize> = (0..960).map(|n| if n == 959 { 60_000 } else { 400 }).collect();
    for some in sizes.chunks(64) {
        let adding = some.iter().map(|size| asker.add_noted("a", 1, *size));
        for added in futures::future::join_all(adding).await {
            added?;
        }
    }
    let (mut count, mut after) = (0, None);
    loop {
        let answer = page(&asker, after, 1000).await?;
        (count, after) = (count + answer.events.len(), Some(answer.next));
        if answer.at_head {
            break;
        }
    }
    assert_eq!(count, sizes.len());
    hosted.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_live_feed_tells_of_commits_under_the_subject_of_what_they_are_about() -> Result<()> {
    let (server, state) = (broker().await?, TempDir::new()?);
    let hosted = Hosted::start(&server.url(), &state).await?;
    let asker = Asker::connect(&server.url()).await?;
    let nats = asker.client.nats();
    let mut feed = nats.subscribe(subject::feed(ServiceName::Registry, "account", "b")).await?;
    nats.flush().await?;
    for (account, amount) in [("a", 1), ("b", 2), ("c", 4), ("b", 8)] {
        asker.add(account, amount).await?;
    }
    for expected in [2, 8] {
        let message = timeout(DEADLINE, feed.next()).await?.context("the feed ended")?;
        let event: FeedEvent = serde_json::from_slice(&message.payload)?;
        assert_eq!((amount(&event)?, event.id.as_str()), (expected, "b"));
        let found = page(&asker, None, 1000).await?.events;
        assert!(found.iter().any(|logged| logged.cursor == event.cursor));
    }
    hosted.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_hears_everything_once_through_deaths_of_the_service() -> Result<()> {
    let (server, state) = (broker().await?, TempDir::new()?);
    let mut hosted = Hosted::start(&server.url(), &state).await?;
    let asker = Asker::connect(&server.url()).await?;
    let mut events = asker.client.events(ServiceName::Registry, StartAt::Beginning);
    for round in 0..3 {
        let amounts: Vec<u64> = (round * 100 + 1..=round * 100 + 30).collect();
        let (adding, following) = (asker.clone(), amounts.clone());
        let adding = tokio::spawn(async move {
            for amount in amounts {
                adding.add("a", amount).await?;
            }
            anyhow::Ok(())
        });
        expect(&mut events, &following[..10]).await?;
        hosted.abort().await;
        hosted = Hosted::begin(crate::hosted::config(
            &server.url(),
            state.path(),
            jetstream_config::streams::Replicas::One,
        ));
        expect(&mut events, &following[10..]).await?;
        adding.await??;
    }
    let more = timeout(Duration::from_millis(200), events.next()).await;
    assert!(more.is_err(), "nothing is repeated: {more:?}");
    hosted.stop().await
}

async fn expect(events: &mut EventStream, amounts: &[u64]) -> Result<()> {
    for expected in amounts {
        let event = timeout(DEADLINE, events.next()).await.with_context(|| expected.to_string())?;
        assert_eq!(amount(&event.context("the stream ended")??)?, *expected);
    }
    Ok(())
}
