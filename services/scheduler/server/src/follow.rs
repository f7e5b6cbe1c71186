//! Who is in the fleet, who takes part and what they may, as the registry tells it: listed once, then
//! followed event by event.
//!
//! **Invariant:** events are followed from the place that the first page of the list stands for, so
//! nothing that happens while it is read is missed.
//! **Invariant:** while the registry is down, what was last known stays, and it is asked again.

use std::{collections::BTreeSet, time::Duration};

use client::{Client, StartAt};
use runtime::Observer;
use scheduler_core::{Observation, Revocations};
use schemas::{
    Cursor, ErrorCode, Fault, PrincipalId,
    enrolment::{GetPrincipalsAnswer, GetPrincipalsRequest, GetTokensAnswer, GetTokensRequest},
    registry::{GetAgentsAnswer, GetAgentsRequest, RegistryEvent, verb},
    subject::ServiceName,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{SchedulerService, verifier::Verifier};

/// How long to wait before the registry is asked again, at first; doubles with each failure.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// How long to wait at most.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Agents or principals asked for at once; the registry sends fewer when they are large.
const PAGE: u32 = 500;

/// Why following stopped.
enum Stopped {
    /// The loop listens no more.
    Unheard,
    /// The registry cannot be read.
    Failed(Fault),
}

/// Tells the loop who is in the fleet until it listens no more.
pub(crate) async fn follow(
    client: &Client,
    verifier: &Verifier,
    observer: &Observer<SchedulerService>,
) {
    let mut pause = RETRY_MIN;
    loop {
        let mut follower = Follower { client, verifier, observer, out: Revocations::default() };
        match follower.list().await {
            Ok(cursor) => {
                pause = RETRY_MIN;
                match follower.events(cursor).await {
                    Stopped::Unheard => return,
                    Stopped::Failed(fault) => {
                        tracing::warn!(%fault, "following the registry failed; it is listed anew");
                    }
                }
            }
            Err(Stopped::Unheard) => return,
            Err(Stopped::Failed(fault)) => {
                tracing::warn!(%fault, "listing the registry failed; it is tried again");
            }
        }
        tokio::time::sleep(pause).await;
        pause = RETRY_MAX.min(pause * 2);
    }
}

/// Reads the registry, and hands over what it says.
struct Follower<'a> {
    client: &'a Client,
    verifier: &'a Verifier,
    observer: &'a Observer<SchedulerService>,
    /// Keys that are out of use.
    out: Revocations,
}

impl Follower<'_> {
    /// Hands over everything; returns the place in the registry's log from which on to follow.
    async fn list(&mut self) -> Result<Cursor, Stopped> {
        let begin = self.list_fleet().await?;
        self.list_principals().await?;
        self.verifier.set_revoked(self.out.keys());
        Ok(begin)
    }

    async fn list_fleet(&self) -> Result<Cursor, Stopped> {
        let mut all: BTreeSet<PrincipalId> = BTreeSet::new();
        let mut begin: Option<Cursor> = None;
        let mut after: Option<PrincipalId> = None;
        loop {
            let request =
                GetAgentsRequest { archived: true, after, limit: Some(PAGE), ..Default::default() };
            let page: GetAgentsAnswer = self.ask(verb::GET_AGENTS, &request).await?;
            let begin = *begin.get_or_insert(page.cursor);
            for agent in page.agents {
                all.insert(agent.manifest.id.clone());
                self.tell(Observation::Agent(Box::new(agent))).await?;
            }
            after = page.next;
            if after.is_none() {
                self.tell(Observation::Listed(all)).await?;
                return Ok(begin);
            }
        }
    }

    async fn list_principals(&mut self) -> Result<(), Stopped> {
        let mut all: BTreeSet<PrincipalId> = BTreeSet::new();
        let mut after: Option<PrincipalId> = None;
        loop {
            let request = GetPrincipalsRequest { kind: None, after, limit: Some(PAGE) };
            let page: GetPrincipalsAnswer = self.ask(verb::GET_PRINCIPALS, &request).await?;
            for principal in page.principals {
                self.out.list(&principal);
                all.insert(principal.id.clone());
                self.tell(Observation::Principal(Box::new(principal))).await?;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        self.list_tokens().await?;
        self.tell(Observation::PrincipalsListed(all)).await
    }

    async fn list_tokens(&mut self) -> Result<(), Stopped> {
        let mut after: Option<String> = None;
        loop {
            let request = GetTokensRequest { after };
            let page: GetTokensAnswer = self.ask(verb::GET_TOKENS, &request).await?;
            for token in page.tokens {
                self.out.list_token(&token);
                self.tell(Observation::Token(Box::new(token))).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn events(&mut self, cursor: Cursor) -> Stopped {
        let mut events = self.client.events(ServiceName::Registry, StartAt::After(cursor));
        loop {
            let event = match events.next().await {
                Some(Ok(event)) => event,
                Some(Err(fault)) => return Stopped::Failed(fault),
                None => return Stopped::Failed(ended()),
            };
            let parsed: Result<RegistryEvent, _> = serde_json::from_str(event.event.get());
            let told = match parsed {
                Ok(event) => self.take(event).await,
                Err(error) => {
                    // Made by a newer registry: what it changes is seen when all is listed.
                    let message = format!("event {} is not understood: {error}", event.cursor);
                    return Stopped::Failed(Fault::new(ErrorCode::ProtocolMismatch, message));
                }
            };
            if let Err(stopped) = told {
                return stopped;
            }
        }
    }

    async fn take(&mut self, event: RegistryEvent) -> Result<(), Stopped> {
        if self.out.follow(&event) {
            self.verifier.set_revoked(self.out.keys());
        }
        self.tell(Observation::Registry(Box::new(event))).await
    }

    async fn ask<Ans: DeserializeOwned>(
        &self,
        verb: &str,
        request: &impl Serialize,
    ) -> Result<Ans, Stopped> {
        let asked = self.client.request(ServiceName::Registry, verb, request).await;
        asked.map_err(Stopped::Failed)
    }

    async fn tell(&self, observation: Observation) -> Result<(), Stopped> {
        if self.observer.observe(observation).await { Ok(()) } else { Err(Stopped::Unheard) }
    }
}

fn ended() -> Fault {
    Fault::new(ErrorCode::Unreachable, "the registry's events ended")
}
