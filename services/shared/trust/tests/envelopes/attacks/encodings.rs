//! Other spellings of the same value: each would be a second envelope of one request.

use schemas::ErrorCode;

use crate::{
    cbor::{self, HeadAt, bytes, heads, integer, text, unsigned},
    forge::{self, Claims, Draft, ISS, claims, payload},
    support::{NOW_S, World},
};

const MALFORMED: Option<ErrorCode> = Some(ErrorCode::EnvelopeMalformed);

/// The bytes in two chunks of an indefinite byte string.
fn chunked(content: &[u8]) -> Vec<u8> {
    let (first, second) = content.split_at(content.len() / 2);
    [vec![0x5f], bytes(first), bytes(second), vec![0xff]].concat()
}

/// The item at this head with an indefinite length, which must be an array or a map.
fn opened(item: &[u8], head: HeadAt, end: usize) -> Vec<u8> {
    let after = head.offset + 1 + head.width;
    [&item[..head.offset], &[head.major << 5 | 31], &item[after..end], &[0xff], &item[end..]]
        .concat()
}

#[test]
fn attack_17_indefinite_arrays_maps_and_strings_are_refused() {
    let world = World::new();
    let draft = Draft::request();
    let envelope = draft.seal();
    world.check(&envelope, None, "definite");
    let outer = heads(&envelope, 1)[0];
    world.check(&opened(&envelope, outer, envelope.len()), MALFORMED, "the array of four");
    for (part, content) in [&draft.protected, &vec![], &draft.payload].into_iter().enumerate() {
        if part != 1 {
            world.check(&draft.seal_with(part, chunked(content)), MALFORMED, "chunks");
        }
    }
    world.check(&draft.seal_with(1, vec![0xbf, 0xff]), MALFORMED, "the unprotected map");
    world.check(&draft.seal_with(3, chunked(&draft.signature())), MALFORMED, "the signature");
    let (protected, claims) = (draft.protected.clone(), draft.payload.clone());
    let header = opened(&protected, heads(&protected, 0)[0], protected.len());
    world.check(&draft.clone().protected(header).seal(), MALFORMED, "the protected map");
    let map = opened(&claims, heads(&claims, 0)[0], claims.len());
    world.check(&draft.clone().payload(map).seal(), MALFORMED, "the claims");
    let in_chunks =
        forge::claims_with(ISS, [vec![0x7f], text("ali"), text("ce"), vec![0xff]].concat());
    world.check(&Draft::of(&in_chunks).seal(), MALFORMED, "a text in chunks");
    let grants = forge::claims_with(forge::GRANTS, vec![0x9f, 0xff]);
    world.check(&Draft::of(&grants).seal(), MALFORMED, "an array of grants");
    let breaking = forge::claims_with(forge::EXP, vec![0xff]);
    world.check(&Draft::of(&breaking).seal(), MALFORMED, "a break alone");
}

#[test]
fn attack_18_no_head_can_be_spelled_at_greater_length() {
    let world = World::new();
    let draft = Draft::request();
    let envelope = draft.seal();
    world.check(&envelope, None, "shortest heads");
    let mut tried = 0;
    let mut check = |spelled: Vec<u8>, what: &str| {
        tried += 1;
        world.check(&spelled, MALFORMED, what);
    };
    for head in heads(&envelope, 0) {
        // The tag's head is one of them.
        for width in head.longer_widths() {
            check(head.respelled(&envelope, width), &format!("envelope, {head:?}"));
        }
    }
    for head in heads(&draft.protected, 0) {
        for width in head.longer_widths() {
            let protected = head.respelled(&draft.protected, width);
            let what = format!("header, {head:?} in {width}");
            check(draft.clone().protected(protected).seal(), &what);
        }
    }
    for head in heads(&draft.payload, 0) {
        for width in head.longer_widths() {
            let payload = head.respelled(&draft.payload, width);
            let what = format!("payload, {head:?} in {width}");
            check(draft.clone().payload(payload).seal(), &what);
        }
    }
    assert!(100 < tried, "only {tried} spellings");
    for simple in [0x14, 0x15, 0x16, 0x00, 0x1f, 0xff] {
        let claims = forge::claims_with(forge::EXP, vec![0xf8, simple]);
        world.check(&Draft::of(&claims).seal(), MALFORMED, "a simple value in two bytes");
    }
}

#[test]
fn attack_18_no_byte_can_be_inserted_anywhere() {
    let world = World::new();
    let envelope = Draft::request().seal();
    assert_eq!(world.refusal(&envelope), None);
    for at in 0..=envelope.len() {
        for byte in [0x00, 0x18, 0x58, 0x81, 0xa0, 0xd2, 0xf6, 0xff] {
            let mut longer = envelope.clone();
            longer.insert(at, byte);
            assert!(world.refusal(&longer).is_some(), "{byte:02x} at {at} does not matter");
        }
    }
}

#[test]
fn attack_19_a_key_that_occurs_twice_is_refused_whatever_its_values() {
    let world = World::new();
    world.check(&Draft::request().seal(), None, "each key once");
    for (index, (key, value)) in claims().into_iter().enumerate() {
        for (second, what) in [(value, "the same value"), (unsigned(1), "another value")] {
            for at in [index, index + 1] {
                let mut twice = claims();
                twice.insert(at, (key, second.clone()));
                world.check(&Draft::of(&twice).seal(), MALFORMED, &format!("claim {key}, {what}"));
            }
        }
    }
    let id = forge::key_id(world.alice.public());
    let entries = [
        (integer(1), integer(-19)),
        (integer(3), text(schemas::claims::REQUEST_TYPE)),
        (integer(4), bytes(&id)),
    ];
    for (index, entry) in entries.iter().enumerate() {
        for second in [entry.1.clone(), integer(-7)] {
            let mut twice = entries.to_vec();
            twice.insert(index + 1, (entry.0.clone(), second));
            let header = Draft::request().protected(cbor::map(&twice));
            world.check(&header.seal(), MALFORMED, &format!("header {index}"));
        }
    }
    let nested = cbor::map(&[(integer(1), integer(0)), (integer(1), integer(0))]);
    let claims = forge::claims_with(forge::GRANTS, nested);
    world.check(&Draft::of(&claims).seal(), MALFORMED, "within a claim");
}

#[test]
fn attack_20_keys_out_of_order_are_refused() {
    let world = World::new();
    world.check(&Draft::request().seal(), None, "keys in order");
    for first in 0..claims().len() {
        for second in first + 1..claims().len() {
            let mut swapped = claims();
            swapped.swap(first, second);
            let what = format!("{first} and {second} swapped");
            world.check(&Draft::of(&swapped).seal(), MALFORMED, &what);
        }
    }
    let mut falling = claims();
    falling.reverse();
    world.check(&Draft::of(&falling).seal(), MALFORMED, "falling");
    let numeric: Claims = {
        let mut claims = claims();
        claims.sort_by_key(|(key, _)| *key);
        claims
    };
    world.check(&Draft::of(&numeric).seal(), MALFORMED, "by number, not by encoding");
    let mut header = vec![
        (integer(1), integer(-19)),
        (integer(3), text(schemas::claims::REQUEST_TYPE)),
        (integer(4), bytes(&forge::key_id(world.alice.public()))),
    ];
    header.reverse();
    let reversed = Draft::request().protected(cbor::map(&header));
    world.check(&reversed.seal(), MALFORMED, "the header");
    for key in [text("iss"), bytes(&[1]), cbor::array(&[]), vec![0xf4], vec![0xf6]] {
        let more = [payload(&claims())[1..].to_vec(), key, integer(0)].concat();
        let map = [cbor::head(5, u64::try_from(claims().len() + 1).unwrap()), more].concat();
        world.check(&Draft::request().payload(map).seal(), MALFORMED, "a key that is no integer");
    }
}

#[test]
fn attack_23_text_that_is_no_utf8_or_looks_like_another_is_refused() {
    let world = World::new();
    world.check(&Draft::request().seal(), None, "ASCII");
    for (content, what) in [
        (&b"ali\xffe"[..], "no UTF-8"),
        (b"al\xed\xa0\x80", "a surrogate"),
        (b"ali\xc0\xaf", "an overlong slash"),
        (b"alic\xe2\x82", "cut within a character"),
        (b"ali\xf4\x90\x80\x80", "beyond the last character"),
    ] {
        let length = u64::try_from(content.len()).unwrap();
        let item = [cbor::head(3, length), content.to_vec()].concat();
        world.check(&Draft::of(&forge::claims_with(ISS, item)).seal(), MALFORMED, what);
    }
    let invalid = Some(ErrorCode::ClaimsInvalid);
    for name in [
        "alice\0",
        "alice ",
        "alice\n",
        "Alice",
        "\u{430}lice",
        "alice\u{301}",
        "\u{e4}lice",
        "a\u{308}lice",
        "\u{feff}alice",
        "\u{202e}ecila",
        "\u{ff41}lice",
        "alice.>",
        "*",
        "",
    ] {
        for claim in [ISS, forge::SUB] {
            let claims = forge::claims_with(claim, text(name));
            world.check(&Draft::of(&claims).seal(), invalid, &format!("{name:?}"));
        }
        let claims = forge::claims_with(forge::AUD, text(&format!("node:{name}")));
        world.check(&Draft::of(&claims).seal(), invalid, &format!("node:{name:?}"));
    }
    for homoglyph in
        ["node:n\u{43e}de-1", "node:node\u{2010}1", "n\u{43e}de:node-1", "node\u{ff1a}node-1"]
    {
        let claims = forge::claims_with(forge::AUD, text(homoglyph));
        world.check(&Draft::of(&claims).seal(), invalid, homoglyph);
    }
    let longest = "a".repeat(64);
    world.check(&Draft::of(&forge::claims_with(ISS, text(&longest))).seal(), invalid, "64 bytes");
    let late = forge::claims_with(forge::EXP, text(&(NOW_S + 3600).to_string()));
    world.check(&Draft::of(&late).seal(), invalid, "a time as text");
}
