//! Follows a service's events: notices of its head say when to look, the log's own pages are believed.
//!
//! A notice proves that there is something new, and may be lost; each event is taken from a page that
//! is read after a cursor.
//!
//! **Invariant:** what is handed out ascends strictly within each partition.

use std::{
    collections::BTreeMap,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use async_nats::Subscriber;
use futures::{Stream, StreamExt};
use schemas::{
    Cursor, Fault, FaultClass,
    feed::{EventsAnswer, EventsRequest, FeedEvent, HeadNotice},
    registry, scheduler,
    subject::{self, ServiceName},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use crate::{Client, LinkState, backoff};

/// How often the log is read when no notice comes.
const READ_INTERVAL: Duration = Duration::from_secs(5);
/// Shortest time between two reads, so that a busy log is read in pages and not one by one.
const READ_GAP: Duration = Duration::from_millis(5);
/// How long one read may take before it is begun anew.
const READ_DEADLINE: Duration = Duration::from_secs(30);
/// Events that are read ahead of whoever takes them.
const READ_AHEAD: usize = 256;

/// Where following begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// With the first event that is kept.
    Beginning,
    /// After this place.
    After(Cursor),
    /// With the first event that is committed from now on.
    Head,
}

/// The events of a service, for ever; an error is the last item.
#[derive(Debug)]
pub struct EventStream {
    events: mpsc::Receiver<Result<FeedEvent, Fault>>,
}

impl EventStream {
    pub(crate) fn open(client: Client, service: ServiceName, start: StartAt) -> Self {
        let (sender, events) = mpsc::channel(READ_AHEAD);
        let follower =
            Follower { client, service, sender: sender.clone(), positions: Positions::default() };
        tokio::spawn(async move {
            tokio::select! {
                () = follower.run(start) => (),
                () = sender.closed() => (),
            }
        });
        Self { events }
    }

    /// The next event; nothing after an error.
    pub async fn next(&mut self) -> Option<Result<FeedEvent, Fault>> {
        self.events.recv().await
    }
}

impl Stream for EventStream {
    type Item = Result<FeedEvent, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_recv(context)
    }
}

/// How far each partition was read.
#[derive(Debug, Default)]
struct Positions(BTreeMap<u32, Cursor>);

impl Positions {
    fn includes(&self, cursor: Cursor) -> bool {
        self.0.get(&cursor.partition).is_some_and(|position| cursor <= *position)
    }

    /// Moves forward, never back; false when that was reached already.
    fn advance(&mut self, cursor: Cursor) -> bool {
        let ahead = !self.includes(cursor);
        if ahead {
            self.0.insert(cursor.partition, cursor);
        }
        ahead
    }

    /// Where the reads go on; a service has its first partition always.
    fn next_reads(&self) -> Vec<Option<Cursor>> {
        if self.0.is_empty() { vec![None] } else { self.0.values().copied().map(Some).collect() }
    }
}

struct Follower {
    client: Client,
    service: ServiceName,
    sender: mpsc::Sender<Result<FeedEvent, Fault>>,
    positions: Positions,
}

impl Follower {
    async fn run(mut self, start: StartAt) {
        if let Err(fault) = self.follow(start).await {
            // Whoever no longer takes events needs no error either.
            drop(self.sender.send(Err(fault)).await);
        }
    }

    async fn follow(&mut self, start: StartAt) -> Result<(), Fault> {
        // Before the first read: what is committed in between is then announced.
        let mut live = self.client.nats().subscribe(subject::head(self.service)).await.ok();
        match start {
            StartAt::Beginning => (),
            StartAt::After(cursor) => _ = self.positions.advance(cursor),
            StartAt::Head => {
                let head = self.head().await?;
                self.positions.advance(head);
            }
        }
        loop {
            for after in self.positions.next_reads() {
                self.read_to_head(after).await?;
            }
            sleep(READ_GAP).await;
            self.wait_for_news(&mut live).await;
        }
    }

    /// Waits until the head is beyond what was read, the connection came back, or a while.
    async fn wait_for_news(&self, live: &mut Option<Subscriber>) {
        let until = Instant::now() + READ_INTERVAL;
        let mut changes = self.client.on_change();
        loop {
            tokio::select! {
                message = next_live(live) => {
                    let head = serde_json::from_slice::<HeadNotice>(&message.payload);
                    if head.is_ok_and(|head| !self.positions.includes(head.cursor)) {
                        return;
                    }
                }
                changed = changes.changed() => {
                    if changed.is_err() || *changes.borrow() == LinkState::Connected {
                        return;
                    }
                }
                () = sleep_until(until) => return,
            }
        }
    }

    async fn read_to_head(&mut self, mut after: Option<Cursor>) -> Result<(), Fault> {
        loop {
            let request = EventsRequest { after, limit: None };
            let answer: EventsAnswer = self.ask(events_verb(self.service), &request).await?;
            for event in answer.events {
                if self.positions.advance(event.cursor)
                    && self.sender.send(Ok(event)).await.is_err()
                {
                    return Ok(());
                }
            }
            self.positions.advance(answer.next);
            if answer.at_head || after == Some(answer.next) {
                return Ok(());
            }
            after = Some(answer.next);
        }
    }

    /// Every list says which events it includes, so the shortest list tells where the log ends.
    async fn head(&self) -> Result<Cursor, Fault> {
        match self.service {
            ServiceName::Registry => {
                let request = registry::GetAgentsRequest { limit: Some(1), ..Default::default() };
                let answer: registry::GetAgentsAnswer =
                    self.ask(registry::verb::GET_AGENTS, &request).await?;
                Ok(answer.cursor)
            }
            ServiceName::Scheduler => {
                let request = scheduler::GetTasksRequest { limit: Some(1), ..Default::default() };
                let answer: scheduler::GetTasksAnswer =
                    self.ask(scheduler::verb::GET_TASKS, &request).await?;
                Ok(answer.cursor)
            }
        }
    }

    /// Asks until there is an answer; only what will not change by waiting is an error.
    async fn ask<Req: serde::Serialize, Ans: serde::de::DeserializeOwned>(
        &self,
        verb: &str,
        request: &Req,
    ) -> Result<Ans, Fault> {
        loop {
            let call = self.client.call(self.service, verb).deadline(READ_DEADLINE);
            let fault = match call.send(request).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            if !passes(&fault) || *self.client.on_change().borrow() == LinkState::Closed {
                return Err(fault);
            }
            tracing::debug!(%fault, service = %self.service, "events cannot be read yet");
            sleep(backoff::retry_delay(rand::random())).await;
        }
    }
}

/// Without a subscription (the broker may forbid it) the log is read at intervals alone.
async fn next_live(live: &mut Option<Subscriber>) -> async_nats::Message {
    let message = match live {
        Some(messages) => messages.next().await,
        None => None,
    };
    match message {
        Some(message) => message,
        None => std::future::pending().await,
    }
}

fn passes(fault: &Fault) -> bool {
    match fault.code.class() {
        FaultClass::Unavailable | FaultClass::TimedOut => true,
        FaultClass::Invalid
        | FaultClass::NotFound
        | FaultClass::NotAllowed
        | FaultClass::Conflict
        | FaultClass::Denied
        | FaultClass::Broken => false,
    }
}

fn events_verb(service: ServiceName) -> &'static str {
    match service {
        ServiceName::Registry => registry::verb::EVENTS,
        ServiceName::Scheduler => scheduler::verb::EVENTS,
    }
}

#[cfg(test)]
mod tests;
