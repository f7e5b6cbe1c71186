//! What an event leaves in `cortex_agents` and `cortex_principals`, and how the live feed names it.

use registry_core::State;
use runtime::Row;
use schemas::{registry::RegistryEvent, subject::Bucket};

/// What events are about that concern an agent as the fleet sees it.
const AGENT: &str = "agent";
/// What those are about that nobody known did; they are named by whoever told of them.
const BROKER: &str = "broker";
/// What the others are about.
const PRINCIPAL: &str = "principal";

/// The rows that an event changes. No id is ever forgotten, so no row is ever deleted.
pub(crate) fn project(state: &State, event: &RegistryEvent) -> Vec<Row> {
    let id = event.principal();
    let row = if event.agent().is_some() {
        state.row(id).map(|view| Row::put(Bucket::Agents, id.as_str(), &view))
    } else {
        let row = state.principal_row(id).filter(|_| changes_principal(event));
        row.map(|view| Row::put(Bucket::Principals, id.as_str(), &view))
    };
    row.into_iter().collect()
}

/// Whether what others see of a principal is another after the event.
fn changes_principal(event: &RegistryEvent) -> bool {
    match event {
        RegistryEvent::PrincipalSeated { .. }
        | RegistryEvent::InviteRedeemed { .. }
        | RegistryEvent::EnrolmentConfirmed { .. }
        | RegistryEvent::KeysRotated { .. }
        | RegistryEvent::KeysRenewed { .. }
        | RegistryEvent::KeyRevoked { .. }
        | RegistryEvent::PrincipalEvicted { .. }
        | RegistryEvent::PrincipalBanned { .. }
        | RegistryEvent::RoleSet { .. } => true,
        RegistryEvent::AgentRegistered { .. }
        | RegistryEvent::AgentStatusChanged { .. }
        | RegistryEvent::AgentStatusSet { .. }
        | RegistryEvent::AgentStatusReleased { .. }
        | RegistryEvent::AgentArchived { .. }
        | RegistryEvent::AgentDeregistered { .. }
        | RegistryEvent::AgentShared { .. }
        | RegistryEvent::AgentUnshared { .. }
        | RegistryEvent::OrderTaken { .. }
        | RegistryEvent::InviteMade { .. }
        | RegistryEvent::InviteAbused { .. }
        | RegistryEvent::TokenCreated { .. }
        | RegistryEvent::TokenRevoked { .. }
        | RegistryEvent::AccessDenied { .. }
        | RegistryEvent::DenialsSuppressed { .. } => false,
    }
}

/// What an event is about.
pub(crate) fn about(event: &RegistryEvent) -> (&'static str, &str) {
    let by_nobody_known = matches!(
        event,
        RegistryEvent::AccessDenied { principal: None, .. }
            | RegistryEvent::DenialsSuppressed { .. }
    );
    let kind = match event.agent() {
        Some(_) => AGENT,
        None if by_nobody_known => BROKER,
        None => PRINCIPAL,
    };
    (kind, event.principal().as_str())
}
