//! CBOR written by hand, so that it can also be written wrongly.

/// `major` type with its argument in the shortest form.
pub(crate) fn head(major: u8, argument: u64) -> Vec<u8> {
    let [.., b3, b2, b1, b0] = argument.to_be_bytes();
    match argument {
        0..=23 => vec![major << 5 | b0],
        24..=0xff => vec![major << 5 | 24, b0],
        0x100..=0xffff => vec![major << 5 | 25, b1, b0],
        0x1_0000..=0xffff_ffff => vec![major << 5 | 26, b3, b2, b1, b0],
        _ => [vec![major << 5 | 27], argument.to_be_bytes().to_vec()].concat(),
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("sizes fit into 64 bits")
}

pub(crate) fn integer(value: i64) -> Vec<u8> {
    let argument = value.unsigned_abs();
    if value < 0 { head(1, argument - 1) } else { head(0, argument) }
}

pub(crate) fn bytes(value: &[u8]) -> Vec<u8> {
    [head(2, length(value.len())), value.to_vec()].concat()
}

pub(crate) fn text(value: &str) -> Vec<u8> {
    [head(3, length(value.len())), value.as_bytes().to_vec()].concat()
}

pub(crate) fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, length(items.len())), items.concat()].concat()
}

/// A map whose entries stand as they are given, sorted or not.
pub(crate) fn map(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let items = entries.iter().flat_map(|(key, value)| [key.clone(), value.clone()]);
    [head(5, length(entries.len())), items.flatten().collect()].concat()
}
