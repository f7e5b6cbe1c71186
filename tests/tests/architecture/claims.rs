//! Every claim of the threat model names a test, and the test exists.

use std::collections::BTreeSet;

use crate::check;
use crate::workspace::Workspace;

const DOCUMENT: &str = "docs/threat-model.md";
/// Shorter words in backticks are commands and names of other things.
const TEST_NAME_BYTES_MIN: usize = 20;

pub(crate) fn claims_without_a_test(workspace: &Workspace) -> Vec<String> {
    let Some(text) = workspace.files.get(DOCUMENT) else {
        return vec![format!("{DOCUMENT} is missing")];
    };
    let functions: BTreeSet<&str> = workspace
        .files
        .iter()
        .filter(|(path, _)| path.ends_with(".rs"))
        .flat_map(|(_, text)| text.split("fn ").skip(1))
        .filter_map(|after| after.split(['(', '<']).next())
        .collect();
    let named: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|it| is_test(it)).collect();
    if named.is_empty() {
        return vec![format!("{DOCUMENT} names no test")];
    }
    let missing = named.into_iter().filter(|name| !functions.contains(name));
    missing.map(|name| format!("{DOCUMENT}: there is no test {name}")).collect()
}

fn is_test(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    TEST_NAME_BYTES_MIN <= word.len() && word.contains('_') && word.bytes().all(plain)
}

#[test]
fn every_claim_of_the_threat_model_is_shown_by_a_test_that_exists() {
    check(claims_without_a_test, "Name the test that shows the claim, or take the claim back.");
}
