//! The registry as the loop sees it: every answer is one call away.

use registry_core::{Answer, Effect, Observation, Registry};
use runtime::{Caller, CommandOf, EffectContext, EventOf, Request, Row, Service, StateOf};
use schemas::{
    Cursor, Fault,
    registry::verb,
    subject::{Bucket, HEARTBEATS, ServiceName},
};

use crate::{PresenceRows, pages, project, requests};

/// Translates between the wire and [`Registry`], and performs what it calls for.
pub struct RegistryService {
    presence: PresenceRows,
}

impl RegistryService {
    /// Writes heartbeats to `presence`.
    #[must_use]
    pub fn new(presence: PresenceRows) -> Self {
        Self { presence }
    }
}

impl Service for RegistryService {
    type Core = Registry;

    const NAME: ServiceName = ServiceName::Registry;
    const VERBS: &'static [&'static str] = &verb::ALL;
    const BUCKETS: &'static [Bucket] = &[Bucket::Agents];
    const STATE_SCHEMA: u32 = 1;
    const HEARS: &'static [&'static str] = &[HEARTBEATS];

    fn read(&self, verb: &str, body: &[u8], caller: &Caller) -> Result<Request<Registry>, Fault> {
        requests::read(verb, body, caller)
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

    async fn perform(&self, effect: Effect, _: &EffectContext) {
        self.presence.perform(effect).await;
    }

    fn stamp(answer: &mut Answer, head: Cursor) {
        if let Answer::Agents(answer) = answer {
            answer.cursor = head;
        }
    }

    async fn complete(&self, mut answer: Answer) -> Result<Answer, Fault> {
        if let Answer::Agents(answer) = &mut answer {
            pages::fit(answer);
        }
        Ok(answer)
    }

    fn hear(&self, subject: &str, body: &[u8], now_ms: u64) -> Result<Observation, Fault> {
        requests::hear(subject, body, now_ms)
    }
}
