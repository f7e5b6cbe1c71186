//! The public keys that a verifier trusts: pinned in a file that `cortex up` writes, or certified by
//! a key that is trusted already.
//!
//! **Invariant:** every pinned key is listed once, for one purpose and one principal, under the id
//! that its bytes have.
//! **Invariant:** a certified key counts only while none of the keys between it and the pinned one is
//! revoked; what is pinned decides over what is certified.

mod admitted;
mod file;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

pub use admitted::CERTIFICATES_KEPT_MAX;
pub(crate) use admitted::{Admitted, Certified};
use schemas::{ErrorCode, InvalidId, PrincipalId, Timestamp, grants::Grants};
use serde::{Deserialize, Serialize};

use crate::{
    CLOCK_SKEW_S,
    keys::{KeyError, KeyId, PublicKey, Purpose},
};

/// Name of a cluster; signatures of one cluster are worth nothing in another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterName(PrincipalId);

impl ClusterName {
    /// Accepts the form of every other id: `[a-z0-9][a-z0-9-]{0,62}`.
    ///
    /// # Errors
    ///
    /// Says what is wrong with anything else.
    pub fn parse(raw: &str) -> Result<Self, InvalidId> {
        PrincipalId::parse(raw).map(Self)
    }

    /// The name as it is signed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One trusted key: whose it is, and since when until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The key with its purpose.
    pub key: PublicKey,
    /// Whose key it is; what it signs names this issuer.
    pub principal: PrincipalId,
    /// First second in which it may sign, since the Unix epoch.
    pub not_before_s: u64,
    /// First second in which it may sign no more, since the Unix epoch.
    pub not_after_s: u64,
    /// Since when nothing that it signed counts, whenever that was; seconds since the Unix epoch.
    pub revoked_at_s: Option<u64>,
    /// Other principals in whose name it may ask.
    pub acts_for: BTreeSet<PrincipalId>,
}

/// Why a key must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    #[error("key {id} is not trusted in this cluster")]
    Unknown { id: KeyId },
    #[error("key {id} is a {actual} key and may not sign for {wanted}")]
    OtherPurpose { id: KeyId, actual: Purpose, wanted: Purpose },
    #[error("key {id} is revoked")]
    Revoked { id: KeyId },
    #[error("key {id} counts no more: key {voucher}, which vouches for it, is revoked")]
    VoucherRevoked { id: KeyId, voucher: KeyId },
    #[error("key {id} was not valid at {signed_at_s} s, when it is said to have signed")]
    OutsideValidity { id: KeyId, signed_at_s: u64 },
    #[error("key {id} ended at {not_after_s} s, longer ago than anything it signed can live")]
    Ended { id: KeyId, not_after_s: u64 },
    #[error("key {id} belongs to {principal}, yet {issuer} is named as the issuer")]
    OtherIssuer { id: KeyId, principal: PrincipalId, issuer: PrincipalId },
}

impl KeyRefusal {
    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown { .. } => ErrorCode::KeyUnknown,
            Self::Revoked { .. } | Self::VoucherRevoked { .. } => ErrorCode::KeyRevoked,
            Self::OtherPurpose { .. }
            | Self::OutsideValidity { .. }
            | Self::Ended { .. }
            | Self::OtherIssuer { .. } => ErrorCode::KeyNotValid,
        }
    }
}

impl Anchor {
    /// Whether anything that the key signed can still count; asked before a signature is checked.
    ///
    /// A key that has ended stays good for what it signed before, as long as that can live.
    pub(crate) fn check_at(&self, now: Timestamp, lifetime_max_s: u64) -> Result<(), KeyRefusal> {
        let (id, now_s) = (self.key.id(), now.seconds());
        if self.is_revoked_at(now) {
            return Err(KeyRefusal::Revoked { id });
        }
        let counts_s = lifetime_max_s.saturating_add(CLOCK_SKEW_S);
        if self.not_after_s.saturating_add(counts_s) <= now_s {
            return Err(KeyRefusal::Ended { id, not_after_s: self.not_after_s });
        }
        Ok(())
    }

    fn is_revoked_at(&self, now: Timestamp) -> bool {
        let until_s = now.seconds().saturating_add(CLOCK_SKEW_S);
        self.revoked_at_s.is_some_and(|at_s| at_s <= until_s)
    }

    /// Whether the key may have signed at `signed_at_s` for `issuer`.
    pub(crate) fn check_signer(
        &self,
        issuer: &PrincipalId,
        signed_at_s: u64,
    ) -> Result<(), KeyRefusal> {
        let id = self.key.id();
        if *issuer != self.principal {
            let (principal, issuer) = (self.principal.clone(), issuer.clone());
            return Err(KeyRefusal::OtherIssuer { id, principal, issuer });
        }
        let early = signed_at_s.saturating_add(CLOCK_SKEW_S) < self.not_before_s;
        if early || self.not_after_s <= signed_at_s {
            return Err(KeyRefusal::OutsideValidity { id, signed_at_s });
        }
        Ok(())
    }

    pub(crate) fn may_act_for(&self, subject: &PrincipalId) -> bool {
        *subject == self.principal || self.acts_for.contains(subject)
    }
}

/// Why a set of keys cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum AnchorsError {
    #[error("the trust anchors do not parse")]
    Unreadable(#[source] serde_json::Error),
    #[error("the trust anchors do not say that they are {}", file::FORMAT)]
    WrongFormat,
    #[error("the key listed as {listed} cannot be used")]
    UnusableKey {
        listed: KeyId,
        #[source]
        cause: KeyError,
    },
    #[error("the key listed as {listed} has the id {actual}")]
    WrongId { listed: KeyId, actual: KeyId },
    #[error("key {id} ends before it begins")]
    EmptyValidity { id: KeyId },
    #[error("key {id} is listed twice, or under two purposes")]
    Shared { id: KeyId },
}

impl AnchorsError {
    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnusableKey { cause, .. } => cause.code(),
            Self::Unreadable(_)
            | Self::WrongFormat
            | Self::WrongId { .. }
            | Self::EmptyValidity { .. }
            | Self::Shared { .. } => ErrorCode::ConfigInvalid,
        }
    }
}

/// All keys that a verifier of one cluster trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustAnchors {
    cluster: ClusterName,
    anchors: BTreeMap<KeyId, Anchor>,
    /// Public bytes of all pinned keys: one key under two purposes would have two ids.
    listed: BTreeSet<[u8; 32]>,
    pub(crate) admitted: Admitted,
    /// What the roster says is out.
    revoked: BTreeSet<KeyId>,
}

/// A key that is asked for, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) id: KeyId,
    pub(crate) now: Timestamp,
    /// How long what it signs may live.
    pub(crate) lifetime_max_s: u64,
}

/// Somebody to whom a key belongs, as one certificate or the file says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signer<'a> {
    pub(crate) anchor: &'a Anchor,
    /// What may be asked for with the key at all; anything when absent.
    pub(crate) bounds: Option<&'a Grants>,
    /// The keys between it and the pinned one, that included, nearest first; none when pinned.
    pub(crate) vouchers: &'a [KeyId],
    issued_at_s: u64,
}

impl<'a> Signer<'a> {
    fn pinned(anchor: &'a Anchor) -> Self {
        Self { anchor, bounds: None, vouchers: &[], issued_at_s: 0 }
    }

    fn certified(certified: &'a Certified) -> Self {
        let Certified { anchor, bounds, vouchers, issued_at_s } = certified;
        Self { anchor, bounds: bounds.as_ref(), vouchers, issued_at_s: *issued_at_s }
    }
}

impl TrustAnchors {
    /// Trusts nobody yet.
    #[must_use]
    pub fn new(cluster: ClusterName) -> Self {
        Self {
            cluster,
            anchors: BTreeMap::new(),
            listed: BTreeSet::new(),
            admitted: Admitted::default(),
            revoked: BTreeSet::new(),
        }
    }

    /// Trusts one more key.
    ///
    /// # Errors
    ///
    /// Refuses an empty validity, and a key that is listed already, whatever its purpose.
    pub fn add(&mut self, anchor: Anchor) -> Result<(), AnchorsError> {
        let id = anchor.key.id();
        if anchor.not_after_s <= anchor.not_before_s {
            return Err(AnchorsError::EmptyValidity { id });
        }
        if !self.listed.insert(*anchor.key.as_bytes()) {
            return Err(AnchorsError::Shared { id });
        }
        self.anchors.insert(id, anchor);
        Ok(())
    }

    /// Whose signatures count.
    #[must_use]
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// Replaces what the roster says is out: neither these keys count nor those that they vouch for,
    /// whenever they signed.
    pub fn set_revoked(&mut self, keys: BTreeSet<KeyId>) {
        self.revoked = keys;
    }

    /// All pinned keys, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Anchor> {
        self.anchors.values()
    }

    /// The key named `id`, if it is for `purpose`. Of a key with several certificates it is the one
    /// that was used last.
    ///
    /// # Errors
    ///
    /// Refuses a key that is neither pinned nor admitted, or is so for something else.
    pub fn lookup(&self, id: KeyId, wanted: Purpose) -> Result<&Anchor, KeyRefusal> {
        let anchor = self.claimants(id).next().ok_or(KeyRefusal::Unknown { id })?.anchor;
        let actual = anchor.key.purpose();
        if actual != wanted {
            return Err(KeyRefusal::OtherPurpose { id, actual, wanted });
        }
        Ok(anchor)
    }

    /// Everybody to whom the key may belong. A certificate by an issuer proves nothing about who has
    /// the key, so one of them must not hide another; all name the same key.
    fn claimants(&self, id: KeyId) -> impl Iterator<Item = Signer<'_>> {
        let pinned = self.anchors.get(&id);
        let certified = self.admitted.of_key(id).filter(move |_| pinned.is_none());
        pinned.map(Signer::pinned).into_iter().chain(certified.map(Signer::certified))
    }

    /// The key, if anything that it signed can still count; asked before a signature is checked.
    pub(crate) fn usable_key(&self, wanted: Wanted) -> Result<&PublicKey, KeyRefusal> {
        let mut refusal = KeyRefusal::Unknown { id: wanted.id };
        for signer in self.claimants(wanted.id) {
            match self.check_usable(signer, wanted) {
                Ok(()) => return Ok(&signer.anchor.key),
                Err(cause) => refusal = cause,
            }
        }
        Err(refusal)
    }

    /// Who signed with the key at `signed_at_s`, as `issuer`. The newest certificate decides of those
    /// that cover the time.
    pub(crate) fn signer(
        &self,
        wanted: Wanted,
        issuer: &PrincipalId,
        signed_at_s: u64,
    ) -> Result<Signer<'_>, KeyRefusal> {
        let mut refusal = None;
        let mut newest: Option<Signer<'_>> = None;
        for signer in self.claimants(wanted.id) {
            let owned = signer.anchor.principal == *issuer;
            let check = || {
                self.check_usable(signer, wanted)?;
                signer.anchor.check_signer(issuer, signed_at_s)
            };
            match check() {
                Ok(()) if newest.is_none_or(|it| it.issued_at_s <= signer.issued_at_s) => {
                    newest = Some(signer);
                }
                Ok(()) => (),
                Err(cause) if owned || refusal.is_none() => refusal = Some(cause),
                Err(_) => (),
            }
        }
        newest.ok_or_else(|| refusal.unwrap_or(KeyRefusal::Unknown { id: wanted.id }))
    }

    fn check_usable(&self, signer: Signer<'_>, wanted: Wanted) -> Result<(), KeyRefusal> {
        let Wanted { id, now, lifetime_max_s } = wanted;
        signer.anchor.check_at(now, lifetime_max_s)?;
        if self.revoked.contains(&id) {
            return Err(KeyRefusal::Revoked { id });
        }
        let revoked = |voucher: &&KeyId| {
            let pinned = self.anchors.get(*voucher);
            self.revoked.contains(*voucher) || pinned.is_some_and(|it| it.is_revoked_at(now))
        };
        match signer.vouchers.iter().find(revoked) {
            Some(&voucher) => Err(KeyRefusal::VoucherRevoked { id, voucher }),
            None => Ok(()),
        }
    }

    /// Whether a certificate that was admitted before still counts.
    pub(crate) fn counts(&self, certified: &Certified, now: Timestamp) -> bool {
        let id = certified.anchor.key.id();
        let wanted = Wanted { id, now, lifetime_max_s: u64::MAX };
        self.check_usable(Signer::certified(certified), wanted).is_ok()
    }
}

#[cfg(test)]
mod tests;
