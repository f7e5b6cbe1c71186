//! Signatures and keys that mathematics allows and this profile does not.

use curve25519_dalek::{
    EdwardsPoint, Scalar,
    constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION},
};
use ed25519_dalek::{Signature, SigningKey, Verifier as _, VerifyingKey};
use schemas::{ErrorCode, claims::REQUEST_TYPE};
use sha2::{Digest as _, Sha512};
use trust::{PublicKey, Purpose, Request, TrustAnchors, sign};

use crate::{
    cbor,
    forge::{self, Draft},
    support::{World, cluster, request, secret_key, unhex},
};

/// The order of the group, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Every second spelling of a point of small order.
pub(crate) const NOT_CANONICAL: [&str; 6] = [
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

fn with_signature(signature: &[u8]) -> Vec<u8> {
    Draft::request().seal_with(3, cbor::bytes(signature))
}

fn challenge(point: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let digest = Sha512::new().chain_update(point).chain_update(key).chain_update(message);
    Scalar::from_bytes_mod_order_wide(&digest.finalize().into())
}

/// Signs as alice with this first half, whose discrete logarithm is `nonce`.
fn signature_with(point: [u8; 32], nonce: Scalar, message: &[u8]) -> [u8; 64] {
    let alice = SigningKey::from_bytes(&[1; 32]);
    let challenge = challenge(&point, alice.verifying_key().as_bytes(), message);
    let answer = nonce + challenge * alice.to_scalar();
    [point, answer.to_bytes()].concat().try_into().unwrap()
}

/// What a verifier that follows RFC 8032 to the letter and no further says.
fn careless(key: &VerifyingKey, message: &[u8], signature: &[u8; 64]) -> bool {
    key.verify(message, &Signature::from_bytes(signature)).is_ok()
}

#[test]
fn attack_04_a_signature_of_zeros_of_ones_or_of_another_length_is_refused() {
    let world = World::new();
    let good = Draft::request().signature();
    world.check(&with_signature(&good), None, "the real one");
    for (byte, what) in [(0, "zeros"), (0xff, "ones")] {
        world.check(&with_signature(&[byte; 64]), Some(ErrorCode::SignatureInvalid), what);
    }
    for length in [0, 1, 32, 63] {
        let short = with_signature(&good[..length]);
        world.check(&short, Some(ErrorCode::EnvelopeMalformed), &format!("{length} bytes"));
    }
    let long = with_signature(&[good.as_slice(), &[0]].concat());
    world.check(&long, Some(ErrorCode::EnvelopeMalformed), "65 bytes");
    for (item, what) in [(vec![0xf6], "null"), (cbor::text("0"), "text"), (vec![0xf4], "false")] {
        let envelope = Draft::request().seal_with(3, item);
        world.check(&envelope, Some(ErrorCode::EnvelopeMalformed), what);
    }
}

#[test]
fn attack_05_a_malleated_signature_with_the_order_added_to_s_is_refused() {
    let world = World::new();
    let good = Draft::request().signature();
    world.check(&with_signature(&good), None, "S as it was signed");
    let mut malleated = good;
    for times in 1..16 {
        let carry = add(&mut malleated[32..], &ORDER);
        assert_eq!(carry, 0, "S + {times} L still fits");
        let envelope = with_signature(&malleated);
        world.check(&envelope, Some(ErrorCode::SignatureInvalid), &format!("S + {times} L"));
    }
}

/// Adds little-endian numbers; returns what is carried out of them.
fn add(sum: &mut [u8], number: &[u8]) -> u16 {
    let mut carry = 0;
    for (digit, added) in sum.iter_mut().zip(number) {
        let total = u16::from(*digit) + u16::from(*added) + carry;
        let [low, high] = total.to_le_bytes();
        (*digit, carry) = (low, u16::from(high));
    }
    carry
}

#[test]
fn attack_06_an_r_of_small_order_or_in_a_second_spelling_is_refused() {
    let world = World::new();
    let message = Draft::request().message();
    let nonce = Scalar::from_bytes_mod_order([5; 32]);
    let honest = (nonce * ED25519_BASEPOINT_POINT).compress().to_bytes();
    let control = with_signature(&signature_with(honest, nonce, &message));
    world.check(&control, None, "an honest R");
    let alice = SigningKey::from_bytes(&[1; 32]).verifying_key();
    let mut fooled = 0;
    for (index, point) in EIGHT_TORSION.iter().enumerate() {
        let signature = signature_with(point.compress().to_bytes(), Scalar::ZERO, &message);
        fooled += usize::from(careless(&alice, &message, &signature));
        let what = format!("R of small order, {index}");
        world.check(&with_signature(&signature), Some(ErrorCode::SignatureInvalid), &what);
        let mixed = (nonce * ED25519_BASEPOINT_POINT + point).compress().to_bytes();
        if mixed != honest {
            let envelope = with_signature(&signature_with(mixed, nonce, &message));
            let what = format!("R with a part of small order, {index}");
            world.check(&envelope, Some(ErrorCode::SignatureInvalid), &what);
        }
    }
    assert_eq!(fooled, 1, "a careless verifier takes the identity for R");
    for spelling in NOT_CANONICAL {
        let point = unhex(spelling).try_into().unwrap();
        let envelope = with_signature(&signature_with(point, Scalar::ZERO, &message));
        world.check(&envelope, Some(ErrorCode::SignatureInvalid), spelling);
    }
}

/// Anchors that list this public key as alice's.
fn anchors_with(public: &[u8]) -> Result<TrustAnchors, ErrorCode> {
    let world = World::new();
    let alice = world.alice.public();
    let text = world.anchors.to_file();
    let changed = text.replace(&schemas::hex(alice.as_bytes()), &schemas::hex(public));
    TrustAnchors::from_file(&changed).map_err(|error| error.code())
}

#[test]
fn attack_07_a_key_of_small_order_would_sign_anything_and_is_refused_when_loaded() {
    assert!(anchors_with(World::new().alice.public().as_bytes()).is_ok());
    let mut identity = [0; 32];
    identity[0] = 1;
    let forged: [u8; 64] = [identity, [0; 32]].concat().try_into().unwrap();
    let weak = VerifyingKey::from_bytes(&identity).unwrap();
    assert!(careless(&weak, b"anything", &forged), "the attack is no attack any more");
    let points = EIGHT_TORSION.iter().map(|point| point.compress().to_bytes().to_vec());
    let spellings = NOT_CANONICAL.iter().map(|spelling| unhex(spelling));
    for public in points.chain(spellings) {
        assert_eq!(anchors_with(&public), Err(ErrorCode::KeyWeak), "{public:02x?}");
        let bytes = public.clone().try_into().unwrap();
        for purpose in [Purpose::TaskIssuer, Purpose::Scheduler, Purpose::Root] {
            assert!(PublicKey::from_bytes(purpose, &bytes).is_err(), "{public:02x?}");
        }
    }
}

/// Its owner could have one signature that some verifiers accept and others do not.
#[test]
fn attack_08_a_key_with_a_part_of_small_order_is_refused_when_loaded() {
    let alice = SigningKey::from_bytes(&[1; 32]);
    let honest = alice.verifying_key().to_edwards();
    assert!(anchors_with(alice.verifying_key().as_bytes()).is_ok());
    let torsion = EIGHT_TORSION.iter().filter(|point| **point != EdwardsPoint::default());
    for point in torsion {
        let mixed = (honest + point).compress().to_bytes();
        let key = VerifyingKey::from_bytes(&mixed).unwrap();
        let fooled = (0..1000_u32).any(|number| {
            let message = number.to_be_bytes();
            let nonce = Scalar::from_bytes_mod_order([5; 32]);
            let first = (nonce * ED25519_BASEPOINT_POINT).compress().to_bytes();
            let answer = nonce + challenge(&first, &mixed, &message) * alice.to_scalar();
            let bytes = [first, answer.to_bytes()].concat().try_into().unwrap();
            key.verify_strict(&message, &Signature::from_bytes(&bytes)).is_ok()
        });
        assert!(fooled, "even a strict verifier accepts signatures of such a key");
        assert_eq!(anchors_with(&mixed), Err(ErrorCode::KeyWeak));
    }
}

#[test]
fn attack_09_an_attackers_key_under_the_issuers_key_id_is_refused() {
    let world = World::new();
    let draft = Draft::request();
    world.check(&draft.seal(), None, "alice's own key");
    let attacker = Draft { seed: 9, ..draft };
    world.check(&attacker.seal(), Some(ErrorCode::SignatureInvalid), "under alice's id");
    let stranger = secret_key(Purpose::TaskIssuer, 9);
    let envelope = sign::<Request>(&request(), &cluster(), &stranger).unwrap();
    world.check(&envelope, Some(ErrorCode::KeyUnknown), "under its own id");
    // Nor can a file list the attacker's key under alice's id.
    let listed = anchors_with(stranger.public().as_bytes());
    assert_eq!(listed, Err(ErrorCode::ConfigInvalid));
}

#[test]
fn attack_10_a_key_id_counts_with_all_of_its_bits() {
    let world = World::new();
    let id = forge::key_id(world.alice.public());
    let with_id = |id: &[u8]| {
        let header = forge::header(-19, REQUEST_TYPE, id);
        Draft::request().protected(header).seal()
    };
    world.check(&with_id(&id), None, "the whole id");
    for bit in 0..128 {
        let mut near = id.clone();
        near[bit / 8] ^= 1 << (bit % 8);
        world.check(&with_id(&near), Some(ErrorCode::KeyUnknown), &format!("bit {bit}"));
    }
    for length in [0, 1, 4, 8, 15] {
        let what = format!("the first {length} bytes");
        world.check(&with_id(&id[..length]), Some(ErrorCode::EnvelopeHeader), &what);
    }
    let longer = [id.as_slice(), &[0]].concat();
    world.check(&with_id(&longer), Some(ErrorCode::EnvelopeHeader), "a byte more");
    let purposes = [Purpose::TaskIssuer, Purpose::Scheduler].map(|purpose| secret_key(purpose, 1));
    assert_ne!(purposes[0].public().id(), purposes[1].public().id(), "one key, two purposes");
}

/// A text that a hostile server or a log would like to have signed.
const TEXTS: [&str; 4] = [
    "b3JhY2xlLW5vbmN",
    "cortex/test/audit/1\n42\nqD7yTnVcVgrSsCOpSqVLPj1LrJVKdQvJv4gY6jZm7eQ=\n",
    "cosignature/v1\ntime 1800000000\ncortex/test/audit/1\n42\n",
    "SSH SIGNATURE",
];

#[test]
fn attack_37_a_signature_of_another_protocol_is_no_envelope_and_the_reverse() {
    let world = World::new();
    let draft = Draft::request();
    world.check(&draft.seal(), None, "its own signature");
    let alice = SigningKey::from_bytes(&[1; 32]).verifying_key();
    for text in TEXTS {
        let foreign = forge::sign(1, text.as_bytes());
        assert!(careless(&alice, text.as_bytes(), &foreign));
        world.check(&with_signature(&foreign), Some(ErrorCode::SignatureInvalid), text);
        assert!(!careless(&alice, text.as_bytes(), &draft.signature()), "{text}");
    }
    let parts = [draft.protected.as_slice(), &draft.external, &draft.payload];
    for context in ["Signature", "CounterSignature", "MAC0", "Encrypt0", "signature1"] {
        let signature = forge::sign(1, &forge::signed_bytes(context, parts));
        world.check(&with_signature(&signature), Some(ErrorCode::SignatureInvalid), context);
    }
    for (message, what) in [
        (draft.payload.clone(), "the payload alone"),
        (draft.seal(), "the envelope itself"),
        (forge::signed_bytes("Signature1", [&draft.protected, &[], &draft.payload]), "no context"),
        ([draft.message(), vec![0]].concat(), "a byte more"),
    ] {
        let signature = forge::sign(1, &message);
        world.check(&with_signature(&signature), Some(ErrorCode::SignatureInvalid), what);
    }
    // Nonces, checkpoints and notes are text; what an envelope's key signs never is.
    assert!(str::from_utf8(&draft.message()).is_err());
    assert_eq!(draft.message()[0], 0x84);
}
