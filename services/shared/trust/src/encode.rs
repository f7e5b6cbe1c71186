//! Writes deterministic CBOR (RFC 8949, section 4.2.1).
//!
//! **Invariant:** whatever is written passes the scanner: shortest heads, keys sorted and unique.

use std::collections::BTreeMap;

use crate::cbor::Integer;

pub(crate) fn integer(value: Integer) -> Vec<u8> {
    match value {
        Integer::Unsigned(value) => head(0, value),
        Integer::Negative(value) => head(1, value),
    }
}

pub(crate) fn unsigned(value: u64) -> Vec<u8> {
    head(0, value)
}

pub(crate) fn bytes(value: &[u8]) -> Vec<u8> {
    with_length(2, value)
}

pub(crate) fn text(value: &str) -> Vec<u8> {
    with_length(3, value.as_bytes())
}

pub(crate) fn array(items: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let items: Vec<_> = items.into_iter().collect();
    let mut encoded = head(4, length(items.len()));
    encoded.extend(items.into_iter().flatten());
    encoded
}

/// Encodes a map; its order is the map's own, which is that of the encoded keys.
pub(crate) fn map(entries: &BTreeMap<Integer, Vec<u8>>) -> Vec<u8> {
    let mut encoded = head(5, length(entries.len()));
    for (key, value) in entries {
        encoded.extend(integer(*key));
        encoded.extend(value);
    }
    encoded
}

fn with_length(major: u8, value: &[u8]) -> Vec<u8> {
    let mut encoded = head(major, length(value.len()));
    encoded.extend(value);
    encoded
}

fn length(length: usize) -> u64 {
    u64::try_from(length).expect("no length exceeds 64 bits")
}

fn head(major: u8, argument: u64) -> Vec<u8> {
    let digits = argument.to_be_bytes();
    let (info, used): (u8, &[u8]) = match argument {
        0..24 => (digits[7], &[]),
        24..=0xff => (24, &digits[7..]),
        0x100..=0xffff => (25, &digits[6..]),
        0x1_0000..=0xffff_ffff => (26, &digits[4..]),
        0x1_0000_0000.. => (27, &digits),
    };
    let mut encoded = vec![major << 5 | info];
    encoded.extend(used);
    encoded
}
