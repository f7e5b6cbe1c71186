//! Attacks that a program makes better than a list of vectors: every bit, every length, every size.

use schemas::{Capability, ErrorCode, claims::RequestClaims};
use trust::{
    Assignment, AssignmentFacts, ClusterName, ENVELOPE_BYTES_MAX, Purpose, Recipient, Request,
    SignError, TrustAnchors, Unverified, sign,
};

use crate::support::{World, anchor, assignment, cluster, principal, request, secret_key};

#[test]
fn attack_1_every_single_bit_flip_of_a_request_is_refused() {
    let world = World::new();
    let envelope = world.sign_request(&request());
    assert_eq!(world.refusal(&envelope), None);
    for bit in 0..envelope.len() * 8 {
        let mut flipped = envelope.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(world.refusal(&flipped).is_some(), "bit {bit} does not matter");
    }
}

#[test]
fn attack_1_every_single_bit_flip_of_an_assignment_is_refused() {
    let world = World::new();
    let envelope = world.sign_request(&request());
    let assigned = world.sign_assignment(&assignment(&envelope));
    let verified = world.verify(&envelope).unwrap();
    assert!(world.verify_assignment(&assigned, &verified).is_ok());
    for bit in 0..assigned.len() * 8 {
        let mut flipped = assigned.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let accepted = world.verify_assignment(&flipped, &verified).is_ok();
        assert!(!accepted, "bit {bit} does not matter");
    }
}

#[test]
fn attack_2_truncation_at_every_byte_is_refused_before_any_signature_is_checked() {
    let world = World::new();
    let envelope = world.sign_request(&request());
    assert_eq!(world.refusal(&[]), Some(ErrorCode::Unsigned));
    for length in 1..envelope.len() {
        let code = world.refusal(&envelope[..length]);
        assert_eq!(code, Some(ErrorCode::EnvelopeMalformed), "{length} bytes");
    }
}

#[test]
fn attack_3_every_trailing_byte_is_refused() {
    let world = World::new();
    let envelope = world.sign_request(&request());
    for byte in 0..=u8::MAX {
        let longer = [envelope.as_slice(), &[byte]].concat();
        assert_eq!(world.refusal(&longer), Some(ErrorCode::EnvelopeMalformed), "byte {byte}");
    }
}

#[test]
fn attack_9_the_right_key_under_another_key_id_is_unknown() {
    let world = World::new();
    let stranger = secret_key(Purpose::TaskIssuer, 9);
    let envelope = sign::<Request>(&request(), &cluster(), &stranger).unwrap();
    assert_eq!(world.refusal(&envelope), Some(ErrorCode::KeyUnknown));
}

#[test]
fn attack_18_no_byte_can_be_inserted_anywhere() {
    let world = World::new();
    let envelope = world.sign_request(&request());
    for at in 0..=envelope.len() {
        for byte in [0x00, 0x18, 0x58, 0x81, 0xa0, 0xd2, 0xf6, 0xff] {
            let mut longer = envelope.clone();
            longer.insert(at, byte);
            assert!(world.refusal(&longer).is_some(), "{byte:02x} at {at} does not matter");
        }
    }
}

#[test]
fn attack_24_bombs_of_depth_and_tags_do_not_recurse() {
    let world = World::new();
    let bombs = [0x81, 0xa1, 0xc1, 0xd2, 0x9f, 0xbf, 0x5f];
    for byte in bombs {
        for length in [100, ENVELOPE_BYTES_MAX - 1] {
            let mut bomb = vec![byte; length];
            bomb.insert(0, 0xd2);
            assert_eq!(world.refusal(&bomb), Some(ErrorCode::EnvelopeMalformed), "{byte:02x}");
        }
        let bomb = vec![byte; 200_000];
        assert_eq!(world.refusal(&bomb), Some(ErrorCode::EnvelopeTooLarge), "{byte:02x}");
    }
}

#[test]
fn attack_26_the_size_limit_holds_to_the_byte() {
    const GRANTS_BYTES: usize = 8000;
    let world = World::new();
    let with_grants = |bytes| RequestClaims { grants: grants_of(bytes), ..request() };
    let room = ENVELOPE_BYTES_MAX - world.sign_request(&with_grants(GRANTS_BYTES)).len();
    let largest = world.sign_request(&with_grants(GRANTS_BYTES + room));
    assert_eq!(largest.len(), ENVELOPE_BYTES_MAX);
    assert_eq!(world.refusal(&largest), None);
    let longer = [largest.as_slice(), &[0]].concat();
    assert_eq!(world.refusal(&longer), Some(ErrorCode::EnvelopeTooLarge));
    let too_many = with_grants(GRANTS_BYTES + room + 1);
    let refused = sign::<Request>(&too_many, &cluster(), &world.alice).unwrap_err();
    assert!(matches!(refused, SignError::TooLarge { bytes } if bytes == ENVELOPE_BYTES_MAX + 1));
}

/// Grants whose encoding takes exactly `bytes`: ten each, and the last what remains.
fn grants_of(bytes: usize) -> Vec<Capability> {
    let mut lengths = vec![9; bytes / 10 - 1];
    lengths.push(9 + bytes % 10);
    lengths.into_iter().map(|length| Capability::parse(&"a".repeat(length)).unwrap()).collect()
}

#[test]
fn attack_31_the_clock_may_differ_by_less_than_the_skew() {
    let mut world = World::new();
    let envelope = world.sign_request(&request());
    let (begin, end) = (request().not_before_s, request().expires_at_s);
    let mut check = |now_s, expected| {
        world.now_s = now_s;
        assert_eq!(world.refusal(&envelope), expected, "at {now_s}");
    };
    check(0, Some(ErrorCode::NotYetValid));
    check(begin - 31, Some(ErrorCode::NotYetValid));
    check(begin - 30, None);
    check(begin - 29, None);
    check(end, None);
    check(end + 29, None);
    check(end + 30, Some(ErrorCode::Expired));
    check(end + 31, Some(ErrorCode::Expired));
    check(u64::MAX / 1000, Some(ErrorCode::KeyNotValid));
}

#[test]
fn attack_35_the_same_keys_in_another_cluster_accept_nothing() {
    let mut world = World::new();
    let envelope = world.sign_request(&request());
    let mut anchors = TrustAnchors::new(ClusterName::parse("production").unwrap());
    anchors.add(anchor(world.alice.public().clone(), "alice")).unwrap();
    world.anchors = anchors;
    assert_eq!(world.refusal(&envelope), Some(ErrorCode::SignatureInvalid));
}

#[test]
fn attack_36_a_key_signs_for_its_purpose_only() {
    for purpose in [
        Purpose::Scheduler,
        Purpose::NodeLog,
        Purpose::Checkpoint,
        Purpose::Cosigner,
        Purpose::Enrolment,
        Purpose::Root,
    ] {
        let refused = sign::<Request>(&request(), &cluster(), &secret_key(purpose, 1));
        assert!(matches!(refused, Err(SignError::Purpose { .. })), "{purpose}");
    }
}

#[test]
fn attack_38_a_request_that_comes_twice_is_the_same_task() {
    let world = World::new();
    let envelope = world.sign_request(&request());
    let first = world.verify(&envelope).unwrap();
    assert_eq!(first.task(), world.verify(&envelope).unwrap().task());
}

#[test]
fn attack_44_another_body_under_the_same_nonce_is_the_same_task_with_another_hash() {
    let world = World::new();
    let mut other = request();
    other.spec_json = r#"{"work":{"kind":"echo","text":"ho"}}"#.to_owned();
    let (one, two) = (world.sign_request(&request()), world.sign_request(&other));
    let (one, two) = (world.verify(&one).unwrap(), world.verify(&two).unwrap());
    assert_eq!(one.task(), two.task());
    assert_ne!(one.envelope_hash(), two.envelope_hash());
}

#[test]
fn attack_45_an_assignment_of_another_body_does_not_fit() {
    let world = World::new();
    let mut other = request();
    other.spec_json = r#"{"work":{"kind":"echo","text":"ho"}}"#.to_owned();
    let (one, two) = (world.sign_request(&request()), world.sign_request(&other));
    let assigned = world.sign_assignment(&assignment(&one));
    let verified = world.verify(&two).unwrap();
    let refused = world.verify_assignment(&assigned, &verified).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::AssignmentMismatch);
}

#[test]
fn a_node_takes_no_assignment_of_another_node() {
    let world = World::new();
    let envelope = world.sign_request(&request());
    let assigned = world.sign_assignment(&assignment(&envelope));
    let verified = world.verify(&envelope).unwrap();
    let (node, request) = (&principal("node-2"), &verified);
    let refused = Unverified::new(&assigned)
        .verify::<Assignment>(world.trust(), &AssignmentFacts { node, request })
        .unwrap_err();
    assert_eq!(refused.code(), ErrorCode::WrongAudience);
}

#[test]
fn a_scheduler_takes_requests_of_its_partition_whatever_their_audience() {
    let world = World::new();
    let mut claims = request();
    claims.audience = "can:gpu.train".parse().unwrap();
    claims.partition = 3;
    let envelope = world.sign_request(&claims);
    let check = |partition| {
        let recipient = Recipient::Scheduler { partition };
        let verified = Unverified::new(&envelope).verify::<Request>(world.trust(), &recipient);
        verified.err().map(|error| error.code())
    };
    assert_eq!(check(3), None);
    assert_eq!(check(0), Some(ErrorCode::WrongAudience));
}

#[test]
fn nothing_is_signed_that_no_verifier_accepts() {
    let check = |change: fn(&mut RequestClaims), expected| {
        let mut claims = request();
        change(&mut claims);
        let refused = sign::<Request>(&claims, &cluster(), &World::new().alice).unwrap_err();
        assert_eq!(refused.code(), expected, "{refused}");
    };
    check(|claims| claims.expires_at_s += 30 * 86_400, ErrorCode::LifetimeTooLong);
    check(|claims| claims.expires_at_s = 0, ErrorCode::ClaimsInvalid);
    check(|claims| claims.trace = Some("a b".to_owned()), ErrorCode::ClaimsInvalid);
    check(|claims| claims.spec_json = "{}".to_owned(), ErrorCode::SpecInvalid);
    check(|claims| claims.spec_json = "x".repeat(30_000), ErrorCode::EnvelopeTooLarge);
}

#[test]
fn refusals_name_their_cause_down_to_the_byte() {
    let world = World::new();
    let mut envelope = world.sign_request(&request());
    envelope.push(0);
    let fault = world.verify(&envelope).unwrap_err().to_fault();
    let end = envelope.len() - 1;
    assert!(fault.message.ends_with(&format!("bytes follow the item, at byte {end}")), "{fault}");
}
