//! Who is in the fleet, as the registry tells it: listed once, then followed event by event.
//!
//! **Invariant:** events are followed from the place that the first page of the list stands for, so
//! nothing that happens while it is read is missed.
//! **Invariant:** while the registry is down, what was last known stays, and it is asked again.

use std::{collections::BTreeSet, time::Duration};

use client::{Client, StartAt};
use runtime::Observer;
use scheduler_core::Observation;
use schemas::{
    Cursor, ErrorCode, Fault, PrincipalId,
    registry::{GetAgentsAnswer, GetAgentsRequest, RegistryEvent, verb},
    subject::ServiceName,
};

use crate::SchedulerService;

/// How long to wait before the registry is asked again, at first; doubles with each failure.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// How long to wait at most.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Agents asked for at once; the registry sends fewer when they are large.
const PAGE: u32 = 500;

/// Why following stopped.
enum Stopped {
    /// The loop listens no more.
    Unheard,
    /// The registry cannot be read.
    Failed(Fault),
}

/// Tells the loop who is in the fleet until it listens no more.
pub(crate) async fn follow(client: &Client, observer: &Observer<SchedulerService>) {
    let mut pause = RETRY_MIN;
    loop {
        match list(client, observer).await {
            Ok(cursor) => {
                pause = RETRY_MIN;
                match events(client, observer, cursor).await {
                    Stopped::Unheard => return,
                    Stopped::Failed(fault) => {
                        tracing::warn!(%fault, "following the registry failed; it is listed anew");
                    }
                }
            }
            Err(Stopped::Unheard) => return,
            Err(Stopped::Failed(fault)) => {
                tracing::warn!(%fault, "listing the fleet failed; it is tried again");
            }
        }
        tokio::time::sleep(pause).await;
        pause = RETRY_MAX.min(pause * 2);
    }
}

/// Hands over the whole fleet; returns the place in the registry's log from which on to follow.
async fn list(client: &Client, observer: &Observer<SchedulerService>) -> Result<Cursor, Stopped> {
    let mut all: BTreeSet<PrincipalId> = BTreeSet::new();
    let mut begin: Option<Cursor> = None;
    let mut after: Option<PrincipalId> = None;
    loop {
        let request =
            GetAgentsRequest { archived: true, after, limit: Some(PAGE), ..Default::default() };
        let asked = client.request(ServiceName::Registry, verb::GET_AGENTS, &request).await;
        let page: GetAgentsAnswer = asked.map_err(Stopped::Failed)?;
        let begin = *begin.get_or_insert(page.cursor);
        for agent in page.agents {
            all.insert(agent.manifest.id.clone());
            tell(observer, Observation::Agent(Box::new(agent))).await?;
        }
        after = page.next;
        if after.is_none() {
            tell(observer, Observation::Listed(all)).await?;
            return Ok(begin);
        }
    }
}

async fn events(client: &Client, observer: &Observer<SchedulerService>, cursor: Cursor) -> Stopped {
    let mut events = client.events(ServiceName::Registry, StartAt::After(cursor));
    loop {
        let event = match events.next().await {
            Some(Ok(event)) => event,
            Some(Err(fault)) => return Stopped::Failed(fault),
            None => return Stopped::Failed(ended()),
        };
        let parsed: Result<RegistryEvent, _> = serde_json::from_str(event.event.get());
        let told = match parsed {
            Ok(event) => tell(observer, Observation::Registry(Box::new(event))).await,
            Err(error) => {
                // Made by a newer registry: what it changes is seen when the fleet is listed.
                let message = format!("event {} is not understood: {error}", event.cursor);
                return Stopped::Failed(Fault::new(ErrorCode::ProtocolMismatch, message));
            }
        };
        if let Err(stopped) = told {
            return stopped;
        }
    }
}

fn ended() -> Fault {
    Fault::new(ErrorCode::Unreachable, "the registry's events ended")
}

async fn tell(
    observer: &Observer<SchedulerService>,
    observation: Observation,
) -> Result<(), Stopped> {
    if observer.observe(observation).await { Ok(()) } else { Err(Stopped::Unheard) }
}
