//! Certificates: a key that is trusted vouches for another one.
//!
//! The root key vouches for enrolment keys, an enrolment key for the keys of principals, and the
//! issuer key of a principal for bounded keys of the same principal, which vouch for nobody. So
//! there are at most three certificates between the root and a signature.
//!
//! **Invariant:** a certificate is an envelope of the same strict form as all others, read by the
//! same scanner; its key counts only after every signature up to a pinned key was verified once.

use schemas::{
    ErrorCode, Fault, PrincipalId, Sha256Hash, Timestamp,
    claims::{CERTIFICATE_TYPE, CertificateClaims},
    enrolment::CERTIFICATES_MAX,
};

use crate::{
    CLOCK_SKEW_S,
    anchors::{Anchor, Certified, ClusterName, KeyRefusal, Signer, TrustAnchors, Wanted},
    cbor::ENVELOPE_BYTES_MAX,
    claims::{decode_certificate, encode_certificate},
    envelope,
    error::{EnvelopeError, SignError, with_causes},
    keys::{KeyError, KeyId, PublicKey, Purpose, SecretKey},
    kind::REQUEST_LIFETIME_MAX_S,
    scanner::scan,
    verify::envelope_hash,
};

/// Why a certificate does not count.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{count} certificates came with one message, the limit is {CERTIFICATES_MAX}")]
    TooMany { count: usize },
    #[error("the certificate is not valid")]
    Envelope(#[source] EnvelopeError),
    #[error("the key that vouches must not be used")]
    Voucher(#[source] KeyRefusal),
    #[error("a {voucher} key does not vouch for {key} keys")]
    Purpose { voucher: Purpose, key: Purpose },
    #[error("key {id} vouches for itself")]
    SelfSigned { id: KeyId },
    #[error("{voucher} vouches for a key of {subject}, yet only an enrolment key may")]
    OtherPrincipal { voucher: PrincipalId, subject: PrincipalId },
    #[error("a key that is bounded vouches for no other")]
    BoundedVoucher,
    #[error("an issuer key vouches for bounded keys only")]
    Unbounded,
    #[error("a {purpose} key asks for nothing, so it has no bounds")]
    BoundsMisplaced { purpose: Purpose },
    #[error("the key would be valid when the issuer key that vouches for it is not")]
    WiderThanVoucher,
    #[error("the key ends before it begins, or before it is certified")]
    EmptyValidity,
    #[error("certified at {issued_at_s} s; it is {now_s} s here")]
    Future { issued_at_s: u64, now_s: u64 },
    #[error("the key ended at {not_after_s} s, longer ago than anything it signed can live")]
    Ended { not_after_s: u64 },
    #[error("the certified key cannot be used")]
    Key(#[source] KeyError),
}

impl CertificateError {
    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Voucher(
                refusal @ (KeyRefusal::Revoked { .. } | KeyRefusal::VoucherRevoked { .. }),
            ) => refusal.code(),
            Self::Key(cause) => cause.code(),
            Self::TooMany { .. }
            | Self::Envelope(_)
            | Self::Voucher(_)
            | Self::Purpose { .. }
            | Self::SelfSigned { .. }
            | Self::OtherPrincipal { .. }
            | Self::BoundedVoucher
            | Self::Unbounded
            | Self::BoundsMisplaced { .. }
            | Self::WiderThanVoucher
            | Self::EmptyValidity
            | Self::Future { .. }
            | Self::Ended { .. } => ErrorCode::CertificateInvalid,
        }
    }

    /// The answer to whoever sent the certificate, with all causes in its message.
    #[must_use]
    pub fn to_fault(&self) -> Fault {
        Fault::new(self.code(), with_causes(self))
    }
}

impl From<EnvelopeError> for CertificateError {
    fn from(cause: EnvelopeError) -> Self {
        Self::Envelope(cause)
    }
}

/// Vouches for a key. The same claims and keys always give the same bytes.
///
/// # Errors
///
/// Refuses what no verifier accepts: a weak key, purposes that do not fit, and times and bounds that
/// make no sense. Whether `key` itself may still vouch is for the verifier to judge.
pub fn certify(
    claims: &CertificateClaims,
    cluster: &ClusterName,
    key: &SecretKey,
) -> Result<Vec<u8>, SignError> {
    let refused = |cause| SignError::Certificate(Box::new(cause));
    check_form(claims, key.public()).map_err(refused)?;
    let payload = encode_certificate(claims);
    let scanned = scan(&payload, ENVELOPE_BYTES_MAX)
        .map_err(|cause| SignError::Claims(EnvelopeError::Malformed(cause)));
    decode_certificate(scanned?).map_err(|cause| SignError::Claims(cause.into()))?;
    let envelope = envelope::seal(CERTIFICATE_TYPE, cluster, &payload, key);
    let bytes = envelope.len();
    if ENVELOPE_BYTES_MAX < bytes {
        return Err(SignError::TooLarge { bytes, limit: ENVELOPE_BYTES_MAX });
    }
    Ok(envelope)
}

/// What a certificate must satisfy whoever looks at it; returns the key that it is about.
fn check_form(
    claims: &CertificateClaims,
    voucher: &PublicKey,
) -> Result<PublicKey, CertificateError> {
    let (by, purpose) = (voucher.purpose(), claims.key.purpose);
    if !may_vouch(by, purpose) {
        return Err(CertificateError::Purpose { voucher: by, key: purpose });
    }
    if claims.not_after_s <= claims.not_before_s || claims.not_after_s <= claims.issued_at_s {
        return Err(CertificateError::EmptyValidity);
    }
    if claims.bounds.is_some() && purpose != Purpose::TaskIssuer {
        return Err(CertificateError::BoundsMisplaced { purpose });
    }
    if by == Purpose::TaskIssuer {
        if claims.issuer != claims.subject {
            let (voucher, subject) = (claims.issuer.clone(), claims.subject.clone());
            return Err(CertificateError::OtherPrincipal { voucher, subject });
        }
        if claims.bounds.is_none() {
            return Err(CertificateError::Unbounded);
        }
    }
    let key = PublicKey::from_bytes(purpose, &claims.key.key.0).map_err(CertificateError::Key)?;
    if key.as_bytes() == voucher.as_bytes() {
        return Err(CertificateError::SelfSigned { id: key.id() });
    }
    Ok(key)
}

fn may_vouch(voucher: Purpose, key: Purpose) -> bool {
    match voucher {
        Purpose::Root => key == Purpose::Enrolment,
        Purpose::Enrolment => match key {
            Purpose::TaskIssuer
            | Purpose::Scheduler
            | Purpose::NodeLog
            | Purpose::Checkpoint
            | Purpose::Cosigner => true,
            Purpose::Enrolment | Purpose::Root => false,
        },
        Purpose::TaskIssuer => key == Purpose::TaskIssuer,
        Purpose::Scheduler | Purpose::NodeLog | Purpose::Checkpoint | Purpose::Cosigner => false,
    }
}

/// What has to be known of whoever vouches.
fn check_voucher(claims: &CertificateClaims, voucher: Signer<'_>) -> Result<(), CertificateError> {
    if voucher.bounds.is_some() {
        return Err(CertificateError::BoundedVoucher);
    }
    let anchor = voucher.anchor;
    let within =
        anchor.not_before_s <= claims.not_before_s && claims.not_after_s <= anchor.not_after_s;
    if anchor.key.purpose() == Purpose::TaskIssuer && !within {
        return Err(CertificateError::WiderThanVoucher);
    }
    Ok(())
}

fn check_clock(claims: &CertificateClaims, now: Timestamp) -> Result<(), CertificateError> {
    let (now_s, issued_at_s, not_after_s) = (now.seconds(), claims.issued_at_s, claims.not_after_s);
    if now_s.saturating_add(CLOCK_SKEW_S) < issued_at_s {
        return Err(CertificateError::Future { issued_at_s, now_s });
    }
    let lifetime_max_s = match claims.key.purpose {
        Purpose::TaskIssuer | Purpose::Scheduler => REQUEST_LIFETIME_MAX_S + CLOCK_SKEW_S,
        // Certificates and records of a key outlive it.
        Purpose::NodeLog
        | Purpose::Checkpoint
        | Purpose::Cosigner
        | Purpose::Enrolment
        | Purpose::Root => u64::MAX,
    };
    if not_after_s.saturating_add(lifetime_max_s) <= now_s {
        return Err(CertificateError::Ended { not_after_s });
    }
    Ok(())
}

impl TrustAnchors {
    /// Believes certificates, given in order: each after the one that vouches for it. What was
    /// admitted before is known by its hash and costs no signature check. Those before the first one
    /// that is refused are kept.
    ///
    /// Memory is bounded by [`crate::CERTIFICATES_KEPT_MAX`]; the one used longest ago goes first.
    ///
    /// # Errors
    ///
    /// Refuses whatever no trusted key vouches for, and more than [`CERTIFICATES_MAX`] at once.
    pub fn admit(
        &mut self,
        certificates: &[Vec<u8>],
        now: Timestamp,
    ) -> Result<(), CertificateError> {
        let count = certificates.len();
        if CERTIFICATES_MAX < count {
            return Err(CertificateError::TooMany { count });
        }
        for certificate in certificates {
            // Garbage is refused before anything is spent on it.
            envelope::open(certificate, ENVELOPE_BYTES_MAX)?;
            let hash = envelope_hash(certificate);
            if self.is_known(hash, now) {
                self.admitted.touch(hash);
            } else {
                let (_, certified) = self.verify_certificate(certificate, now)?;
                self.admitted.keep(hash, certified);
            }
        }
        Ok(())
    }

    /// Verifies a certificate as [`TrustAnchors::admit`] does, and keeps nothing of it.
    ///
    /// # Errors
    ///
    /// As [`TrustAnchors::admit`].
    pub fn examine(
        &self,
        certificate: &[u8],
        now: Timestamp,
    ) -> Result<CertificateClaims, CertificateError> {
        self.verify_certificate(certificate, now).map(|(claims, _)| claims)
    }

    fn is_known(&self, hash: Sha256Hash, now: Timestamp) -> bool {
        self.admitted.get(hash).is_some_and(|certified| self.counts(certified, now))
    }

    fn verify_certificate(
        &self,
        certificate: &[u8],
        now: Timestamp,
    ) -> Result<(CertificateClaims, Certified), CertificateError> {
        let parts = envelope::open(certificate, ENVELOPE_BYTES_MAX)?;
        let id = parts.key_id(CERTIFICATE_TYPE).map_err(EnvelopeError::Header)?;
        // A key that has ended stays good for what it vouched for before.
        let wanted = Wanted { id, now, lifetime_max_s: u64::MAX };
        let key = self.usable_key(wanted).map_err(CertificateError::Voucher)?;
        let cluster = self.cluster();
        if !key.verifies(&parts.signed_bytes(CERTIFICATE_TYPE, cluster), parts.signature) {
            let cluster = cluster.to_string();
            return Err(EnvelopeError::Signature { key: id, cluster }.into());
        }
        let claims = decode_certificate(parts.payload).map_err(EnvelopeError::Claims)?;
        let subject = check_form(&claims, key)?;
        let voucher = self
            .signer(wanted, &claims.issuer, claims.issued_at_s)
            .map_err(CertificateError::Voucher)?;
        check_voucher(&claims, voucher)?;
        check_clock(&claims, now)?;
        let vouchers = [id].into_iter().chain(voucher.vouchers.iter().copied()).collect();
        let certified = Certified {
            anchor: anchor(&claims, subject),
            bounds: claims.bounds.clone(),
            issued_at_s: claims.issued_at_s,
            vouchers,
        };
        Ok((claims, certified))
    }
}

fn anchor(claims: &CertificateClaims, key: PublicKey) -> Anchor {
    Anchor {
        key,
        principal: claims.subject.clone(),
        not_before_s: claims.not_before_s,
        not_after_s: claims.not_after_s,
        revoked_at_s: None,
        acts_for: std::collections::BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests;
