//! A general COSE library, `coset`, reads what we accept; five encodings of one object are one to it.

use coset::{
    CborSerializable as _, CoseSign1, Header, RegisteredLabel, RegisteredLabelWithPrivate,
    TaggedCborSerializable as _, cbor::value::Value, iana,
};
use ed25519_dalek::{Signature, VerifyingKey};
use proptest::prelude::*;
use schemas::{ErrorCode, claims::REQUEST_TYPE};

use super::items::{items, spoilt};
use crate::{
    cbor::{self, bytes, integer, map},
    forge::Draft,
    support::{World, request, unhex},
};

/// Whether the signature fits for whoever asks `coset`.
fn verifies(parsed: &CoseSign1) -> bool {
    let context = Value::Array(vec![REQUEST_TYPE.into(), "test".into()]).to_vec().unwrap();
    let key = VerifyingKey::from_bytes(World::new().alice.public().as_bytes()).unwrap();
    let verified = parsed.verify_signature(&context, |signature, signed| {
        key.verify_strict(signed, &Signature::from_slice(signature).unwrap())
    });
    verified.is_ok()
}

/// What coset reads is what we mean, field by field.
fn check_fields(envelope: &[u8], draft: &Draft) -> Result<(), TestCaseError> {
    let parsed = CoseSign1::from_tagged_slice(envelope)
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    let expected = Header {
        alg: Some(RegisteredLabelWithPrivate::Assigned(iana::Algorithm::Ed25519)),
        content_type: Some(RegisteredLabel::Text(REQUEST_TYPE.to_owned())),
        key_id: unhex(&World::new().alice.public().id().to_string()),
        ..Header::default()
    };
    prop_assert_eq!(&parsed.protected.header, &expected);
    prop_assert!(parsed.unprotected.is_empty());
    prop_assert_eq!(parsed.payload.as_ref(), Some(&draft.payload));
    prop_assert_eq!(&parsed.signature, &draft.signature());
    prop_assert!(verifies(&parsed));
    let again = parsed.to_tagged_vec().ok();
    prop_assert_eq!(again.as_deref(), Some(envelope));
    Ok(())
}

#[test]
fn coset_reads_the_fields_of_what_we_sign() {
    let envelope = World::new().sign_request(&request());
    check_fields(&envelope, &Draft::request()).unwrap();
}

proptest! {
    /// A payload that is strict CBOR but no claims is refused after its signature was found good, so
    /// everything before that accepted it.
    #[test]
    fn coset_reads_whatever_passes_our_scanner_and_signature(item in items()) {
        let draft = Draft::request().payload(item.encoded());
        let envelope = draft.seal();
        prop_assert_eq!(World::new().refusal(&envelope), Some(ErrorCode::ClaimsInvalid));
        check_fields(&envelope, &draft)?;
    }

    /// Of all spellings that coset takes for the same object, we accept the one that was signed.
    #[test]
    fn what_coset_takes_for_the_same_object_we_accept_in_one_spelling_only(
        (at, kind, byte) in (any::<prop::sample::Index>(), any::<u8>(), any::<u8>()),
    ) {
        let envelope = Draft::request().seal();
        let other = spoilt(&envelope, at, kind, byte);
        let accepted = World::new().refusal(&other).is_none();
        prop_assert_eq!(accepted, other == envelope);
        if accepted {
            check_fields(&other, &Draft::request())?;
        }
    }
}

/// Five encodings of one signed object that coset accepts with a good signature.
fn encodings_of_one_object() -> [(&'static str, Vec<u8>); 5] {
    let draft = Draft::request().payload(Vec::new());
    let canonical = draft.seal();
    let indefinite = [&[0xd2, 0x9f], &canonical[2..], &[0xff]].concat();
    let injected = map(&[(integer(1), integer(-7)), (integer(4), bytes(b"mallory"))]);
    let long = [cbor::head_of_width(2, 64, 2), draft.signature().to_vec()].concat();
    [
        ("canonical", canonical),
        ("the empty payload as nil", draft.seal_with(2, vec![0xf6])),
        ("the array without its length", indefinite),
        ("algorithm and key id injected unprotected", draft.seal_with(1, injected)),
        ("the signature's length in two bytes", draft.seal_with(3, long)),
    ]
}

#[test]
fn the_five_encodings_of_one_object_are_one_to_coset_and_none_to_us() {
    let world = World::new();
    assert_eq!(world.refusal(&Draft::request().seal()), None);
    for (name, envelope) in encodings_of_one_object() {
        let parsed = CoseSign1::from_tagged_slice(&envelope).unwrap();
        assert!(verifies(&parsed), "{name}: the attack is no attack any more");
        assert!(world.refusal(&envelope).is_some(), "{name}");
    }
}

/// With a payload that we accept, the first of them is accepted and the others are not.
#[test]
fn the_encodings_of_a_good_request_are_accepted_in_one_spelling() {
    let world = World::new();
    let draft = Draft::request();
    let canonical = draft.seal();
    let indefinite = [&[0xd2, 0x9f], &canonical[2..], &[0xff]].concat();
    let injected = map(&[(integer(1), integer(-7)), (integer(4), bytes(b"mallory"))]);
    let long = [cbor::head_of_width(2, 64, 2), draft.signature().to_vec()].concat();
    let chunks = [vec![0x5f], bytes(&draft.payload), vec![0xff]].concat();
    world.check(&canonical, None, "canonical");
    for (name, envelope) in [
        ("indefinite", indefinite),
        ("injected", draft.seal_with(1, injected)),
        ("a longer length", draft.seal_with(3, long)),
        ("a payload in chunks", draft.seal_with(2, chunks)),
        ("untagged", canonical[1..].to_vec()),
    ] {
        let parsed = CoseSign1::from_tagged_slice(&envelope)
            .or_else(|_| CoseSign1::from_slice(&envelope))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(verifies(&parsed), "{name}: the attack is no attack any more");
        assert!(world.refusal(&envelope).is_some(), "{name}");
    }
}
