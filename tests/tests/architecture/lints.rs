//! The lints stand once, bind every crate, and hold the limits of the house.

use toml::{Table, Value};

use crate::check;
use crate::workspace::Workspace;

const FUNCTION_LINES_MAX: i64 = 70;

fn parsed(workspace: &Workspace, path: &str) -> Option<Table> {
    workspace.files.get(path)?.parse().ok()
}

pub(crate) fn own_lints(workspace: &Workspace) -> Vec<String> {
    let inherits = |manifest: &Table| {
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        lints.and_then(Value::as_bool) == Some(true)
    };
    let manifests = workspace.packages.iter().map(|package| format!("{}/Cargo.toml", package.dir));
    manifests
        .filter(|path| !parsed(workspace, path).is_some_and(|table| inherits(&table)))
        .collect()
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    check(own_lints, "Add `[lints]` with `workspace = true` to the crate's Cargo.toml.");
}

pub(crate) fn other_function_limits(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for path in workspace.files.keys().filter(|path| path.ends_with("clippy.toml")) {
        let limit = parsed(workspace, path)
            .and_then(|table| table.get("too-many-lines-threshold").and_then(Value::as_integer));
        if limit != Some(FUNCTION_LINES_MAX) {
            found.push(format!("{path}: too-many-lines-threshold is not {FUNCTION_LINES_MAX}"));
        }
    }
    let root = parsed(workspace, "Cargo.toml").unwrap_or_default();
    let lint = ["workspace", "lints", "clippy", "too_many_lines"]
        .iter()
        .try_fold(&Value::Table(root), |value, key| value.get(key))
        .cloned();
    if !workspace.files.contains_key("clippy.toml") {
        found.push("clippy.toml is missing".to_owned());
    }
    match lint.as_ref().and_then(Value::as_str) {
        Some("warn" | "deny" | "forbid") => {}
        _ => found.push("Cargo.toml: the lint too_many_lines is not on".to_owned()),
    }
    found
}

#[test]
fn the_function_limit_is_70_lines_everywhere() {
    check(
        other_function_limits,
        "clippy holds functions to 70 lines; a crate's own clippy.toml replaces the workspace's, so \
         it repeats `too-many-lines-threshold = 70`.",
    );
}

pub(crate) fn excused_functions(workspace: &Workspace) -> Vec<String> {
    let excuse = concat!("clippy::too", "_many_lines");
    let excused = workspace.sources().filter(|(_, text)| text.contains(excuse));
    excused.map(|(path, _)| path.to_owned()).collect()
}

#[test]
fn no_function_is_excused_from_the_limit() {
    check(excused_functions, "Split the function: name the steps it takes.");
}

/// What a pure crate's clippy.toml must refuse.
const REFUSED_IN_CORES: [&str; 4] = [
    "std::time::SystemTime::now",
    "std::time::Instant::now",
    "std::env::var",
    "std::collections::HashMap",
];

pub(crate) fn lax_cores(workspace: &Workspace) -> Vec<String> {
    let pure = |dir: &str| {
        let core = dir.starts_with("services/") && dir.ends_with("/core");
        core || ["sandbox-wasm/policy", "services/shared/trust", "services/shared/tlog"]
            .contains(&dir)
    };
    let mut found = Vec::new();
    for package in workspace.packages.iter().filter(|package| pure(&package.dir)) {
        let path = format!("{}/clippy.toml", package.dir);
        let text = workspace.files.get(&path).map_or("", String::as_str);
        for refused in REFUSED_IN_CORES {
            if !text.contains(&format!("\"{refused}\"")) {
                found.push(format!("{path} does not refuse {refused}"));
            }
        }
    }
    found
}

#[test]
fn a_pure_crates_clippy_refuses_clocks_environment_and_hash_maps() {
    check(lax_cores, "Copy the clippy.toml of another core.");
}
