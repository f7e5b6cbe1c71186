//! A hash that is the same everywhere and for ever: replay must place alike.

/// Hashes texts; which text ends where is part of the hash.
pub(crate) fn stable_hash(parts: &[&str]) -> u64 {
    // FNV-1a over the bytes, then SplitMix64's finish: FNV alone leaves similar names close by.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
