//! Every error code has a page that explains it, and every page a code.

use std::collections::BTreeSet;

use schemas::{ErrorCode, FaultClass};

use crate::files::{folder, read_all};

/// What a page must hold besides its heading.
const PARTS: [&str; 3] = ["**What it means.** ", "**When it happens.** ", "**What to do.** "];
/// Lines that say something, at least and at most.
const PAGE_LINES: std::ops::RangeInclusive<usize> = 5..=12;

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let codes: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    let pages: BTreeSet<_> = read_all(&folder("errors"), ".md").into_keys().collect();
    assert_eq!(codes, pages);
}

#[test]
fn every_page_says_what_it_means_when_it_happens_and_what_to_do() {
    let wrong: Vec<_> = ErrorCode::ALL
        .iter()
        .filter_map(|code| problem(*code).map(|problem| format!("{code}: {problem}")))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn problem(code: ErrorCode) -> Option<String> {
    let page = code.page();
    let lines: Vec<_> = page.lines().filter(|line| !line.is_empty()).collect();
    let heading = format!("# {code}");
    if lines.first() != Some(&heading.as_str()) {
        return Some(format!("opens with {:?} instead of {heading:?}", lines.first()));
    }
    let class = class_line(code);
    if lines.get(1) != Some(&class.as_str()) {
        return Some(format!("says {:?} instead of {class:?}", lines.get(1)));
    }
    if let Some(missing) = PARTS.iter().find(|part| !page.contains(**part)) {
        return Some(format!("has no {missing:?}"));
    }
    if !PAGE_LINES.contains(&lines.len()) {
        return Some(format!("has {} lines", lines.len()));
    }
    let long = lines.iter().find(|line| 100 < line.len());
    long.map(|line| format!("has a line of {} bytes", line.len()))
}

fn class_line(code: ErrorCode) -> String {
    let class = code.class();
    let words = match class {
        FaultClass::Invalid => "invalid request",
        FaultClass::NotFound => "not found",
        FaultClass::NotAllowed => "not allowed",
        FaultClass::Conflict => "conflict",
        FaultClass::Denied => "denied by policy",
        FaultClass::TimedOut => "timed out",
        FaultClass::Unavailable => "unavailable",
        FaultClass::Broken => "broken",
    };
    format!("**Class:** {words} (status {}, exit code {})", class.status(), class.exit_code())
}

#[test]
fn codes_are_read_as_they_are_written_and_no_two_are_alike() {
    let names: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(names.len(), ErrorCode::ALL.len());
    for code in ErrorCode::ALL {
        assert_eq!(ErrorCode::parse(code.as_str()), Some(*code));
        let allowed = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
        assert!(code.as_str().bytes().all(allowed), "{code}");
    }
    assert_eq!(ErrorCode::parse("NO_SUCH_CODE"), None);
}

#[test]
fn every_hint_is_one_sentence_that_tells_what_to_do() {
    for code in ErrorCode::ALL {
        let hint = code.hint();
        let fits = (10..=120).contains(&hint.len()) && !hint.ends_with('.') && hint.is_ascii();
        assert!(fits, "{code}: {hint:?}");
    }
}
