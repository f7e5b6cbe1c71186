//! One principal as the log makes it.

use schemas::{
    Capability, PrincipalId, Timestamp,
    enrolment::{CERTIFICATE_LIFETIME_S, PrincipalView},
    key::{KeyId, KeyPurpose},
    principal::{PrincipalKind, Standing, UserRole},
    registry::{CertifiedKey, Seat},
};
use serde::{Deserialize, Serialize};

use super::{Invitation, Key, KeyChange, keys::is_ours};

/// Everything that is remembered of a principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// Who.
    pub id: PrincipalId,
    /// What.
    pub kind: PrincipalKind,
    /// What a person may do.
    pub role: Option<UserRole>,
    /// Whose; itself for people and services.
    pub owner: PrincipalId,
    /// Whether it may take part.
    pub standing: Standing,
    /// What an agent may advertise; anything when absent.
    pub capabilities: Option<Vec<Capability>>,
    /// NATS public key that it logs in with.
    pub login: String,
    /// Its keys, also ended and revoked ones while they can count for something.
    pub keys: Vec<Key>,
    /// Whether nobody had to invite it.
    pub seated: bool,
    /// When it came in.
    pub enrolled_at: Timestamp,
    /// When anything of this last changed.
    pub updated_at: Timestamp,
}

impl Principal {
    /// Somebody whom nobody had to invite.
    pub(super) fn seated(seat: &Seat, at: Timestamp) -> Self {
        let Seat { id, kind, role, owner, capabilities, login, keys } = seat;
        Self {
            id: id.clone(),
            kind: *kind,
            role: *role,
            owner: owner.clone(),
            standing: Standing::Active,
            capabilities: capabilities.clone(),
            login: login.clone(),
            keys: keys.iter().cloned().map(Key::new).collect(),
            seated: true,
            enrolled_at: at,
            updated_at: at,
        }
    }

    /// Somebody who redeemed an invite with these keys.
    pub(super) fn invited(invitation: &Invitation, login: &str, keys: &[CertifiedKey]) -> Self {
        let invite = &invitation.invite;
        let role = match invite.kind {
            PrincipalKind::Person => Some(invite.role.unwrap_or(UserRole::User)),
            PrincipalKind::Agent | PrincipalKind::Service => None,
        };
        Self {
            id: invite.principal.clone(),
            kind: invite.kind,
            role,
            owner: invitation.owner.clone(),
            standing: Standing::Pending,
            capabilities: invite.capabilities.clone(),
            login: login.to_owned(),
            keys: keys.iter().cloned().map(Key::new).collect(),
            seated: false,
            enrolled_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        }
    }

    /// Takes what a later seat says; keys that it does not name end.
    pub(super) fn reseat(&mut self, seat: &Seat, at: Timestamp) {
        self.owner.clone_from(&seat.owner);
        self.capabilities.clone_from(&seat.capabilities);
        self.login.clone_from(&seat.login);
        let named = |id: KeyId| seat.keys.iter().any(|key| key.id == id);
        for key in self.keys.iter_mut().filter(|key| !named(key.certified.id)) {
            key.ended_at.get_or_insert(at);
        }
        self.change_keys(KeyChange::Renewed(&seat.keys), at);
        let new = seat.keys.iter().filter(|key| self.key(key.id).is_none());
        let new: Vec<Key> = new.cloned().map(Key::new).collect();
        self.keys.extend(new);
    }

    /// What a seat would have to say for nothing to change.
    pub(super) fn as_seat(&self) -> Seat {
        Seat {
            id: self.id.clone(),
            kind: self.kind,
            role: self.role,
            owner: self.owner.clone(),
            capabilities: self.capabilities.clone(),
            login: self.login.clone(),
            keys: self.living_keys(),
        }
    }

    /// Keys that were neither replaced nor revoked.
    pub(super) fn living_keys(&self) -> Vec<CertifiedKey> {
        let living = self.keys.iter().filter(|key| key.is_living());
        living.map(|key| key.certified.clone()).collect()
    }

    pub(super) fn has_living_key(&self, id: KeyId) -> bool {
        self.key(id).is_some_and(Key::is_living)
    }

    /// Whether it may take part.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.standing == Standing::Active
    }

    /// Whether it was put out.
    #[must_use]
    pub fn is_out(&self) -> bool {
        match self.standing {
            Standing::Pending | Standing::Active => false,
            Standing::Evicted | Standing::Banned => true,
        }
    }

    /// One of its keys, also one that has ended.
    #[must_use]
    pub fn key(&self, id: KeyId) -> Option<&Key> {
        self.keys.iter().find(|key| key.certified.id == id)
    }

    /// The keys that may sign.
    pub(super) fn current(&self, now: Timestamp) -> impl Iterator<Item = &CertifiedKey> {
        self.keys.iter().filter(move |key| key.is_current(now)).map(|key| &key.certified)
    }

    pub(super) fn has_purpose(&self, purpose: KeyPurpose, now: Timestamp) -> bool {
        self.current(now).any(|key| key.offer.purpose == purpose)
    }

    /// Whether it has another key than `id` to sign orders with.
    pub(super) fn can_order_without(&self, id: KeyId, now: Timestamp) -> bool {
        self.current(now).any(|key| key.id != id && key.offer.purpose == KeyPurpose::TaskIssuer)
    }

    pub(super) fn keys_that_count(&self, now: Timestamp) -> usize {
        self.keys.iter().filter(|key| key.can_count(now)).count()
    }

    /// Its keys with a new validity, those whose certificates have less than a third of their life
    /// left. They may sign from when they first could, or what they signed would count no more.
    pub(super) fn renewed_keys(&self, now: Timestamp) -> Vec<CertifiedKey> {
        let now_s = now.seconds();
        let is_due = |key: &&CertifiedKey| {
            let life_s = key.not_after_s.saturating_sub(key.not_before_s);
            let left_s = key.not_after_s.saturating_sub(now_s);
            is_ours(key.offer.purpose) && left_s < life_s.min(CERTIFICATE_LIFETIME_S) / 3
        };
        let not_after_s = now_s.saturating_add(CERTIFICATE_LIFETIME_S);
        let renew = |key: &CertifiedKey| CertifiedKey { not_after_s, ..key.clone() };
        self.current(now).filter(is_due).map(renew).collect()
    }

    /// Takes new keys or new certificates.
    pub(super) fn change_keys(&mut self, change: KeyChange<'_>, at: Timestamp) {
        match change {
            KeyChange::Replaced(keys) => {
                for key in &mut self.keys {
                    key.ended_at.get_or_insert(at);
                }
                self.keys.retain(|key| key.can_count(at));
                self.keys.extend(keys.iter().cloned().map(Key::new));
            }
            KeyChange::Renewed(keys) => {
                for renewed in keys {
                    let known = self.keys.iter_mut().find(|key| key.certified.id == renewed.id);
                    if let Some(key) = known {
                        key.certified.not_after_s = renewed.not_after_s;
                    }
                }
            }
        }
    }

    /// Takes one of its keys out of use.
    pub(super) fn revoke_key(&mut self, id: KeyId, at: Timestamp) {
        if let Some(key) = self.keys.iter_mut().find(|key| key.certified.id == id) {
            key.revoked_at.get_or_insert(at);
        }
    }

    /// Takes all its keys out of use.
    pub(super) fn revoke_keys(&mut self, at: Timestamp) {
        for key in &mut self.keys {
            key.revoked_at.get_or_insert(at);
        }
    }

    /// The principal as others see it; the row of `cortex_principals`.
    #[must_use]
    pub fn view(&self) -> PrincipalView {
        PrincipalView {
            id: self.id.clone(),
            kind: self.kind,
            role: self.role,
            owner: self.owner.clone(),
            standing: self.standing,
            capabilities: self.capabilities.clone(),
            login: self.login.clone(),
            keys: self.keys.iter().map(Key::view).collect(),
            enrolled_at: self.enrolled_at,
            updated_at: self.updated_at,
        }
    }
}
