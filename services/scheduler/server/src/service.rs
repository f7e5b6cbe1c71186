//! The scheduler as the loop sees it: every answer is one call away.

use std::sync::Arc;

use client::Client;
use runtime::{
    Caller, CommandOf, EffectContext, EventOf, FactsOf, HostContext, Observer, Request, Row,
    RowReader, Service, StateOf,
};
use scheduler_core::{Answer, Effect, Observation, Scheduler};
use schemas::{
    Cursor, Fault, PrincipalId,
    scheduler::verb,
    subject::{Bucket, HEARTBEATS, ServiceName},
};
use tokio::sync::Semaphore;

use crate::{
    SchedulerTrust, chain, effects, follow, output, pages, project, requests, verifier::Verifier,
};

/// Translates between the wire and [`Scheduler`], and performs what it calls for.
pub struct SchedulerService {
    trust: SchedulerTrust,
    verifier: Verifier,
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
        let verifier = Verifier::new(trust.anchors().clone());
        Self { trust, verifier, client, rows, waiting }
    }
}

impl Service for SchedulerService {
    type Core = Scheduler;

    const NAME: ServiceName = ServiceName::Scheduler;
    const VERBS: &'static [&'static str] = &verb::ALL;
    const BUCKETS: &'static [Bucket] = &[Bucket::Tasks, Bucket::Envelopes];
    const STATE_SCHEMA: u32 = 2;
    const HEARS: &'static [&'static str] = &[HEARTBEATS];

    fn read(&self, verb: &str, body: &[u8], caller: &Caller) -> Result<Request<Scheduler>, Fault> {
        requests::read(&self.verifier, verb, body, caller)
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
        effects::perform(&self.client, (&self.trust, &self.rows), effect, context).await;
    }

    fn sees(
        state: &StateOf<Self>,
        facts: &FactsOf<Self>,
        viewer: &PrincipalId,
        event: &EventOf<Self>,
    ) -> bool {
        scheduler_core::sees(state, facts, viewer, event)
    }

    fn may_rebuild(_: &StateOf<Self>, facts: &FactsOf<Self>, viewer: &PrincipalId) -> bool {
        scheduler_core::may_rebuild(facts, viewer)
    }

    fn stamp(answer: &mut Answer, head: Cursor) {
        if let Answer::Tasks(page) = answer {
            page.answer.cursor = head;
        }
    }

    async fn complete(&self, answer: Answer) -> Result<Answer, Fault> {
        let Self { client, rows, trust, verifier, waiting } = self;
        match answer {
            Answer::Output(source) => output::read(client, waiting, *source).await,
            Answer::Chain(page) => chain::read(rows, *page).await,
            Answer::Lineage(lineage) => {
                chain::submit((client, rows), (trust, verifier), *lineage).await
            }
            Answer::Kept(kept) => pages::record(rows, &kept).await,
            Answer::Tasks(page) => pages::fill(rows, page).await,
            whole @ (Answer::Submitted(_)
            | Answer::Start(_)
            | Answer::Reported(_)
            | Answer::Cancelled(_)
            | Answer::Task(_)
            | Answer::OutputRead(_)
            | Answer::Why(_)
            | Answer::ChainRead(_)
            | Answer::Done {}) => Ok(whole),
        }
    }

    fn hear(&self, subject: &str, body: &[u8], _: u64) -> Result<Observation, Fault> {
        requests::hear(subject, body)
    }

    async fn accompany(self: Arc<Self>, observer: Observer<Self>) {
        follow::follow(&self.client, &self.verifier, &observer).await;
    }
}
