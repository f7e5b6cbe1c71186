//! One writer at a time: standbys take over from the dead, and the paused do not speak again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use cortex_tests::{Signal, eventually};
use futures::StreamExt as _;
use jetstream_config::streams::Replicas;
use schemas::subject::{self, ServiceName};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    hosted::{Asker, Child, DEADLINE, Hosted, broker, config, id, wait_until_served},
    ledger::{Add, Sum},
};

/// A standby waits 3-6 s, and this is a busy machine.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_start_at_once_one_writes_and_the_other_waits() -> Result<()> {
    let (server, first, second) = (broker().await?, TempDir::new()?, TempDir::new()?);
    let hosted = [&first, &second]
        .map(|state| Hosted::begin(config(&server.url(), state.path(), Replicas::One)));
    wait_until_served(&server.url()).await?;
    let asker = Asker::connect(&server.url()).await?;
    for amount in 1..=20 {
        asker.add("a", amount).await?;
    }
    assert_eq!(asker.amounts().await?, (1..=20).collect::<Vec<_>>());
    for hosted in hosted {
        hosted.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_from_a_killed_writer_and_answers_repeats_alike() -> Result<()> {
    let server = broker().await?;
    let writer = Child::start(&server.url())?;
    wait_until_served(&server.url()).await.with_context(|| writer.printed())?;
    let state = TempDir::new()?;
    let mut standby = Hosted::begin(config(&server.url(), state.path(), Replicas::One));
    standby.takes_part().await?;
    let asker = Asker::connect(&server.url()).await?;
    let command = client::new_command_id();
    let add = || {
        let call = asker.client.call(ServiceName::Registry, "add").command_id(command.clone());
        let add = Add { account: "a".to_owned(), amount: 5, note: String::new() };
        async move { call.deadline(DEADLINE).send::<_, Sum>(&add).await }
    };
    let first = add().await?;
    asker.add("b", 7).await?;
    writer.guard.kill()?;
    let begin = Instant::now();
    assert_eq!(add().await?, first, "a repeat is answered alike by the next writer");
    assert!(begin.elapsed() < TAKEN_OVER_WITHIN, "it took {:?}", begin.elapsed());
    assert_eq!(asker.total().await?, Sum { total: 12, additions: 2 });
    assert_eq!(asker.amounts().await?, [5, 7]);
    standby.stop().await
}

/// Log-protocol cases 3 and 9: requests that wait in a paused writer's buffers, and those that it
/// hears after it wakes, are not answered from what it remembers.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_was_paused_says_nothing_stale_when_it_wakes() -> Result<()> {
    let server = broker().await?;
    let paused = Child::start(&server.url())?;
    wait_until_served(&server.url()).await.with_context(|| paused.printed())?;
    let state = TempDir::new()?;
    let mut standby = Hosted::begin(config(&server.url(), state.path(), Replicas::One));
    standby.takes_part().await?;
    let asker = Asker::connect(&server.url()).await?;
    asker.add("a", 1).await?;
    paused.guard.signal(Signal::Stop)?;
    let taken_over = || async {
        asker.frames().await.is_ok_and(|frames| frames.last().is_some_and(|last| 1 < last.term))
    };
    eventually(TAKEN_OVER_WITHIN, taken_over).await?;
    // A command that waits in the buffers of the paused one would tell it that it was replaced, if
    // it could still be decided then.
    let short = Duration::from_secs(2);
    let call = asker.client.call(ServiceName::Registry, "add").deadline(short);
    let add = Add { account: "a".to_owned(), amount: 2, note: String::new() };
    let asked = Instant::now();
    assert_eq!(call.send::<_, Sum>(&add).await?.total, 3);
    eventually(DEADLINE, || async { short < asked.elapsed() }).await?;

    let questions = Questions::open(&asker).await?;
    for _ in 0..20 {
        questions.ask(3).await?;
    }
    paused.guard.signal(Signal::Continue)?;
    for _ in 0..50 {
        questions.ask(3).await?;
        asker.total().await?;
    }
    for amount in 3..=20 {
        let sum = asker.add("a", amount).await?;
        questions.ask(sum.total).await?;
    }
    // The woken one follows, and is as good a standby as any: the next answer is its own.
    standby.abort().await;
    let again = timeout(TAKEN_OVER_WITHIN, asker.add("a", 100)).await;
    let again = again.with_context(|| paused.printed())??;
    assert_eq!(again, Sum { total: 310, additions: 21 });
    // The last ones may have been asked of a standby that was just ended.
    questions.check(80).await
}

/// Questions for the total that anybody may answer, also twice, each with what was known before.
struct Questions {
    nats: async_nats::Client,
    subject: String,
    inbox: String,
    answers: async_nats::Subscriber,
}

impl Questions {
    async fn open(asker: &Asker) -> Result<Self> {
        let nats = asker.client.nats().clone();
        let subject = subject::command(&id("alice"), ServiceName::Registry, "total");
        let inbox = format!("_INBOX.alice.{}", client::new_command_id());
        let answers = nats.subscribe(format!("{inbox}.*")).await?;
        Ok(Self { nats, subject, inbox, answers })
    }

    async fn ask(&self, known: u64) -> Result<()> {
        let inbox = format!("{}.{known}", self.inbox);
        self.nats.publish_with_reply(self.subject.clone(), inbox, "{}".into()).await?;
        Ok(self.nats.flush().await?)
    }

    /// Reads all answers; at least `good` are no refusals, and none is older than what was known.
    async fn check(mut self, good: usize) -> Result<()> {
        self.ask(0).await?;
        let mut found = 0;
        loop {
            let answer = timeout(DEADLINE, self.answers.next()).await?.context("it ended")?;
            let known: u64 = answer.subject.rsplit('.').next().unwrap_or_default().parse()?;
            if answer.status.is_some() {
                continue;
            }
            if answer.headers.is_some() {
                let text = String::from_utf8_lossy(&answer.payload);
                assert!(text.contains("NOT_THE_WRITER"), "{text}");
                continue;
            }
            let sum: Sum = serde_json::from_slice(&answer.payload)?;
            assert!(known <= sum.total, "{} is stale, {known} was known", sum.total);
            if known == 0 {
                break;
            }
            found += 1;
        }
        assert!(good <= found, "{found} answers");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_beats_while_it_lives() -> Result<()> {
    let (server, state) = (broker().await?, TempDir::new()?);
    let hosted = Hosted::start(&server.url(), &state).await?;
    let nats = server.connect().await?;
    let mut beats = nats.subscribe(subject::writer_beat(ServiceName::Registry, 0)).await?;
    for _ in 0..3 {
        let message = timeout(DEADLINE, beats.next()).await?.context("no beats")?;
        let beat: runtime::Beat = serde_json::from_slice(&message.payload)?;
        assert_eq!((beat.term, beat.sequence), (1, 1));
    }
    hosted.stop().await
}
