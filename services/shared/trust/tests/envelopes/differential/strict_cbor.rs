//! A second strict reader of CBOR, `dcbor`, agrees with the scanner on every item.
//!
//! It differs on purpose in four points: it takes tags, shortest floats, keys of any type and any
//! depth; and it wants text in normal form, which the profile leaves to whoever reads the claim.

use dcbor::{CBOR, CBORCase, Error, Simple};
use proptest::{collection::vec, prelude::*, sample::Index};
use trust::{EnvelopeError, Rule};

use super::items::{items, spoilt};
use crate::{
    cbor,
    forge::{header, tagged},
    support::World,
};

/// `dcbor` recurses without a limit, so it is shown no more than this.
const ORACLE_BYTES_MAX: usize = 400;
const DEPTH_MAX: usize = 8;

/// What the scanner says of an item, seen from outside: as the payload of an envelope whose key is
/// unknown, which is found out after the scan and before any signature is checked.
fn scanned(world: &World, item: &[u8]) -> Result<(), Rule> {
    let protected = header(-19, schemas::claims::REQUEST_TYPE, &[0; 16]);
    let parts = [cbor::bytes(&protected), cbor::map(&[]), cbor::bytes(item), cbor::bytes(&[0; 64])];
    match world.verify(&tagged(&parts)) {
        Err(EnvelopeError::MalformedPart { part: "payload", cause }) => Err(cause.rule),
        Err(EnvelopeError::Key(_)) => Ok(()),
        other => panic!("{item:02x?}: {other:?}"),
    }
}

/// Why the scanner may refuse what `dcbor` reads.
fn outside_of_the_profile(item: &CBOR, depth: usize) -> bool {
    let inner = |item| outside_of_the_profile(item, depth + 1);
    match item.as_case() {
        CBORCase::Unsigned(_) | CBORCase::Negative(_) => false,
        CBORCase::ByteString(_) | CBORCase::Text(_) => false,
        CBORCase::Array(items) => depth == DEPTH_MAX || items.iter().any(inner),
        CBORCase::Map(entries) => {
            let is_integer =
                |key: &CBOR| matches!(key.as_case(), CBORCase::Unsigned(_) | CBORCase::Negative(_));
            let mut entries = entries.iter();
            depth == DEPTH_MAX || entries.any(|(key, value)| !is_integer(key) || inner(value))
        }
        CBORCase::Tagged(..) | CBORCase::Simple(Simple::Float(_)) => true,
        CBORCase::Simple(Simple::False | Simple::True | Simple::Null) => false,
    }
}

fn compare(item: &[u8]) -> Result<(), TestCaseError> {
    prop_assert!(item.len() <= ORACLE_BYTES_MAX);
    let verdict = scanned(&World::new(), item);
    match CBOR::try_from_data(item) {
        Ok(read) => {
            prop_assert_eq!(read.to_cbor_data(), item, "dcbor writes it otherwise");
            let expected = !outside_of_the_profile(&read, 0);
            prop_assert_eq!(verdict.is_ok(), expected, "{:02x?}: {:?}", item, verdict);
        }
        // The scanner knows nothing of normal forms; names are ASCII by the rules of the claims.
        Err(Error::NonCanonicalString) => {}
        Err(error) => prop_assert!(verdict.is_err(), "{item:02x?}: dcbor says {error}"),
    }
    Ok(())
}

fn short(item: Vec<u8>) -> Vec<u8> {
    if item.len() <= ORACLE_BYTES_MAX { item } else { vec![0xf6] }
}

#[test]
fn the_oracle_and_the_scanner_both_accept_and_both_refuse() {
    let world = World::new();
    for (item, ours, theirs) in [
        (&b"\x83\x01\x20\x43abc"[..], true, true),
        (b"\x18\x17", false, false),
        (b"\xa2\x02\x00\x01\x00", false, false),
        (b"\xa2\x01\x00\x01\x00", false, false),
        (b"\x9f\xff", false, false),
        (b"\x00\x00", false, false),
        (b"\xc1\x00", false, true),
        (b"\xa1\x61a\x00", false, true),
        (b"\xf9\x3e\x00", false, true),
        (b"\x63a\xcc\x88", true, false),
    ] {
        assert_eq!(scanned(&world, item).is_ok(), ours, "the scanner on {item:02x?}");
        assert_eq!(CBOR::try_from_data(item).is_ok(), theirs, "dcbor on {item:02x?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn they_agree_on_values_of_the_profile(item in items()) {
        let encoded = item.encoded();
        prop_assert!(scanned(&World::new(), &encoded).is_ok());
        compare(&short(encoded))?;
    }

    #[test]
    fn they_agree_on_spoilt_values(
        (item, changes) in (items(), vec((any::<Index>(), any::<u8>(), any::<u8>()), 1..4)),
    ) {
        let mut bytes = short(item.encoded());
        for (at, kind, byte) in changes {
            // A change that takes the only byte away, or breaks a head, leaves no heads to widen.
            let kind = if kind % 4 == 3 && scanned(&World::new(), &bytes).is_err() { 0 } else { kind };
            if !bytes.is_empty() {
                bytes = spoilt(&bytes, at, kind, byte);
            }
        }
        compare(&short(bytes))?;
    }

    #[test]
    fn they_agree_on_any_bytes(bytes in vec(any::<u8>(), 0..24)) {
        compare(&bytes)?;
    }
}
