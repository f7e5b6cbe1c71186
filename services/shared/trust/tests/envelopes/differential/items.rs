//! Values of the profile, and their only encoding.

use std::collections::BTreeMap;

use proptest::{collection::btree_map, collection::vec, prelude::*};

use crate::cbor;

/// A value that the profile has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    Unsigned(u64),
    /// `n` stands for -1 - n.
    Negative(u64),
    Bytes(Vec<u8>),
    Text(String),
    Array(Vec<Item>),
    /// By whether the key is negative and what its argument is, which is the order of encodings.
    Map(BTreeMap<(bool, u64), Item>),
    False,
    True,
    Null,
}

impl Item {
    pub(crate) fn encoded(&self) -> Vec<u8> {
        match self {
            Self::Unsigned(value) => cbor::head(0, *value),
            Self::Negative(value) => cbor::head(1, *value),
            Self::Bytes(value) => cbor::bytes(value),
            Self::Text(value) => cbor::text(value),
            Self::Array(items) => cbor::array(&items.iter().map(Self::encoded).collect::<Vec<_>>()),
            Self::Map(entries) => {
                let entry = |((negative, argument), value): (&(bool, u64), &Self)| {
                    (cbor::head(u8::from(*negative), *argument), value.encoded())
                };
                cbor::map(&entries.iter().map(entry).collect::<Vec<_>>())
            }
            Self::False => vec![0xf4],
            Self::True => vec![0xf5],
            Self::Null => vec![0xf6],
        }
    }
}

fn arguments() -> impl Strategy<Value = u64> {
    prop_oneof![0..30_u64, 0..300_u64, 0..70_000_u64, 0..5_000_000_000_u64, any::<u64>()]
}

/// Values of up to six levels.
pub(crate) fn items() -> impl Strategy<Value = Item> {
    let leaf = prop_oneof![
        arguments().prop_map(Item::Unsigned),
        arguments().prop_map(Item::Negative),
        vec(any::<u8>(), 0..30).prop_map(Item::Bytes),
        "[ -~]{0,30}".prop_map(Item::Text),
        ".{0,8}".prop_map(Item::Text),
        prop_oneof![Just(Item::False), Just(Item::True), Just(Item::Null)],
    ];
    leaf.prop_recursive(5, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Item::Array),
            btree_map((any::<bool>(), arguments()), inner, 0..5).prop_map(Item::Map),
        ]
    })
}

/// One change that keeps much of the bytes: another byte, one more, one less, or a head at length.
pub(crate) fn spoilt(bytes: &[u8], at: prop::sample::Index, kind: u8, byte: u8) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let place = at.index(bytes.len());
    match kind % 4 {
        0 => changed[place] = byte,
        1 => changed.insert(place, byte),
        2 => drop(changed.remove(place)),
        _ => {
            let heads = cbor::heads(bytes, 0);
            let head = heads[at.index(heads.len())];
            if let Some(width) = head.longer_widths().next() {
                changed = head.respelled(bytes, width);
            }
        }
    }
    changed
}
