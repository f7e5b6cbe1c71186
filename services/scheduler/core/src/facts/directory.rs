//! Who takes part, as the registry tells it: people with their roles, agents, services, and which
//! keys are out of use.
//!
//! **Invariant:** nothing is concluded from somebody's absence before the whole directory was listed
//! once; afterwards whoever it does not name has no role and is not out.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{
    PrincipalId, Timestamp,
    enrolment::{PrincipalView, TokenView},
    key::KeyId,
    principal::{PrincipalKind, Standing, UserRole},
    registry::{CertifiedKey, RegistryEvent},
    subject::ServiceName,
};

/// All principals that the registry knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    members: BTreeMap<PrincipalId, Member>,
    revocations: Revocations,
    /// First seconds since the Unix epoch in which keys may sign no more.
    ends: BTreeMap<KeyId, u64>,
    /// Whether all of it was listed once since this process started.
    pub(crate) listed: bool,
}

#[derive(Clone, Debug)]
struct Member {
    kind: PrincipalKind,
    role: Option<UserRole>,
    owner: PrincipalId,
    is_out: bool,
}

/// Why nothing may be done in somebody's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bar {
    /// The key that signed was taken out of use.
    Key(KeyId),
    /// The principal was put out.
    Principal,
}

impl Directory {
    /// What a person may do; nothing for whoever is out.
    pub(crate) fn role(&self, id: &PrincipalId) -> Option<UserRole> {
        let member = self.members.get(id).filter(|member| !member.is_out)?;
        member.role
    }

    /// Whose an agent is.
    pub(crate) fn owner(&self, id: &PrincipalId) -> Option<&PrincipalId> {
        let member = self.members.get(id)?;
        match member.kind {
            PrincipalKind::Agent => Some(&member.owner),
            PrincipalKind::Person | PrincipalKind::Service => None,
        }
    }

    /// Whether it is a part of the control plane; their names are nobody else's.
    pub(crate) fn is_service(&self, id: &PrincipalId) -> bool {
        ServiceName::parse(id.as_str()).is_some()
            || self.members.get(id).is_some_and(|member| match member.kind {
                PrincipalKind::Service => !member.is_out,
                PrincipalKind::Person | PrincipalKind::Agent => false,
            })
    }

    /// Whether it was evicted or banned.
    pub(crate) fn is_out(&self, id: &PrincipalId) -> bool {
        self.members.get(id).is_some_and(|member| member.is_out)
    }

    /// What stands against a signature of `issuer`, if anything does.
    pub(crate) fn bar(&self, issuer: &PrincipalId, key: Option<KeyId>) -> Option<Bar> {
        if self.is_out(issuer) {
            return Some(Bar::Principal);
        }
        key.filter(|key| self.revocations.is_revoked(*key)).map(Bar::Key)
    }

    /// When the key may sign no more, as far as that is known.
    pub(crate) fn end_of(&self, key: KeyId) -> Option<Timestamp> {
        self.ends.get(&key).copied().map(Timestamp::from_seconds)
    }

    pub(super) fn list(&mut self, view: PrincipalView) {
        self.revocations.list(&view);
        self.ends.extend(view.keys.iter().map(|key| (key.id, key.not_after_s)));
        let PrincipalView { id, kind, role, owner, standing, .. } = view;
        self.members.insert(id, Member { kind, role, owner, is_out: is_out(standing) });
    }

    pub(super) fn list_token(&mut self, token: &TokenView) {
        self.revocations.list_token(token);
    }

    pub(super) fn keep_only(&mut self, all: &BTreeSet<PrincipalId>) {
        self.members.retain(|id, _| all.contains(id));
        self.listed = true;
    }

    pub(super) fn follow(&mut self, event: &RegistryEvent) {
        self.follow_ends(event);
        self.revocations.follow(event);
        match event {
            RegistryEvent::PrincipalSeated { seat } => {
                let (kind, role, owner) = (seat.kind, seat.role, seat.owner.clone());
                self.members.insert(seat.id.clone(), Member { kind, role, owner, is_out: false });
            }
            RegistryEvent::InviteMade { invite, owner, .. } => {
                let (kind, role, owner) = (invite.kind, invite.role, owner.clone());
                self.invite(&invite.principal, Member { kind, role, owner, is_out: false });
            }
            RegistryEvent::InviteRedeemed { principal, .. }
            | RegistryEvent::EnrolmentConfirmed { principal } => {
                self.change(principal, |member| member.is_out = false);
            }
            RegistryEvent::PrincipalEvicted { principal, .. }
            | RegistryEvent::PrincipalBanned { principal, .. } => {
                self.change(principal, |member| member.is_out = true);
            }
            RegistryEvent::RoleSet { person, role, .. } => {
                self.change(person, |member| member.role = Some(*role));
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
            | RegistryEvent::InviteAbused { .. }
            | RegistryEvent::KeysRotated { .. }
            | RegistryEvent::KeysRenewed { .. }
            | RegistryEvent::KeyRevoked { .. }
            | RegistryEvent::TokenCreated { .. }
            | RegistryEvent::TokenRevoked { .. }
            | RegistryEvent::AccessDenied { .. }
            | RegistryEvent::DenialsSuppressed { .. } => (),
        }
    }

    /// New keys begin when the old ones end.
    fn follow_ends(&mut self, event: &RegistryEvent) {
        let keys = if let RegistryEvent::PrincipalSeated { seat } = event {
            &seat.keys
        } else if let RegistryEvent::InviteRedeemed { keys, .. }
        | RegistryEvent::KeysRenewed { keys, .. }
        | RegistryEvent::KeysRotated { keys, .. } = event
        {
            keys
        } else {
            return;
        };
        if let RegistryEvent::KeysRotated { principal, .. } = event {
            let begin_s = keys.first().map_or(u64::MAX, |key| key.not_before_s);
            for key in self.revocations.keys.get(principal).into_iter().flatten() {
                let end_s = self.ends.entry(*key).or_insert(begin_s);
                *end_s = begin_s.min(*end_s);
            }
        }
        self.ends.extend(keys.iter().map(|key| (key.id, key.not_after_s)));
    }

    /// Somebody new is known from the invite on, for the redemption does not say what they are;
    /// whoever was put out stays out until they redeem it.
    fn invite(&mut self, id: &PrincipalId, invited: Member) {
        let is_out = self.is_out(id);
        self.members.insert(id.clone(), Member { is_out, ..invited });
    }

    fn change(&mut self, id: &PrincipalId, change: impl FnOnce(&mut Member)) {
        if let Some(member) = self.members.get_mut(id) {
            change(member);
        }
    }
}

/// Keys that are out of use: revoked ones, those of ended tokens, and those of whoever is out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    revoked: BTreeSet<KeyId>,
    /// Keys of tokens, for the end of a token names the token alone.
    tokens: BTreeMap<String, KeyId>,
    keys: BTreeMap<PrincipalId, BTreeSet<KeyId>>,
    out: BTreeSet<PrincipalId>,
}

impl Revocations {
    /// All of them.
    #[must_use]
    pub fn keys(&self) -> BTreeSet<KeyId> {
        let of_those_out = self.out.iter().filter_map(|id| self.keys.get(id)).flatten();
        self.revoked.iter().chain(of_those_out).copied().collect()
    }

    /// Takes in what the registry lists of a principal.
    pub fn list(&mut self, view: &PrincipalView) {
        let revoked = view.keys.iter().filter(|key| key.revoked_at.is_some());
        self.revoked.extend(revoked.map(|key| key.id));
        self.keys.entry(view.id.clone()).or_default().extend(view.keys.iter().map(|key| key.id));
        self.set_out(&view.id, is_out(view.standing));
    }

    /// Takes in what the registry lists of a token.
    pub fn list_token(&mut self, token: &TokenView) {
        self.tokens.insert(token.token.clone(), token.key);
        if token.revoked_at.is_some() {
            self.revoked.insert(token.key);
        }
    }

    /// Takes in what the registry recorded; says whether other keys are out of use now.
    pub fn follow(&mut self, event: &RegistryEvent) -> bool {
        match event {
            RegistryEvent::PrincipalSeated { seat } => {
                self.add(&seat.id, &seat.keys);
                self.set_out(&seat.id, false)
            }
            RegistryEvent::InviteRedeemed { principal, keys, .. } => {
                self.add(principal, keys);
                self.set_out(principal, false)
            }
            RegistryEvent::KeysRotated { principal, keys, .. } => {
                self.add(principal, keys);
                false
            }
            RegistryEvent::KeyRevoked { key, .. } => self.revoked.insert(*key),
            RegistryEvent::PrincipalEvicted { principal, .. }
            | RegistryEvent::PrincipalBanned { principal, .. } => self.set_out(principal, true),
            RegistryEvent::TokenCreated { token, .. } => {
                self.list_token(token);
                false
            }
            RegistryEvent::TokenRevoked { token, .. } => {
                self.tokens.get(token).is_some_and(|key| self.revoked.insert(*key))
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
            | RegistryEvent::EnrolmentConfirmed { .. }
            | RegistryEvent::InviteAbused { .. }
            | RegistryEvent::KeysRenewed { .. }
            | RegistryEvent::RoleSet { .. }
            | RegistryEvent::AccessDenied { .. }
            | RegistryEvent::DenialsSuppressed { .. } => false,
        }
    }

    fn is_revoked(&self, key: KeyId) -> bool {
        self.revoked.contains(&key)
    }

    fn add(&mut self, id: &PrincipalId, keys: &[CertifiedKey]) {
        self.keys.entry(id.clone()).or_default().extend(keys.iter().map(|key| key.id));
    }

    /// Whoever comes back does so with other keys: those from before stay out of use.
    fn set_out(&mut self, id: &PrincipalId, is_out: bool) -> bool {
        if !is_out {
            return self.out.remove(id);
        }
        self.revoked.extend(self.keys.get(id).into_iter().flatten());
        self.out.insert(id.clone())
    }
}

fn is_out(standing: Standing) -> bool {
    match standing {
        Standing::Evicted | Standing::Banned => true,
        Standing::Pending | Standing::Active => false,
    }
}
