//! A token opens its own key and no other.

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef";

fn key(purpose: Purpose) -> SecretKey {
    SecretKey::from_entropy(purpose, &[0xab; 32].into())
}

#[test]
fn a_sealed_key_opens_under_its_own_secret_and_id() {
    let sealed = seal_token(ID, &[1; 32], &key(Purpose::TaskIssuer));
    let opened = unseal_token(ID, &[1; 32], &sealed).unwrap();
    assert_eq!(opened.public(), key(Purpose::TaskIssuer).public());
    assert_eq!(sealed, seal_token(ID, &[1; 32], &key(Purpose::TaskIssuer)));
    let other = ID.replace('0', "1");
    assert_eq!(unseal_token(&other, &[1; 32], &sealed).unwrap_err(), TokenError::Refused);
    assert_eq!(unseal_token(ID, &[2; 32], &sealed).unwrap_err(), TokenError::Refused);
    assert_eq!(TokenError::Refused.code(), ErrorCode::TokenInvalid);
}

#[test]
fn changed_bytes_open_nothing() {
    let sealed = from_base64(&seal_token(ID, &[1; 32], &key(Purpose::TaskIssuer))).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(unseal_token(ID, &[1; 32], &base64(&changed)).is_err(), "bit {bit}");
    }
    for length in 0..sealed.len() {
        assert!(unseal_token(ID, &[1; 32], &base64(&sealed[..length])).is_err(), "{length} bytes");
    }
    assert_eq!(unseal_token(ID, &[1; 32], "no base64").unwrap_err(), TokenError::Sealed);
}

#[test]
fn no_other_key_than_an_issuers_comes_out() {
    for purpose in [Purpose::Enrolment, Purpose::Scheduler, Purpose::NodeLog] {
        let sealed = seal_token(ID, &[1; 32], &key(purpose));
        assert_eq!(unseal_token(ID, &[1; 32], &sealed).unwrap_err(), TokenError::Refused);
    }
}

#[test]
fn a_nonce_is_used_for_one_text_only() {
    let nonce = |id, secret: u8, entropy: u8| {
        let key = SecretKey::from_entropy(Purpose::TaskIssuer, &[entropy; 32].into());
        from_base64(&seal_token(id, &[secret; 32], &key)).unwrap()[..NONCE_BYTES].to_vec()
    };
    let other = ID.replace('0', "1");
    let nonces = [nonce(ID, 1, 1), nonce(ID, 1, 2), nonce(ID, 2, 1), nonce(&other, 1, 1)];
    let distinct: std::collections::BTreeSet<_> = nonces.iter().collect();
    assert_eq!(distinct.len(), nonces.len());
}

#[test]
fn a_tokens_text_is_read_as_it_is_written_and_in_no_other_way() {
    let token = TokenText::from_entropy(&[0x1f; 16], &Zeroizing::new([0xfe; 32]));
    let text = token.to_text();
    assert_eq!(*text, format!("cortex_{}_{}", "1f".repeat(16), base64url(&[0xfe; 32])));
    assert_eq!(TokenText::parse(&text).unwrap(), token);
    assert_eq!((token.id(), token.secret()), ("1f".repeat(16).as_str(), &[0xfe; 32]));
    for wrong in [
        "",
        "cortex_",
        &text[1..],
        &text[..text.len() - 1],
        &text.replace("1f", "1F"),
        &text.replace('_', "-"),
        &format!("{}=", *text),
        &format!("{} ", *text),
    ] {
        assert_eq!(TokenText::parse(wrong).unwrap_err(), TokenError::Malformed, "{wrong}");
    }
}

#[test]
fn no_secret_is_printed() {
    let token = TokenText::from_entropy(&[0x1f; 16], &Zeroizing::new([0xfe; 32]));
    let printed = format!("{token:?} {token:#?}");
    assert!(!printed.contains("254") && !printed.contains(&base64url(&[0xfe; 32])), "{printed}");
}
