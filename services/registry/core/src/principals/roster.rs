//! Who is out and who may act everywhere, as nodes and services are told.

use std::collections::BTreeSet;

use schemas::{PrincipalId, Timestamp, key::KeyId, principal::UserRole, registry::RegistryEvent};

use super::{Principal, Principals};

/// Most keys that one roster names; together with the overseers they fit into one signed roster of
/// 512 KiB, 17 bytes each.
pub const ROSTER_KEYS_MAX: usize = 24 * 1_024;
/// Most people who may task every agent.
pub const OVERSEERS_MAX: usize = 64;

/// Whether the roster is another one after the event, which the principals include.
pub(crate) fn changes_roster(principals: &Principals, event: &RegistryEvent) -> bool {
    match event {
        RegistryEvent::PrincipalSeated { .. }
        | RegistryEvent::KeyRevoked { .. }
        | RegistryEvent::PrincipalEvicted { .. }
        | RegistryEvent::PrincipalBanned { .. }
        | RegistryEvent::RoleSet { .. }
        | RegistryEvent::TokenRevoked { .. } => true,
        RegistryEvent::EnrolmentConfirmed { principal } => {
            principals.get(principal).is_some_and(is_overseer)
        }
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
        | RegistryEvent::InviteRedeemed { .. }
        | RegistryEvent::InviteAbused { .. }
        | RegistryEvent::KeysRotated { .. }
        | RegistryEvent::KeysRenewed { .. }
        | RegistryEvent::TokenCreated { .. }
        | RegistryEvent::AccessDenied { .. }
        | RegistryEvent::DenialsSuppressed { .. } => false,
    }
}

pub(super) fn is_overseer(principal: &Principal) -> bool {
    principal.is_active() && principal.role.is_some_and(UserRole::tasks_everything)
}

impl Principals {
    /// Keys that are out of use, in order, as long as what they signed could count otherwise.
    #[must_use]
    pub fn revoked(&self, now: Timestamp) -> Vec<KeyId> {
        let keys = self.iter().flat_map(|principal| &principal.keys);
        let keys = keys.filter(|key| key.revoked_at.is_some() && key.can_count(now));
        let mut revoked: BTreeSet<KeyId> = keys.map(|key| key.certified.id).collect();
        // A token's key does not count once the one that vouches for it is out.
        let tokens = self.tokens().filter(|token| {
            let vouched = !revoked.contains(&token.voucher);
            token.view.revoked_at.is_some() && token.can_count(now) && vouched
        });
        let tokens: Vec<KeyId> = tokens.map(|token| token.view.key).collect();
        revoked.extend(tokens);
        revoked.into_iter().collect()
    }

    /// People who may task every agent, in order.
    #[must_use]
    pub fn overseers(&self) -> Vec<PrincipalId> {
        self.iter().filter(|it| is_overseer(it)).map(|it| it.id.clone()).collect()
    }
}
