//! What every file and folder must look like.

use crate::check;
use crate::workspace::{Workspace, is_test};

const FILE_LINES_MAX: usize = 500;

pub(crate) fn without_purpose(workspace: &Workspace) -> Vec<String> {
    let silent = workspace.sources().filter(|(_, text)| !text.starts_with("//! "));
    silent.map(|(path, _)| path.to_owned()).collect()
}

#[test]
fn every_source_file_opens_with_its_purpose() {
    check(
        without_purpose,
        "Open the file with `//! ` and one sentence of purpose, then **Invariant:** lines for what \
         must stay true or absent.",
    );
}

pub(crate) fn too_long(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in workspace.sources().filter(|(path, _)| !is_test(path)) {
        let lines = text.lines().take_while(|line| !line.starts_with("mod tests {")).count();
        if lines > FILE_LINES_MAX {
            found.push(format!("{path}: {lines} lines"));
        }
    }
    found
}

#[test]
fn no_source_file_is_longer_than_500_lines_without_its_tests() {
    check(too_long, "Split the file by what its parts know; 100 to 300 lines is the aim.");
}

/// The user named these; a new room opens under one of them.
const FOLDERS: [&str; 7] =
    ["schemas", "jetstream-config", "services", "sandbox-wasm", "deploy", "tests", "docs"];

pub(crate) fn unknown_folders(workspace: &Workspace) -> Vec<String> {
    let folders = workspace.files.keys().filter_map(|path| path.split_once('/'));
    let unknown = folders.map(|(folder, _)| folder);
    let mut found: Vec<_> = unknown
        .filter(|folder| !folder.starts_with('.') && !FOLDERS.contains(folder))
        .map(|folder| format!("{folder}/"))
        .collect();
    found.dedup();
    found
}

#[test]
fn there_is_no_top_level_folder_beyond_the_known_ones() {
    check(unknown_folders, "Put it under the folder whose floor it belongs to.");
}

/// The crates that talk to the kernel.
const UNSAFE_ALLOWED: [&str; 2] = ["sandbox-wasm/process", "sandbox-wasm/wasm"];

pub(crate) fn unsafe_places(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in workspace.sources() {
        if UNSAFE_ALLOWED.iter().any(|dir| path.starts_with(&format!("{dir}/"))) {
            continue;
        }
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.split("//").next().unwrap_or_default();
            let outside_strings: String = code.split('"').step_by(2).collect();
            let mut words = outside_strings.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.any(|word| word == "unsafe") {
                found.push(format!("{path}:{number}"));
            }
        }
    }
    found
}

#[test]
fn unsafe_stands_only_in_the_two_crates_that_talk_to_the_kernel() {
    check(
        unsafe_places,
        "Use a safe wrapper (rustix has most of the kernel), or move the block to \
         sandbox-wasm/process or sandbox-wasm/wasm with a SAFETY comment.",
    );
}

pub(crate) fn unforbidden_roots(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for package in &workspace.packages {
        if UNSAFE_ALLOWED.contains(&package.dir.as_str()) {
            continue;
        }
        for root in &package.roots {
            let text = workspace.files.get(root).map_or("", String::as_str);
            if !text.lines().any(|line| line == "#![forbid(unsafe_code)]") {
                found.push(root.clone());
            }
        }
    }
    found
}

#[test]
fn every_library_and_binary_forbids_unsafe() {
    check(unforbidden_roots, "Put `#![forbid(unsafe_code)]` under the `//!` lines.");
}
