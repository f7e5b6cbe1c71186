//! How each event changes what is remembered.
//!
//! **Invariant:** total: history is applied, not judged, and what it says of an agent that was
//! never announced changes nothing.

use decider::Recorded;
use schemas::{
    Timestamp,
    registry::{AgentStatus, RegistryEvent},
};

use crate::{Agent, Listing, State, principals};

/// Takes one event into the state.
pub(crate) fn evolve(state: &mut State, event: &RegistryEvent, recorded: &Recorded) {
    let at = Timestamp(recorded.at_ms);
    let Some(agent) = event.agent() else {
        principals::evolve(state.principals_mut(), event, at);
        return;
    };
    let before = state.agent(agent);
    if let Some(agent) = applied(before, event, at) {
        state.put(agent);
    }
}

/// The agent after an event; nothing when there is none that the event could be about.
pub(crate) fn applied(
    before: Option<&Agent>,
    event: &RegistryEvent,
    at: Timestamp,
) -> Option<Agent> {
    let changed = |change: &dyn Fn(&mut Agent)| {
        let mut agent = before.cloned()?;
        agent.updated_at = at;
        change(&mut agent);
        Some(agent)
    };
    match event {
        RegistryEvent::AgentRegistered { .. } => announced(before, event, at),
        RegistryEvent::AgentStatusChanged { to, reason, .. } => changed(&|agent| {
            change_presence(agent, *to, at);
            agent.reason = (*to != AgentStatus::Online).then(|| reason.clone());
        }),
        RegistryEvent::AgentStatusSet { set, .. } => {
            changed(&|agent| agent.set = Some(set.clone()))
        }
        RegistryEvent::AgentStatusReleased { .. } => changed(&|agent| agent.set = None),
        RegistryEvent::AgentArchived { .. } => changed(&|agent| agent.listing = Listing::Archived),
        RegistryEvent::AgentDeregistered { by, .. } => changed(&|agent| {
            change_presence(agent, AgentStatus::Offline, at);
            agent.reason = Some(format!("{by} deregistered it"));
            agent.set = None;
            agent.listing = Listing::Deregistered;
        }),
        RegistryEvent::AgentShared { with, .. } => changed(&|agent| {
            agent.shared_with.retain(|known| known != with);
            agent.shared_with.push(with.clone());
        }),
        RegistryEvent::AgentUnshared { with, .. } => {
            changed(&|agent| agent.shared_with.retain(|known| known != with))
        }
        RegistryEvent::PrincipalSeated { .. }
        | RegistryEvent::OrderTaken { .. }
        | RegistryEvent::InviteMade { .. }
        | RegistryEvent::InviteRedeemed { .. }
        | RegistryEvent::EnrolmentConfirmed { .. }
        | RegistryEvent::InviteAbused { .. }
        | RegistryEvent::KeysRotated { .. }
        | RegistryEvent::KeysRenewed { .. }
        | RegistryEvent::KeyRevoked { .. }
        | RegistryEvent::PrincipalEvicted { .. }
        | RegistryEvent::PrincipalBanned { .. }
        | RegistryEvent::RoleSet { .. }
        | RegistryEvent::TokenCreated { .. }
        | RegistryEvent::TokenRevoked { .. }
        | RegistryEvent::AccessDenied { .. }
        | RegistryEvent::DenialsSuppressed { .. } => None,
    }
}

fn change_presence(agent: &mut Agent, to: AgentStatus, at: Timestamp) {
    agent.present = to;
    if to == AgentStatus::Offline {
        agent.offline_since.get_or_insert(at);
        return;
    }
    agent.offline_since = None;
    if agent.listing == Listing::Archived {
        agent.listing = Listing::Listed;
    }
}

fn announced(before: Option<&Agent>, event: &RegistryEvent, at: Timestamp) -> Option<Agent> {
    let RegistryEvent::AgentRegistered { manifest, node, registrant, owner } = event else {
        return None;
    };
    let by_itself = *registrant == manifest.id;
    let mut agent = Agent {
        manifest: manifest.as_ref().clone(),
        node: node.as_deref().cloned(),
        registrant: registrant.clone(),
        owner: owner.clone(),
        shared_with: Vec::new(),
        present: if by_itself { AgentStatus::Online } else { AgentStatus::Offline },
        reason: (!by_itself).then(|| "it has not beaten yet".to_owned()),
        set: None,
        registered_at: at,
        announced_at: by_itself.then_some(at),
        offline_since: (!by_itself).then_some(at),
        updated_at: at,
        listing: Listing::Listed,
    };
    if let Some(old) = before {
        agent.present = old.present;
        agent.reason.clone_from(&old.reason);
        agent.set.clone_from(&old.set);
        // What was shared by one owner is not shared by the next.
        if old.owner == agent.owner {
            agent.shared_with.clone_from(&old.shared_with);
        }
        agent.registered_at = old.registered_at;
        // What comes back to the lists while it is offline has as long as a new one to beat.
        let since = if old.is_listed() { old.offline_since } else { Some(at) };
        agent.offline_since = old.offline_since.and(since);
    }
    Some(agent)
}
