//! What must hold for any bytes at all; the fuzz targets in `fuzz/` and a bounded run here call it.
//!
//! - Nothing panics.
//! - What is refused before its signature is looked at allocates nothing, and what is refused or
//!   accepted later allocates no more than in proportion to the bytes that are there: no declared
//!   length is believed.
//! - What is accepted is written again as the same bytes.

#[path = "standing.rs"]
mod standing;

use std::{collections::BTreeMap, sync::LazyLock};

use allocation_counter::{AllocationInfo, measure};
use schemas::claims::REQUEST_TYPE;
use trust::{Assignment, EnvelopeError, Request, Verified, sign};

use crate::{
    cbor,
    forge::{self, Draft},
    support::{World, assignment, cluster, request},
};

/// What a verification may hold at most, whatever its envelope: names, messages, a parsed body.
const ALLOCATED_BYTES_BASE: u64 = 16 * 1024;
/// What it may hold for each byte of its envelope.
const ALLOCATED_BYTES_PER_BYTE: u64 = 64;
const DEPTH_MAX: usize = 8;

/// Everything that a body would otherwise make anew for each input.
struct Stage {
    world: World,
    request: Draft,
    assignment: Draft,
    /// What the assignment assigns.
    assigned: Verified<Request>,
}

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let world = World::new();
    let envelope = world.sign_request(&request());
    let assigned = world.verify(&envelope).unwrap();
    Stage { world, request: Draft::request(), assignment: good_assignment(&envelope), assigned }
});

fn good_assignment(envelope: &[u8]) -> Draft {
    let claims = assignment(envelope);
    Draft::assignment(&vec![
        (forge::ISS, cbor::text("scheduler")),
        (forge::EXP, cbor::unsigned(claims.expires_at_s)),
        (forge::IAT, cbor::unsigned(claims.issued_at_s)),
        (-65542, cbor::text(claims.task.as_str())),
        (-65543, cbor::bytes(&claims.request_hash.0)),
        (-65544, cbor::text(claims.node.as_str())),
        (-65545, cbor::unsigned(claims.epoch)),
        (-65546, cbor::unsigned(claims.attempt.into())),
        (-65547, cbor::unsigned(claims.term)),
    ])
}

/// Any bytes as an item, seen through an envelope whose key is unknown: that is found out after
/// the scan and before any signature is checked.
pub(crate) fn scanner(item: &[u8]) {
    let protected = forge::header(-19, REQUEST_TYPE, &[0; 16]);
    let parts = [cbor::bytes(&protected), cbor::map(&[]), cbor::bytes(item), cbor::bytes(&[0; 64])];
    let (verdict, allocated) = verified(&forge::tagged(&parts));
    assert_eq!(allocated.bytes_total, 0, "the scan allocates");
    match verdict {
        Err(EnvelopeError::Malformed(_) | EnvelopeError::MalformedPart { part: "payload", .. }) => {
        }
        Err(EnvelopeError::Key(_)) => {
            let (again, length) = rewritten(item, 0);
            assert_eq!((again.as_slice(), length), (item, item.len()), "another encoding passed");
        }
        other => panic!("{other:?}"),
    }
}

/// The first byte says what the others are: an envelope, or a part of one that is then signed.
pub(crate) fn envelope(data: &[u8]) {
    is_accepted(data);
}

/// Whether it was accepted, by rules that hold either way.
pub(crate) fn is_accepted(data: &[u8]) -> bool {
    let Some((mode, rest)) = data.split_first() else { return false };
    let stage = &*STAGE;
    let with_claim = |key: i64| {
        let text = String::from_utf8_lossy(rest);
        Draft {
            payload: forge::payload(&forge::claims_with(key, cbor::text(&text))),
            ..stage.request.clone()
        }
    };
    match mode % MODES {
        0 => a_request(rest),
        1 => a_request(&stage.request.clone().payload(rest.to_vec()).seal()),
        2 => a_request(&stage.request.clone().protected(rest.to_vec()).seal()),
        3 => a_request(&with_claim(forge::SPEC).seal()),
        4 => a_request(&with_claim(forge::GRANTS).seal()),
        5 => an_assignment(rest),
        6 => an_assignment(&stage.assignment.clone().payload(rest.to_vec()).seal()),
        7 => standing::an_order(rest),
        8 => standing::a_roster(rest),
        _ => standing::a_certificate(rest),
    }
}

/// How many meanings the first byte of an input has.
pub(crate) const MODES: u8 = 10;

/// Inputs from which a fuzzer begins: one good one for each meaning.
pub(crate) fn good_inputs() -> Vec<Vec<u8>> {
    let stage = &*STAGE;
    let with_mode = |mode: u8, rest: &[u8]| [&[mode], rest].concat();
    let [order, roster, certificate] = standing::good_payloads();
    vec![
        with_mode(0, &stage.request.seal()),
        with_mode(1, &stage.request.payload),
        with_mode(2, &stage.request.protected),
        with_mode(3, br#"{"work":{"kind":"command","argv":["ls"]},"idempotent":true}"#),
        with_mode(4, br#"{"capabilities":["shell.exec"],"tasks_max":3}"#),
        with_mode(5, &stage.assignment.seal()),
        with_mode(6, &stage.assignment.payload),
        with_mode(7, &order),
        with_mode(8, &roster),
        with_mode(9, &certificate),
    ]
}

fn a_request(envelope: &[u8]) -> bool {
    let (verdict, allocated) = verified(envelope);
    check_allocated(envelope, allocated);
    match verdict {
        Ok(verified) => {
            let again = sign::<Request>(verified.claims(), &cluster(), &STAGE.world.alice).unwrap();
            assert_eq!(again, envelope, "another encoding was accepted");
            true
        }
        Err(error) => {
            check_refusal(&error, allocated);
            false
        }
    }
}

fn an_assignment(envelope: &[u8]) -> bool {
    let stage = &*STAGE;
    let mut verdict = None;
    let allocated =
        measure(|| verdict = Some(stage.world.verify_assignment(envelope, &stage.assigned)));
    check_allocated(envelope, allocated);
    match verdict.unwrap() {
        Ok(verified) => {
            let key = &stage.world.scheduler;
            let again = sign::<Assignment>(verified.claims(), &cluster(), key).unwrap();
            assert_eq!(again, envelope, "another encoding was accepted");
            true
        }
        Err(error) => {
            check_refusal(&error, allocated);
            false
        }
    }
}

fn verified(envelope: &[u8]) -> (Result<Verified<Request>, EnvelopeError>, AllocationInfo) {
    let world = &STAGE.world;
    let mut verdict = None;
    let allocated = measure(|| verdict = Some(world.verify(envelope)));
    (verdict.unwrap(), allocated)
}

fn check_allocated(envelope: &[u8], allocated: AllocationInfo) {
    let length = u64::try_from(envelope.len()).unwrap();
    let most = ALLOCATED_BYTES_BASE + ALLOCATED_BYTES_PER_BYTE * length;
    let bytes = allocated.bytes_max;
    assert!(bytes <= most, "{bytes} bytes were held for {length}");
}

fn check_refusal(error: &EnvelopeError, allocated: AllocationInfo) {
    let before_the_signature = matches!(
        error,
        EnvelopeError::Unsigned
            | EnvelopeError::Malformed(_)
            | EnvelopeError::MalformedPart { .. }
            | EnvelopeError::Shape(_)
            | EnvelopeError::Header(_)
    );
    if before_the_signature {
        assert_eq!(allocated.bytes_total, 0, "{error}");
    }
    assert!(!error.to_fault().message.is_empty());
}

/// The item at the start of accepted bytes, written anew from what it means, and how long it was.
fn rewritten(input: &[u8], depth: usize) -> (Vec<u8>, usize) {
    let head = cbor::first_head(input);
    let (mut at, argument) = (1 + head.width, head.argument);
    let count = usize::try_from(argument).unwrap_or(usize::MAX);
    let next = |at: &mut usize| {
        assert!(depth < DEPTH_MAX, "nested deeper than it may be");
        let (item, length) = rewritten(&input[*at..], depth + 1);
        *at += length;
        item
    };
    let again = match head.major {
        0 | 1 => cbor::head(head.major, argument),
        2 | 3 => {
            let content = &input[at..at + count];
            at += count;
            let is_text = head.major == 3;
            assert!(!is_text || str::from_utf8(content).is_ok());
            [cbor::head(head.major, argument), content.to_vec()].concat()
        }
        4 => {
            let items: Vec<_> = (0..count).map(|_| next(&mut at)).collect();
            cbor::array(&items)
        }
        5 => {
            let pairs = (0..count).map(|_| (next(&mut at), next(&mut at)));
            let sorted: BTreeMap<_, _> = pairs.collect();
            cbor::map(&sorted.into_iter().collect::<Vec<_>>())
        }
        _ => {
            assert!((0xf4..=0xf6).contains(&input[0]), "{:02x} passed", input[0]);
            vec![input[0]]
        }
    };
    (again, at)
}
