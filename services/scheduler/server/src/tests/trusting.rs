//! Requests of keys that are certified, and of runs that ask in somebody's name.

use std::collections::BTreeSet;

use runtime::Request;
use scheduler_core::{Handed, Proof, SignedRequest, Submission};
use schemas::{
    claims::CertificateClaims,
    enrolment::CERTIFICATES_MAX,
    grants::Grants,
    key::{KeyOffer, PublicKeyBytes},
    manifest::PrincipalPattern,
};
use trust::{ChainLink, certify};

use super::*;
use crate::{chain, verifier::Judged};

const NOW_S: u64 = NOW_MS / 1000;

/// A verifier that pins one root key, and what others have from it.
struct House {
    verifier: Verifier,
    trust: SchedulerTrust,
    enrolment: String,
}

fn root() -> SecretKey {
    key(Purpose::Root, 90)
}

fn enrolment() -> SecretKey {
    key(Purpose::Enrolment, 91)
}

fn certificate(by: &SecretKey, subject: &str, of: &SecretKey) -> String {
    let claims = CertificateClaims {
        issuer: id("registry"),
        subject: id(subject),
        key: KeyOffer {
            purpose: of.public().purpose(),
            key: PublicKeyBytes(*of.public().as_bytes()),
        },
        issued_at_s: NOW_S - 100,
        not_before_s: NOW_S - 100,
        not_after_s: NOW_S + 100_000,
        bounds: None,
    };
    STANDARD.encode(certify(&claims, &cluster(), by).unwrap())
}

fn house() -> House {
    let mut anchors = TrustAnchors::new(cluster());
    let anchor = Anchor {
        key: root().public().clone(),
        principal: id("registry"),
        not_before_s: 0,
        not_after_s: u64::MAX,
        revoked_at_s: None,
        acts_for: BTreeSet::new(),
    };
    anchors.add(anchor).unwrap();
    let verifier = Verifier::new(anchors.clone());
    let enrolment = certificate(&root(), "registry", &enrolment());
    let scheduler = key(Purpose::Scheduler, 2);
    let own = vec![enrolment.clone(), certificate(&self::enrolment(), "scheduler", &scheduler)];
    let decoded: Vec<_> = own.iter().map(|text| STANDARD.decode(text).unwrap()).collect();
    anchors.admit(&decoded, Timestamp(NOW_MS)).unwrap();
    let trust = SchedulerTrust::new(anchors, scheduler).unwrap().with_certificates(own);
    House { verifier, trust, enrolment }
}

impl House {
    fn certificates(&self, principal: &str, seed: u8) -> Vec<String> {
        let key = key(Purpose::TaskIssuer, seed);
        vec![self.enrolment.clone(), certificate(&enrolment(), principal, &key)]
    }

    fn judge(&self, envelope: &str, certificates: Vec<String>) -> Result<Judged, ErrorCode> {
        let judged = self.verifier.judge(envelope.to_owned(), certificates, Timestamp(NOW_MS));
        judged.map_err(|fault| fault.code)
    }
}

fn signed_by(seed: u8, claims: &RequestClaims) -> String {
    let key = key(Purpose::TaskIssuer, seed);
    STANDARD.encode(trust::sign::<trust::Request>(claims, &cluster(), &key).unwrap())
}

#[test]
fn a_request_of_a_certified_key_is_believed_with_its_certificates_alone() {
    let house = house();
    let (envelope, certificates) = (signed_by(1, &claims()), house.certificates("ann", 1));
    assert_eq!(house.judge(&envelope, Vec::new()).unwrap_err(), ErrorCode::KeyUnknown);
    let Judged::Believed(submission) = house.judge(&envelope, certificates.clone()).unwrap() else {
        panic!("not believed")
    };
    assert_eq!(submission.certificates, certificates);
    assert_eq!(submission.key, key(Purpose::TaskIssuer, 1).public().id());
}

#[test]
fn certificates_that_lead_nowhere_or_are_too_many_are_refused() {
    let house = house();
    let good = house.certificates("ann", 1);
    let stranger = certificate(&key(Purpose::Enrolment, 66), "ann", &key(Purpose::TaskIssuer, 1));
    let cases = [
        vec![stranger],
        vec![good[1].clone()],
        vec!["not base64!".to_owned()],
        vec![good[0].clone(); CERTIFICATES_MAX + 1],
        vec!["A".repeat(40_000)],
        house.certificates("bob", 2).into_iter().chain(["AAAA".to_owned()]).collect(),
    ];
    for certificates in cases {
        let refused = house.judge(&signed_by(1, &claims()), certificates).unwrap_err();
        assert_eq!(refused, ErrorCode::CertificateInvalid);
    }
}

#[test]
fn a_certified_key_signs_for_its_own_principal_alone() {
    let house = house();
    let certificates = house.certificates("bob", 1);
    let refused = house.judge(&signed_by(1, &claims()), certificates).unwrap_err();
    assert_eq!(refused, ErrorCode::KeyNotValid);
}

#[test]
fn revoked_keys_and_those_that_they_vouch_for_are_refused() {
    let house = house();
    let (envelope, certificates) = (signed_by(1, &claims()), house.certificates("ann", 1));
    for revoked in [key(Purpose::TaskIssuer, 1), enrolment()] {
        house.judge(&envelope, certificates.clone()).unwrap();
        house.verifier.set_revoked([revoked.public().id()].into());
        let refused = house.judge(&envelope, certificates.clone()).unwrap_err();
        assert_eq!(refused, ErrorCode::KeyRevoked);
        house.verifier.set_revoked(BTreeSet::new());
    }
}

/// A task of `ann` on node `web`, which asks for another one of node `db`.
struct Delegation {
    parent: String,
    child: String,
    proof: Proof,
}

fn delegation(change: fn(&mut RequestClaims)) -> Delegation {
    let grants = Grants {
        agents: vec![PrincipalPattern::parse("db").unwrap()],
        tasks_max: 2,
        ..Grants::default()
    };
    let parent = signed_by(1, &RequestClaims { grants, ..claims() });
    let task = trust::task_id(&id("ann"), &[7; 16]);
    let mut asked = RequestClaims {
        issuer: id("web"),
        audience: Audience::Node(id("db")),
        parent: Some(task.clone()),
        nonce: [8; 16],
        ..claims()
    };
    change(&mut asked);
    let request_hash = trust::envelope_hash(&STANDARD.decode(&parent).unwrap());
    let proof = Proof {
        task,
        node: id("web"),
        epoch: 1,
        attempt: 1,
        term: 5,
        // Before the scheduler had this certificate.
        assigned_at: Timestamp(NOW_MS - 600_000),
        request_hash,
        request: None,
    };
    Delegation { parent, child: signed_by(3, &asked), proof }
}

impl Delegation {
    fn handed(&self, house: &House) -> Handed {
        match house.judge(&self.child, house.certificates("web", 3)) {
            Ok(Judged::OfTask(handed)) => *handed,
            other => panic!("{other:?}"),
        }
    }

    /// The parent as it is in the state, with what proves it.
    async fn chain(&self, house: &House) -> Chain {
        let (envelope, certificates) = (self.parent.clone(), house.certificates("ann", 1));
        let request = Some(SignedRequest { envelope, certificates });
        let rows = runtime::RowReader::new(|_| -> jetstream_config::KvBucket {
            unreachable!("everything is in the state")
        });
        let proofs = vec![Proof { request, ..self.proof.clone() }];
        chain::gather(&rows, &house.trust, proofs).await.unwrap()
    }

    /// Submits it with the parent as it is in the state.
    async fn submit(&self, house: &House) -> Result<Submission, ErrorCode> {
        let chain = self.chain(house).await;
        let judged = house.verifier.judge_chain(&self.handed(house), &chain, Timestamp(NOW_MS));
        judged.map_err(|fault| fault.code)
    }
}

#[test]
fn a_request_of_a_run_names_its_parent_before_it_is_believed() {
    let house = house();
    let asked = delegation(|_| ());
    let handed = asked.handed(&house);
    assert_eq!(handed.parent, asked.proof.task);
    assert_eq!(handed.envelope, asked.child);
    let body = json!({ "envelope": asked.child, "certificates": house.certificates("web", 3) });
    let caller = Caller { principal: id("web"), trace: None, now_ms: NOW_MS };
    match requests::read(&house.verifier, verb::SUBMIT, body.to_string().as_bytes(), &caller) {
        Ok(Request::Query(Query { by, question: Question::Lineage(found) })) => {
            assert_eq!((by, *found), (id("web"), handed));
        }
        _ => panic!("not to be looked up"),
    }
}

#[tokio::test]
async fn a_request_of_a_run_is_believed_with_its_whole_chain() {
    let house = house();
    let submission = delegation(|_| ()).submit(&house).await.unwrap();
    assert_eq!((submission.issuer, submission.subject), (id("web"), id("ann")));
    assert_eq!(submission.certificates, house.certificates("web", 3));
}

#[tokio::test]
async fn a_chain_that_does_not_hold_is_refused_by_name() {
    type Change = fn(&mut RequestClaims);
    let cases: [(Change, ErrorCode); 4] = [
        (|it| it.subject = id("bob"), ErrorCode::ChainInvalid),
        (|it| it.parent = Some(TaskId::parse("t9").unwrap()), ErrorCode::ChainInvalid),
        (|it| it.audience = Audience::Node(id("other")), ErrorCode::GrantsExceeded),
        (|it| it.grants.tasks_max = 2, ErrorCode::GrantsExceeded),
    ];
    for (change, code) in cases {
        let refused = delegation(change).submit(&house()).await.unwrap_err();
        assert_eq!(refused, code);
    }
}

#[tokio::test]
async fn an_offer_of_a_child_holds_what_its_node_will_believe() {
    let house = house();
    let asked = delegation(|_| ());
    let submission = asked.submit(&house).await.unwrap();
    let dispatch = Dispatch {
        task: submission.task.clone(),
        node: id("db"),
        epoch: 1,
        attempt: 1,
        request: submission.envelope,
        request_hash: submission.envelope_hash,
        certificates: submission.certificates,
        ancestors: Vec::new(),
    };
    let chain = asked.chain(&house).await;
    let context = EffectContext { term: 5, cursor: Cursor::default(), now_ms: NOW_MS };
    let offer = effects::offer(&house.trust, dispatch, (chain, &context)).unwrap();
    assert!(offer.certificates.len() <= CERTIFICATES_MAX);

    // The node pins the root, and knows nothing else.
    let mut anchors = TrustAnchors::new(cluster());
    let pinned = house.trust.anchors().iter().next().unwrap().clone();
    anchors.add(pinned).unwrap();
    let decoded = |text: &String| STANDARD.decode(text).unwrap();
    let certificates: Vec<_> = offer.certificates.iter().map(decoded).collect();
    anchors.admit(&certificates, Timestamp(NOW_MS)).unwrap();
    let [ancestor] = offer.ancestors.as_slice() else { panic!("{:?}", offer.ancestors) };
    let (request, assignment) = (decoded(&ancestor.request), decoded(&ancestor.assignment));
    let links = [ChainLink { request: &request, assignment: &assignment }];
    let by = Trust { anchors: &anchors, now: Timestamp(NOW_MS) };
    let node = id("db");
    let recipient = Recipient::Node { id: &node, capabilities: &[] };
    let envelope = decoded(&offer.request);
    let verified =
        Unverified::with_chain(&envelope, &links).verify::<trust::Request>(by, &recipient).unwrap();
    let signed = decoded(&offer.assignment);
    let facts = AssignmentFacts { node: &node, request: &verified };
    Unverified::new(&signed).verify::<trust::Assignment>(by, &facts).unwrap();
    // Signed again, it is the same to the byte.
    assert_eq!(asked.chain(&house).await.ancestors, offer.ancestors);
}

#[test]
fn the_scheduler_hands_in_nothing_but_what_it_verified_itself() {
    let house = house();
    let envelope = signed_by(1, &claims());
    let body = json!({ "envelope": envelope }).to_string();
    let caller = Caller { principal: id("scheduler"), trace: None, now_ms: NOW_MS };
    let read = || requests::read(&house.verifier, verb::SUBMIT, body.as_bytes(), &caller);
    assert_eq!(read().err().unwrap().code, ErrorCode::NotTheWriter);
    let Ok(Judged::Believed(submission)) = house.judge(&envelope, house.certificates("ann", 1))
    else {
        panic!("not believed")
    };
    house.verifier.remember(*submission);
    assert!(matches!(read(), Ok(Request::Unrepeatable(Command::Submit(_)))));
    house.verifier.forget(&envelope);
    assert_eq!(read().err().unwrap().code, ErrorCode::NotTheWriter);
}
