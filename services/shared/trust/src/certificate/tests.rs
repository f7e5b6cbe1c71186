//! Who may vouch for whom, and what is not believed.

use std::collections::BTreeSet;

use schemas::{
    claims::{AssignmentClaims, RequestClaims},
    grants::Grants,
    key::{KeyOffer, PublicKeyBytes},
    manifest::PrincipalPattern,
};

use super::*;
use crate::{
    CERTIFICATES_KEPT_MAX, Recipient, Request, Trust, Unverified,
    kind::{Assignment, Kind},
    sign::sign,
};

const NOW_S: u64 = 1_800_000_000;
const YEAR_S: u64 = 365 * 24 * 3600;

fn key(purpose: Purpose, seed: u8) -> SecretKey {
    SecretKey::from_entropy(purpose, &[seed; 32].into())
}

fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

fn pattern(text: &str) -> PrincipalPattern {
    PrincipalPattern::parse(text).unwrap()
}

fn cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_seconds(NOW_S)
}

/// `key` of `subject`, as `issuer` vouches for it.
fn claims(issuer: &str, subject: &str, key: &SecretKey) -> CertificateClaims {
    CertificateClaims {
        issuer: id(issuer),
        subject: id(subject),
        key: KeyOffer {
            purpose: key.public().purpose(),
            key: PublicKeyBytes(*key.public().as_bytes()),
        },
        issued_at_s: NOW_S,
        not_before_s: NOW_S,
        not_after_s: NOW_S + YEAR_S,
        bounds: None,
    }
}

/// A cluster whose root key is pinned, with an enrolment key and the issuer key of `ann`.
struct World {
    anchors: TrustAnchors,
    root: SecretKey,
    enrolment: SecretKey,
    ann: SecretKey,
    token: SecretKey,
}

impl World {
    fn new() -> Self {
        let root = key(Purpose::Root, 1);
        let mut anchors = TrustAnchors::new(cluster());
        let root_anchor = Anchor {
            key: root.public().clone(),
            principal: id("root"),
            not_before_s: NOW_S - YEAR_S,
            not_after_s: NOW_S + 10 * YEAR_S,
            revoked_at_s: None,
            acts_for: BTreeSet::new(),
        };
        anchors.add(root_anchor).unwrap();
        Self {
            anchors,
            root,
            enrolment: key(Purpose::Enrolment, 2),
            ann: key(Purpose::TaskIssuer, 3),
            token: key(Purpose::TaskIssuer, 4),
        }
    }

    fn of_enrolment(&self) -> Vec<u8> {
        certify(&claims("root", "registry", &self.enrolment), &cluster(), &self.root).unwrap()
    }

    fn of_ann(&self) -> Vec<u8> {
        certify(&claims("registry", "ann", &self.ann), &cluster(), &self.enrolment).unwrap()
    }

    fn token_claims(&self) -> CertificateClaims {
        let bounds = Grants { agents: vec![pattern("web")], ..Grants::default() };
        CertificateClaims { bounds: Some(bounds), ..claims("ann", "ann", &self.token) }
    }

    fn of_token(&self) -> Vec<u8> {
        certify(&self.token_claims(), &cluster(), &self.ann).unwrap()
    }

    fn chain(&self) -> Vec<Vec<u8>> {
        vec![self.of_enrolment(), self.of_ann(), self.of_token()]
    }

    fn admitted(mut self) -> Self {
        let chain = self.chain();
        self.anchors.admit(&chain, now()).unwrap();
        self
    }

    fn verify(&self, envelope: &[u8]) -> Result<(), ErrorCode> {
        let recipient = Recipient::Scheduler { partition: 0 };
        let trust = Trust { anchors: &self.anchors, now: now() };
        let verified = Unverified::new(envelope).verify::<Request>(trust, &recipient);
        verified.map(drop).map_err(|error| error.code())
    }
}

fn request() -> RequestClaims {
    RequestClaims {
        issuer: id("ann"),
        subject: id("ann"),
        audience: "node:web".parse().unwrap(),
        expires_at_s: NOW_S + 60,
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

fn signed(claims: &RequestClaims, key: &SecretKey) -> Vec<u8> {
    sign::<Request>(claims, &cluster(), key).unwrap()
}

/// Signs claims as no honest signer would.
fn forged(claims: &CertificateClaims, key: &SecretKey) -> Vec<u8> {
    envelope::seal(CERTIFICATE_TYPE, &cluster(), &encode_certificate(claims), key)
}

/// A verifier that knows the enrolment key and `ann` says exactly this of one more certificate.
#[track_caller]
fn check(certificate: Vec<u8>, expected: ErrorCode) -> CertificateError {
    let mut world = World::new().admitted();
    let error = world.anchors.admit(&[certificate], now()).unwrap_err();
    assert_eq!(error.code(), expected, "{}", error.to_fault());
    error
}

#[test]
fn what_the_root_leads_to_may_sign_and_nothing_else_may() {
    let world = World::new();
    let envelope = signed(&request(), &world.ann);
    assert_eq!(world.verify(&envelope), Err(ErrorCode::KeyUnknown));
    let world = world.admitted();
    assert_eq!(world.verify(&envelope), Ok(()));
    assert_eq!(world.verify(&signed(&request(), &world.token)), Ok(()));
    let stranger = key(Purpose::TaskIssuer, 9);
    assert_eq!(world.verify(&signed(&request(), &stranger)), Err(ErrorCode::KeyUnknown));
}

#[test]
fn the_same_claims_and_keys_give_the_same_certificate() {
    let world = World::new();
    assert_eq!(world.of_token(), world.of_token());
    let mut world = world.admitted();
    let read = world.anchors.examine(&world.of_token(), now()).unwrap();
    assert_eq!(read, world.token_claims());
    // Nothing but bounds may be empty.
    let nothing = CertificateClaims { bounds: Some(Grants::default()), ..world.token_claims() };
    let certificate = certify(&nothing, &cluster(), &world.ann).unwrap();
    world.anchors.admit(&[certificate], now()).unwrap();
    assert_eq!(world.verify(&signed(&request(), &world.ann)), Ok(()));
}

#[test]
fn a_key_vouches_only_for_the_purposes_below_it() {
    const ALL: [Purpose; 7] = [
        Purpose::TaskIssuer,
        Purpose::Scheduler,
        Purpose::NodeLog,
        Purpose::Checkpoint,
        Purpose::Cosigner,
        Purpose::Enrolment,
        Purpose::Root,
    ];
    for voucher in ALL {
        for subject in ALL {
            let allowed = match voucher {
                Purpose::Root => subject == Purpose::Enrolment,
                Purpose::Enrolment => !matches!(subject, Purpose::Enrolment | Purpose::Root),
                Purpose::TaskIssuer => subject == Purpose::TaskIssuer,
                Purpose::Scheduler | Purpose::NodeLog | Purpose::Checkpoint | Purpose::Cosigner => {
                    false
                }
            };
            let bounds = (subject == Purpose::TaskIssuer).then(Grants::default);
            let claims = CertificateClaims { bounds, ..claims("ann", "ann", &key(subject, 6)) };
            let made = certify(&claims, &cluster(), &key(voucher, 5));
            assert_eq!(made.is_ok(), allowed, "{voucher} for {subject}");
        }
    }
}

#[test]
fn attack_36_a_key_of_the_wrong_purpose_signs_nothing() {
    let world = World::new().admitted();
    let log = key(Purpose::NodeLog, 5);
    let mut world = world;
    let of_log = certify(&claims("registry", "ann", &log), &cluster(), &world.enrolment).unwrap();
    world.anchors.admit(&[of_log], now()).unwrap();
    let payload = Request::encode(&request());
    for (key, what) in [(&log, "node-log"), (&world.enrolment, "enrolment"), (&world.root, "root")]
    {
        assert!(sign::<Request>(&request(), &cluster(), key).is_err(), "{what}");
        let envelope = envelope::seal(Request::TYPE, &cluster(), &payload, key);
        assert_eq!(world.verify(&envelope), Err(ErrorCode::KeyNotValid), "{what}");
    }
    // Nor does an issuer's key assign, though its bytes are those of a scheduler's.
    let claims = AssignmentClaims {
        issuer: id("ann"),
        issued_at_s: NOW_S,
        expires_at_s: NOW_S + 60,
        task: crate::task_id(&id("ann"), &[7; 16]),
        request_hash: Sha256Hash::ZERO,
        node: id("web"),
        epoch: 1,
        attempt: 1,
        term: 1,
    };
    let wrong = sign::<Assignment>(&claims, &cluster(), &world.ann);
    assert!(matches!(wrong, Err(SignError::Purpose { .. })));
    let wrong = certify(&self::claims("ann", "ann", &key(Purpose::NodeLog, 6)), &cluster(), &log);
    assert!(matches!(wrong, Err(SignError::Certificate(_))));
    check(
        forged(&self::claims("ann", "ann", &key(Purpose::NodeLog, 6)), &world.ann),
        ErrorCode::CertificateInvalid,
    );
}

#[test]
fn attack_36_an_envelope_of_another_type_is_no_certificate_and_the_reverse() {
    let world = World::new().admitted();
    check(signed(&request(), &world.ann), ErrorCode::CertificateInvalid);
    assert_eq!(world.verify(&world.of_token()), Err(ErrorCode::EnvelopeHeader));
    let payload = encode_certificate(&world.token_claims());
    check(
        envelope::seal(Request::TYPE, &cluster(), &payload, &world.ann),
        ErrorCode::CertificateInvalid,
    );
}

#[test]
fn attack_forged_a_certificate_that_the_named_key_did_not_sign_is_refused() {
    let world = World::new();
    let good = world.of_ann();
    let anchors = World::new().admitted().anchors;
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut anchors = anchors.clone();
        assert!(anchors.admit(&[bytes], now()).is_err(), "bit {bit}");
    }
    for length in 0..good.len() {
        check(good[..length].to_vec(), ErrorCode::CertificateInvalid);
    }
    check([good.clone(), vec![0]].concat(), ErrorCode::CertificateInvalid);
    check(vec![0; 2 * ENVELOPE_BYTES_MAX], ErrorCode::CertificateInvalid);
    let mallory = key(Purpose::Enrolment, 9);
    check(
        certify(&claims("registry", "ann", &key(Purpose::TaskIssuer, 6)), &cluster(), &mallory)
            .unwrap(),
        ErrorCode::CertificateInvalid,
    );
}

#[test]
fn attack_expired_a_key_signs_no_more_after_its_certificate_ended() {
    let mut world = World::new();
    let not_after_s = NOW_S - 1;
    let (issued_at_s, not_before_s) = (NOW_S - 100, NOW_S - 100);
    let ended = |claims: CertificateClaims| CertificateClaims {
        issued_at_s,
        not_before_s,
        not_after_s,
        ..claims
    };
    let root = CertificateClaims { issued_at_s, ..claims("root", "registry", &world.enrolment) };
    let root = CertificateClaims { not_before_s, ..root };
    let chain = [
        certify(&root, &cluster(), &world.root).unwrap(),
        certify(&ended(claims("registry", "ann", &world.ann)), &cluster(), &world.enrolment)
            .unwrap(),
    ];
    world.anchors.admit(&chain, now()).unwrap();
    assert_eq!(world.verify(&signed(&request(), &world.ann)), Err(ErrorCode::KeyNotValid));
    let before = RequestClaims { issued_at_s: NOW_S - 50, not_before_s: NOW_S - 50, ..request() };
    assert_eq!(world.verify(&signed(&before, &world.ann)), Ok(()), "what it signed before");
    let later = Timestamp::from_seconds(NOW_S + REQUEST_LIFETIME_MAX_S + CLOCK_SKEW_S);
    let error = world.anchors.examine(&chain[1], later).unwrap_err();
    assert!(matches!(error, CertificateError::Ended { .. }));
}

#[test]
fn a_certificate_of_a_voucher_that_ended_counts_if_it_was_signed_before() {
    let mut world = World::new();
    let of_enrolment = CertificateClaims {
        issued_at_s: NOW_S - 1000,
        not_before_s: NOW_S - 1000,
        not_after_s: NOW_S - 10,
        ..claims("root", "registry", &world.enrolment)
    };
    let of_enrolment = certify(&of_enrolment, &cluster(), &world.root).unwrap();
    let issued = |issued_at_s| {
        let claims = CertificateClaims { issued_at_s, ..claims("registry", "ann", &world.ann) };
        certify(&claims, &cluster(), &world.enrolment).unwrap()
    };
    let (before, after) = (issued(NOW_S - 11), issued(NOW_S - 10));
    let error = world.anchors.admit(&[of_enrolment.clone(), after], now()).unwrap_err();
    assert!(matches!(error, CertificateError::Voucher(KeyRefusal::OutsideValidity { .. })));
    world.anchors.admit(&[of_enrolment, before], now()).unwrap();
    assert_eq!(world.verify(&signed(&request(), &world.ann)), Ok(()));
}

#[test]
fn attack_wrong_purpose_an_issuer_vouches_for_no_other_purpose_and_nobody_else() {
    let world = World::new();
    let other = key(Purpose::TaskIssuer, 6);
    let bounds = Some(Grants::default());
    let of_bob = CertificateClaims { bounds: bounds.clone(), ..claims("ann", "bob", &other) };
    assert!(certify(&of_bob, &cluster(), &world.ann).is_err());
    let error = check(forged(&of_bob, &world.ann), ErrorCode::CertificateInvalid);
    assert!(matches!(error, CertificateError::OtherPrincipal { .. }));
    let as_bob = CertificateClaims { issuer: id("bob"), ..of_bob };
    let error = check(forged(&as_bob, &world.ann), ErrorCode::CertificateInvalid);
    assert!(matches!(error, CertificateError::Voucher(KeyRefusal::OtherIssuer { .. })));
    let scheduler = key(Purpose::Scheduler, 6);
    check(forged(&claims("ann", "ann", &scheduler), &world.ann), ErrorCode::CertificateInvalid);
    let misplaced = CertificateClaims { bounds, ..claims("registry", "s", &scheduler) };
    let error = check(forged(&misplaced, &world.enrolment), ErrorCode::CertificateInvalid);
    assert!(matches!(error, CertificateError::BoundsMisplaced { .. }));
}

#[test]
fn attack_self_signed_no_key_vouches_for_itself() {
    let world = World::new();
    let own =
        CertificateClaims { key: claims("ann", "ann", &world.ann).key, ..world.token_claims() };
    assert!(certify(&own, &cluster(), &world.ann).is_err());
    let error = check(forged(&own, &world.ann), ErrorCode::CertificateInvalid);
    assert!(matches!(error, CertificateError::SelfSigned { .. }));
    let root = claims("root", "root", &world.root);
    check(forged(&root, &world.root), ErrorCode::CertificateInvalid);
    let own = claims("registry", "registry", &world.enrolment);
    check(forged(&own, &world.enrolment), ErrorCode::CertificateInvalid);
}

#[test]
fn attack_wider_a_bounded_key_lies_within_the_one_that_vouches_and_vouches_for_nobody() {
    let world = World::new();
    let token = world.token_claims();
    let unbounded = CertificateClaims { bounds: None, ..token.clone() };
    let error = check(forged(&unbounded, &world.ann), ErrorCode::CertificateInvalid);
    assert!(matches!(error, CertificateError::Unbounded));
    let longer = CertificateClaims { not_after_s: token.not_after_s + 1, ..token.clone() };
    let earlier = CertificateClaims { not_before_s: token.not_before_s - 1, ..token.clone() };
    for wider in [longer, earlier] {
        let error = check(forged(&wider, &world.ann), ErrorCode::CertificateInvalid);
        assert!(matches!(error, CertificateError::WiderThanVoucher));
    }
    let grandchild = key(Purpose::TaskIssuer, 6);
    let grandchild = CertificateClaims { key: claims("ann", "ann", &grandchild).key, ..token };
    let error = check(forged(&grandchild, &world.token), ErrorCode::CertificateInvalid);
    assert!(matches!(error, CertificateError::BoundedVoucher));
}

#[test]
fn attack_out_of_order_each_certificate_comes_after_the_one_that_vouches_for_it() {
    let mut world = World::new();
    let mut chain = world.chain();
    chain.reverse();
    let error = world.anchors.admit(&chain, now()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::CertificateInvalid);
    assert!(matches!(error, CertificateError::Voucher(KeyRefusal::Unknown { .. })));
    let chain = [world.of_enrolment(), world.of_token()];
    assert!(world.anchors.admit(&chain, now()).is_err(), "one is missing");
}

#[test]
fn attack_other_cluster_a_certificate_counts_where_it_was_made() {
    let world = World::new();
    let elsewhere = ClusterName::parse("staging").unwrap();
    let other = key(Purpose::TaskIssuer, 6);
    let foreign = certify(&claims("registry", "ann", &other), &elsewhere, &world.enrolment);
    let error = check(foreign.unwrap(), ErrorCode::CertificateInvalid);
    assert!(matches!(error, CertificateError::Envelope(EnvelopeError::Signature { .. })));
}

#[test]
fn attack_47_what_a_revoked_key_vouched_for_does_not_count() {
    let of = |choose: fn(&World) -> &SecretKey| choose(&World::new()).public().id();
    for (revoked, key, counts_ann) in [
        ("root", of(|world| &world.root), false),
        ("enrolment", of(|world| &world.enrolment), false),
        ("ann", of(|world| &world.ann), false),
        ("token", of(|world| &world.token), true),
    ] {
        let mut world = World::new().admitted();
        world.anchors.set_revoked(BTreeSet::from([key]));
        let expected = |counts| if counts { Ok(()) } else { Err(ErrorCode::KeyRevoked) };
        let by_ann = signed(&request(), &world.ann);
        assert_eq!(world.verify(&by_ann), expected(counts_ann), "{revoked}");
        let by_token = signed(&request(), &world.token);
        assert_eq!(world.verify(&by_token), Err(ErrorCode::KeyRevoked), "{revoked}");
        // Handing the chain in again does not help.
        let again = world.anchors.admit(&world.chain(), now());
        let code = again.err().map(|error| error.code());
        assert_eq!(code, (!counts_ann).then_some(ErrorCode::KeyRevoked), "{revoked}");
        assert_eq!(world.verify(&by_token), Err(ErrorCode::KeyRevoked), "{revoked}");
        // The list is replaced, not added to.
        world.anchors.set_revoked(BTreeSet::new());
        assert_eq!(world.verify(&by_token), Ok(()), "{revoked}");
    }
}

#[test]
fn a_pinned_root_that_is_marked_as_revoked_leads_to_nobody() {
    let world = World::new().admitted();
    let mut revoked = TrustAnchors::new(cluster());
    for anchor in world.anchors.iter() {
        revoked.add(Anchor { revoked_at_s: Some(NOW_S), ..anchor.clone() }).unwrap();
    }
    let error = revoked.admit(&world.chain(), now()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::KeyRevoked);
}

#[test]
fn attack_48_a_renewed_key_counts_through_both_of_its_certificates() {
    let mut world = World::new();
    let day_s = 24 * 3600;
    let certificate = |issued_at_s, not_after_s| {
        let claims = CertificateClaims {
            issued_at_s,
            not_before_s: issued_at_s,
            not_after_s,
            ..claims("registry", "ann", &world.ann)
        };
        certify(&claims, &cluster(), &world.enrolment).unwrap()
    };
    let begin_s = NOW_S - 10 * day_s;
    let root = CertificateClaims {
        issued_at_s: begin_s,
        not_before_s: begin_s,
        ..claims("root", "registry", &world.enrolment)
    };
    let of_enrolment = certify(&root, &cluster(), &world.root).unwrap();
    let old = certificate(begin_s, NOW_S - day_s);
    let new = certificate(NOW_S - 2 * day_s, NOW_S + YEAR_S);
    let then_s = NOW_S - 9 * day_s;
    let then = RequestClaims { issued_at_s: then_s, not_before_s: then_s, ..request() };
    let (then, today) = (signed(&then, &world.ann), signed(&request(), &world.ann));
    world.anchors.admit(&[of_enrolment, old], now()).unwrap();
    assert_eq!(world.verify(&today), Err(ErrorCode::KeyNotValid), "a retired key, a new task");
    assert_eq!(world.verify(&then), Ok(()));
    world.anchors.admit(&[new], now()).unwrap();
    assert_eq!(world.verify(&today), Ok(()));
    assert_eq!(world.verify(&then), Ok(()), "an old task under a renewed key");
}

#[test]
fn nobody_hides_a_key_by_vouching_for_it_themselves() {
    let mut world = World::new().admitted();
    let bob = key(Purpose::TaskIssuer, 6);
    let of_bob = claims("registry", "bob", &bob);
    let of_bob = certify(&of_bob, &cluster(), &world.enrolment).unwrap();
    world.anchors.admit(std::slice::from_ref(&of_bob), now()).unwrap();
    for at in 0..40 {
        let stolen = CertificateClaims {
            key: claims("ann", "ann", &bob).key,
            not_before_s: NOW_S + at,
            ..world.token_claims()
        };
        let stolen = certify(&stolen, &cluster(), &world.ann).unwrap();
        world.anchors.admit(&[stolen], now()).unwrap();
    }
    world.anchors.admit(&[of_bob], now()).unwrap();
    let by_bob = RequestClaims { issuer: id("bob"), subject: id("bob"), ..request() };
    assert_eq!(world.verify(&signed(&by_bob, &bob)), Ok(()));
}

#[test]
fn a_bounded_key_asks_for_what_it_was_granted_and_gives_no_orders() {
    let world = World::new().admitted();
    let check = |claims: RequestClaims, expected| {
        assert_eq!(world.verify(&signed(&claims, &world.token)), expected);
    };
    check(request(), Ok(()));
    let exceeded = Err(ErrorCode::GrantsExceeded);
    check(RequestClaims { audience: "node:db".parse().unwrap(), ..request() }, exceeded);
    check(RequestClaims { audience: "can:shell.exec".parse().unwrap(), ..request() }, exceeded);
    let grants = Grants { tasks_max: 1, ..Grants::default() };
    check(RequestClaims { grants, ..request() }, exceeded);
    let spec_json =
        r#"{"work":{"kind":"command","argv":["true"]},"credentials":["db"]}"#.to_owned();
    check(RequestClaims { spec_json, ..request() }, exceeded);
}

#[test]
fn bounds_end_when_they_say() {
    let mut world = World::new().admitted();
    let short = key(Purpose::TaskIssuer, 6);
    let until_s = Some(NOW_S + 60);
    let bounds = Grants { agents: vec![pattern("*")], until_s, ..Grants::default() };
    let claims = CertificateClaims { bounds: Some(bounds), ..claims("ann", "ann", &short) };
    let certificate = certify(&claims, &cluster(), &world.ann).unwrap();
    world.anchors.admit(&[certificate], now()).unwrap();
    assert_eq!(world.verify(&signed(&request(), &short)), Ok(()));
    let longer = RequestClaims { expires_at_s: NOW_S + 61, ..request() };
    assert_eq!(world.verify(&signed(&longer, &short)), Err(ErrorCode::GrantsExceeded));
}

#[test]
fn attack_07_a_weak_key_is_not_certified() {
    let world = World::new();
    let mut identity = [0; 32];
    identity[0] = 1;
    let offer = KeyOffer { purpose: Purpose::TaskIssuer, key: PublicKeyBytes(identity) };
    let weak = CertificateClaims { key: offer, ..claims("registry", "ann", &world.ann) };
    assert!(certify(&weak, &cluster(), &world.enrolment).is_err());
    check(forged(&weak, &world.enrolment), ErrorCode::KeyWeak);
}

#[test]
fn times_that_make_no_sense_are_refused() {
    let world = World::new();
    let other = key(Purpose::TaskIssuer, 6);
    let good = claims("registry", "ann", &other);
    let never = CertificateClaims { not_after_s: NOW_S, ..good.clone() };
    let error = check(forged(&never, &world.enrolment), ErrorCode::CertificateInvalid);
    assert!(matches!(error, CertificateError::EmptyValidity));
    let tomorrow = CertificateClaims { issued_at_s: NOW_S + CLOCK_SKEW_S + 1, ..good };
    let error = check(forged(&tomorrow, &world.enrolment), ErrorCode::CertificateInvalid);
    assert!(matches!(error, CertificateError::Future { .. }));
}

#[test]
fn a_certificate_that_was_admitted_before_is_known_by_its_hash_and_verified_no_more() {
    let mut world = World::new().admitted();
    let mut forged = world.of_ann();
    *forged.last_mut().unwrap() ^= 1;
    assert!(world.anchors.admit(std::slice::from_ref(&forged), now()).is_err());
    let good = world.anchors.admitted.get(envelope_hash(&world.of_ann())).unwrap().clone();
    world.anchors.admitted.keep(envelope_hash(&forged), good);
    world.anchors.admit(&[forged], now()).unwrap();
}

#[test]
fn memory_is_bounded_and_what_is_in_use_stays() {
    let mut world = World::new().admitted();
    let chain = world.chain();
    assert!(world.anchors.admit(&vec![chain[0].clone(); CERTIFICATES_MAX + 1], now()).is_err());
    for at in 0..CERTIFICATES_KEPT_MAX + 10 {
        let mut seed = [8; 32];
        seed[..8].copy_from_slice(&at.to_le_bytes());
        let subject = SecretKey::from_entropy(Purpose::NodeLog, &seed.into());
        let certified = Certified {
            anchor: anchor(&claims("registry", "n", &subject), subject.public().clone()),
            bounds: None,
            issued_at_s: NOW_S,
            vouchers: vec![world.enrolment.public().id()],
        };
        world.anchors.admitted.keep(envelope_hash(&seed), certified);
        if at % 1000 == 0 {
            world.anchors.admit(&chain[..2], now()).unwrap();
        }
    }
    assert_eq!(world.anchors.admitted.len(), CERTIFICATES_KEPT_MAX);
    assert_eq!(world.verify(&signed(&request(), &world.ann)), Ok(()), "in use");
    let by_token = signed(&request(), &world.token);
    assert_eq!(world.verify(&by_token), Err(ErrorCode::KeyUnknown), "used longest ago");
    world.anchors.admit(&chain, now()).unwrap();
    assert_eq!(world.verify(&by_token), Ok(()));
}

#[test]
fn a_file_holds_what_is_pinned_and_nothing_that_was_admitted() {
    let world = World::new().admitted();
    assert_eq!(world.anchors.to_file(), World::new().anchors.to_file());
}
