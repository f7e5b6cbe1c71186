//! Keys of a principal: offered, certified, ended, revoked.

use schemas::{
    PrincipalId, Timestamp,
    enrolment::{CERTIFICATE_LIFETIME_S, KeyView},
    key::{KeyId, KeyOffer, KeyPurpose},
    principal::PrincipalKind,
    registry::CertifiedKey,
};
use serde::{Deserialize, Serialize};

use super::{Principal, Principals, Refusal};

/// Most keys of one principal that can still count for something.
pub(crate) const KEYS_MAX: usize = 64;
/// How long after the end of its certificate what a key signed can still count, in seconds: the
/// longest life of a request and a day.
pub(super) const COUNTS_AFTER_END_S: u64 = 31 * 24 * 3600;

/// A key that somebody proved to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedKey {
    /// Its name.
    pub id: KeyId,
    /// What it is for, and its bytes.
    pub offer: KeyOffer,
}

/// The keys that somebody proved to have, one to log in with and the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// NATS public key to log in with.
    pub login: String,
    /// The others.
    pub keys: Vec<OfferedKey>,
}

/// A key that was certified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The key, and what its certificate says.
    pub certified: CertifiedKey,
    /// When another one took its place; it stays good for what it signed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When it was revoked; nothing that it signed counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// What happens to the keys of a principal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyChange<'a> {
    /// Others take their place.
    Replaced(&'a [CertifiedKey]),
    /// Their certificates are made anew.
    Renewed(&'a [CertifiedKey]),
}

impl Key {
    pub(super) fn new(certified: CertifiedKey) -> Self {
        Self { certified, ended_at: None, revoked_at: None }
    }

    /// Whether no other one took its place and it was not revoked.
    pub(super) fn is_living(&self) -> bool {
        self.ended_at.is_none() && self.revoked_at.is_none()
    }

    /// Whether it may sign now.
    #[must_use]
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.is_living() && now.seconds() < self.certified.not_after_s
    }

    /// Whether anything that it signs or signed can still count.
    pub(super) fn can_count(&self, now: Timestamp) -> bool {
        now.seconds() < self.certified.not_after_s.saturating_add(COUNTS_AFTER_END_S)
    }

    pub(super) fn view(&self) -> KeyView {
        let CertifiedKey { id, offer, not_before_s, not_after_s } = &self.certified;
        let ended_s = self.ended_at.map_or(u64::MAX, Timestamp::seconds);
        KeyView {
            id: *id,
            purpose: offer.purpose,
            key: offer.key,
            not_before_s: *not_before_s,
            not_after_s: ended_s.min(*not_after_s),
            revoked_at: self.revoked_at,
        }
    }
}

/// Whether the registry certifies keys of that purpose; the others are certified by the root.
pub(super) fn is_ours(purpose: KeyPurpose) -> bool {
    match purpose {
        KeyPurpose::TaskIssuer
        | KeyPurpose::Scheduler
        | KeyPurpose::NodeLog
        | KeyPurpose::Checkpoint
        | KeyPurpose::Cosigner => true,
        KeyPurpose::Enrolment | KeyPurpose::Root => false,
    }
}

/// Whether whoever is of that kind may have keys of that purpose, beside those that it was seated
/// with.
fn is_for(purpose: KeyPurpose, kind: PrincipalKind) -> bool {
    match (purpose, kind) {
        (KeyPurpose::TaskIssuer, _) => true,
        (KeyPurpose::Cosigner, PrincipalKind::Agent | PrincipalKind::Person)
        | (KeyPurpose::NodeLog, PrincipalKind::Agent) => true,
        (KeyPurpose::Cosigner | KeyPurpose::NodeLog, _)
        | (
            KeyPurpose::Scheduler
            | KeyPurpose::Checkpoint
            | KeyPurpose::Enrolment
            | KeyPurpose::Root,
            _,
        ) => false,
    }
}

/// Certifies an offer from now on.
pub(super) fn certified(offer: &Offer, now: Timestamp) -> Vec<CertifiedKey> {
    let not_before_s = now.seconds();
    let certify = |key: &OfferedKey| CertifiedKey {
        id: key.id,
        offer: key.offer,
        not_before_s,
        not_after_s: not_before_s.saturating_add(CERTIFICATE_LIFETIME_S),
    };
    offer.keys.iter().map(certify).collect()
}

/// Whether what a new principal or one that rotates offers may be certified for it.
pub(super) struct OfferFor<'a> {
    pub(super) principal: &'a PrincipalId,
    pub(super) kind: PrincipalKind,
    /// The principal that rotates.
    pub(super) present: Option<&'a Principal>,
    pub(super) now: Timestamp,
}

impl OfferFor<'_> {
    /// Refuses keys of purposes that are not its own, and keys that were ever certified.
    pub(super) fn check(&self, principals: &Principals, offer: &Offer) -> Result<(), Refusal> {
        if offer.keys.is_empty() {
            return Err(Refusal::NoKeys { principal: self.principal.clone() });
        }
        for key in &offer.keys {
            let (id, purpose) = (key.id, key.offer.purpose);
            let has = self.present.is_some_and(|it| it.has_purpose(purpose, self.now));
            if !is_ours(purpose) || !(has || is_for(purpose, self.kind)) {
                let principal = self.principal.clone();
                return Err(Refusal::KeyPurpose { purpose, principal });
            }
            if principals.certified.contains_key(&key.offer.key) {
                return Err(used_before(principals, id));
            }
        }
        let keeps = self.present.is_some_and(|present| present.login == offer.login);
        if !keeps && principals.logins.contains_key(&offer.login) {
            return Err(Refusal::LoginUsedBefore { login: offer.login.clone() });
        }
        // Whoever comes back brings new keys, and those from before stay on the roster.
        let before = principals.get(self.principal);
        let counting = before.map_or(0, |it| it.keys_that_count(self.now));
        if KEYS_MAX < counting + offer.keys.len() {
            let what = "keys that still count for something";
            return Err(Refusal::TooMany { what, limit: KEYS_MAX });
        }
        Ok(())
    }
}

fn used_before(principals: &Principals, key: KeyId) -> Refusal {
    let revoked = principals.holder(key).is_some_and(|(_, key)| key.revoked_at.is_some());
    if revoked { Refusal::KeyRevoked { key } } else { Refusal::KeyUsedBefore { key } }
}
