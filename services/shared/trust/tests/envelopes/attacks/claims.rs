//! Claims that are unknown, of another type, or made for somebody and somewhere else.

use std::collections::BTreeSet;

use schemas::{
    Capability, ErrorCode,
    claims::{ASSIGNMENT_TYPE, REQUEST_TYPE, RequestClaims},
};
use trust::{
    Anchor, Assignment, AssignmentFacts, ClusterName, Purpose, Recipient, Request, SignError,
    TrustAnchors, Unverified, sign,
};

use crate::{
    cbor::{self, bytes, integer, text, unsigned},
    forge::{
        self, AUD, CTI, Claims, Draft, EXP, GRANTS, IAT, NBF, PARTITION, SPEC, claims, claims_with,
    },
    support::{NOW_S, World, anchor, assignment, cluster, principal, request, secret_key},
};

const INVALID: Option<ErrorCode> = Some(ErrorCode::ClaimsInvalid);

/// The good claims and one more, in the order of the profile.
fn claims_and(key: i64, value: Vec<u8>) -> Claims {
    let mut claims = claims();
    claims.push((key, value));
    claims.sort_by_key(|(key, _)| (*key < 0, key.unsigned_abs()));
    claims
}

#[test]
fn attack_21_an_unknown_or_missing_claim_is_refused() {
    let world = World::new();
    world.check(&Draft::request().seal(), None, "the claims of the list");
    let unknown = [0, 8, 9, 10, 38, 39, 256, 65_537, i64::MAX];
    let private = [-1, -2, -65_536, -65_542, -65_543, -65_547, -65_548, -70_000, i64::MIN + 1];
    for key in unknown.into_iter().chain(private) {
        for value in [integer(1), vec![0xf6], text("x")] {
            let draft = Draft::of(&claims_and(key, value));
            world.check(&draft.seal(), INVALID, &format!("claim {key}"));
        }
    }
    for (key, _) in claims() {
        let fewer: Claims = claims().into_iter().filter(|(known, _)| *known != key).collect();
        world.check(&Draft::of(&fewer).seal(), INVALID, &format!("without claim {key}"));
    }
    world.check(&Draft::of(&Vec::new()).seal(), INVALID, "no claims");
}

#[test]
fn attack_22_a_time_or_number_of_another_type_or_beyond_its_range_is_refused() {
    let world = World::new();
    world.check(&Draft::request().seal(), None, "unsigned integers");
    let malformed = Some(ErrorCode::EnvelopeMalformed);
    let double = [vec![0xfb], 1_800_003_600_f64.to_be_bytes().to_vec()].concat();
    let single = [vec![0xfa], 1_800_003_600_f32.to_be_bytes().to_vec()].concat();
    let not_a_number = vec![0xf9, 0x7e, 0x00];
    for (item, what) in [
        (double, "a double"),
        (single, "a single"),
        (not_a_number, "not a number"),
        ([vec![0xc1], unsigned(NOW_S + 3600)].concat(), "a tagged time"),
        ([vec![0xc2], bytes(&[0; 8])].concat(), "a big number"),
        (vec![0xf7], "undefined"),
    ] {
        for claim in [EXP, NBF, IAT] {
            world.check(&Draft::of(&claims_with(claim, item.clone())).seal(), malformed, what);
        }
    }
    for item in [text("soon"), integer(-1), integer(i64::MIN), vec![0xf6], vec![0xf5], bytes(&[1])]
    {
        for claim in [EXP, NBF, IAT, PARTITION] {
            let what = format!("claim {claim} {item:02x?}");
            world.check(&Draft::of(&claims_with(claim, item.clone())).seal(), INVALID, &what);
        }
    }
    let too_long = Some(ErrorCode::LifetimeTooLong);
    for expiry in [1 << 63, u64::MAX, u64::MAX - 29] {
        let claims = claims_with(EXP, unsigned(expiry));
        world.check(&Draft::of(&claims).seal(), too_long, &format!("expiry {expiry}"));
    }
    for length in [0, 15, 17, 32] {
        let claims = claims_with(CTI, bytes(&vec![7; length]));
        world.check(&Draft::of(&claims).seal(), INVALID, &format!("a nonce of {length} bytes"));
    }
    let claims = claims_with(PARTITION, unsigned(1 << 32));
    world.check(&Draft::of(&claims).seal(), INVALID, "partition 2^32");
    let grants = text(r#"{"tasks_max":1}"#);
    world.check(&Draft::of(&claims_with(GRANTS, grants)).seal(), None, "grants as JSON text");
    for item in [text("shell.exec"), cbor::array(&[integer(1)]), cbor::map(&[]), integer(1)] {
        world.check(&Draft::of(&claims_with(GRANTS, item)).seal(), INVALID, "other grants");
    }
    world.check(&Draft::of(&claims_with(SPEC, cbor::map(&[]))).seal(), INVALID, "a map as spec");
}

#[test]
fn attack_34_an_audience_that_is_not_this_node_is_refused() {
    let mut world = World::new();
    world.capabilities = vec![Capability::parse("shell.exec@v1").unwrap()];
    let with = |item: Vec<u8>| Draft::of(&claims_with(AUD, item)).seal();
    world.check(&with(text("node:node-1")), None, "this node");
    world.check(&with(text("can:shell.exec")), None, "a capability of this node");
    let wrong = Some(ErrorCode::WrongAudience);
    for other in ["node:node-2", "node:node", "node:node-11", "node:ode-1", "node:1-edon"] {
        world.check(&with(text(other)), wrong, other);
    }
    for other in ["can:shell", "can:shell.exec@v2", "can:shell.exec.more", "can:shell.*", "can:*"] {
        world.check(&with(text(other)), wrong, other);
    }
    for other in ["node-1", "NODE:node-1", "node:NODE-1", "node:node-1 ", "node:*", "node:", "*"] {
        world.check(&with(text(other)), INVALID, other);
    }
    for other in ["node:node-1,node-2", "node:node-1;can:x", "pool:all", "", "nodes:node-1"] {
        world.check(&with(text(other)), INVALID, other);
    }
    let arrays = [cbor::array(&[text("node:node-1")]), cbor::array(&[text("node-1"), text("a")])];
    for item in arrays {
        world.check(&with(item), INVALID, "an array of audiences");
    }
}

#[test]
fn attack_34_an_assignment_or_partition_of_somebody_else_is_refused() {
    let world = World::new();
    let envelope = world.sign_request(&request());
    let assigned = world.sign_assignment(&assignment(&envelope));
    let verified = world.verify(&envelope).unwrap();
    let refused_by = |node: &str| {
        let (node, request) = (&principal(node), &verified);
        let verified = Unverified::new(&assigned)
            .verify::<Assignment>(world.trust(), &AssignmentFacts { node, request });
        verified.err().map(|error| error.code())
    };
    assert_eq!(refused_by("node-1"), None);
    assert_eq!(refused_by("node-2"), Some(ErrorCode::WrongAudience));
    let elsewhere =
        RequestClaims { audience: "can:gpu.train".parse().unwrap(), partition: 3, ..request() };
    let envelope = world.sign_request(&elsewhere);
    let refused_in = |partition| {
        let recipient = Recipient::Scheduler { partition };
        let verified = Unverified::new(&envelope).verify::<Request>(world.trust(), &recipient);
        verified.err().map(|error| error.code())
    };
    assert_eq!(refused_in(3), None);
    assert_eq!(refused_in(0), Some(ErrorCode::WrongAudience));
}

#[test]
fn attack_35_a_signature_for_another_cluster_is_worth_nothing_here() {
    let mut world = World::new();
    let envelope = world.sign_request(&request());
    world.check(&envelope, None, "the cluster it was signed for");
    let invalid = Some(ErrorCode::SignatureInvalid);
    for other in ["tes", "test2", "TEST", "staging", ""] {
        let draft = Draft { external: forge::external(REQUEST_TYPE, other), ..Draft::request() };
        world.check(&draft.seal(), invalid, other);
    }
    for (external, what) in [
        (Vec::new(), "no external data"),
        (text("test"), "the cluster alone"),
        (cbor::array(&[text("test"), text(REQUEST_TYPE)]), "the other way round"),
        (forge::external(ASSIGNMENT_TYPE, "test"), "another type"),
    ] {
        world.check(&Draft { external, ..Draft::request() }.seal(), invalid, what);
    }
    let mut production = TrustAnchors::new(ClusterName::parse("production").unwrap());
    production.add(anchor(world.alice.public().clone(), "alice")).unwrap();
    world.anchors = production;
    world.check(&envelope, invalid, "the same keys in another cluster");
}

#[test]
fn attack_36_a_key_of_another_purpose_signs_no_request_and_no_assignment() {
    let mut world = World::new();
    world.check(&Draft::request().seal(), None, "a task issuer's key");
    let others = [
        Purpose::Scheduler,
        Purpose::NodeLog,
        Purpose::Checkpoint,
        Purpose::Cosigner,
        Purpose::Enrolment,
        Purpose::Root,
    ];
    for (purpose, seed) in others.into_iter().zip(20..) {
        let key = secret_key(purpose, seed);
        let refused = sign::<Request>(&request(), &cluster(), &key);
        assert!(matches!(refused, Err(SignError::Purpose { .. })), "{purpose}");
        // Nor does one that signs by hand, though its key is listed and in alice's name.
        world.anchors.add(anchor(key.public().clone(), "alice")).unwrap();
        let header = forge::header(-19, REQUEST_TYPE, &forge::key_id(key.public()));
        let forged = Draft { seed, ..Draft::request() }.protected(header);
        world.check(&forged.seal(), Some(ErrorCode::KeyNotValid), purpose.as_str());
        let as_issuer = secret_key(Purpose::TaskIssuer, seed);
        let header = forge::header(-19, REQUEST_TYPE, &forge::key_id(as_issuer.public()));
        let disguised = Draft { seed, ..Draft::request() }.protected(header);
        world.check(&disguised.seal(), Some(ErrorCode::KeyUnknown), "under an issuer's id");
    }
    let envelope = world.sign_request(&request());
    let as_request = world.sign_assignment(&assignment(&envelope));
    world.check(&as_request, Some(ErrorCode::EnvelopeHeader), "an assignment as a request");
    let request = world.verify(&envelope).unwrap();
    let as_assignment = world.verify_assignment(&envelope, &request).unwrap_err();
    assert_eq!(as_assignment.code(), ErrorCode::EnvelopeHeader);
}

#[test]
fn attack_46_a_user_binding_that_was_stripped_or_swapped_is_refused() {
    let mut world = World::new();
    let with = |issuer: &str, subject: &str| {
        let mut claims = claims_with(forge::ISS, text(issuer));
        claims[1].1 = text(subject);
        Draft::of(&claims).seal()
    };
    world.check(&with("alice", "alice"), None, "in the own name");
    world.check(&with("alice", "bob"), Some(ErrorCode::NotAllowed), "for another user");
    world.check(&with("bob", "bob"), Some(ErrorCode::KeyNotValid), "as another issuer");
    world.check(&with("bob", "alice"), Some(ErrorCode::KeyNotValid), "as another issuer for alice");
    let stripped: Claims = claims().into_iter().filter(|(key, _)| *key != forge::SUB).collect();
    world.check(&Draft::of(&stripped).seal(), INVALID, "without a user");
    world.check(&Draft::of(&claims_with(forge::SUB, text(""))).seal(), INVALID, "an empty user");
    // Whoever may act for one user may not act for all.
    let mut anchors = TrustAnchors::new(cluster());
    let acts_for = BTreeSet::from([principal("bob")]);
    anchors.add(Anchor { acts_for, ..anchor(world.alice.public().clone(), "alice") }).unwrap();
    world.anchors = anchors;
    world.check(&with("alice", "bob"), None, "for a user that the anchor names");
    world.check(&with("alice", "carol"), Some(ErrorCode::NotAllowed), "for a third");
}

#[test]
fn attack_48_a_retired_key_counts_for_old_tasks_and_never_for_new_ones() {
    let mut world = World::new();
    let mut anchors = TrustAnchors::new(cluster());
    let retired =
        Anchor { not_after_s: NOW_S - 100, ..anchor(world.alice.public().clone(), "alice") };
    anchors.add(retired).unwrap();
    let successor = secret_key(Purpose::TaskIssuer, 5);
    anchors.add(anchor(successor.public().clone(), "alice")).unwrap();
    world.anchors = anchors;
    let signed_at = |at_s: u64| {
        let claims = RequestClaims {
            issued_at_s: at_s,
            not_before_s: at_s,
            expires_at_s: at_s + 3600,
            ..request()
        };
        (world.sign_request(&claims), sign::<Request>(&claims, &cluster(), &successor).unwrap())
    };
    let (old, _) = signed_at(NOW_S - 200);
    world.check(&old, None, "what the key signed before its end");
    let (new, rotated) = signed_at(NOW_S);
    world.check(&new, Some(ErrorCode::KeyNotValid), "what it signs after it");
    world.check(&rotated, None, "what its successor signs");
    let (last, _) = signed_at(NOW_S - 101);
    world.check(&last, None, "in its last second");
    let (late, _) = signed_at(NOW_S - 100);
    world.check(&late, Some(ErrorCode::KeyNotValid), "a second later");
    let (early, _) = signed_at(NOW_S - 1031);
    world.check(&early, Some(ErrorCode::KeyNotValid), "before it began");
}
