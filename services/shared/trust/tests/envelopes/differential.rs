//! A general COSE library reads what we write, and agrees on what the signature covers.

use coset::{
    CborSerializable as _, CoseSign1, RegisteredLabelWithPrivate, TaggedCborSerializable as _,
    cbor::value::Value, iana,
};
use ed25519_dalek::{Signature, VerifyingKey};
use schemas::claims::REQUEST_TYPE;

use crate::support::{World, request, unhex};

#[test]
fn coset_accepts_what_we_sign() {
    let world = World::new();
    let envelope = world.sign_request(&request());
    let parsed = CoseSign1::from_tagged_slice(&envelope).unwrap();
    let header = &parsed.protected.header;
    let algorithm = RegisteredLabelWithPrivate::Assigned(iana::Algorithm::Ed25519);
    assert_eq!(header.alg, Some(algorithm));
    assert_eq!(header.key_id, unhex(&world.alice.public().id().to_string()));
    assert!(parsed.unprotected.is_empty());
    let context = Value::Array(vec![REQUEST_TYPE.into(), "test".into()]).to_vec().unwrap();
    let key = VerifyingKey::from_bytes(world.alice.public().as_bytes()).unwrap();
    parsed
        .verify_signature(&context, |signature, signed| {
            key.verify_strict(signed, &Signature::from_slice(signature).unwrap())
        })
        .unwrap();
    assert_eq!(parsed.to_tagged_vec().unwrap(), envelope);
}

#[test]
fn where_coset_is_lenient_we_are_not() {
    let world = World::new();
    let envelope = world.sign_request(&request());
    let mut indefinite = vec![0xd2, 0x9f];
    indefinite.extend(&envelope[2..]);
    indefinite.push(0xff);
    assert!(CoseSign1::from_tagged_slice(&indefinite).is_ok(), "the attack is no attack any more");
    assert!(world.refusal(&indefinite).is_some());
}
