//! Who may know of what: one rule for queries and for the feed of events.

use schemas::{
    PrincipalId,
    permission::{Asker, sees},
    principal::{PrincipalKind, UserRole},
    registry::RegistryEvent,
    subject::ServiceName,
};

use super::{Invitation, Principal, Token};
use crate::{Agent, State};

/// Asks for those who come over HTTP; the only one that may have tokens unsealed.
pub const GATEWAY: &str = "gateway";

/// What somebody may know of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight<'a> {
    viewer: &'a PrincipalId,
    asker: Asker<'a>,
    everything: bool,
}

/// Whether `who` is a part of the control plane. The broker lets nobody else use a service's name,
/// and services ask before the log says that they are there.
pub(super) fn is_service(state: &State, who: &PrincipalId) -> bool {
    let seated = state.principals().active(who);
    ServiceName::parse(who.as_str()).is_some()
        || seated.is_some_and(|it| it.kind == PrincipalKind::Service)
}

impl<'a> Sight<'a> {
    pub(crate) fn of(state: &'a State, viewer: &'a PrincipalId) -> Self {
        let asker = state.asker(viewer);
        let everything = asker.role.is_some_and(UserRole::sees_everything);
        Self { viewer, asker, everything: everything || is_service(state, viewer) }
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.everything
    }

    pub(crate) fn agent(&self, agent: &Agent) -> bool {
        self.everything || sees(self.asker, agent.as_target())
    }

    /// Themselves, what is theirs, and what is of the same owner.
    pub(super) fn principal(&self, principal: &Principal) -> bool {
        self.everything || principal.id == *self.viewer || self.is_of(&principal.owner)
    }

    pub(super) fn invitation(&self, invitation: &Invitation) -> bool {
        let Invitation { invite, owner, by, .. } = invitation;
        self.everything
            || [&invite.principal, owner, by].into_iter().any(|party| party == self.viewer)
    }

    pub(super) fn token(&self, token: &Token) -> bool {
        self.everything || token.view.owner == *self.viewer
    }

    /// Whether what is of `owner` concerns the viewer.
    fn is_of(&self, owner: &PrincipalId) -> bool {
        owner == self.viewer || self.asker.owner == Some(owner)
    }
}

/// Whether `viewer` may read `event`, judged by what is known now.
#[must_use]
pub fn sees_event(state: &State, viewer: &PrincipalId, event: &RegistryEvent) -> bool {
    let principals = state.principals();
    if principals.get(viewer).is_some_and(Principal::is_out) {
        return false;
    }
    let sight = Sight::of(state, viewer);
    if sight.is_everything() {
        return true;
    }
    if let Some(agent) = event.agent() {
        return state.agent(agent).is_some_and(|agent| sight.agent(agent));
    }
    match event {
        RegistryEvent::InviteMade { invite, owner, by, .. } => {
            [&invite.principal, owner, by].into_iter().any(|party| party == viewer)
        }
        // What is done with one's token and ordered in one's name concerns nobody else.
        RegistryEvent::OrderTaken { by, .. } => by == viewer,
        RegistryEvent::TokenCreated { .. } | RegistryEvent::TokenRevoked { .. } => {
            event.principal() == viewer
        }
        // What somebody tried in vain is their own business, not their owner's.
        RegistryEvent::AccessDenied { principal, .. } => principal.as_ref() == Some(viewer),
        RegistryEvent::DenialsSuppressed { .. } => false,
        RegistryEvent::InviteAbused { invite, .. } => {
            principals.invite(invite).is_some_and(|invitation| sight.invitation(invitation))
        }
        RegistryEvent::PrincipalSeated { .. }
        | RegistryEvent::InviteRedeemed { .. }
        | RegistryEvent::EnrolmentConfirmed { .. }
        | RegistryEvent::KeysRotated { .. }
        | RegistryEvent::KeysRenewed { .. }
        | RegistryEvent::KeyRevoked { .. }
        | RegistryEvent::PrincipalEvicted { .. }
        | RegistryEvent::PrincipalBanned { .. }
        | RegistryEvent::RoleSet { .. } => {
            principals.get(event.principal()).is_some_and(|principal| sight.principal(principal))
        }
        RegistryEvent::AgentRegistered { .. }
        | RegistryEvent::AgentStatusChanged { .. }
        | RegistryEvent::AgentStatusSet { .. }
        | RegistryEvent::AgentStatusReleased { .. }
        | RegistryEvent::AgentArchived { .. }
        | RegistryEvent::AgentDeregistered { .. }
        | RegistryEvent::AgentShared { .. }
        | RegistryEvent::AgentUnshared { .. } => false,
    }
}
