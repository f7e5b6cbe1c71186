//! What must be done in the world once an event is committed.

use schemas::{
    PrincipalId,
    registry::{Presence, RegistryEvent},
};

/// Something to be done; repeating it does no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Let others see these heartbeats.
    ShowPresence(Vec<Presence>),
    /// Let nobody see a heartbeat of this agent any more.
    HidePresence(PrincipalId),
}

/// Names what a committed event calls for.
pub(crate) fn react(event: &RegistryEvent) -> Vec<Effect> {
    match event {
        RegistryEvent::AgentArchived { agent } | RegistryEvent::AgentDeregistered { agent, .. } => {
            vec![Effect::HidePresence(agent.clone())]
        }
        RegistryEvent::AgentRegistered { .. }
        | RegistryEvent::AgentStatusChanged { .. }
        | RegistryEvent::AgentStatusSet { .. }
        | RegistryEvent::AgentStatusReleased { .. }
        | RegistryEvent::AgentShared { .. }
        | RegistryEvent::AgentUnshared { .. }
        | RegistryEvent::PrincipalSeated { .. }
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
        | RegistryEvent::TokenRevoked { .. } => Vec::new(),
    }
}
