//! What a node refuses: sorts of garbage, most of which cost no signature check.

use schemas::ErrorCode;
use trust::ENVELOPE_BYTES_MAX;

use crate::stage::Stage;

pub(crate) struct Garbage {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) code: ErrorCode,
    pub(crate) is_before_cryptography: bool,
}

fn cheap(name: &'static str, code: ErrorCode, bytes: Vec<u8>) -> Garbage {
    Garbage { name, bytes, code, is_before_cryptography: true }
}

pub(crate) fn sorts(stage: &Stage) -> Vec<Garbage> {
    let good = &stage.envelope;
    let malformed = |name, bytes| cheap(name, ErrorCode::EnvelopeMalformed, bytes);
    let at = |part: &[u8]| {
        good.windows(part.len()).position(|found| found == part).expect("it is in every envelope")
    };
    let changed = |place: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[place] = byte;
        bytes
    };
    let bomb = |byte: u8, length: usize| [vec![0xd2], vec![byte; length]].concat();
    let pseudo_random = (0..good.len()).scan(1_u32, |state, _| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some(state.to_be_bytes()[0])
    });
    let last = good.len() - 1;
    vec![
        cheap("nothing", ErrorCode::Unsigned, Vec::new()),
        cheap(
            "a byte over the limit",
            ErrorCode::EnvelopeTooLarge,
            vec![0xd2; ENVELOPE_BYTES_MAX + 1],
        ),
        malformed("random bytes", pseudo_random.collect()),
        malformed("zeros", vec![0; good.len()]),
        malformed("cut a byte short", good[..last].to_vec()),
        malformed("a byte too long", [good.as_slice(), &[0]].concat()),
        malformed("24 KiB of nested arrays", bomb(0x81, ENVELOPE_BYTES_MAX - 1)),
        malformed("24 KiB of tags", bomb(0xc1, ENVELOPE_BYTES_MAX - 1)),
        malformed("a declared length of 2^64 - 1", [&[0xd2, 0x9b][..], &[0xff; 8]].concat()),
        malformed("an indefinite length", changed(1, 0x9f)),
        cheap(
            "another algorithm",
            ErrorCode::EnvelopeHeader,
            changed(at(&[0x01, 0x32, 0x03]) + 1, 0x27),
        ),
        cheap("another type", ErrorCode::EnvelopeHeader, changed(at(b"task+cbor"), b'b')),
        cheap("an unknown key", ErrorCode::KeyUnknown, stage.by_a_stranger()),
        Garbage {
            name: "a wrong signature, which takes cryptography",
            bytes: changed(last - 20, good[last - 20] ^ 1),
            code: ErrorCode::SignatureInvalid,
            is_before_cryptography: false,
        },
    ]
}
