//! Envelopes that Python made with `cbor2` and `cryptography`; see `vectors/make_vectors.py`.

use std::{collections::BTreeMap, sync::LazyLock};

use schemas::{
    Capability, PrincipalId, Sha256Hash, TaskId, Timestamp,
    claims::{AssignmentClaims, RequestClaims},
};
use serde::Deserialize;
use serde_json::Value;
use trust::{
    Assignment, AssignmentFacts, ClusterName, EnvelopeError, PublicKey, Purpose, Recipient,
    Request, SecretKey, Trust, TrustAnchors, Unverified, Verified, sign,
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
    request: Option<String>,
    now_s: Option<u64>,
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
}

static VECTORS: LazyLock<Document> =
    LazyLock::new(|| serde_json::from_str(include_str!("../vectors/vectors.json")).unwrap());
static ANCHORS: LazyLock<TrustAnchors> =
    LazyLock::new(|| TrustAnchors::from_file(&VECTORS.anchors.to_string()).unwrap());

fn verify_request(
    envelope: &[u8],
    now_s: u64,
    recipient: &RecipientEntry,
) -> Result<Verified<Request>, EnvelopeError> {
    let recipient = match recipient {
        RecipientEntry::Node { node, capabilities } => Recipient::Node { id: node, capabilities },
        RecipientEntry::Scheduler { partition } => Recipient::Scheduler { partition: *partition },
    };
    let trust = Trust { anchors: &ANCHORS, now: Timestamp::from_seconds(now_s) };
    Unverified::new(envelope).verify(trust, &recipient)
}

fn verify_assignment(
    envelope: &[u8],
    now_s: u64,
    request: Option<&String>,
) -> Result<Verified<Assignment>, EnvelopeError> {
    let RecipientEntry::Node { node, .. } = &VECTORS.recipient else { panic!("not a node") };
    let request = unhex(request.expect("every assignment comes with its request"));
    let request = verify_request(&request, VECTORS.now_s, &VECTORS.recipient)?;
    let trust = Trust { anchors: &ANCHORS, now: Timestamp::from_seconds(now_s) };
    Unverified::new(envelope).verify(trust, &AssignmentFacts { node, request: &request })
}

fn seed_key(name: &str) -> SecretKey {
    let Seed { purpose, seed } = &VECTORS.seeds[name];
    SecretKey::from_entropy(*purpose, &seed.0.into())
}

#[test]
fn what_python_signed_is_accepted_with_its_claims_and_encoded_byte_for_byte() {
    for case in &VECTORS.valid {
        let envelope = unhex(&case.envelope);
        let now_s = case.now_s.unwrap_or(VECTORS.now_s);
        let (signed_again, hash) = match case.kind {
            EnvelopeKind::Request => check_request(case, &envelope, now_s),
            EnvelopeKind::Assignment => check_assignment(case, &envelope, now_s),
        };
        assert_eq!(signed_again, envelope, "{}", case.name);
        assert_eq!(hash, case.envelope_hash, "{}", case.name);
    }
    assert!(12 <= VECTORS.valid.len());
}

fn check_request(case: &ValidCase, envelope: &[u8], now_s: u64) -> (Vec<u8>, Sha256Hash) {
    let scheduler = RecipientEntry::Scheduler { partition: 0 };
    for recipient in [&VECTORS.recipient, &scheduler] {
        let verified = verify_request(envelope, now_s, recipient)
            .unwrap_or_else(|error| panic!("{}: {}", case.name, error.to_fault()));
        assert_eq!(*verified.claims(), request_claims(&case.claims), "{}", case.name);
        assert_eq!(Some(verified.task()), case.task.as_ref(), "{}", case.name);
    }
    let verified = verify_request(envelope, now_s, &scheduler).unwrap();
    let key = seed_key(&case.signer);
    assert_eq!(verified.key(), key.public().id(), "{}", case.name);
    (sign::<Request>(verified.claims(), &test_cluster(), &key).unwrap(), verified.envelope_hash())
}

fn check_assignment(case: &ValidCase, envelope: &[u8], now_s: u64) -> (Vec<u8>, Sha256Hash) {
    let verified = verify_assignment(envelope, now_s, case.request.as_ref())
        .unwrap_or_else(|error| panic!("{}: {}", case.name, error.to_fault()));
    assert_eq!(*verified.claims(), assignment_claims(&case.claims), "{}", case.name);
    let key = seed_key(&case.signer);
    let again = sign::<Assignment>(verified.claims(), &test_cluster(), &key).unwrap();
    (again, verified.envelope_hash())
}

fn test_cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

#[test]
fn what_python_spoiled_is_refused_with_the_named_code() {
    let mut wrong = Vec::new();
    for case in &VECTORS.invalid {
        let envelope = unhex(&case.envelope);
        let now_s = case.now_s.unwrap_or(VECTORS.now_s);
        let recipient = case.recipient.as_ref().unwrap_or(&VECTORS.recipient);
        let error = match case.kind {
            EnvelopeKind::Request => verify_request(&envelope, now_s, recipient).err(),
            EnvelopeKind::Assignment => {
                verify_assignment(&envelope, now_s, case.request.as_ref()).err()
            }
        };
        let code = error.as_ref().map(|error| error.code().as_str());
        if code != Some(&case.code) {
            let answer = error.map(|error| error.to_fault());
            wrong.push(format!("attack {}, {}: {answer:?}", case.attack, case.name));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(300 <= VECTORS.invalid.len());
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
