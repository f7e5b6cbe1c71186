//! Followers hear every event once and in order, whatever happens to notices of the head.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use bytes::Bytes;
use client::{EventStream, StartAt};
use cortex_tests::NatsServer;
use schemas::{
    Cursor, ErrorCode, Fault, Timestamp,
    feed::{EventsAnswer, EventsRequest, FeedEvent, HeadNotice},
    subject::{self, ServiceName},
};
use serde_json::{json, value::to_raw_value};
use tokio::time::timeout;

use crate::support::{DEADLINE, answer_all, connect, id, serve};

/// Small, so that a few events make several pages.
const PAGE: usize = 7;

/// Events of frames with up to three events each, as a service would answer for them.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<FeedEvent>>>);

impl Log {
    fn append(&self, count: usize) -> Vec<FeedEvent> {
        let mut events = self.0.lock().unwrap();
        let from = events.len();
        for n in from..from + count {
            let (sequence, index) = (1 + n / 3, n % 3);
            events.push(FeedEvent {
                cursor: Cursor {
                    partition: 0,
                    generation: 1,
                    sequence: sequence.try_into().unwrap(),
                    index: index.try_into().unwrap(),
                },
                at: Timestamp(0),
                principal: id("bob"),
                kind: "agent".to_owned(),
                id: n.to_string(),
                trace: None,
                event: to_raw_value(&json!({})).unwrap(),
            });
        }
        events[from..].to_vec()
    }

    fn page(&self, after: Option<Cursor>) -> EventsAnswer {
        let events = self.0.lock().unwrap();
        let newer: Vec<_> = events.iter().filter(|event| after < Some(event.cursor)).collect();
        let page: Vec<FeedEvent> = newer.iter().take(PAGE).copied().cloned().collect();
        let next = page.last().map(|event| event.cursor).or(after).unwrap_or_default();
        EventsAnswer { at_head: page.len() == newer.len(), events: page, next }
    }

    fn head(&self) -> Cursor {
        self.0.lock().unwrap().last().map(|event| event.cursor).unwrap_or_default()
    }

    async fn serve(&self, server: &NatsServer) -> Result<()> {
        let log = self.clone();
        answer_all(serve(server).await?, move |request| {
            let answer = match request.verb() {
                "events" => {
                    let asked: EventsRequest = schemas::strict::parse(request.body())?;
                    serde_json::to_vec(&log.page(asked.after))
                }
                _ => serde_json::to_vec(&json!({ "agents": [], "cursor": log.head() })),
            };
            Ok(Bytes::from(answer.unwrap()))
        });
        Ok(())
    }
}

#[tokio::test]
async fn pages_become_one_stream_and_a_notice_brings_the_next() -> Result<()> {
    let server = NatsServer::start().await?;
    let log = Log::default();
    log.serve(&server).await?;
    log.append(20);
    let client = connect(&server.url()).await?;
    let mut events = client.events(ServiceName::Registry, StartAt::Beginning);
    check(&mut events, 0..20).await?;
    for n in 20..40 {
        announce(&server, log.append(1)).await?;
        check(&mut events, n..n + 1).await?;
    }
    Ok(())
}

#[tokio::test]
async fn notices_that_are_lost_repeated_and_reordered_do_no_harm() -> Result<()> {
    let server = NatsServer::start().await?;
    let log = Log::default();
    log.serve(&server).await?;
    let client = connect(&server.url()).await?;
    let mut events = client.events(ServiceName::Registry, StartAt::Beginning);
    for round in 0..20 {
        let mut announced = log.append(9);
        announced.reverse();
        announced.remove(round % 9);
        announced.push(announced[0].clone());
        announce(&server, announced).await?;
        check(&mut events, round * 9..round * 9 + 9).await?;
    }
    Ok(())
}

#[tokio::test]
async fn following_starts_at_a_cursor_or_at_the_head() -> Result<()> {
    let server = NatsServer::start().await?;
    let log = Log::default();
    log.serve(&server).await?;
    let cursor = log.append(5).last().context("appended")?.cursor;
    log.append(5);
    let client = connect(&server.url()).await?;
    let mut after = client.events(ServiceName::Registry, StartAt::After(cursor));
    check(&mut after, 5..10).await?;
    let mut head = client.events(ServiceName::Registry, StartAt::Head);
    // Read only once the follower has asked for the head; until then new events are old ones too.
    let mut seen = Vec::new();
    while seen.is_empty() {
        announce(&server, log.append(1)).await?;
        if let Ok(event) = timeout(std::time::Duration::from_millis(100), head.next()).await {
            seen.push(number(event)?);
        }
    }
    assert!(10 <= seen[0]);
    Ok(())
}

#[tokio::test]
async fn what_happened_while_the_broker_was_away_is_read_afterwards() -> Result<()> {
    let server = NatsServer::start().await?;
    let log = Log::default();
    log.serve(&server).await?;
    let client = connect(&server.url()).await?;
    let mut events = client.events(ServiceName::Registry, StartAt::Beginning);
    log.append(3);
    check(&mut events, 0..3).await?;
    server.kill()?;
    log.append(30);
    server.restart().await?;
    check(&mut events, 3..33).await
}

#[tokio::test]
async fn what_will_not_change_by_waiting_ends_the_stream_with_its_reason() -> Result<()> {
    let server = NatsServer::start().await?;
    answer_all(serve(&server).await?, |_| Err(Fault::new(ErrorCode::LogDamaged, "frame 7")));
    let client = connect(&server.url()).await?;
    let mut events = client.events(ServiceName::Registry, StartAt::Beginning);
    let fault = timeout(DEADLINE, events.next()).await?.context("ended")?.unwrap_err();
    assert_eq!(fault.code, ErrorCode::LogDamaged);
    assert!(timeout(DEADLINE, events.next()).await?.is_none());
    Ok(())
}

async fn announce(server: &NatsServer, events: Vec<FeedEvent>) -> Result<()> {
    let nats = server.connect().await?;
    for event in events {
        let head = serde_json::to_vec(&HeadNotice { cursor: event.cursor })?;
        nats.publish(subject::head(ServiceName::Registry), head.into()).await?;
    }
    Ok(nats.flush().await?)
}

async fn check(events: &mut EventStream, expected: std::ops::Range<usize>) -> Result<()> {
    for n in expected {
        let event = timeout(DEADLINE, events.next()).await.with_context(|| format!("event {n}"))?;
        assert_eq!(number(event)?, n);
    }
    Ok(())
}

fn number(event: Option<Result<FeedEvent, Fault>>) -> Result<usize> {
    Ok(event.context("the stream ended")??.id.parse()?)
}
