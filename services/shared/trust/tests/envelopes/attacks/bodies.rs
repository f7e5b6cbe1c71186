//! Bodies that are swapped, read in two ways, or changed after they were verified.

use coset::cbor::value::Value;
use schemas::{ErrorCode, claims::RequestClaims};
use trust::{Recipient, Request, Unverified, sign};

use crate::{
    cbor::{bytes, text, unsigned},
    forge::{self, CTI, Draft, EXP, GRANTS, SPEC, claims_with},
    support::{NOW_S, World, assignment, cluster, request},
};

const ECHO: &str = r#"{"work":{"kind":"echo","text":"hi"}}"#;

fn with_spec(spec: &str) -> RequestClaims {
    RequestClaims { spec_json: spec.to_owned(), ..request() }
}

/// The scheduler answers a second body under a task's id from what it has; a node is told by the
/// assignment's hash which of them was meant.
#[test]
fn attack_44_another_body_under_the_same_nonce_is_the_same_task_with_another_hash() {
    let world = World::new();
    let other = with_spec(r#"{"work":{"kind":"echo","text":"ho"}}"#);
    let (one, two) = (world.sign_request(&request()), world.sign_request(&other));
    let assigned = world.sign_assignment(&assignment(&one));
    let (one, two) = (world.verify(&one).unwrap(), world.verify(&two).unwrap());
    assert_eq!(one.task(), two.task());
    assert_ne!(one.envelope_hash(), two.envelope_hash());
    assert!(world.verify_assignment(&assigned, &one).is_ok());
    let refused = world.verify_assignment(&assigned, &two).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::AssignmentMismatch);
    let fresh = Draft::of(&claims_with(CTI, bytes(&[8; 16]))).seal();
    assert_ne!(world.verify(&fresh).unwrap().task(), one.task(), "another nonce is another task");
}

#[test]
fn attack_45_a_swapped_longer_or_empty_body_is_refused() {
    let world = World::new();
    let good = Draft::request();
    world.check(&good.seal(), None, "the body that was signed");
    let invalid = Some(ErrorCode::SignatureInvalid);
    for (spec, what) in [
        (r#"{"work":{"kind":"echo","text":"ho"}}"#, "another body of the same length"),
        (r#"{"work":{"kind":"echo","text":"hi"}} "#, "a body with the same beginning"),
        ("", "an empty body"),
    ] {
        let other = Draft::of(&claims_with(SPEC, text(spec)));
        let swapped = good.seal_with(2, bytes(&other.payload));
        world.check(&swapped, invalid, what);
    }
    for (spec, what) in
        [("", "empty"), ("null", "null"), ("{}", "an empty object"), ("[]", "a list")]
    {
        let signed = Draft::of(&claims_with(SPEC, text(spec))).seal();
        world.check(&signed, Some(ErrorCode::SpecInvalid), what);
    }
    let longer = format!("{ECHO} ");
    let (one, two) = (world.sign_request(&request()), world.sign_request(&with_spec(&longer)));
    let assigned = world.sign_assignment(&assignment(&one));
    assert!(world.verify_assignment(&assigned, &world.verify(&one).unwrap()).is_ok());
    let refused = world.verify_assignment(&assigned, &world.verify(&two).unwrap()).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::AssignmentMismatch);
}

#[test]
fn attack_50_json_in_cbor_and_around_it_cannot_be_read_in_two_ways() {
    let world = World::new();
    let with = |spec: &str| Draft::of(&claims_with(SPEC, text(spec))).seal();
    world.check(&with(ECHO), None, "one meaning");
    for (spec, what) in [
        (
            r#"{"work":{"kind":"echo","text":"hi"},"work":{"kind":"echo","text":"ho"}}"#,
            "work twice",
        ),
        (r#"{"work":{"kind":"echo","text":"hi","text":"ho"}}"#, "text twice"),
        (r#"{"work":{"kind":"echo","text":"hi"},"labels":{"a":"1","\u0061":"2"}}"#, "an escape"),
        (r#"{"work":{"kind":"echo","text":"hi"}}{}"#, "two objects"),
        (r#"{"work":{"kind":"echo","text":"hi"}}//"#, "a comment"),
        ("{\"work\":{\"kind\":\"echo\",\"text\":\"hi\"}}\0", "a NUL"),
        ("\u{feff}{\"work\":{\"kind\":\"echo\",\"text\":\"hi\"}}", "a byte order mark"),
        (r#"{'work':{'kind':'echo','text':'hi'}}"#, "other quotes"),
        (r#"{"work":{"kind":"echo","text":"hi",}}"#, "a trailing comma"),
        (r#"{"work":{"kind":"echo","text":"hi"},"time_limit_ms":1e3}"#, "a number with exponent"),
        (r#"{"work":{"kind":"echo","text":"hi"},"time_limit_ms":"1000"}"#, "a number as text"),
        (r#"{"work":{"kind":"echo","text":"hi"},"sudo":true}"#, "an unknown field"),
    ] {
        world.check(&with(spec), Some(ErrorCode::SpecInvalid), what);
    }
    let with = |grants: &str| Draft::of(&claims_with(GRANTS, text(grants))).seal();
    world.check(&with(r#"{"tasks_max":1}"#), None, "the one text of these grants");
    for grants in [
        "",
        "{}",
        r#"{"tasks_max":0}"#,
        r#"{"tasks_max": 1}"#,
        r#"{"tasks_max":1}{}"#,
        r#"{"tasks_max":1.0}"#,
        r#"{"tasks_max":1,"tasks_max":2}"#,
        r#"{"t\u0061sks_max":1}"#,
        r#"{"tasks_max":1,"capabilities":["a"]}"#,
    ] {
        world.check(&with(grants), Some(ErrorCode::ClaimsInvalid), grants);
    }
    let envelope = Draft::request().seal();
    let hex = schemas::hex(&envelope);
    for (bytes, what) in [
        (hex.as_bytes(), "hexadecimal digits"),
        (ECHO.as_bytes(), "the JSON itself"),
        (&br#"{"envelope":"0oRY"}"#[..], "the message around it"),
        (&b"0oRYPaMBMgN4"[..], "base64"),
    ] {
        world.check(bytes, Some(ErrorCode::EnvelopeMalformed), what);
    }
    let json = Draft::request().payload(ECHO.as_bytes().to_vec()).seal();
    world.check(&json, Some(ErrorCode::EnvelopeMalformed), "JSON as the payload");
}

#[test]
fn attack_51_what_was_verified_is_what_is_read_whatever_happens_to_the_buffer() {
    let world = World::new();
    let mut buffer = world.sign_request(&request());
    let verified = world.verify(&buffer).unwrap();
    let hash = trust::envelope_hash(&buffer);
    // A general decoder reads the same claims out of the bytes that were verified.
    let payload = coset_payload(&buffer);
    buffer.fill(0xff);
    assert_eq!(verified.claims(), &request());
    assert_eq!(verified.envelope_hash(), hash);
    assert_eq!(verified.spec(), &serde_json::from_str(ECHO).unwrap());
    let entries = payload.into_map().unwrap();
    let issuer = entries.iter().find(|(key, _)| *key == Value::from(1)).map(|(_, value)| value);
    assert_eq!(issuer, Some(&Value::from("alice")));
    world.check(&buffer, Some(ErrorCode::EnvelopeMalformed), "the buffer itself is garbage now");
}

fn coset_payload(envelope: &[u8]) -> Value {
    use coset::TaggedCborSerializable as _;
    let parsed = coset::CoseSign1::from_tagged_slice(envelope).unwrap();
    coset::cbor::from_reader(parsed.payload.unwrap().as_slice()).unwrap()
}

#[test]
fn attack_52_error_codes_are_no_oracle_for_who_has_no_key() {
    let world = World::new();
    let claims = [
        claims_with(EXP, unsigned(NOW_S + 31 * 86_400)),
        claims_with(EXP, text("soon")),
        claims_with(forge::AUD, text("node:node-2")),
        claims_with(forge::SUB, text("bob")),
        claims_with(SPEC, text("{}")),
        forge::claims(),
    ];
    let mut told = std::collections::BTreeSet::new();
    let mut learned = std::collections::BTreeSet::new();
    for claims in &claims {
        learned.insert(world.refusal(&Draft::of(claims).seal()).map(ErrorCode::as_str));
        let forged = Draft { seed: 9, ..Draft::of(claims) }.seal();
        told.insert(world.verify(&forged).unwrap_err().to_fault().to_string());
        // Nor does it matter which byte of the signature is wrong.
        for byte in 0..64 {
            let mut signature = Draft::of(claims).signature();
            signature[byte] ^= 1;
            let near = Draft::of(claims).seal_with(3, bytes(&signature));
            told.insert(world.verify(&near).unwrap_err().to_fault().to_string());
        }
    }
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told.iter().all(|text| text.contains("does not fit")), "{told:#?}");
    assert_eq!(learned.len(), claims.len(), "the issuer itself is told what is wrong");
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

/// The control of everything that is forged here: spelled by hand, it is what the crate signs.
#[test]
fn what_is_put_together_by_hand_is_what_the_crate_signs() {
    let world = World::new();
    assert_eq!(Draft::request().seal(), world.sign_request(&request()));
    let envelope = Draft::request().seal();
    let assigned = assignment(&envelope);
    let by_hand = Draft::assignment(&vec![
        (forge::ISS, text("scheduler")),
        (EXP, unsigned(assigned.expires_at_s)),
        (forge::IAT, unsigned(assigned.issued_at_s)),
        (-65542, text(assigned.task.as_str())),
        (-65543, bytes(&assigned.request_hash.0)),
        (-65544, text("node-1")),
        (-65545, unsigned(1)),
        (-65546, unsigned(1)),
        (-65547, unsigned(7)),
    ]);
    assert_eq!(by_hand.seal(), world.sign_assignment(&assigned));
    let recipient = Recipient::Scheduler { partition: 0 };
    assert!(Unverified::new(&envelope).verify::<Request>(world.trust(), &recipient).is_ok());
}
