//! One issuer, one scheduler, one node, and a request between them.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use coset::{CoseSign1, TaggedCborSerializable as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use schemas::{
    ErrorCode, PrincipalId, Timestamp,
    claims::{AssignmentClaims, REQUEST_TYPE, RequestClaims},
    grants::Grants,
};
use trust::{
    Anchor, Assignment, AssignmentFacts, ClusterName, EnvelopeError, Purpose, Recipient, Request,
    SecretKey, Trust, TrustAnchors, Unverified, Verified, envelope_hash, sign, task_id,
};

const NOW_S: u64 = 1_800_000_000;
/// The issuer's entropy is this byte, 32 times.
const ISSUER: u8 = 1;
const SCHEDULER: u8 = 2;
const STRANGER: u8 = 9;

pub(crate) struct Stage {
    anchors: TrustAnchors,
    claims: RequestClaims,
    issuer: SecretKey,
    bare: SigningKey,
    pub(crate) bare_public: VerifyingKey,
    node: PrincipalId,
    /// The request, signed.
    pub(crate) envelope: Vec<u8>,
    /// What the signature of it covers, and the signature.
    pub(crate) message: (Vec<u8>, [u8; 64]),
    /// Whether it is a request as people make them.
    pub(crate) is_small: bool,
}

/// A specification of about this many bytes.
pub(crate) fn spec_of(bytes: usize) -> String {
    let frame = r#"{"work":{"kind":"echo","text":""}}"#.len();
    let text = "a".repeat(bytes - frame);
    format!(r#"{{"work":{{"kind":"echo","text":"{text}"}}}}"#)
}

fn id(text: &str) -> PrincipalId {
    PrincipalId::parse(text).expect("a short word is an id")
}

fn cluster() -> ClusterName {
    ClusterName::parse("bench").expect("a short word is a name")
}

fn key(purpose: Purpose, seed: u8) -> SecretKey {
    SecretKey::from_entropy(purpose, &[seed; 32].into())
}

impl Stage {
    pub(crate) fn with_spec(spec: &str) -> Result<Self> {
        let (issuer, scheduler) =
            (key(Purpose::TaskIssuer, ISSUER), key(Purpose::Scheduler, SCHEDULER));
        let mut anchors = TrustAnchors::new(cluster());
        anchors.add(anchor(&issuer, "alice"))?;
        anchors.add(anchor(&scheduler, "scheduler"))?;
        let claims = claims(spec);
        let envelope = sign::<Request>(&claims, &cluster(), &issuer)?;
        let bare = SigningKey::from_bytes(&[ISSUER; 32]);
        let message = signed(&envelope)?;
        let (bare_public, node) = (bare.verifying_key(), id("node-1"));
        let is_small = envelope.len() < 2048;
        Ok(Self { anchors, claims, issuer, bare, bare_public, node, envelope, message, is_small })
    }

    fn trust(&self) -> Trust<'_> {
        Trust { anchors: &self.anchors, now: Timestamp::from_seconds(NOW_S) }
    }

    fn verify_request(&self, envelope: &[u8]) -> Result<Verified<Request>, EnvelopeError> {
        let recipient = Recipient::Node { id: &self.node, capabilities: &[] };
        Unverified::new(envelope).verify(self.trust(), &recipient)
    }

    /// As a node does it.
    pub(crate) fn verify(&self, envelope: &[u8]) -> Result<(), ErrorCode> {
        self.verify_request(envelope).map(drop).map_err(|error| error.code())
    }

    pub(crate) fn verified(&self) -> Result<Verified<Request>> {
        self.verify_request(&self.envelope).context("verifying what was just signed")
    }

    pub(crate) fn sign(&self) -> Vec<u8> {
        sign::<Request>(&self.claims, &cluster(), &self.issuer).expect("it was signed before")
    }

    /// The same request under a key that nobody trusts.
    pub(crate) fn by_a_stranger(&self) -> Vec<u8> {
        let stranger = key(Purpose::TaskIssuer, STRANGER);
        sign::<Request>(&self.claims, &cluster(), &stranger).expect("it was signed before")
    }

    pub(crate) fn assign(&self) -> Result<Vec<u8>> {
        let claims = AssignmentClaims {
            issuer: id("scheduler"),
            issued_at_s: NOW_S,
            expires_at_s: NOW_S + 120,
            task: task_id(&self.claims.issuer, &self.claims.nonce),
            request_hash: envelope_hash(&self.envelope),
            node: self.node.clone(),
            epoch: 1,
            attempt: 1,
            term: 1,
        };
        Ok(sign::<Assignment>(&claims, &cluster(), &key(Purpose::Scheduler, SCHEDULER))?)
    }

    pub(crate) fn verify_assignment(&self, assigned: &[u8], request: &Verified<Request>) -> bool {
        let facts = AssignmentFacts { node: &self.node, request };
        Unverified::new(assigned).verify::<Assignment>(self.trust(), &facts).is_ok()
    }

    /// The library alone, on the very bytes that an envelope has it verify.
    pub(crate) fn verify_bare(&self, (message, signature): &(Vec<u8>, [u8; 64])) -> bool {
        self.bare_public.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    pub(crate) fn sign_bare(&self, (message, _): &(Vec<u8>, [u8; 64])) -> [u8; 64] {
        self.bare.sign(message).to_bytes()
    }

    /// The external data under the signature of a request.
    pub(crate) fn context() -> Vec<u8> {
        let text = |text: &str| {
            let length = u8::try_from(text.len()).expect("names are short");
            let head = if length < 24 { vec![0x60 | length] } else { vec![0x78, length] };
            [head.as_slice(), text.as_bytes()].concat()
        };
        [&[0x82][..], &text(REQUEST_TYPE), &text("bench")].concat()
    }
}

/// What the signature covers, as another library has it, and the signature.
fn signed(envelope: &[u8]) -> Result<(Vec<u8>, [u8; 64])> {
    let parsed =
        CoseSign1::from_tagged_slice(envelope).map_err(|error| anyhow::anyhow!("{error}"))?;
    let signature = parsed.signature.as_slice().try_into().context("64 bytes of signature")?;
    Ok((parsed.tbs_data(&Stage::context()), signature))
}

fn anchor(key: &SecretKey, principal: &str) -> Anchor {
    Anchor {
        key: key.public().clone(),
        principal: id(principal),
        not_before_s: 0,
        not_after_s: u64::MAX,
        revoked_at_s: None,
        acts_for: BTreeSet::new(),
    }
}

fn claims(spec: &str) -> RequestClaims {
    RequestClaims {
        issuer: id("alice"),
        subject: id("alice"),
        audience: "node:node-1".parse().expect("it is written as audiences are"),
        expires_at_s: NOW_S + 3600,
        not_before_s: NOW_S,
        issued_at_s: NOW_S,
        nonce: [7; 16],
        spec_json: spec.to_owned(),
        grants: Grants::default(),
        parent: None,
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        partition: 0,
    }
}
