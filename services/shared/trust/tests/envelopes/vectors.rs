//! Envelopes that Python made with `cbor2` and `cryptography`; see `vectors/make_vectors.py`.

use std::{collections::BTreeMap, sync::LazyLock};

use schemas::{
    Capability, CommandId, ErrorCode, PrincipalId, Sha256Hash, TaskId, Timestamp,
    claims::{AssignmentClaims, CertificateClaims, OrderClaims, RequestClaims, RosterClaims},
    key::{KeyOffer, PublicKeyBytes},
};
use serde::Deserialize;
use serde_json::Value;
use trust::{
    Assignment, AssignmentFacts, ChainLink, ClusterName, EnvelopeError, Order, PublicKey, Purpose,
    Recipient, Request, Roster, SecretKey, Trust, TrustAnchors, Unverified, Verified, certify,
    envelope_hash, sign,
};

use crate::support::unhex;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    now_s: u64,
    recipient: RecipientEntry,
    anchors: Value,
    seeds: BTreeMap<String, Seed>,
    bad_keys: Vec<BadKey>,
    valid: Vec<ValidCase>,
    invalid: Vec<InvalidCase>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum RecipientEntry {
    Node { node: PrincipalId, capabilities: Vec<Capability> },
    Scheduler { partition: u32 },
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EnvelopeKind {
    Request,
    Assignment,
    Order,
    Certificate,
    Roster,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    request: String,
    assignment: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seed {
    purpose: Purpose,
    seed: Sha256Hash,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BadKey {
    name: String,
    attack: u32,
    public_key: Sha256Hash,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValidCase {
    name: String,
    kind: EnvelopeKind,
    signer: String,
    envelope: String,
    envelope_hash: Sha256Hash,
    claims: BTreeMap<i64, Value>,
    task: Option<TaskId>,
    order: Option<CommandId>,
    request: Option<String>,
    now_s: Option<u64>,
    #[serde(default)]
    certificates: Vec<String>,
    #[serde(default)]
    ancestors: Vec<Link>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InvalidCase {
    name: String,
    attack: u32,
    kind: EnvelopeKind,
    code: String,
    envelope: String,
    request: Option<String>,
    now_s: Option<u64>,
    recipient: Option<RecipientEntry>,
    #[serde(default)]
    certificates: Vec<String>,
    #[serde(default)]
    ancestors: Vec<Link>,
}

static VECTORS: LazyLock<Document> =
    LazyLock::new(|| serde_json::from_str(include_str!("../vectors/vectors.json")).unwrap());
static ANCHORS: LazyLock<TrustAnchors> =
    LazyLock::new(|| TrustAnchors::from_file(&VECTORS.anchors.to_string()).unwrap());
static REGISTRY: LazyLock<PrincipalId> = LazyLock::new(|| PrincipalId::parse("registry").unwrap());

/// An envelope with what came with it.
struct Received<'a> {
    envelope: Vec<u8>,
    now: Timestamp,
    anchors: TrustAnchors,
    request: Option<&'a String>,
    ancestors: &'a [Link],
}

impl<'a> Received<'a> {
    fn new(envelope: &str, now_s: Option<u64>, certificates: &[String]) -> Self {
        let now = Timestamp::from_seconds(now_s.unwrap_or(VECTORS.now_s));
        let mut anchors = ANCHORS.clone();
        let certificates: Vec<_> = certificates.iter().map(|text| unhex(text)).collect();
        anchors.admit(&certificates, now).unwrap();
        Self { envelope: unhex(envelope), now, anchors, request: None, ancestors: &[] }
    }

    fn valid(case: &'a ValidCase) -> Self {
        let received = Self::new(&case.envelope, case.now_s, &case.certificates);
        Self { request: case.request.as_ref(), ancestors: &case.ancestors, ..received }
    }

    fn invalid(case: &'a InvalidCase) -> Self {
        let received = Self::new(&case.envelope, case.now_s, &case.certificates);
        Self { request: case.request.as_ref(), ancestors: &case.ancestors, ..received }
    }

    fn trust(&self) -> Trust<'_> {
        Trust { anchors: &self.anchors, now: self.now }
    }

    fn request(&self, recipient: &RecipientEntry) -> Result<Verified<Request>, EnvelopeError> {
        let links: Vec<_> = self
            .ancestors
            .iter()
            .map(|link| (unhex(&link.request), unhex(&link.assignment)))
            .collect();
        let links: Vec<_> =
            links.iter().map(|(request, assignment)| ChainLink { request, assignment }).collect();
        let recipient = match recipient {
            RecipientEntry::Node { node, capabilities } => {
                Recipient::Node { id: node, capabilities }
            }
            RecipientEntry::Scheduler { partition } => {
                Recipient::Scheduler { partition: *partition }
            }
        };
        Unverified::with_chain(&self.envelope, &links).verify(self.trust(), &recipient)
    }

    fn assignment(&self) -> Result<Verified<Assignment>, EnvelopeError> {
        let RecipientEntry::Node { node, .. } = &VECTORS.recipient else { panic!("not a node") };
        let request = self.request.expect("every assignment comes with its request");
        let request = Self::new(request, None, &[]).request(&VECTORS.recipient)?;
        let facts = AssignmentFacts { node, request: &request };
        Unverified::new(&self.envelope).verify(self.trust(), &facts)
    }

    fn order(&self) -> Result<Verified<Order>, EnvelopeError> {
        Unverified::new(&self.envelope).verify(self.trust(), &&*REGISTRY)
    }

    fn roster(&self) -> Result<Verified<Roster>, EnvelopeError> {
        Unverified::new(&self.envelope).verify(self.trust(), &())
    }

    /// The code with which it is refused, and the message; nothing when it is accepted.
    fn refusal(
        &self,
        kind: EnvelopeKind,
        recipient: &RecipientEntry,
    ) -> Option<(ErrorCode, String)> {
        let fault = match kind {
            EnvelopeKind::Request => self.request(recipient).err().map(|error| error.to_fault()),
            EnvelopeKind::Assignment => self.assignment().err().map(|error| error.to_fault()),
            EnvelopeKind::Order => self.order().err().map(|error| error.to_fault()),
            EnvelopeKind::Roster => self.roster().err().map(|error| error.to_fault()),
            EnvelopeKind::Certificate => {
                let refused = self.anchors.examine(&self.envelope, self.now).err();
                refused.map(|error| error.to_fault())
            }
        };
        fault.map(|fault| (fault.code, fault.message))
    }
}

fn seed_key(name: &str) -> SecretKey {
    let Seed { purpose, seed } = &VECTORS.seeds[name];
    SecretKey::from_entropy(*purpose, &seed.0.into())
}

#[test]
fn what_python_signed_is_accepted_with_its_claims_and_encoded_byte_for_byte() {
    for case in &VECTORS.valid {
        let received = Received::valid(case);
        if let Some((_, message)) = received.refusal(case.kind, &VECTORS.recipient) {
            panic!("{}: {message}", case.name);
        }
        let signed_again = match case.kind {
            EnvelopeKind::Request => check_request(case, &received),
            EnvelopeKind::Assignment => {
                let claims = assignment_claims(&case.claims);
                assert_eq!(*received.assignment().unwrap().claims(), claims, "{}", case.name);
                sign::<Assignment>(&claims, &test_cluster(), &seed_key(&case.signer)).unwrap()
            }
            EnvelopeKind::Order => check_order(case, &received),
            EnvelopeKind::Roster => {
                let claims = roster_claims(&case.claims);
                assert_eq!(*received.roster().unwrap().claims(), claims, "{}", case.name);
                sign::<Roster>(&claims, &test_cluster(), &seed_key(&case.signer)).unwrap()
            }
            EnvelopeKind::Certificate => {
                let claims = certificate_claims(&case.claims);
                let read = received.anchors.examine(&received.envelope, received.now).unwrap();
                assert_eq!(read, claims, "{}", case.name);
                certify(&claims, &test_cluster(), &seed_key(&case.signer)).unwrap()
            }
        };
        assert_eq!(signed_again, received.envelope, "{}", case.name);
        assert_eq!(envelope_hash(&received.envelope), case.envelope_hash, "{}", case.name);
    }
    assert!(25 <= VECTORS.valid.len());
}

fn check_request(case: &ValidCase, received: &Received<'_>) -> Vec<u8> {
    let claims = request_claims(&case.claims);
    let scheduler = RecipientEntry::Scheduler { partition: 0 };
    let verified = received.request(&scheduler).unwrap();
    assert_eq!(*verified.claims(), claims, "{}", case.name);
    assert_eq!(Some(verified.task()), case.task.as_ref(), "{}", case.name);
    assert_eq!(verified.envelope_hash(), case.envelope_hash, "{}", case.name);
    assert_eq!(verified.ancestors().len(), case.ancestors.len(), "{}", case.name);
    let key = seed_key(&case.signer);
    assert_eq!(verified.key(), key.public().id(), "{}", case.name);
    sign::<Request>(&claims, &test_cluster(), &key).unwrap()
}

fn check_order(case: &ValidCase, received: &Received<'_>) -> Vec<u8> {
    let claims = order_claims(&case.claims);
    let verified = received.order().unwrap();
    assert_eq!(*verified.claims(), claims, "{}", case.name);
    assert_eq!(Some(verified.id()), case.order, "{}", case.name);
    sign::<Order>(&claims, &test_cluster(), &seed_key(&case.signer)).unwrap()
}

fn test_cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

#[test]
fn what_python_spoiled_is_refused_with_the_named_code() {
    let mut wrong = Vec::new();
    for case in &VECTORS.invalid {
        let recipient = case.recipient.as_ref().unwrap_or(&VECTORS.recipient);
        let refusal = Received::invalid(case).refusal(case.kind, recipient);
        if refusal.as_ref().map(|(code, _)| code.as_str()) != Some(&case.code) {
            wrong.push(format!("attack {}, {}: {refusal:?}", case.attack, case.name));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(400 <= VECTORS.invalid.len());
}

#[test]
fn public_keys_of_small_order_or_false_form_are_refused() {
    for case in &VECTORS.bad_keys {
        let refused = PublicKey::from_bytes(Purpose::TaskIssuer, &case.public_key.0);
        assert!(refused.is_err(), "attack {}, {}: {}", case.attack, case.name, case.public_key);
    }
    assert!(16 <= VECTORS.bad_keys.len());
}

#[test]
fn trust_anchors_of_python_are_written_as_python_wrote_them() {
    let written: Value = serde_json::from_str(&ANCHORS.to_file()).unwrap();
    assert_eq!(written, VECTORS.anchors);
}

fn text(claims: &BTreeMap<i64, Value>, key: i64) -> &str {
    claims[&key].as_str().unwrap()
}

fn number(claims: &BTreeMap<i64, Value>, key: i64) -> u64 {
    claims[&key].as_u64().unwrap()
}

fn request_claims(claims: &BTreeMap<i64, Value>) -> RequestClaims {
    RequestClaims {
        issuer: text(claims, 1).parse().unwrap(),
        subject: text(claims, 2).parse().unwrap(),
        audience: text(claims, 3).parse().unwrap(),
        expires_at_s: number(claims, 4),
        not_before_s: number(claims, 5),
        issued_at_s: number(claims, 6),
        nonce: unhex(text(claims, 7)).try_into().unwrap(),
        spec_json: text(claims, -65537).to_owned(),
        grants: claims
            .get(&-65538)
            .map(|grants| serde_json::from_str(grants.as_str().unwrap()).unwrap())
            .unwrap_or_default(),
        parent: claims.get(&-65539).map(|task| task.as_str().unwrap().parse().unwrap()),
        trace: claims.get(&-65540).map(|trace| trace.as_str().unwrap().to_owned()),
        partition: number(claims, -65541).try_into().unwrap(),
    }
}

fn assignment_claims(claims: &BTreeMap<i64, Value>) -> AssignmentClaims {
    AssignmentClaims {
        issuer: text(claims, 1).parse().unwrap(),
        expires_at_s: number(claims, 4),
        issued_at_s: number(claims, 6),
        task: text(claims, -65542).parse().unwrap(),
        request_hash: Sha256Hash::parse(text(claims, -65543)).unwrap(),
        node: text(claims, -65544).parse().unwrap(),
        epoch: number(claims, -65545),
        attempt: number(claims, -65546).try_into().unwrap(),
        term: number(claims, -65547),
    }
}

fn order_claims(claims: &BTreeMap<i64, Value>) -> OrderClaims {
    OrderClaims {
        issuer: text(claims, 1).parse().unwrap(),
        service: text(claims, 3).parse().unwrap(),
        expires_at_s: number(claims, 4),
        issued_at_s: number(claims, 6),
        nonce: unhex(text(claims, 7)).try_into().unwrap(),
        order_json: text(claims, -65551).to_owned(),
    }
}

fn certificate_claims(claims: &BTreeMap<i64, Value>) -> CertificateClaims {
    CertificateClaims {
        issuer: text(claims, 1).parse().unwrap(),
        subject: text(claims, 2).parse().unwrap(),
        not_after_s: number(claims, 4),
        not_before_s: number(claims, 5),
        issued_at_s: number(claims, 6),
        key: KeyOffer {
            purpose: Purpose::parse(text(claims, -65549)).unwrap(),
            key: PublicKeyBytes(unhex(text(claims, -65548)).try_into().unwrap()),
        },
        bounds: claims
            .get(&-65550)
            .map(|bounds| serde_json::from_str(bounds.as_str().unwrap()).unwrap()),
    }
}

fn roster_claims(claims: &BTreeMap<i64, Value>) -> RosterClaims {
    let texts = |key| claims[&key].as_array().unwrap().iter().map(|it| it.as_str().unwrap());
    RosterClaims {
        issuer: text(claims, 1).parse().unwrap(),
        issued_at_s: number(claims, 6),
        version: number(claims, -65552),
        revoked: texts(-65553).map(|key| key.parse().unwrap()).collect(),
        overseers: texts(-65554).map(|person| person.parse().unwrap()).collect(),
        access: None,
    }
}
