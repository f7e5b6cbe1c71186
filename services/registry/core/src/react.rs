//! What must be done in the world once an event is committed.

use std::collections::BTreeMap;

use schemas::{
    PrincipalId,
    agent::RosterNotice,
    registry::{Presence, RegistryEvent},
};

use crate::{State, principals};

/// Something to be done; repeating it does no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Let others see these heartbeats.
    ShowPresence(Vec<Presence>),
    /// Let nobody see a heartbeat of this agent any more.
    HidePresence(PrincipalId),
    /// Let the broker refuse these logins: what was signed for them up to that second is void.
    RefuseLogins(BTreeMap<String, u64>),
    /// Let everybody know that there is a new roster.
    AnnounceRoster(RosterNotice),
}

/// Names what a committed event calls for.
pub(crate) fn react(state: &State, event: &RegistryEvent) -> Vec<Effect> {
    let mut effects = Vec::new();
    if let RegistryEvent::AgentArchived { agent } | RegistryEvent::AgentDeregistered { agent, .. } =
        event
    {
        effects.push(Effect::HidePresence(agent.clone()));
    }
    if retires_login(event) {
        effects.push(refuse_logins(state));
    }
    if principals::changes_roster(state.principals(), event) || changes_access(event) {
        effects.push(announce(state));
    }
    effects
}

/// What a new writer cannot know to have been done.
pub(crate) fn resume(state: &State) -> Vec<Effect> {
    // Presence is shown anew with the next heartbeats.
    vec![refuse_logins(state), announce(state)]
}

fn refuse_logins(state: &State) -> Effect {
    Effect::RefuseLogins(state.principals().retired().clone())
}

fn announce(state: &State) -> Effect {
    Effect::AnnounceRoster(RosterNotice { version: state.principals().version() })
}

/// Whether whoever logged in may not any more, or not with the same key.
fn retires_login(event: &RegistryEvent) -> bool {
    matches!(
        event,
        RegistryEvent::PrincipalSeated { .. }
            | RegistryEvent::PrincipalEvicted { .. }
            | RegistryEvent::PrincipalBanned { .. }
    )
}

/// Whether an agent learns from its roster that others may task it.
fn changes_access(event: &RegistryEvent) -> bool {
    matches!(event, RegistryEvent::AgentShared { .. } | RegistryEvent::AgentUnshared { .. })
}
