//! The registry as the loop sees it: every answer is one call away.

use std::sync::Arc;

use client::Client;
use registry_core::{Answer, Effect, Observation, Registry, sees_event};
use runtime::{
    Caller, CommandOf, EffectContext, EventOf, FactsOf, Observer, Request, Row, Service, StateOf,
};
use schemas::{
    Cursor, Fault, PrincipalId,
    agent::RosterNotice,
    principal::UserRole,
    registry::verb,
    subject::{Bucket, HEARTBEATS, ROSTER, ServiceName},
};
use tokio::sync::watch;

use crate::{
    Issuing, PresenceRows, complete, project,
    push::{self, Refused},
    requests,
};

/// Translates between the wire and [`Registry`], and performs what it calls for.
pub struct RegistryService {
    presence: PresenceRows,
    client: Client,
    issuing: Option<Issuing>,
    /// What the broker is to be told.
    refused: watch::Sender<Refused>,
}

impl RegistryService {
    /// Writes heartbeats to `presence`, speaks over `client`, and lets others in with `issuing`.
    #[must_use]
    pub fn new(presence: PresenceRows, client: Client, issuing: Option<Issuing>) -> Self {
        let (refused, _) = watch::channel(None);
        Self { presence, client, issuing, refused }
    }

    /// Whoever hears it asks for the roster; whoever misses it does so every minute.
    async fn announce(&self, notice: &RosterNotice) {
        let body = serde_json::to_vec(notice).expect("a notice is a plain struct");
        if let Err(error) = self.client.nats().publish(ROSTER, body.into()).await {
            tracing::warn!(%error, "the new roster could not be announced");
        }
    }
}

impl Service for RegistryService {
    type Core = Registry;

    const NAME: ServiceName = ServiceName::Registry;
    const VERBS: &'static [&'static str] = &verb::ALL;
    const BUCKETS: &'static [Bucket] = &[Bucket::Agents, Bucket::Principals];
    const STATE_SCHEMA: u32 = 2;
    const HEARS: &'static [&'static str] = &[HEARTBEATS];

    fn read(&self, verb: &str, body: &[u8], caller: &Caller) -> Result<Request<Registry>, Fault> {
        requests::read(self.issuing.as_ref(), verb, body, caller)
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
        match effect {
            Effect::ShowPresence(heard) => self.presence.show(&heard).await,
            Effect::HidePresence(agent) => self.presence.hide(&agent).await,
            // Whoever accompanies the writer pushes it: other effects must not wait for the broker.
            Effect::RefuseLogins(logins) => {
                self.refused.send_replace(Some(logins));
            }
            Effect::AnnounceRoster(notice) => self.announce(&notice).await,
        }
    }

    fn stamp(answer: &mut Answer, head: Cursor) {
        if let Answer::Agents(answer) = answer {
            answer.cursor = head;
        }
    }

    fn sees(
        state: &StateOf<Self>,
        _: &FactsOf<Self>,
        viewer: &PrincipalId,
        event: &EventOf<Self>,
    ) -> bool {
        sees_event(state, viewer, event)
    }

    fn may_rebuild(state: &StateOf<Self>, _: &FactsOf<Self>, viewer: &PrincipalId) -> bool {
        state.principals().role(viewer).is_some_and(|role| match role {
            UserRole::Admin | UserRole::Operator => true,
            UserRole::Auditor | UserRole::User => false,
        })
    }

    async fn complete(&self, answer: Answer) -> Result<Answer, Fault> {
        complete::complete(self.issuing.as_ref(), answer)
    }

    fn hear(&self, subject: &str, body: &[u8], now_ms: u64) -> Result<Observation, Fault> {
        requests::hear(subject, body, now_ms)
    }

    async fn accompany(self: Arc<Self>, observer: Observer<Self>) {
        let Some(issuing) = &self.issuing else { return };
        observer.observe(Observation::Founders(issuing.founders.clone())).await;
        push::keep_pushing(issuing, self.refused.subscribe()).await;
    }
}
