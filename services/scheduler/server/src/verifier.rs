//! Whose requests are believed: keys that are pinned, and keys that certificates lead to.
//!
//! **Invariant:** a submission comes from here and from nowhere else, so all of it was signed.
//! **Invariant:** what is kept of certificates is bounded, whoever sends how many.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use scheduler_core::{Handed, Submission};
use schemas::{ErrorCode, Fault, TaskId, Timestamp, enrolment::CERTIFICATES_MAX, key::KeyId};
use trust::{
    ChainError, ChainLink, ENVELOPE_BYTES_MAX, EnvelopeError, Recipient, Trust, TrustAnchors,
    Unverified, Verified,
};

use crate::chain::Chain;

/// The only partition of the scheduler's log.
const PARTITION: u32 = 0;
/// Most certificates that come with one request, in bytes of base64: each is recorded with it.
const CERTIFICATES_BYTES_MAX: usize = 32 * 1024;

/// Believes requests.
pub(crate) struct Verifier {
    anchors: RwLock<TrustAnchors>,
    /// Requests of runs that were verified with their chains and are about to be submitted, by
    /// envelope.
    proved: RwLock<BTreeMap<String, Submission>>,
}

/// What verification made of a request.
#[derive(Debug)]
pub(crate) enum Judged {
    /// It may be submitted.
    Believed(Box<Submission>),
    /// Another task asked for it; it is believed only together with that one and those before.
    OfTask(Box<Handed>),
}

impl Verifier {
    /// Believes these keys, and those that they vouch for.
    pub(crate) fn new(anchors: TrustAnchors) -> Self {
        Self { anchors: RwLock::new(anchors), proved: RwLock::default() }
    }

    /// Keys that count no more from now on, and those that they vouch for.
    pub(crate) fn set_revoked(&self, keys: BTreeSet<KeyId>) {
        self.write().set_revoked(keys);
    }

    /// Verifies a request that came with certificates.
    pub(crate) fn judge(
        &self,
        envelope: String,
        certificates: Vec<String>,
        now: Timestamp,
    ) -> Result<Judged, Fault> {
        let bytes = decode(&envelope)?;
        self.admit(&certificates, now)?;
        let anchors = self.read();
        let by = Trust { anchors: &anchors, now };
        let first = Unverified::new(&bytes).verify::<trust::Request>(by, &RECIPIENT);
        match first {
            Ok(verified) => {
                let submission = submission(&verified, envelope, certificates);
                Ok(Judged::Believed(Box::new(submission)))
            }
            Err(EnvelopeError::Chain(ChainError::Missing)) => {
                let parent = parent_of(&bytes, by)?;
                let envelope_hash = trust::envelope_hash(&bytes);
                let handed = Handed { parent, envelope, envelope_hash, certificates };
                Ok(Judged::OfTask(Box::new(handed)))
            }
            Err(error) => Err(error.to_fault()),
        }
    }

    /// Verifies a request that another task asked for, with the tasks that led to it.
    pub(crate) fn judge_chain(
        &self,
        handed: &Handed,
        chain: &Chain,
        now: Timestamp,
    ) -> Result<Submission, Fault> {
        let bytes = decode(&handed.envelope)?;
        for certificates in chain.certificates.chunks(CERTIFICATES_MAX) {
            self.admit(certificates, now)?;
        }
        self.admit(&handed.certificates, now)?;
        let decoded: Vec<(Vec<u8>, Vec<u8>)> = chain
            .ancestors
            .iter()
            .map(|link| Ok((decode(&link.request)?, decode(&link.assignment)?)))
            .collect::<Result<_, Fault>>()?;
        let links: Vec<ChainLink<'_>> =
            decoded.iter().map(|(request, assignment)| ChainLink { request, assignment }).collect();
        let anchors = self.read();
        let by = Trust { anchors: &anchors, now };
        let verified = Unverified::with_chain(&bytes, &links)
            .verify::<trust::Request>(by, &RECIPIENT)
            .map_err(|error| error.to_fault())?;
        Ok(submission(&verified, handed.envelope.clone(), handed.certificates.clone()))
    }

    /// Remembers a submission while it is on its way to the loop.
    pub(crate) fn remember(&self, submission: Submission) {
        let mut proved = self.proved.write().unwrap_or_else(PoisonError::into_inner);
        proved.insert(submission.envelope.clone(), submission);
    }

    /// A submission that was remembered.
    pub(crate) fn recall(&self, envelope: &str) -> Option<Submission> {
        let proved = self.proved.read().unwrap_or_else(PoisonError::into_inner);
        proved.get(envelope).cloned()
    }

    /// Forgets a submission that has arrived, or never will.
    pub(crate) fn forget(&self, envelope: &str) {
        self.proved.write().unwrap_or_else(PoisonError::into_inner).remove(envelope);
    }

    fn admit(&self, certificates: &[String], now: Timestamp) -> Result<(), Fault> {
        if certificates.is_empty() {
            return Ok(());
        }
        let decoded = decode_certificates(certificates)?;
        self.write().admit(&decoded, now).map_err(|error| error.to_fault())
    }

    fn read(&self) -> RwLockReadGuard<'_, TrustAnchors> {
        self.anchors.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, TrustAnchors> {
        self.anchors.write().unwrap_or_else(PoisonError::into_inner)
    }
}

const RECIPIENT: Recipient<'static> = Recipient::Scheduler { partition: PARTITION };

/// The task that a request names as its parent, read out of what its signature covers.
fn parent_of(envelope: &[u8], by: Trust<'_>) -> Result<TaskId, Fault> {
    // Held against a chain that begins with itself, a request that has a parent is refused for just
    // that, by name. There is no other way to read what is not yet believed.
    let itself = [ChainLink { request: envelope, assignment: &[] }];
    let held = Unverified::with_chain(envelope, &itself).verify::<trust::Request>(by, &RECIPIENT);
    match held {
        Err(EnvelopeError::Chain(ChainError::NotTheFirst { parent })) => Ok(parent),
        Err(error) => Err(error.to_fault()),
        Ok(_) => Err(Fault::new(ErrorCode::ChainInvalid, "the request is its own parent")),
    }
}

fn submission(
    verified: &Verified<trust::Request>,
    envelope: String,
    certificates: Vec<String>,
) -> Submission {
    let claims = verified.claims();
    Submission {
        task: verified.task().clone(),
        envelope,
        envelope_hash: verified.envelope_hash(),
        spec: verified.spec().clone(),
        issuer: claims.issuer.clone(),
        subject: claims.subject.clone(),
        audience: claims.audience.clone(),
        certificates,
        grants: claims.grants.clone(),
        parent: claims.parent.clone(),
        key: verified.key(),
        expires_at: Timestamp::from_seconds(claims.expires_at_s),
    }
}

fn decode(envelope: &str) -> Result<Vec<u8>, Fault> {
    let bytes = envelope.len() / 4 * 3;
    if ENVELOPE_BYTES_MAX + 2 < bytes {
        let message = format!("about {bytes} bytes signed, the limit is {ENVELOPE_BYTES_MAX}");
        return Err(Fault::new(ErrorCode::EnvelopeTooLarge, message));
    }
    STANDARD.decode(envelope).map_err(|error| {
        let message = format!("the envelope is not base64: {error}");
        Fault::new(ErrorCode::EnvelopeMalformed, message)
    })
}

fn decode_certificates(certificates: &[String]) -> Result<Vec<Vec<u8>>, Fault> {
    let invalid = |message: String| Fault::new(ErrorCode::CertificateInvalid, message);
    let (count, bytes) = (certificates.len(), certificates.iter().map(String::len).sum::<usize>());
    if CERTIFICATES_MAX < count {
        let message = format!("{count} certificates came along, the limit is {CERTIFICATES_MAX}");
        return Err(invalid(message));
    }
    if CERTIFICATES_BYTES_MAX < bytes {
        let limit = CERTIFICATES_BYTES_MAX;
        return Err(invalid(format!("the certificates have {bytes} bytes, the limit is {limit}")));
    }
    let decode = |(place, text): (usize, &String)| {
        let not_base64 =
            |error| invalid(format!("certificate {} is not base64: {error}", place + 1));
        STANDARD.decode(text).map_err(not_base64)
    };
    certificates.iter().enumerate().map(decode).collect()
}
