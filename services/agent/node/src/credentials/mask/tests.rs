//! What a mask hides, however the output is cut into pieces, and what it leaves as it is.

use std::sync::Arc;

use bytes::Bytes;
use sandbox_process::{CHUNK_BYTES_MAX, Chunk, Stream, StreamTotals};
use schemas::Sha256Hash;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{Mask, Masked};
use crate::credentials::secret::Secret;

const NO_LIMIT: u64 = u64::MAX;

fn mask(credentials: &[(&str, &str)]) -> Arc<Mask> {
    let secret = |(name, value): &(&str, &str)| {
        let value = Zeroizing::new(value.as_bytes().to_vec());
        ((*name).to_owned(), Secret::new(value).unwrap())
    };
    Arc::new(Mask::new(&credentials.iter().map(secret).collect::<Vec<_>>()))
}

fn chunk(offset: u64, bytes: &[u8]) -> Chunk {
    Chunk { stream: Stream::Stdout, offset, bytes: Bytes::copy_from_slice(bytes) }
}

fn totals(bytes: u64, dropped: u64) -> StreamTotals {
    StreamTotals { bytes, dropped, sha256: Sha256Hash::ZERO }
}

fn len(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap()
}

/// What leaves of the pieces, joined; every piece must stand where the one before it ended.
fn through(mask: &Arc<Mask>, pieces: &[&[u8]]) -> (Vec<u8>, StreamTotals) {
    let mut masked = Masked::new(mask, NO_LIMIT);
    let (mut written, mut leaving) = (0, Vec::new());
    for piece in pieces {
        leaving.extend(masked.take(&chunk(written, piece)));
        written += len(piece);
    }
    let (last, [totals, _]) = masked.finish([totals(written, 0), totals(0, 0)]);
    leaving.extend(last);
    let mut all = Vec::new();
    for chunk in leaving {
        assert_eq!(chunk.offset, len(&all));
        assert!(chunk.bytes.len() <= CHUNK_BYTES_MAX);
        all.extend_from_slice(&chunk.bytes);
    }
    (all, totals)
}

#[track_caller]
fn check(credentials: &[(&str, &str)], written: &str, expected: &str) {
    let (mask, bytes) = (mask(credentials), written.as_bytes());
    let mut cuts: Vec<Vec<&[u8]>> = vec![vec![bytes], bytes.chunks(1).collect()];
    cuts.extend((0..=bytes.len()).map(|at| vec![&bytes[..at], &bytes[at..]]));
    for pieces in cuts {
        let (left, totals) = through(&mask, &pieces);
        assert_eq!(String::from_utf8_lossy(&left), expected, "cut into {}", pieces.len());
        assert_eq!((totals.bytes, totals.dropped), (len(expected.as_bytes()), 0));
        assert_eq!(totals.sha256, Sha256Hash(Sha256::digest(expected).into()));
    }
}

#[test]
fn a_value_is_replaced_by_its_name_wherever_it_stands() {
    let token = [("token", "hunter22")];
    check(&token, "hunter22", "[credential token]");
    check(&token, "a hunter22, hunter22 b", "a [credential token], [credential token] b");
    check(&token, "hunter22hunter22", "[credential token][credential token]");
    check(&token, "hunter2 hunter", "hunter2 hunter");
    check(&token, "hunhunter22ter22", "hun[credential token]ter22");
    check(&token, "", "");
}

#[test]
fn white_space_around_a_value_does_not_matter() {
    let token = [("token", " hunter22\n")];
    check(&token, "x hunter22\n", "x [credential token]\n");
    check(&token, "'hunter22'", "'[credential token]'");
}

#[test]
fn a_value_that_overlaps_itself_leaves_nothing_of_it() {
    check(&[("t", "abcabcab")], "abcabcabcabcab!", "[credential t]!");
    check(&[("t", "aaaaaa")], "aaaaaaaaa!", "[credential t]!");
    check(&[("t", "aaaaaa")], "aaaaa!", "aaaaa!");
}

#[test]
fn of_two_values_the_longer_one_hides_the_shorter_one() {
    let both = [("short", "secret"), ("long", "a secret thing")];
    check(&both, "a secret thing", "[credential long]");
    check(&both, "a secret thin", "a [credential short] thin");
    check(&both, "the secret", "the [credential short]");
    let crossing = [("one", "abcdef"), ("two", "defghi")];
    check(&crossing, "abcdefghi.", "[credential one].");
}

#[test]
fn each_line_of_a_longer_value_is_hidden_by_itself() {
    let key = [("key", "-----BEGIN\nabcdefgh\nij==\n-----END\n")];
    check(&key, "-----BEGIN\nabcdefgh\nij==\n-----END\n", "[credential key]\n");
    check(&key, "  abcdefgh\r\n  ij==", "  [credential key]\r\n  ij==");
}

#[test]
fn short_values_are_left_as_they_are() {
    check(&[("pin", "12345")], "12345", "12345");
    check(&[("pin", "123456")], "123456", "[credential pin]");
}

#[test]
fn bytes_that_are_no_text_are_hidden_as_well() {
    let value = Zeroizing::new(vec![0xff, 0, 0xfe, 1, 0xfd, 2]);
    let mask = Arc::new(Mask::new(&[("raw".to_owned(), Secret::new(value).unwrap())]));
    let (left, _) = through(&mask, &[&[9, 0xff, 0, 0xfe], &[1, 0xfd, 2, 9]]);
    assert_eq!(left, [&[9][..], b"[credential raw]", &[9]].concat());
}

#[test]
fn only_what_may_become_a_value_is_held_back() {
    let mut masked = Masked::new(&mask(&[("token", "hunter22")]), NO_LIMIT);
    let left = |chunks: Vec<Chunk>| chunks.iter().map(|it| it.bytes.to_vec()).collect::<Vec<_>>();
    assert_eq!(left(masked.take(&chunk(0, b"prompt> "))), [b"prompt> ".to_vec()]);
    assert_eq!(left(masked.take(&chunk(8, b"x hunter"))), [b"x ".to_vec()]);
    assert_eq!(left(masked.take(&chunk(16, b"2!"))), [b"hunter2!".to_vec()]);
    assert_eq!(left(masked.take(&chunk(18, b"hunter22"))), [b"[credential token]".to_vec()]);
}

#[test]
fn where_output_was_dropped_the_beginning_of_a_value_is_hidden_too() {
    let mut masked = Masked::new(&mask(&[("token", "hunter22")]), NO_LIMIT);
    assert_eq!(masked.take(&chunk(0, b"hunter2")), []);
    let shown: Vec<_> = masked.take(&chunk(107, b"2 more"));
    let tag = b"[credential token]";
    assert_eq!(shown, [chunk(0, tag), chunk(len(tag) + 100, b"2 more")]);
    assert_eq!(masked.take(&chunk(113, b"hun")), []);
    let (last, [out, _]) = masked.finish([totals(200, 100 + 84), totals(0, 0)]);
    assert_eq!(last, [chunk(len(tag) + 106, b"hun")]);
    assert_eq!((out.bytes, out.dropped), (len(tag) + 100 + 6 + 3 + 84, 184));
}

#[test]
fn masks_do_not_make_the_output_longer_than_it_may_be() {
    let mut masked = Masked::new(&mask(&[("token", "hunter22")]), 20);
    let all = masked.take(&chunk(0, b"hunter22hunter22"));
    assert_eq!(all, [chunk(0, b"[credential token][c")]);
    let (last, [out, _]) = masked.finish([totals(16, 0), totals(0, 0)]);
    assert_eq!((last, out.bytes, out.dropped), (Vec::new(), 36, 16));
}

#[test]
fn the_two_streams_are_apart() {
    let mut masked = Masked::new(&mask(&[("token", "hunter22")]), NO_LIMIT);
    assert_eq!(masked.take(&chunk(0, b"hunt")), []);
    let error = Chunk { stream: Stream::Stderr, offset: 0, bytes: Bytes::from_static(b"er22") };
    assert_eq!(masked.take(&error), [error]);
}

/// Against the obvious way of doing it, with texts of few letters so that much overlaps.
#[test]
fn no_value_leaves_whatever_is_written() {
    let mut seed: u32 = 7;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from(seed >> 8).unwrap() % below
    };
    for _ in 0..2000 {
        let mut text = |length: usize| -> String {
            (0..length).map(|_| char::from(b"xyz"[random(3)])).collect()
        };
        let values = [text(6), text(7), text(12)];
        let written: String = [text(20), values[0].clone(), text(3), values[2].clone()].concat();
        let named = [("A", &*values[0]), ("B", &*values[1]), ("C", &*values[2])];
        let bytes = written.as_bytes();
        let at = random(bytes.len());
        let (left, _) = through(&mask(&named), &[&bytes[..at], &bytes[at..]]);
        assert_eq!(String::from_utf8_lossy(&left), obvious(&written, &named), "{written}");
    }
}

/// Marks every byte of every value, then writes a tag where a value begins outside of another.
fn obvious(written: &str, named: &[(&str, &str)]) -> String {
    let (mut left, mut at, mut hidden_until) = (String::new(), 0, 0);
    while at < written.len() {
        let begins = |(_, value): &&(&str, &str)| written[at..].starts_with(value);
        let longest = named.iter().filter(begins).max_by_key(|(_, value)| value.len());
        if let Some((name, value)) = longest {
            if hidden_until <= at {
                left.push_str(&format!("[credential {name}]"));
            }
            hidden_until = hidden_until.max(at + value.len());
        }
        if hidden_until <= at {
            left.push_str(&written[at..=at]);
        }
        at += 1;
    }
    left
}
