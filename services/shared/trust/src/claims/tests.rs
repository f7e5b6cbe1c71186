//! Claims survive their encoding, and nothing else passes for claims.

use super::*;

fn principal(id: &str) -> PrincipalId {
    PrincipalId::parse(id).unwrap()
}

#[test]
fn a_task_is_named_by_issuer_and_nonce() {
    let id = task_id(&principal("alice"), &[0; 16]);
    assert_eq!(id, task_id(&principal("alice"), &[0; 16]));
    assert_ne!(id, task_id(&principal("bob"), &[0; 16]));
    assert_ne!(id, task_id(&principal("alice"), &[1; 16]));
    assert_eq!(id.as_str().len(), 32);
}

#[test]
fn a_byte_cannot_move_from_the_issuer_into_the_nonce() {
    let shifted = task_id(&principal("alic"), b"e000000000000000");
    assert_ne!(task_id(&principal("alice"), b"000000000000000\0"), shifted);
}

#[test]
fn private_claims_are_in_the_private_range_and_distinct() {
    let claims =
        [SPEC, GRANTS, PARENT, TRACE, PARTITION, TASK, REQUEST_HASH, NODE, EPOCH, ATTEMPT, TERM];
    let keys: Vec<String> = claims.iter().map(|claim| claim.key.to_string()).collect();
    assert_eq!(keys.first().unwrap(), "-65537");
    assert_eq!(keys.last().unwrap(), "-65547");
    assert!(claims.is_sorted_by(|a, b| a.key < b.key));
}

#[test]
fn a_refused_claim_is_named() {
    let check = |entries: &[(Integer, Vec<u8>)], expected: &str| {
        let encoded = encode::map(&entries.iter().cloned().collect());
        let scanned = crate::scanner::scan(&encoded, crate::ENVELOPE_BYTES_MAX).unwrap();
        let error = decode_request(scanned).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    let alice = (ISSUER.key, encode::text("alice"));
    check(&[], "claim iss is missing");
    check(&[(ISSUER.key, encode::unsigned(1))], "claim iss has the wrong type or range");
    check(std::slice::from_ref(&alice), "claim sub is missing");
    check(&[(Integer::Unsigned(0), vec![0]), alice], "claim 0 is unknown here");
    let bad = "claim iss has no valid value: \"A\" is not an id: only a-z, 0-9 and - may occur";
    check(&[(ISSUER.key, encode::text("A"))], bad);
}
