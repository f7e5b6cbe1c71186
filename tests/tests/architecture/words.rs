//! Words that no tracked file may hold.
//!
//! **Invariant:** the words are put together from parts here, or this file would break its own rules.

use crate::check;
use crate::workspace::{Workspace, is_test};

/// Lists of resolved packages: tools write them, and name where everything came from.
const LOCK_FILES: [&str; 4] = ["Cargo.lock", "go.sum", "package-lock.json", "pnpm-lock.yaml"];

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Every line of `files` in which `finds` finds something, as `path:line: what`.
fn places<'a>(
    files: impl Iterator<Item = (&'a str, &'a str)>,
    finds: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in files {
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(what) = finds(line) {
                found.push(format!("{path}:{number}: {what}"));
            }
        }
    }
    found
}

fn all(workspace: &Workspace) -> impl Iterator<Item = (&str, &str)> {
    workspace.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
}

fn any_of(words: &[&str], line: &str) -> Option<String> {
    words.iter().find(|word| line.contains(**word)).map(|word| (*word).to_owned())
}

pub(crate) fn registry_hosts(workspace: &Workspace) -> Vec<String> {
    let hosts = [
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("pythonhosted", ".org"),
        concat!("npmjs", ".org"),
        concat!("npmjs", ".com"),
        concat!("proxy.golang", ".org"),
        concat!("sum.golang", ".org"),
        concat!("registry-1.docker", ".io"),
    ];
    let files = all(workspace).filter(|(path, _)| !LOCK_FILES.contains(&file_name(path)));
    places(files, |line| any_of(&hosts, line))
}

#[test]
fn no_file_names_a_package_registrys_host() {
    check(
        registry_hosts,
        "Let cargo, pip, npm and go use what they are configured with; say `the package index` in text.",
    );
}

pub(crate) fn machine_paths(workspace: &Workspace) -> Vec<String> {
    let paths = [concat!("/wo", "rk/"), concat!("../", "shared"), concat!("/ro", "ot/")];
    places(all(workspace), |line| any_of(&paths, line))
}

#[test]
fn no_file_names_a_path_of_somebodys_machine() {
    check(
        machine_paths,
        "Use a path from the workspace's root, an XDG directory or a temporary one.",
    );
}

/// A number after a bare hash sign or after the word issue; not `owner/project#12`, `#[derive]`,
/// `&#39;` or `#1a2b3c`.
fn issue_reference(line: &str) -> Option<String> {
    let words = line.split(|c: char| c.is_whitespace() || "([,;\"'`".contains(c));
    let mut previous = String::new();
    for word in words {
        let bare = word.trim_end_matches(|c: char| !c.is_alphanumeric());
        let number = bare.strip_prefix('#');
        let is_number = |text: &str| {
            (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let after_issue = ["issue", "issues"].contains(&previous.as_str()) && is_number(bare);
        if number.is_some_and(is_number) || after_issue {
            return Some(format!("{previous} {bare}").trim().to_owned());
        }
        previous = bare.to_lowercase();
    }
    None
}

pub(crate) fn issue_references(workspace: &Workspace) -> Vec<String> {
    let files = all(workspace).filter(|(path, _)| !LOCK_FILES.contains(&file_name(path)));
    places(files, issue_reference)
}

#[test]
fn no_file_refers_to_an_issue_by_number() {
    check(
        issue_references,
        "Say the reason itself; a number means nothing to who reads the file. Another project's \
         issue is written `owner/project#number`.",
    );
}

pub(crate) fn unfinished(workspace: &Workspace) -> Vec<String> {
    let words = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[ig", "nore"),
        concat!("FIX", "ME"),
    ];
    // A test that another one starts as a process of its own is run, though not by itself.
    let finds = |line: &str| any_of(&words, line).filter(|_| !line.contains("the other half of "));
    places(workspace.sources(), finds)
}

#[test]
fn nothing_is_left_unfinished_or_ignored() {
    check(
        unfinished,
        "Finish it, or take it out; a test that cannot run prints why and is no pass.",
    );
}

pub(crate) fn fixed_sleeps(workspace: &Workspace) -> Vec<String> {
    let words = [concat!("sleep", "("), concat!("sleep", "_until("), concat!("sleep", "_ms(")];
    let mut found = Vec::new();
    for (path, text) in workspace.sources().filter(|(path, _)| is_test(path)) {
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            if let Some(word) = any_of(&words, line).filter(|_| !is_in_a_loop(&lines[..=index])) {
                found.push(format!("{path}:{}: {word}", index + 1));
            }
        }
    }
    found
}

/// Whether the last line stands in a loop, which pauses between two looks at its condition.
fn is_in_a_loop(lines: &[&str]) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut inner = lines.last().map_or(0, |line| indent(line));
    for line in lines.iter().rev().filter(|line| !line.trim().is_empty()) {
        if indent(line) < inner {
            inner = indent(line);
            let words = ["while ", "loop {", "for "];
            if words.iter().any(|word| line.trim_start().starts_with(word)) {
                return true;
            }
        }
    }
    false
}

#[test]
fn no_test_waits_for_a_fixed_time() {
    check(
        fixed_sleeps,
        "Wait for the condition with a deadline: `cortex_tests::eventually(deadline, || async { .. })`.",
    );
}
