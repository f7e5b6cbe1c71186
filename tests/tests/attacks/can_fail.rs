//! The rule finds what breaks it, so that a green table means something.

use crate::faults;
use crate::list::ATTACKS;
use crate::sources::{NamedTest, tests_in};

fn named(number: u8, words: &str) -> NamedTest {
    let name = format!("attack_{number:02}_something_with_{words}");
    NamedTest { number, name, file: "a.rs".to_owned() }
}

/// A test for every number.
fn complete() -> Vec<NamedTest> {
    ATTACKS.iter().map(|attack| named(attack.number, attack.words[0])).collect()
}

fn check(change: impl FnOnce(&mut Vec<NamedTest>), awaited: &[u8], expected: &[&str]) {
    let mut tests = complete();
    change(&mut tests);
    let found = faults(&tests, awaited);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found} does not say {expected}");
    }
}

#[test]
fn a_complete_list_has_no_fault() {
    check(|_| (), &[], &[]);
    check(|tests| tests.push(named(1, "every_bit_of_an_assignment")), &[], &[]);
    check(|tests| tests.retain(|test| test.number != 47), &[47], &[]);
}

#[test]
fn a_missing_test_is_found() {
    check(|tests| tests.retain(|test| test.number != 19), &[], &["19  a map key"]);
    check(|tests| tests.retain(|test| test.number != 98), &[], &["98  a node's data"]);
}

#[test]
fn what_is_no_longer_awaited_must_not_stand_as_awaited() {
    check(|_| (), &[47], &["take it off AWAITED"]);
    check(|_| (), &[54], &["names 54"]);
}

#[test]
fn names_that_collide_are_found() {
    check(|tests| tests.push(named(5, "floods_of_garbage")), &[], &["is not about  5"]);
    check(|tests| tests.push(tests[0].clone()), &[], &["has the name of another test"]);
    check(|tests| tests.push(named(60, "a_log")), &[], &["not on the list"]);
}

#[test]
fn only_tests_with_two_digits_and_a_sentence_count() {
    let count = |text: &str| tests_in("a.rs", text).len();
    assert_eq!(count("#[test]\nfn attack_01_a_bit() {"), 1);
    assert_eq!(count("#[tokio::test(flavor = \"x\")]\n    async fn attack_01_a_bit() {"), 1);
    assert_eq!(count("#[test]\n#[expect(x)]\nfn attack_01_a_bit() {"), 1);
    assert_eq!(count("#[test]\nfn attack_1_a_bit() {"), 0);
    assert_eq!(count("#[test]\nfn attack_001_a_bit() {"), 0);
    assert_eq!(count("#[test]\nfn attack_01_bit() {"), 0);
    assert_eq!(count("fn attack_01_a_bit() {"), 0);
    assert_eq!(count("// fn attack_01_a_bit() {"), 0);
}
