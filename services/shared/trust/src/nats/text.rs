//! Base32 and base64url without padding, as JWTs have them.
//!
//! **Invariant:** one text for each byte string: what is read back is written the same again.

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const BYTE_BITS: u32 = 8;

pub(super) fn base32(bytes: &[u8]) -> String {
    encode(bytes, BASE32)
}

pub(super) fn base64url(bytes: &[u8]) -> String {
    encode(bytes, BASE64URL)
}

/// The bytes of a text in base64url; nothing for any other text.
pub(super) fn from_base64url(text: &str) -> Option<Vec<u8>> {
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

/// Whether every letter is one of base64url.
pub(super) fn is_base64url(text: &[u8]) -> bool {
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
    }

    #[test]
    fn a_text_that_nobody_would_write_is_not_read() {
        for text in ["Zh", "Zg=", "Z", "+/8", "Zm 9v", "Zm9v\n"] {
            assert_eq!(from_base64url(text), None, "{text:?}");
        }
    }
}
