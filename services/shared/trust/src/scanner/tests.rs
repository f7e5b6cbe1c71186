//! One encoding of each value passes, and nothing makes the scanner stumble.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{cbor::ENVELOPE_BYTES_MAX, encode};

#[track_caller]
fn check(digits: &str, expected: Result<(), (Rule, usize)>) {
    let input = unhex(digits);
    let result =
        scan(&input, ENVELOPE_BYTES_MAX).map(|_| ()).map_err(|error| (error.rule, error.offset));
    assert_eq!(result, expected, "{digits}");
}

fn unhex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|digit| !digit.is_ascii_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

#[test]
fn every_type_of_the_profile_is_accepted() {
    for item in [
        "00",
        "17",
        "18 18",
        "19 0100",
        "1a 00010000",
        "1b 0000000100000000",
        "1b ffffffffffffffff",
        "20",
        "3b ffffffffffffffff",
        "40",
        "43 010203",
        "60",
        "62 c3a4",
        "80",
        "83 01 02 03",
        "a0",
        "a3 01 02 18 18 00 20 00",
        "f4",
        "f5",
        "f6",
        "82 a1 01 82 80 a0 f6",
    ] {
        check(item, Ok(()));
    }
}

#[test]
fn integers_and_lengths_must_be_in_their_shortest_form() {
    for head in ["18 17", "19 00ff", "1a 0000ffff", "1b 00000000ffffffff", "38 00", "58 00"] {
        check(head, Err((Rule::NotShortest, 0)));
    }
    check("82 00 18 00", Err((Rule::NotShortest, 2)));
}

#[test]
fn indefinite_lengths_and_breaks_are_refused() {
    for head in ["5f 40 ff", "7f 60 ff", "9f ff", "bf ff", "ff", "1f", "3f", "df"] {
        check(head, Err((Rule::IndefiniteLength, 0)));
    }
}

#[test]
fn reserved_heads_floats_and_other_simple_values_are_refused() {
    for head in ["1c", "3d", "5e", "7c", "9d", "be", "dc", "fc", "fd", "fe"] {
        check(head, Err((Rule::ReservedHead, 0)));
    }
    for head in ["f9 0000", "fa 00000000", "fb 0000000000000000"] {
        check(head, Err((Rule::Float, 0)));
    }
    for head in ["e0", "f3", "f7", "f8 ff", "f8 14"] {
        check(head, Err((Rule::SimpleValue, 0)));
    }
}

#[test]
fn map_keys_are_integers_that_rise() {
    check("a2 01 00 01 00", Err((Rule::KeyDuplicate, 3)));
    check("a2 20 00 20 01", Err((Rule::KeyDuplicate, 3)));
    check("a2 02 00 01 00", Err((Rule::KeyOrder, 3)));
    check("a2 20 00 01 00", Err((Rule::KeyOrder, 3)));
    check("a2 21 00 20 00", Err((Rule::KeyOrder, 3)));
    check("a1 61 61 00", Err((Rule::KeyNotInteger, 1)));
    check("a1 80 00", Err((Rule::KeyNotInteger, 1)));
    check("a2 01 a1 05 00 02 00", Ok(()));
    check("a2 01 a2 05 00 05 00 02 00", Err((Rule::KeyDuplicate, 5)));
}

#[test]
fn tags_are_refused_save_the_one_in_front() {
    check("c1 00", Err((Rule::TagInside, 0)));
    check("d2 80", Err((Rule::TagInside, 0)));
    let tagged = |digits| {
        scan_tagged(&unhex(digits), ENVELOPE_BYTES_MAX).map(|_| ()).map_err(|error| error.rule)
    };
    assert_eq!(tagged("d2 80"), Ok(()));
    assert_eq!(tagged("d2 d2 80"), Err(Rule::TagInside));
    assert_eq!(tagged("d8 12 80"), Err(Rule::TagMissing));
    assert_eq!(tagged("80"), Err(Rule::TagMissing));
    assert_eq!(tagged(""), Err(Rule::TagMissing));
    assert_eq!(tagged("d2"), Err(Rule::Truncated));
}

#[test]
fn eight_levels_are_the_deepest() {
    check("81 81 81 81 81 81 81 80", Ok(()));
    check("81 81 81 81 81 81 81 81 80", Err((Rule::TooDeep, 8)));
    check("81 81 81 81 81 81 81 81 00", Ok(()));
    check("a1 01 a1 01 a1 01 a1 01 a1 01 a1 01 a1 01 a1 01 a0", Err((Rule::TooDeep, 16)));
    check("82 81 81 81 81 81 81 80 81 81 81 81 81 81 80", Ok(()));
}

#[test]
fn declared_lengths_beyond_the_input_are_refused_at_their_head() {
    for head in ["41", "61", "81", "a1", "a1 01", "42 00", "82 00"] {
        let result = scan(&unhex(head), ENVELOPE_BYTES_MAX).map(|_| ());
        assert!(matches!(result.unwrap_err().rule, Rule::LengthBeyondInput | Rule::Truncated));
    }
    for initial in ["5b", "7b", "9b", "bb"] {
        check(&format!("{initial} ffffffffffffffff"), Err((Rule::LengthBeyondInput, 0)));
        check(&format!("{initial} 8000000000000000"), Err((Rule::LengthBeyondInput, 0)));
    }
    check("", Err((Rule::Truncated, 0)));
    check("19 01", Err((Rule::Truncated, 0)));
    check("81 18", Err((Rule::Truncated, 1)));
}

#[test]
fn text_is_utf8_and_nothing_follows_the_item() {
    check("61 ff", Err((Rule::InvalidUtf8, 0)));
    check("63 eda080", Err((Rule::InvalidUtf8, 0)));
    check("82 00 62 c0af", Err((Rule::InvalidUtf8, 2)));
    check("00 00", Err((Rule::TrailingBytes, 1)));
    check("80 f6", Err((Rule::TrailingBytes, 1)));
}

#[test]
fn the_size_limit_comes_first() {
    let rule = |length: usize| {
        scan(&vec![0xff; length], ENVELOPE_BYTES_MAX).map(|_| ()).map_err(|error| error.rule)
    };
    assert_eq!(rule(ENVELOPE_BYTES_MAX), Err(Rule::IndefiniteLength));
    assert_eq!(rule(ENVELOPE_BYTES_MAX + 1), Err(Rule::TooLong));
}

/// A value of the profile, to compare bytes with meaning.
#[derive(Clone, Debug, PartialEq)]
enum Item {
    Integer(Integer),
    Bytes(Vec<u8>),
    Text(String),
    Array(Vec<Item>),
    Map(Vec<(Integer, Item)>),
    Simple(u8),
}

fn encoded(item: &Item) -> Vec<u8> {
    match item {
        Item::Integer(value) => encode::integer(*value),
        Item::Bytes(value) => encode::bytes(value),
        Item::Text(value) => encode::text(value),
        Item::Array(items) => encode::array(items.iter().map(encoded)),
        Item::Map(entries) => {
            encode::map(&entries.iter().map(|(key, value)| (*key, encoded(value))).collect())
        }
        Item::Simple(byte) => vec![*byte],
    }
}

/// Reads with a general decoder, so that scanner and encoder cannot be wrong together.
#[expect(clippy::wildcard_enum_match_arm, reason = "the decoder's type may grow")]
fn decoded(bytes: &[u8]) -> Item {
    use coset::cbor::value::Value;
    fn item(value: Value) -> Item {
        let integer = |value: coset::cbor::value::Integer| match u64::try_from(value) {
            Ok(value) => Integer::Unsigned(value),
            Err(_) => Integer::Negative(u64::try_from(-1 - i128::from(value)).unwrap()),
        };
        match value {
            Value::Integer(value) => Item::Integer(integer(value)),
            Value::Bytes(value) => Item::Bytes(value),
            Value::Text(value) => Item::Text(value),
            Value::Array(items) => Item::Array(items.into_iter().map(item).collect()),
            Value::Map(entries) => {
                let entry = |(key, value): (Value, Value)| {
                    (integer(key.into_integer().unwrap()), item(value))
                };
                Item::Map(entries.into_iter().map(entry).collect())
            }
            Value::Bool(false) => Item::Simple(0xf4),
            Value::Bool(true) => Item::Simple(0xf5),
            Value::Null => Item::Simple(0xf6),
            other => panic!("the scanner let {other:?} pass"),
        }
    }
    item(coset::cbor::from_reader(bytes).unwrap())
}

fn integers() -> impl Strategy<Value = Integer> {
    let sizes = prop_oneof![0..30_u64, 0..300_u64, 0..70_000_u64, any::<u64>()];
    (any::<bool>(), sizes).prop_map(|(negative, value)| {
        if negative { Integer::Negative(value) } else { Integer::Unsigned(value) }
    })
}

fn items() -> impl Strategy<Value = Item> {
    let leaf = prop_oneof![
        integers().prop_map(Item::Integer),
        vec(any::<u8>(), 0..300).prop_map(Item::Bytes),
        ".{0,40}".prop_map(Item::Text),
        (0xf4..=0xf6_u8).prop_map(Item::Simple),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Item::Array),
            proptest::collection::btree_map(integers(), inner, 0..6)
                .prop_map(|entries| Item::Map(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_encoded_is_accepted_and_means_the_same(item in items()) {
        let bytes = encoded(&item);
        prop_assert!(scan(&bytes, ENVELOPE_BYTES_MAX).is_ok());
        prop_assert_eq!(decoded(&bytes), item);
    }

    #[test]
    fn what_is_accepted_encodes_to_itself(bytes in vec(any::<u8>(), 0..12)) {
        if scan(&bytes, ENVELOPE_BYTES_MAX).is_ok() {
            prop_assert_eq!(encoded(&decoded(&bytes)), bytes);
        }
    }

    #[test]
    fn what_is_accepted_after_a_change_encodes_to_itself(
        (item, at, byte) in (items(), any::<prop::sample::Index>(), any::<u8>()),
    ) {
        let mut bytes = encoded(&item);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if scan(&bytes, ENVELOPE_BYTES_MAX).is_ok() {
            prop_assert_eq!(encoded(&decoded(&bytes)), bytes);
        }
    }
}
