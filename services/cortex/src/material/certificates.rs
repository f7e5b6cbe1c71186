//! Files with the certificates of a key: one in base64 a line, each after the one that vouches for
//! it.
//!
//! **Invariant:** a chain that is written leads from the root to its key.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use schemas::{
    ErrorCode, Fault, PrincipalId, Timestamp,
    claims::CertificateClaims,
    key::{KeyOffer, PublicKeyBytes},
    registry::CertifiedKey,
};
use trust::{Anchor, PublicKey, SecretKey, TrustAnchors, certify};

use super::keys::unreadable;
use crate::{
    commands::serve::chain as causes,
    files::{read_if_there, write_private},
};

/// What is renewed has at most this part of its life before it, as a divisor.
const RENEWED_AT_LAST: u64 = 2;

/// Certificates in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain(Vec<Vec<u8>>);

impl Chain {
    /// Reads a file; an absent one is empty.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID`, naming the file.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let text = read_if_there(path)?.unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let certificates = lines.map(|line| STANDARD.decode(line));
        certificates.collect::<Result<_, _>>().map(Self).map_err(|error| {
            unreadable(path, &format!("a line is no certificate in base64: {error}"))
        })
    }

    /// The certificates as messages carry them.
    #[must_use]
    pub fn to_texts(&self) -> Vec<String> {
        self.0.iter().map(|certificate| STANDARD.encode(certificate)).collect()
    }

    /// The certificates themselves.
    #[must_use]
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.0
    }

    /// Those that name a key, as messages carry them; not whether they may be believed.
    #[must_use]
    pub fn about(&self, key: &PublicKey) -> Vec<String> {
        let bytes = key.as_bytes();
        let names = |it: &&Vec<u8>| it.windows(bytes.len()).any(|part| part == bytes);
        self.0.iter().filter(names).map(|certificate| STANDARD.encode(certificate)).collect()
    }

    fn write(&self, path: &Path) -> Result<(), Fault> {
        let mut text = self.to_texts().join("\n");
        text.push('\n');
        Ok(write_private(path, text.as_bytes())?)
    }

    /// What whoever trusts `anchors` learns of `key` from the chain.
    ///
    /// # Errors
    ///
    /// The code of the first certificate that does not count, or of a key that none is about.
    pub fn vouches_for(
        &self,
        key: &PublicKey,
        anchors: &TrustAnchors,
        now: Timestamp,
    ) -> Result<Anchor, Fault> {
        let mut anchors = anchors.clone();
        let admitted = anchors.admit(&self.0, now);
        admitted.map_err(|error| Fault::new(error.code(), causes(&error)))?;
        let found = anchors.lookup(key.id(), key.purpose());
        found.cloned().map_err(|error| Fault::new(error.code(), causes(&error)))
    }
}

/// Whoever vouches for keys, and why they may.
pub(super) struct Voucher<'a> {
    pub(super) key: &'a SecretKey,
    pub(super) principal: PrincipalId,
    pub(super) chain: Chain,
}

/// A key that needs a certificate.
pub(super) struct Candidate<'a> {
    pub(super) key: &'a PublicKey,
    pub(super) principal: PrincipalId,
    /// Where its certificates are kept.
    pub(super) path: PathBuf,
    /// Since when it may have signed, in seconds since the Unix epoch.
    pub(super) since_s: u64,
    pub(super) lifetime_s: u64,
}

/// A key with its certificates.
pub(super) struct Certified {
    pub(super) chain: Chain,
    pub(super) key: CertifiedKey,
}

impl Candidate<'_> {
    /// Keeps the certificates that are there for as long as they count and are not soon over.
    ///
    /// Without somebody who may vouch, also those that are soon over are kept.
    pub(super) fn ensure(
        self,
        voucher: Option<Voucher<'_>>,
        anchors: &TrustAnchors,
        now: Timestamp,
    ) -> Result<Certified, Fault> {
        // What does not parse or count is made anew: a certificate is no secret that could be lost.
        let kept = Chain::read(&self.path).ok();
        let known = kept.and_then(|chain| {
            let anchor = chain.vouches_for(self.key, anchors, now).ok()?;
            (anchor.principal == self.principal).then_some((chain, anchor))
        });
        match (known, voucher) {
            (Some((chain, anchor)), None) if now.seconds() < anchor.not_after_s => {
                Ok(Certified::of(chain, &anchor))
            }
            (Some((chain, anchor)), Some(voucher)) => {
                let left_s = anchor.not_after_s.saturating_sub(now.seconds());
                let lasts = self.lifetime_s / RENEWED_AT_LAST < left_s;
                if lasts && chain.0.starts_with(&voucher.chain.0) {
                    return Ok(Certified::of(chain, &anchor));
                }
                let since_s = self.since_s.min(anchor.not_before_s);
                Self { since_s, ..self }.certify(&voucher, anchors, now)
            }
            (None, Some(voucher)) => self.certify(&voucher, anchors, now),
            (_, None) => Err(self.unvouched()),
        }
    }

    fn certify(
        self,
        voucher: &Voucher<'_>,
        anchors: &TrustAnchors,
        now: Timestamp,
    ) -> Result<Certified, Fault> {
        let now_s = now.seconds();
        let claims = CertificateClaims {
            issuer: voucher.principal.clone(),
            subject: self.principal.clone(),
            key: offer(self.key),
            issued_at_s: now_s,
            not_before_s: self.since_s,
            not_after_s: now_s.saturating_add(self.lifetime_s),
            bounds: None,
        };
        let certificate = certify(&claims, anchors.cluster(), voucher.key)
            .map_err(|error| Fault::new(ErrorCode::ConfigInvalid, causes(&error)))?;
        let mut chain = voucher.chain.clone();
        chain.0.push(certificate);
        let anchor = chain.vouches_for(self.key, anchors, now)?;
        chain.write(&self.path)?;
        Ok(Certified::of(chain, &anchor))
    }

    fn unvouched(&self) -> Fault {
        let path = self.path.display();
        let message =
            format!("{path} does not count, and the key that could renew it is elsewhere");
        Fault::new(ErrorCode::ConfigInvalid, message)
            .with_hint("name the directory with the root key: `cortex init --operator DIR`")
    }
}

impl Certified {
    fn of(chain: Chain, anchor: &Anchor) -> Self {
        let key = CertifiedKey {
            id: anchor.key.id(),
            offer: offer(&anchor.key),
            not_before_s: anchor.not_before_s,
            not_after_s: anchor.not_after_s,
        };
        Self { chain, key }
    }
}

fn offer(key: &PublicKey) -> KeyOffer {
    KeyOffer { purpose: key.purpose(), key: PublicKeyBytes(*key.as_bytes()) }
}

#[cfg(test)]
mod tests;
