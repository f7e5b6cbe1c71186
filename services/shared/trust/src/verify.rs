//! The one way from bytes to claims that may be believed.
//!
//! Order: size, strict scan, fixed header, key by id, purpose and time, signature over the received
//! bytes, decoding of the same bytes, signer, audience, times, user binding, specification. The
//! first step that fails names the reason.
//!
//! **Invariant:** a [`Verified`] value comes from [`Unverified::verify`] and from nowhere else.

use std::marker::PhantomData;

use schemas::{Sha256Hash, TaskId, Timestamp, task::TaskSpec};
use sha2::{Digest as _, Sha256};

use crate::{
    anchors::TrustAnchors,
    envelope,
    error::EnvelopeError,
    keys::KeyId,
    kind::{Kind, Payload, Request},
};

/// Received bytes that claim to be an envelope; nothing can be read out of them.
#[derive(Clone, Copy, Debug)]
pub struct Unverified<'a>(&'a [u8]);

/// What every verification needs.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// Whose signatures count, and in which cluster.
    pub anchors: &'a TrustAnchors,
    /// When it is.
    pub now: Timestamp,
}

/// Claims that a trusted key signed, for this recipient, at a time that is now.
pub struct Verified<K: Kind> {
    claims: K::Claims,
    derived: K::Derived,
    envelope_hash: Sha256Hash,
    key: KeyId,
    kind: PhantomData<K>,
}

impl<'a> Unverified<'a> {
    /// Bytes as they came.
    #[must_use]
    pub fn new(envelope: &'a [u8]) -> Self {
        Self(envelope)
    }

    /// Verifies them as an envelope of the kind `K`.
    ///
    /// # Errors
    ///
    /// Names the first step that failed; see [`EnvelopeError::code`].
    pub fn verify<K: Kind>(
        self,
        trust: Trust<'_>,
        facts: &K::Facts<'_>,
    ) -> Result<Verified<K>, EnvelopeError> {
        if self.0.is_empty() {
            return Err(EnvelopeError::Unsigned);
        }
        let parts = envelope::open(self.0)?;
        let key = parts.key_id(K::TYPE)?;
        let anchor = trust.anchors.lookup(key, K::PURPOSE)?;
        anchor.check_at(trust.now, K::LIFETIME_MAX_S)?;
        let cluster = trust.anchors.cluster();
        if !anchor.key.verifies(&parts.signed_bytes(K::TYPE, cluster), parts.signature) {
            return Err(EnvelopeError::Signature { key, cluster: cluster.to_string() });
        }
        let claims = K::decode(Payload(parts.payload))?;
        let (issuer, subject, times) = (K::issuer(&claims), K::subject(&claims), K::times(&claims));
        times.check_order()?;
        anchor.check_signer(issuer, times.issued_at_s)?;
        K::check_recipient(&claims, facts)?;
        times.check_lifetime(K::LIFETIME_MAX_S)?;
        times.check_clock(trust.now)?;
        if !anchor.may_act_for(subject) {
            let (issuer, subject) = (issuer.clone(), subject.clone());
            return Err(EnvelopeError::Subject { issuer, subject });
        }
        let derived = K::derive(&claims)?;
        let envelope_hash = envelope_hash(self.0);
        Ok(Verified { claims, derived, envelope_hash, key, kind: PhantomData })
    }
}

impl<K: Kind> Verified<K> {
    /// What was signed.
    #[must_use]
    pub fn claims(&self) -> &K::Claims {
        &self.claims
    }

    /// SHA-256 of the whole envelope, which has only one encoding.
    #[must_use]
    pub fn envelope_hash(&self) -> Sha256Hash {
        self.envelope_hash
    }

    /// The key that signed.
    #[must_use]
    pub fn key(&self) -> KeyId {
        self.key
    }
}

impl Verified<Request> {
    /// The task that the request asks for.
    #[must_use]
    pub fn task(&self) -> &TaskId {
        &self.derived.task
    }

    /// What shall be done.
    #[must_use]
    pub fn spec(&self) -> &TaskSpec {
        &self.derived.spec
    }
}

impl<K: Kind<Claims: Clone, Derived: Clone>> Clone for Verified<K> {
    fn clone(&self) -> Self {
        Self { claims: self.claims.clone(), derived: self.derived.clone(), ..*self }
    }
}

impl<K: Kind<Claims: std::fmt::Debug>> std::fmt::Debug for Verified<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Verified").field(&self.claims).finish()
    }
}

/// SHA-256 of an envelope, as an assignment names its request.
#[must_use]
pub fn envelope_hash(envelope: &[u8]) -> Sha256Hash {
    Sha256Hash(Sha256::digest(envelope).into())
}
