//! How each event changes who may take part.
//!
//! **Invariant:** total: history is applied, not judged, and what it says of somebody who never came
//! in changes nothing of them.

use std::collections::BTreeSet;

use schemas::{
    PrincipalId, Timestamp,
    enrolment::RENEWAL_LIFETIME_S,
    key::KeyOffer,
    principal::Standing,
    registry::{CertifiedKey, RegistryEvent, Seat},
};

use super::{
    Invitation, KeyChange, Principal, Principals, Redeemed, Token, changes_roster,
    invitation::INVITE_KEPT_MS,
};

/// How long a login that is out must be named to the broker, in seconds: nothing that was signed for
/// it lives longer, but for those who were seated.
const RETIRED_KEPT_S: u64 = RENEWAL_LIFETIME_S + 24 * 3600;

/// Takes one event into who may take part.
pub(crate) fn evolve(principals: &mut Principals, event: &RegistryEvent, at: Timestamp) {
    principals.apply(event, at);
    if changes_roster(principals, event) {
        principals.version = principals.version.saturating_add(1);
    }
}

impl Principals {
    fn apply(&mut self, event: &RegistryEvent, at: Timestamp) {
        match event {
            RegistryEvent::PrincipalSeated { seat } => self.seat(seat, at),
            RegistryEvent::OrderTaken { order, until, .. } => {
                self.orders.retain(|_, until| at < *until);
                self.orders.insert(order.clone(), *until);
            }
            RegistryEvent::InviteMade { invite, owner, by, expires_at } => {
                let (invite, owner, by) = (invite.as_ref().clone(), owner.clone(), by.clone());
                let (expires_at, abused) = (*expires_at, BTreeSet::new());
                let made = Invitation { invite, owner, by, expires_at, redeemed: None, abused };
                self.make_invite(made, at);
            }
            RegistryEvent::InviteRedeemed { invite, login, keys, .. } => {
                self.come_in(invite, (login, keys), at);
            }
            RegistryEvent::InviteAbused { invite, login, .. } => {
                if let Some(invitation) = self.invites.get_mut(invite) {
                    invitation.abused.insert(login.clone());
                }
            }
            RegistryEvent::KeysRotated { principal, login, keys } => {
                self.rotate(principal, (login, keys), at);
            }
            RegistryEvent::TokenCreated { token, voucher, certificate, sealed } => {
                let token = Token {
                    view: token.as_ref().clone(),
                    voucher: *voucher,
                    certificate: certificate.clone(),
                    sealed: sealed.clone(),
                };
                self.tokens.retain(|_, token| token.can_count(at));
                self.tokens.insert(token.view.token.clone(), token);
            }
            RegistryEvent::TokenRevoked { token, .. } => {
                if let Some(token) = self.tokens.get_mut(token) {
                    token.view.revoked_at.get_or_insert(at);
                }
            }
            RegistryEvent::PrincipalEvicted { principal, .. } => {
                self.put_out(principal, Standing::Evicted, at);
            }
            RegistryEvent::PrincipalBanned { principal, .. } => {
                self.put_out(principal, Standing::Banned, at);
            }
            RegistryEvent::EnrolmentConfirmed { .. }
            | RegistryEvent::KeysRenewed { .. }
            | RegistryEvent::KeyRevoked { .. }
            | RegistryEvent::RoleSet { .. } => self.change(event, at),
            RegistryEvent::AgentRegistered { .. }
            | RegistryEvent::AgentStatusChanged { .. }
            | RegistryEvent::AgentStatusSet { .. }
            | RegistryEvent::AgentStatusReleased { .. }
            | RegistryEvent::AgentArchived { .. }
            | RegistryEvent::AgentDeregistered { .. }
            | RegistryEvent::AgentShared { .. }
            | RegistryEvent::AgentUnshared { .. }
            | RegistryEvent::AccessDenied { .. }
            | RegistryEvent::DenialsSuppressed { .. } => (),
        }
    }

    fn seat(&mut self, seat: &Seat, at: Timestamp) {
        self.know(&seat.id, &seat.login, &seat.keys);
        let before = self.by_id.get(&seat.id).map(|it| it.login.clone());
        match self.by_id.get_mut(&seat.id) {
            Some(present) => {
                present.reseat(seat, at);
                present.updated_at = at;
            }
            None => {
                self.by_id.insert(seat.id.clone(), Principal::seated(seat, at));
            }
        }
        if let Some(login) = before.filter(|login| *login != seat.login) {
            self.retire(login, at);
        }
    }

    /// One open invite a name: another one of whoever may make it takes the place of the first.
    fn make_invite(&mut self, invitation: Invitation, at: Timestamp) {
        let kept = |it: &Invitation| at < it.expires_at.plus_ms(INVITE_KEPT_MS);
        let name = &invitation.invite.principal;
        let replaced = |it: &Invitation| it.redeemed.is_none() && it.invite.principal == *name;
        self.invites.retain(|_, it| kept(it) && !replaced(it));
        self.invites.insert(invitation.invite.invite.clone(), invitation);
    }

    fn come_in(&mut self, invite: &str, (login, keys): NewKeys<'_>, at: Timestamp) {
        let Some(invitation) = self.invites.get_mut(invite) else { return };
        let mut offers: Vec<KeyOffer> = keys.iter().map(|key| key.offer).collect();
        offers.sort_unstable();
        invitation.redeemed = Some(Redeemed { login: login.clone(), keys: offers });
        let mut principal = Principal::invited(invitation, login, keys);
        (principal.enrolled_at, principal.updated_at) = (at, at);
        let id = principal.id.clone();
        // What was revoked before stays on the roster.
        if let Some(before) = self.by_id.remove(&id) {
            let still = before.keys.into_iter().filter(|key| key.can_count(at));
            principal.keys = still.chain(principal.keys).collect();
        }
        self.by_id.insert(id.clone(), principal);
        self.know(&id, login, keys);
    }

    fn rotate(&mut self, id: &PrincipalId, (login, keys): NewKeys<'_>, at: Timestamp) {
        let Some(principal) = self.by_id.get_mut(id) else { return };
        principal.change_keys(KeyChange::Replaced(keys), at);
        principal.updated_at = at;
        // Nobody renews the old login any more. It is not refused before it runs out, or whoever lost
        // the answer to a rotation could never ask for it again.
        principal.login.clone_from(login);
        self.know(id, login, keys);
    }

    fn put_out(&mut self, id: &PrincipalId, standing: Standing, at: Timestamp) {
        let concerns = |it: &Invitation| {
            it.redeemed.is_none() && [&it.invite.principal, &it.owner, &it.by].contains(&id)
        };
        self.invites.retain(|_, it| !concerns(it));
        for token in self.tokens.values_mut().filter(|token| token.view.owner == *id) {
            token.view.revoked_at.get_or_insert(at);
        }
        let Some(principal) = self.by_id.get_mut(id) else { return };
        principal.revoke_keys(at);
        principal.standing = standing;
        principal.updated_at = at;
        let logins = self.logins.iter().filter(|(_, holder)| *holder == id);
        let logins: Vec<String> = logins.map(|(login, _)| login.clone()).collect();
        for login in logins {
            self.retire(login, at);
        }
    }

    /// Changes of one principal alone.
    fn change(&mut self, event: &RegistryEvent, at: Timestamp) {
        if let RegistryEvent::RoleSet { person, .. } = event {
            // What they could let in before, they may not be able to any more.
            self.invites.retain(|_, it| it.redeemed.is_some() || it.by != *person);
        }
        let Some(principal) = self.by_id.get_mut(event.principal()) else { return };
        principal.updated_at = at;
        if let RegistryEvent::EnrolmentConfirmed { .. } = event {
            principal.standing = Standing::Active;
        } else if let RegistryEvent::KeysRenewed { keys, .. } = event {
            principal.change_keys(KeyChange::Renewed(keys), at);
        } else if let RegistryEvent::KeyRevoked { key, .. } = event {
            principal.revoke_key(*key, at);
        } else if let RegistryEvent::RoleSet { role, .. } = event {
            principal.role = Some(*role);
        }
    }

    fn know(&mut self, id: &PrincipalId, login: &str, keys: &[CertifiedKey]) {
        if !login.is_empty() {
            self.logins.entry(login.to_owned()).or_insert_with(|| id.clone());
        }
        for key in keys {
            self.certified.entry(key.offer.key).or_insert_with(|| id.clone());
        }
    }

    fn retire(&mut self, login: String, at: Timestamp) {
        let seated = |login: &String| {
            let holder = self.logins.get(login).and_then(|id| self.by_id.get(id));
            holder.is_some_and(|holder| holder.seated)
        };
        if login.is_empty() {
            return;
        }
        let now_s = at.seconds();
        let still = |(login, at_s): &(&String, &u64)| {
            now_s < at_s.saturating_add(RETIRED_KEPT_S) || seated(login)
        };
        let kept = self.retired.iter().filter(still);
        self.retired = kept.map(|(login, at_s)| (login.clone(), *at_s)).collect();
        self.retired.insert(login, now_s);
    }
}

/// NATS key and certified keys of somebody.
type NewKeys<'a> = (&'a String, &'a Vec<CertifiedKey>);
