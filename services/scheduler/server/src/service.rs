//! The scheduler as the loop sees it: every answer is one call away.

use std::sync::Arc;

use client::Client;
use runtime::{
    Caller, CommandOf, EffectContext, EventOf, HostContext, Observer, Request, Row, RowReader,
    Service, StateOf,
};
use scheduler_core::{Answer, Effect, Observation, Scheduler};
use schemas::{
    Cursor, Fault,
    scheduler::verb,
    subject::{Bucket, HEARTBEATS, ServiceName},
};
use tokio::sync::Semaphore;

use crate::{SchedulerTrust, effects, follow, output, pages, project, requests};

/// Translates between the wire and [`Scheduler`], and performs what it calls for.
pub struct SchedulerService {
    trust: SchedulerTrust,
    client: Client,
    rows: RowReader,
    /// Room for requests that wait for output.
    waiting: Semaphore,
}

impl SchedulerService {
    /// Signs and verifies with `trust`, and speaks to nodes and the registry over the context's
    /// connection.
    #[must_use]
    pub fn new(trust: SchedulerTrust, context: HostContext) -> Self {
        let HostContext { client, rows, instance: _ } = context;
        let waiting = Semaphore::new(output::WAITING_MAX);
        Self { trust, client, rows, waiting }
    }
}

impl Service for SchedulerService {
    type Core = Scheduler;

    const NAME: ServiceName = ServiceName::Scheduler;
    const VERBS: &'static [&'static str] = &verb::ALL;
    const BUCKETS: &'static [Bucket] = &[Bucket::Tasks, Bucket::Envelopes];
    const STATE_SCHEMA: u32 = 1;
    const HEARS: &'static [&'static str] = &[HEARTBEATS];

    fn read(&self, verb: &str, body: &[u8], caller: &Caller) -> Result<Request<Scheduler>, Fault> {
        requests::read(self.trust.anchors(), verb, body, caller)
    }

    fn verb(command: &CommandOf<Self>) -> &'static str {
        command.verb()
    }

    fn about(event: &EventOf<Self>) -> (&'static str, &str) {
        project::about(event)
    }

    fn project(state: &StateOf<Self>, event: &EventOf<Self>) -> Vec<Row> {
        project::project(state, event)
    }

    async fn perform(&self, effect: Effect, context: &EffectContext) {
        effects::perform(&self.client, &self.trust, effect, context).await;
    }

    fn stamp(answer: &mut Answer, head: Cursor) {
        if let Answer::Tasks(page) = answer {
            page.answer.cursor = head;
        }
    }

    async fn complete(&self, answer: Answer) -> Result<Answer, Fault> {
        if let Answer::Output(source) = answer {
            return output::read(&self.client, &self.waiting, *source).await;
        }
        pages::complete(&self.rows, answer).await
    }

    fn hear(&self, subject: &str, body: &[u8], _: u64) -> Result<Observation, Fault> {
        requests::hear(subject, body)
    }

    async fn accompany(self: Arc<Self>, observer: Observer<Self>) {
        follow::follow(&self.client, &observer).await;
    }
}
