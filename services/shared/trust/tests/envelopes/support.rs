//! Keys, anchors and claims that the tests share.

use std::collections::BTreeSet;

use schemas::{
    Capability, ErrorCode, PrincipalId, Timestamp,
    claims::{AssignmentClaims, RequestClaims},
    grants::Grants,
};
use trust::{
    Anchor, Assignment, AssignmentFacts, ClusterName, EnvelopeError, PublicKey, Purpose, Recipient,
    Request, SecretKey, Trust, TrustAnchors, Unverified, Verified, envelope_hash, sign, task_id,
};

/// When the tests take place, in seconds since the Unix epoch.
pub(crate) const NOW_S: u64 = 1_800_000_000;

/// A cluster with one issuer, `alice`, one scheduler and one node, `node-1`.
pub(crate) struct World {
    pub(crate) anchors: TrustAnchors,
    pub(crate) alice: SecretKey,
    pub(crate) scheduler: SecretKey,
    pub(crate) node: PrincipalId,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) now_s: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        let alice = secret_key(Purpose::TaskIssuer, 1);
        let scheduler = secret_key(Purpose::Scheduler, 2);
        let mut anchors = TrustAnchors::new(cluster());
        anchors.add(anchor(alice.public().clone(), "alice")).unwrap();
        anchors.add(anchor(scheduler.public().clone(), "scheduler")).unwrap();
        let (node, capabilities) = (principal("node-1"), vec![]);
        Self { anchors, alice, scheduler, node, capabilities, now_s: NOW_S }
    }

    pub(crate) fn sign_request(&self, claims: &RequestClaims) -> Vec<u8> {
        sign::<Request>(claims, &cluster(), &self.alice).unwrap()
    }

    pub(crate) fn sign_assignment(&self, claims: &AssignmentClaims) -> Vec<u8> {
        sign::<Assignment>(claims, &cluster(), &self.scheduler).unwrap()
    }

    /// Verifies as the node does.
    pub(crate) fn verify(&self, envelope: &[u8]) -> Result<Verified<Request>, EnvelopeError> {
        let recipient = Recipient::Node { id: &self.node, capabilities: &self.capabilities };
        Unverified::new(envelope).verify::<Request>(self.trust(), &recipient)
    }

    pub(crate) fn verify_assignment(
        &self,
        envelope: &[u8],
        request: &Verified<Request>,
    ) -> Result<Verified<Assignment>, EnvelopeError> {
        let facts = AssignmentFacts { node: &self.node, request };
        Unverified::new(envelope).verify::<Assignment>(self.trust(), &facts)
    }

    pub(crate) fn trust(&self) -> Trust<'_> {
        Trust { anchors: &self.anchors, now: Timestamp::from_seconds(self.now_s) }
    }

    /// The code with which the node refuses; nothing when it accepts.
    pub(crate) fn refusal(&self, envelope: &[u8]) -> Option<ErrorCode> {
        self.verify(envelope).err().map(|error| error.code())
    }

    /// The node says exactly this of the envelope.
    #[track_caller]
    pub(crate) fn check(&self, envelope: &[u8], expected: Option<ErrorCode>, what: &str) {
        let refused = self.verify(envelope).err();
        let code = refused.as_ref().map(EnvelopeError::code);
        assert_eq!(code, expected, "{what}: {:?}", refused.map(|error| error.to_fault()));
    }
}

pub(crate) fn cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

pub(crate) fn principal(id: &str) -> PrincipalId {
    PrincipalId::parse(id).unwrap()
}

pub(crate) fn secret_key(purpose: Purpose, seed: u8) -> SecretKey {
    SecretKey::from_entropy(purpose, &[seed; 32].into())
}

pub(crate) fn anchor(key: PublicKey, owner: &str) -> Anchor {
    Anchor {
        key,
        principal: principal(owner),
        not_before_s: NOW_S - 1000,
        not_after_s: NOW_S + 1000,
        revoked_at_s: None,
        acts_for: BTreeSet::new(),
    }
}

pub(crate) fn request() -> RequestClaims {
    RequestClaims {
        issuer: principal("alice"),
        subject: principal("alice"),
        audience: "node:node-1".parse().unwrap(),
        expires_at_s: NOW_S + 3600,
        not_before_s: NOW_S,
        issued_at_s: NOW_S,
        nonce: [7; 16],
        spec_json: r#"{"work":{"kind":"echo","text":"hi"}}"#.to_owned(),
        grants: Grants::default(),
        parent: None,
        trace: None,
        partition: 0,
    }
}

/// An assignment of the request in `envelope` to `node-1`.
pub(crate) fn assignment(envelope: &[u8]) -> AssignmentClaims {
    AssignmentClaims {
        issuer: principal("scheduler"),
        issued_at_s: NOW_S,
        expires_at_s: NOW_S + 120,
        task: task_id(&principal("alice"), &[7; 16]),
        request_hash: envelope_hash(envelope),
        node: principal("node-1"),
        epoch: 1,
        attempt: 1,
        term: 7,
    }
}

/// Bytes that hexadecimal digits stand for.
pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "an odd number of digits: {digits}");
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}
