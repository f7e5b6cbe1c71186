//! Headers and shapes of COSE that other libraries accept or that mean something else.

use schemas::{ErrorCode, claims::REQUEST_TYPE};
use sha2::{Digest as _, Sha256};

use crate::{
    cbor::{self, bytes, integer, map, text},
    forge::{self, Draft},
    support::World,
};

fn alice_id() -> Vec<u8> {
    forge::key_id(World::new().alice.public())
}

/// A protected header with these entries, signed as it is.
fn with_header(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    Draft::request().protected(map(entries)).seal()
}

fn algorithm(value: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    (integer(1), value)
}

fn content_type() -> (Vec<u8>, Vec<u8>) {
    (integer(3), text(REQUEST_TYPE))
}

fn key_id() -> (Vec<u8>, Vec<u8>) {
    (integer(4), bytes(&alice_id()))
}

const HEADER: Option<ErrorCode> = Some(ErrorCode::EnvelopeHeader);
const MALFORMED: Option<ErrorCode> = Some(ErrorCode::EnvelopeMalformed);

#[test]
fn attack_11_no_algorithm_but_ed25519_in_the_protected_header_is_accepted() {
    let world = World::new();
    let good = with_header(&[algorithm(integer(-19)), content_type(), key_id()]);
    world.check(&good, None, "Ed25519");
    for (value, name) in [
        (integer(-8), "EdDSA"),
        (integer(-7), "ES256"),
        (integer(-53), "Ed448"),
        (integer(-37), "PS256"),
        (integer(5), "HMAC 256/256"),
        (integer(0), "reserved"),
        (integer(-18), "a neighbour"),
        (integer(19), "the sign forgotten"),
        (text("Ed25519"), "a name"),
        (text("none"), "none"),
        (vec![0xf6], "null"),
        (bytes(&[0x32]), "bytes"),
    ] {
        world.check(&with_header(&[algorithm(value), content_type(), key_id()]), HEADER, name);
    }
    world.check(&with_header(&[content_type(), key_id()]), HEADER, "absent");
    world.check(&Draft::request().protected(Vec::new()).seal(), MALFORMED, "an empty header");
    world.check(&Draft::request().protected(map(&[])).seal(), HEADER, "an empty map");
    let elsewhere = Draft::request().protected(map(&[content_type(), key_id()]));
    let moved = elsewhere.seal_with(1, map(&[algorithm(integer(-19))]));
    world.check(&moved, HEADER, "the algorithm unprotected");
    let both = Draft::request().seal_with(1, map(&[algorithm(integer(-19))]));
    world.check(&both, HEADER, "the algorithm in both");
    world.check(&hmac_with_the_public_key(), HEADER, "HMAC keyed with the public key");
}

/// The classic: whoever takes the algorithm from the header takes the public key for a secret.
fn hmac_with_the_public_key() -> Vec<u8> {
    let draft = Draft::request().protected(map(&[algorithm(integer(5)), content_type(), key_id()]));
    let public = *World::new().alice.public().as_bytes();
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block.iter_mut().zip(public).for_each(|(pad, key)| *pad ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(draft.message()).finalize();
    let tag = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
    draft.seal_with(3, bytes(&[tag.as_slice(), tag.as_slice()].concat()))
}

#[test]
fn attack_12_anything_in_the_unprotected_header_is_refused() {
    let world = World::new();
    let draft = Draft::request();
    world.check(&draft.seal_with(1, map(&[])), None, "empty");
    for (entry, what) in [
        (key_id(), "the key id once more"),
        (algorithm(integer(-8)), "another algorithm"),
        (content_type(), "the type once more"),
        ((integer(2), cbor::array(&[])), "crit"),
        ((integer(33), bytes(b"x5chain")), "a certificate chain"),
        ((integer(-70_000), integer(0)), "something private"),
    ] {
        world.check(&draft.seal_with(1, map(&[entry])), HEADER, what);
    }
    for (item, what) in [
        (cbor::array(&[]), "an array"),
        (vec![0xf6], "null"),
        (bytes(&[]), "an empty byte string"),
        (bytes(&map(&[])), "a map in a byte string"),
    ] {
        world.check(&draft.seal_with(1, item), HEADER, what);
    }
}

#[test]
fn attack_13_a_critical_or_unknown_header_is_refused() {
    let world = World::new();
    let plain = [algorithm(integer(-19)), content_type(), key_id()];
    world.check(&with_header(&plain), None, "the three entries");
    let [algorithm, content_type, key_id] = plain;
    let crit = |labels: &[Vec<u8>]| (integer(2), cbor::array(labels));
    for labels in [vec![], vec![integer(1)], vec![integer(99)], vec![text("exp")]] {
        let entries = [algorithm.clone(), crit(&labels), content_type.clone(), key_id.clone()];
        world.check(&with_header(&entries), HEADER, &format!("crit {labels:02x?}"));
        let instead = [algorithm.clone(), crit(&labels), key_id.clone()];
        world.check(&with_header(&instead), HEADER, "crit instead of the type");
    }
    for label in [5, 6, 16, 33, 99] {
        let entries =
            [algorithm.clone(), content_type.clone(), key_id.clone(), (integer(label), integer(0))];
        world.check(&with_header(&entries), HEADER, &format!("label {label}"));
    }
}

#[test]
fn attack_14_a_null_payload_is_not_an_empty_one_and_neither_is_accepted() {
    let world = World::new();
    world.check(&Draft::request().seal(), None, "a payload");
    let empty = Draft::request().payload(Vec::new());
    world.check(&empty.seal(), MALFORMED, "h''");
    // The signature covers h'' in both: general libraries take one for the other.
    world.check(&empty.seal_with(2, vec![0xf6]), MALFORMED, "nil");
    world.check(&empty.seal_with(2, vec![0xf7]), MALFORMED, "undefined");
    let null = Draft::request().payload(vec![0xf6]);
    world.check(&null.seal(), Some(ErrorCode::ClaimsInvalid), "null claims");
}

#[test]
fn attack_15_a_detached_or_inlined_payload_is_refused() {
    let world = World::new();
    let draft = Draft::request();
    world.check(&draft.seal(), None, "attached, as bytes");
    for (item, what) in [
        (vec![0xf6], "detached"),
        (draft.payload.clone(), "inlined"),
        (text("claims"), "text"),
        (cbor::array(&[bytes(&draft.payload)]), "in an array"),
    ] {
        world.check(&draft.seal_with(2, item), MALFORMED, what);
    }
    let [protected, unprotected, payload, signature] = draft.parts();
    let without_payload = [protected.clone(), unprotected.clone(), signature.clone()];
    world.check(&forge::tagged(&without_payload), MALFORMED, "three parts");
    let five = [protected, unprotected, payload.clone(), signature, payload];
    world.check(&forge::tagged(&five), MALFORMED, "five parts");
    world.check(&draft.seal_with(0, draft.protected.clone()), MALFORMED, "an inlined header");
}

#[test]
fn attack_16_no_other_tag_and_no_other_number_of_tags_is_accepted() {
    let world = World::new();
    let envelope = Draft::request().seal();
    world.check(&envelope, None, "tag 18 once");
    let untagged = &envelope[1..];
    world.check(untagged, MALFORMED, "untagged");
    for tag in [0, 1, 16, 17, 19, 24, 61, 96, 97, 98, 55799, u64::MAX] {
        let tagged = [cbor::head(6, tag), untagged.to_vec()].concat();
        world.check(&tagged, MALFORMED, &format!("tag {tag}"));
        let outside = [cbor::head(6, tag), envelope.clone()].concat();
        world.check(&outside, MALFORMED, &format!("tag {tag} around it"));
        let inside = [vec![0xd2], cbor::head(6, tag), untagged.to_vec()].concat();
        world.check(&inside, MALFORMED, &format!("tag {tag} in it"));
    }
    world.check(&[&[0xd2], envelope.as_slice()].concat(), MALFORMED, "tag 18 twice");
    let [protected, unprotected, payload, signature] = Draft::request().parts();
    let signers = cbor::array(&[cbor::array(&[protected.clone(), unprotected.clone(), signature])]);
    let sign = cbor::array(&[bytes(&[]), unprotected, payload, signers]);
    world.check(&[vec![0xd8, 98], sign.clone()].concat(), MALFORMED, "COSE_Sign");
    world.check(&[vec![0xd2], sign].concat(), MALFORMED, "COSE_Sign under tag 18");
}
