//! Base32 and base64url without padding, as JWTs have them, and base64 with padding.
//!
//! **Invariant:** one text for each byte string: what is read back is written the same again.

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const BYTE_BITS: u32 = 8;

pub(crate) fn base32(bytes: &[u8]) -> String {
    encode(bytes, BASE32)
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    encode(bytes, BASE64URL)
}

/// The bytes of a text in base64url; nothing for any other text.
pub(crate) fn from_base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut gathered, mut bits) = (0_u32, 0);
    for digit in text.bytes() {
        let value = BASE64URL.iter().position(|known| *known == digit)?;
        gathered = gathered << digit_bits(BASE64URL) | u32::try_from(value).ok()?;
        bits += digit_bits(BASE64URL);
        if BYTE_BITS <= bits {
            bits -= BYTE_BITS;
            bytes.push(u8::try_from(gathered >> bits).ok()?);
            gathered &= (1 << bits) - 1;
        }
    }
    (base64url(&bytes) == text).then_some(bytes)
}

/// Base64 with padding, as messages have it.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = base64url(bytes).replace('-', "+").replace('_', "/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// The bytes of a text in base64 with padding; nothing for any other text.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if digits.contains(['-', '_']) {
        return None;
    }
    let bytes = from_base64url(&digits.replace('+', "-").replace('/', "_"))?;
    (base64(&bytes) == text).then_some(bytes)
}

/// Whether every letter is one of base64url.
pub(crate) fn is_base64url(text: &[u8]) -> bool {
    text.iter().all(|letter| BASE64URL.contains(letter))
}

fn encode(bytes: &[u8], digits: &[u8]) -> String {
    let digit_bits = digit_bits(digits);
    let mut text = String::with_capacity(bytes.len() * 2);
    let mut push = |value: u32| {
        let index = usize::try_from(value).expect("a digit is less than 64");
        text.push(char::from(digits[index]));
    };
    let (mut gathered, mut bits) = (0_u32, 0);
    for byte in bytes {
        gathered = gathered << BYTE_BITS | u32::from(*byte);
        bits += BYTE_BITS;
        while digit_bits <= bits {
            bits -= digit_bits;
            push(gathered >> bits);
            gathered &= (1 << bits) - 1;
        }
    }
    if 0 < bits {
        push(gathered << (digit_bits - bits));
    }
    text
}

fn digit_bits(digits: &[u8]) -> u32 {
    digits.len().ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &str, in_base32: &str, in_base64url: &str) {
        let padded = format!("{in_base64url}{}", &"===="[..(4 - in_base64url.len() % 4) % 4]);
        assert_eq!(base64(bytes.as_bytes()), padded);
        assert_eq!(from_base64(&padded).unwrap(), bytes.as_bytes());
        assert_eq!(base32(bytes.as_bytes()), in_base32);
        assert_eq!(base64url(bytes.as_bytes()), in_base64url);
        assert_eq!(from_base64url(in_base64url).unwrap(), bytes.as_bytes());
    }

    #[test]
    fn texts_are_those_of_rfc_4648_without_padding() {
        check("", "", "");
        check("f", "MY", "Zg");
        check("fo", "MZXQ", "Zm8");
        check("foo", "MZXW6", "Zm9v");
        check("foobar", "MZXW6YTBOI", "Zm9vYmFy");
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
        assert_eq!(from_base64("+/8=").unwrap(), [0xfb, 0xff]);
    }

    #[test]
    fn a_text_that_nobody_would_write_is_not_read() {
        for text in ["Zh", "Zg=", "Z", "+/8", "Zm 9v", "Zm9v\n"] {
            assert_eq!(from_base64url(text), None, "{text:?}");
        }
        for text in ["Zg", "Zg=", "Zg===", "Zh==", "-_8=", "=", "Zg==Zg==", "Zg==\n"] {
            assert_eq!(from_base64(text), None, "{text:?}");
        }
    }
}
