//! The one way from bytes to claims that may be believed.
//!
//! Order: size, strict scan, fixed header, key by id, purpose and time, signature over the received
//! bytes, decoding of the same bytes, signer, audience, times, user binding, specification, bounds of
//! the key, chain. The first step that fails names the reason.
//!
//! **Invariant:** a [`Verified`] value comes from [`Unverified::verify`] and from nowhere else.
//! **Invariant:** a request that another task asked for is verified with its whole chain or not at
//! all: only the chain proves in whose name it stands.

use std::marker::PhantomData;

use schemas::{Sha256Hash, TaskId, Timestamp, grants::Grants, task::TaskSpec};
use sha2::{Digest as _, Sha256};

use crate::{
    anchors::{Signer, TrustAnchors, Wanted},
    chain::ChainLink,
    envelope,
    error::EnvelopeError,
    keys::KeyId,
    kind::{Kind, Payload, Request},
    times::Times,
};

/// Received bytes that claim to be an envelope; nothing can be read out of them.
#[derive(Clone, Copy, Debug)]
pub struct Unverified<'a> {
    envelope: &'a [u8],
    ancestors: &'a [ChainLink<'a>],
}

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
    bounds: Option<Grants>,
    kind: PhantomData<K>,
}

/// Claims that the named issuer signed; whether they may be believed here and now is open.
pub(crate) struct Signed<'a, K: Kind> {
    pub(crate) claims: K::Claims,
    pub(crate) times: Times,
    signer: Signer<'a>,
    envelope: &'a [u8],
}

impl<'a> Unverified<'a> {
    /// Bytes as they came. A request that another task asked for is refused without its chain.
    #[must_use]
    pub fn new(envelope: &'a [u8]) -> Self {
        Self { envelope, ancestors: &[] }
    }

    /// Bytes as they came, with the requests that led to them, the first one first; none for a
    /// request that no task asked for.
    #[must_use]
    pub fn with_chain(envelope: &'a [u8], ancestors: &'a [ChainLink<'a>]) -> Self {
        Self { envelope, ancestors }
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
        let signed = Signed::<K>::read(self.envelope, trust, K::LIFETIME_MAX_S)?;
        K::check_recipient(&signed.claims, facts)?;
        signed.times.check_lifetime(K::LIFETIME_MAX_S)?;
        signed.times.check_clock(trust.now)?;
        K::prove(signed.believe()?, self.ancestors, trust)
    }
}

impl<'a, K: Kind> Signed<'a, K> {
    /// Verifies the signature and whose it is. What the key signed counts for `lifetime_max_s`
    /// seconds after the key has ended.
    pub(crate) fn read(
        envelope: &'a [u8],
        trust: Trust<'a>,
        lifetime_max_s: u64,
    ) -> Result<Self, EnvelopeError> {
        if envelope.is_empty() {
            return Err(EnvelopeError::Unsigned);
        }
        let Trust { anchors, now } = trust;
        let parts = envelope::open(envelope, K::BYTES_MAX)?;
        let id = parts.key_id(K::TYPE)?;
        anchors.lookup(id, K::PURPOSE)?;
        let wanted = Wanted { id, now, lifetime_max_s };
        let (key, cluster) = (anchors.usable_key(wanted)?, anchors.cluster());
        if !key.verifies(&parts.signed_bytes(K::TYPE, cluster), parts.signature) {
            return Err(EnvelopeError::Signature { key: id, cluster: cluster.to_string() });
        }
        let claims = K::decode(Payload(parts.payload))?;
        let times = K::times(&claims);
        times.check_order()?;
        let signer = anchors.signer(wanted, K::issuer(&claims), times.issued_at_s)?;
        Ok(Self { claims, times, signer, envelope })
    }

    /// Checks what does not depend on who looks at it: in whose name it stands, what it means, and
    /// whether the key may ask for it.
    pub(crate) fn believe(self) -> Result<Verified<K>, EnvelopeError> {
        let Self { claims, signer, envelope, .. } = self;
        let subject = K::subject(&claims);
        if K::parent(&claims).is_none() && !signer.anchor.may_act_for(subject) {
            let (issuer, subject) = (K::issuer(&claims).clone(), subject.clone());
            return Err(EnvelopeError::Subject { issuer, subject });
        }
        let derived = K::derive(&claims)?;
        if let Some(bounds) = signer.bounds {
            K::check_bounds(&claims, &derived, bounds)?;
        }
        Ok(Verified {
            claims,
            derived,
            envelope_hash: envelope_hash(envelope),
            key: signer.anchor.key.id(),
            bounds: signer.bounds.cloned(),
            kind: PhantomData,
        })
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

    /// What may be asked for with the key at all, which this was held against; anything when absent.
    #[must_use]
    pub fn bounds(&self) -> Option<&Grants> {
        self.bounds.as_ref()
    }

    pub(crate) fn derived(&self) -> &K::Derived {
        &self.derived
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

    /// The requests that led to this one, the first one first; their whole chain was verified.
    #[must_use]
    pub fn ancestors(&self) -> &[Self] {
        &self.derived.ancestors
    }

    pub(crate) fn set_ancestors(&mut self, ancestors: Vec<Self>) {
        self.derived.ancestors = ancestors;
    }
}

impl<K: Kind<Claims: Clone, Derived: Clone>> Clone for Verified<K> {
    fn clone(&self) -> Self {
        Self {
            claims: self.claims.clone(),
            derived: self.derived.clone(),
            bounds: self.bounds.clone(),
            ..*self
        }
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
