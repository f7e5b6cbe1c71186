//! Bits, lengths and sizes: what a program tries better than a list of cases.

use schemas::{ErrorCode, claims::RequestClaims, grants::Grants};
use trust::{ENVELOPE_BYTES_MAX, Request, SignError, sign};

use crate::{
    cbor,
    forge::{self, Draft},
    support::{World, assignment, cluster, request},
};

#[test]
fn attack_01_every_single_bit_flip_of_a_request_is_refused() {
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
fn attack_01_every_single_bit_flip_of_an_assignment_is_refused() {
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
fn attack_02_truncation_at_every_byte_is_refused_before_any_signature_is_checked() {
    let world = World::new();
    let envelope = world.sign_request(&request());
    world.check(&envelope, None, "the whole");
    world.check(&[], Some(ErrorCode::Unsigned), "nothing");
    for length in 1..envelope.len() {
        let what = format!("{length} bytes");
        world.check(&envelope[..length], Some(ErrorCode::EnvelopeMalformed), &what);
        world.check(&envelope[length..], Some(ErrorCode::EnvelopeMalformed), &what);
    }
}

#[test]
fn attack_03_a_trailing_byte_or_a_second_object_is_refused() {
    let world = World::new();
    let envelope = world.sign_request(&request());
    world.check(&envelope, None, "the envelope alone");
    for byte in 0..=u8::MAX {
        let longer = [envelope.as_slice(), &[byte]].concat();
        world.check(&longer, Some(ErrorCode::EnvelopeMalformed), &format!("byte {byte}"));
    }
    let twice = [envelope.as_slice(), &envelope].concat();
    world.check(&twice, Some(ErrorCode::EnvelopeMalformed), "two envelopes");
    let draft = Draft::request();
    let twice = [draft.payload.as_slice(), &draft.payload].concat();
    let two_payloads = draft.clone().payload(twice).seal();
    world.check(&two_payloads, Some(ErrorCode::EnvelopeMalformed), "two payloads");
    let longer = [draft.protected.as_slice(), &[0]].concat();
    let header = draft.protected(longer).seal();
    world.check(&header, Some(ErrorCode::EnvelopeMalformed), "a byte after the header");
}

#[test]
fn attack_24_bombs_of_depth_and_tags_do_not_recurse() {
    let world = World::new();
    world.check(&Draft::request().seal(), None, "no bomb");
    for byte in [0x81, 0xa1, 0xc1, 0xd2, 0x9f, 0xbf, 0x5f] {
        for length in [100, ENVELOPE_BYTES_MAX - 1] {
            let bomb = [vec![0xd2], vec![byte; length]].concat();
            world.check(&bomb, Some(ErrorCode::EnvelopeMalformed), &format!("{byte:02x}"));
        }
        let bomb = vec![byte; 200_000];
        world.check(&bomb, Some(ErrorCode::EnvelopeTooLarge), &format!("{byte:02x}"));
        let inside = Draft::request().payload(vec![byte; 20_000]).seal();
        world.check(&inside, Some(ErrorCode::EnvelopeMalformed), &format!("{byte:02x} inside"));
    }
    let deepest = [vec![0x81; 7], vec![0x80]].concat();
    let deep = Draft::request().payload(deepest).seal();
    world.check(&deep, Some(ErrorCode::ClaimsInvalid), "eight levels are CBOR, but no claims");
}

#[test]
fn attack_25_a_declared_length_beyond_the_input_is_refused_at_its_head() {
    let world = World::new();
    world.check(&Draft::request().seal(), None, "honest lengths");
    for major in 2..=5 {
        for argument in [1 << 30, 1 << 32, 1 << 63, u64::MAX] {
            let bomb = cbor::head(major, argument);
            let what = format!("{argument} items of major type {major}");
            let malformed = Some(ErrorCode::EnvelopeMalformed);
            world.check(&[&[0xd2], bomb.as_slice()].concat(), malformed, &what);
            for part in 0..4 {
                let envelope = Draft::request().seal_with(part, bomb.clone());
                world.check(&envelope, malformed, &format!("{what} as part {part}"));
            }
            world.check(&Draft::request().payload(bomb.clone()).seal(), malformed, &what);
            world.check(&Draft::request().protected(bomb).seal(), malformed, &what);
        }
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
    world.check(&largest, None, "the largest size");
    let longer = [largest.as_slice(), &[0]].concat();
    world.check(&longer, Some(ErrorCode::EnvelopeTooLarge), "a byte more");
    let too_many = with_grants(GRANTS_BYTES + room + 1);
    let refused = sign::<Request>(&too_many, &cluster(), &world.alice).unwrap_err();
    assert!(
        matches!(refused, SignError::TooLarge { bytes, .. } if bytes == ENVELOPE_BYTES_MAX + 1)
    );
    for bytes in [64 * 1024 + 1, 1 << 20] {
        let body = Draft::request().payload(cbor::bytes(&vec![0; bytes])).seal();
        world.check(&body, Some(ErrorCode::EnvelopeTooLarge), &format!("{bytes} bytes"));
    }
    let gigabyte = [vec![0xd2, 0x84], cbor::head(2, 1 << 30)].concat();
    world.check(&gigabyte, Some(ErrorCode::EnvelopeMalformed), "1 GiB declared in eight bytes");
}

/// Grants whose text has exactly `bytes` more than an empty list of credentials would have.
fn grants_of(bytes: usize) -> Grants {
    // The quotes of the name are two of them.
    Grants { credentials: vec!["a".repeat(bytes - 2)], ..Grants::default() }
}

/// What a sender without a key can make costs no signature check: each sort of it is refused by a
/// step before that one. How little that costs is what `cargo xtask bench envelope` measures.
#[test]
fn attack_53_floods_of_garbage_are_refused_before_any_signature_is_checked() {
    let world = World::new();
    let good = world.sign_request(&request());
    world.check(&good, None, "no garbage");
    let cheap = [
        ErrorCode::EnvelopeMalformed,
        ErrorCode::EnvelopeTooLarge,
        ErrorCode::EnvelopeHeader,
        ErrorCode::KeyUnknown,
        ErrorCode::KeyNotValid,
    ];
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..20_000_usize {
        let mut garbage = good.clone();
        for byte in garbage.iter_mut().skip(round % 48) {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = seed.to_be_bytes()[0];
        }
        let code = world.refusal(&garbage).unwrap();
        assert!(cheap.contains(&code), "round {round} got as far as {code}");
    }
    let strangers_id = forge::header(-19, schemas::claims::REQUEST_TYPE, &[9; 16]);
    let well_formed = Draft::request().protected(strangers_id).seal();
    world.check(&well_formed, Some(ErrorCode::KeyUnknown), "all but a key");
}
