//! Every rule fails on a workspace that breaks it, and passes on one that comes close.

use std::collections::BTreeMap;

use crate::workspace::{Package, Workspace};
use crate::{Rule, claims, dependencies, files, lints, words};

fn package(dir: &str, name: &str, uses: &[&str]) -> Package {
    Package {
        name: name.to_owned(),
        dir: dir.to_owned(),
        uses: uses.iter().map(|name| (*name).to_owned()).collect(),
        uses_in_tests: Vec::new(),
        roots: vec![format!("{dir}/src/lib.rs")],
    }
}

fn with_packages(packages: Vec<Package>) -> Workspace {
    Workspace { packages, files: BTreeMap::new() }
}

fn with_file(path: &str, text: &str) -> Workspace {
    let files = BTreeMap::from([(path.to_owned(), text.to_owned())]);
    Workspace { packages: Vec::new(), files }
}

#[track_caller]
fn check(rule: Rule, workspace: &Workspace, expected: &[&str]) {
    assert_eq!(rule(workspace), expected);
}

/// `user` at `dir` may not use the package that stands beside it.
#[track_caller]
fn check_arrow(dir: &str, used_dir: &str, allowed: bool) {
    let workspace =
        with_packages(vec![package(dir, "user", &["used"]), package(used_dir, "used", &[])]);
    let expected: &[&str] = if allowed { &[] } else { &["user uses used"] };
    check(dependencies::arrows_upward, &workspace, expected);
}

#[test]
fn a_package_in_a_new_place_is_found() {
    let workspace = with_packages(vec![package("services/shared/utils", "utils", &[])]);
    check(dependencies::unknown_packages, &workspace, &["utils in services/shared/utils"]);
}

#[test]
fn a_claim_without_its_test_is_found() {
    let document = "docs/threat-model.md";
    let claim = |text: &str, code: &str| Workspace {
        packages: Vec::new(),
        files: BTreeMap::from([
            (document.to_owned(), text.to_owned()),
            ("tests/a.rs".to_owned(), code.to_owned()),
        ]),
    };
    let named = "A wall: `nobody_gets_through_this_wall`, see `cortex doctor`.";
    let there = claim(named, "#[test]\nfn nobody_gets_through_this_wall() {}");
    check(claims::claims_without_a_test, &there, &[]);
    let gone = claim(named, "fn somebody_gets_through_this_wall() {}");
    let expected = ["docs/threat-model.md: there is no test nobody_gets_through_this_wall"];
    check(claims::claims_without_a_test, &gone, &expected);
    let empty = claim("Nothing is claimed.", "");
    check(claims::claims_without_a_test, &empty, &["docs/threat-model.md names no test"]);
}

#[test]
fn arrows_that_the_law_forbids_are_found() {
    for (user, used) in [
        ("schemas", "services/shared/decider"),
        ("services/shared/decider", "schemas"),
        ("jetstream-config", "services/shared/runtime"),
        ("services/registry/core", "services/shared/runtime"),
        ("services/registry/core", "services/shared/trust"),
        ("services/registry/core", "services/scheduler/core"),
        ("services/registry/server", "services/scheduler/core"),
        ("services/registry/server", "services/scheduler/server"),
        ("services/registry/server", "sandbox-wasm/policy"),
        ("services/shared/runtime", "services/registry/core"),
        ("services/shared/trust", "services/shared/client"),
        ("sandbox-wasm/process", "jetstream-config"),
        ("sandbox-wasm/policy", "sandbox-wasm/process"),
        ("services/registry/server", "services/cortex"),
        ("services/cortex", "tests"),
    ] {
        check_arrow(user, used, false);
    }
}

#[test]
fn arrows_that_the_law_allows_pass() {
    for (user, used) in [
        ("jetstream-config", "schemas"),
        ("services/registry/core", "services/shared/decider"),
        ("services/registry/server", "services/registry/core"),
        ("services/registry/server", "services/shared/runtime"),
        ("services/registry/server", "jetstream-config"),
        ("services/shared/runtime", "services/shared/client"),
        ("sandbox-wasm/process", "sandbox-wasm/policy"),
        ("services/cortex", "services/registry/server"),
        ("tests", "services/cortex"),
    ] {
        check_arrow(user, used, true);
    }
}

#[test]
fn the_client_has_no_runtime_and_only_the_node_has_the_sandbox() {
    let client = package("services/shared/client", "client", &["runtime"]);
    let runtime = package("services/shared/runtime", "runtime", &["client"]);
    let workspace = with_packages(vec![client, runtime]);
    check(dependencies::arrows_upward, &workspace, &["client uses runtime"]);

    let node = package("services/agent/node", "agent-node", &["sandbox-process"]);
    let process = package("sandbox-wasm/process", "sandbox-process", &[]);
    check(dependencies::arrows_upward, &with_packages(vec![node, process]), &[]);
}

#[test]
fn an_arrow_of_tests_counts_unless_it_points_to_the_harness() {
    let mut user = package("services/shared/client", "client", &[]);
    user.uses_in_tests = vec!["cortex-tests".to_owned(), "runtime".to_owned()];
    let runtime = package("services/shared/runtime", "runtime", &[]);
    let workspace = with_packages(vec![user, runtime, package("tests", "cortex-tests", &[])]);
    check(dependencies::arrows_upward, &workspace, &["client uses runtime"]);
}

#[test]
fn a_pure_package_with_a_foreign_dependency_is_found() {
    let core = package("services/registry/core", "registry-core", &["serde", "thiserror", "uuid"]);
    let trust = package("services/shared/trust", "trust", &["ciborium", "uuid"]);
    let workspace = with_packages(vec![core, trust]);
    check(dependencies::impure_uses, &workspace, &["registry-core uses uuid", "trust uses uuid"]);
}

#[test]
fn a_runtime_in_a_cores_tests_is_found() {
    let mut core = package("services/registry/core", "registry-core", &["serde"]);
    core.uses_in_tests = vec!["proptest".to_owned(), "tokio".to_owned()];
    let server = package("services/registry/server", "registry-server", &["tokio"]);
    let workspace = with_packages(vec![core, server]);
    check(dependencies::impure_in_tests, &workspace, &["registry-core uses tokio"]);
}

#[test]
fn a_side_door_is_found() {
    let workspace = with_packages(vec![
        package("services/registry/server", "registry-server", &["async-nats", "axum"]),
        package("services/agent/node", "agent-node", &["wasmtime"]),
        package("services/shared/client", "client", &["async-nats"]),
    ]);
    let expected = [
        "registry-server uses async-nats",
        "registry-server uses axum",
        "agent-node uses wasmtime",
    ];
    check(dependencies::side_doors, &workspace, &expected);
}

#[test]
fn a_file_without_purpose_is_found() {
    for text in ["", "use std::fs;\n", "// A comment.\n", "\n//! Late.\n"] {
        check(files::without_purpose, &with_file("a.rs", text), &["a.rs"]);
    }
    check(files::without_purpose, &with_file("a.rs", "//! Does it.\n"), &[]);
}

#[test]
fn a_file_over_the_limit_is_found_and_tests_do_not_count() {
    let lines = |count| "x\n".repeat(count);
    let long = lines(501);
    check(files::too_long, &with_file("schemas/src/a.rs", &long), &["schemas/src/a.rs: 501 lines"]);
    check(files::too_long, &with_file("tests/src/a.rs", &long), &["tests/src/a.rs: 501 lines"]);
    check(files::too_long, &with_file("schemas/src/a.rs", &lines(500)), &[]);
    check(files::too_long, &with_file("schemas/src/a/tests.rs", &long), &[]);
    let with_tests = format!("{}mod tests {{\n{}", lines(400), lines(400));
    check(files::too_long, &with_file("schemas/src/a.rs", &with_tests), &[]);
}

#[test]
fn a_new_top_level_folder_is_found() {
    check(files::unknown_folders, &with_file("tools/a.txt", ""), &["tools/"]);
    check(files::unknown_folders, &with_file(".ci/run", ""), &[]);
    check(files::unknown_folders, &with_file("README.md", ""), &[]);
}

#[test]
fn unsafe_code_is_found_and_words_about_it_are_not() {
    let block = concat!("let a = uns", "afe { b };");
    check(files::unsafe_places, &with_file("schemas/src/a.rs", block), &["schemas/src/a.rs:1"]);
    check(files::unsafe_places, &with_file("sandbox-wasm/process/src/a.rs", block), &[]);
    let words = concat!("// uns", "afe\n#![forbid(uns", "afe_code)]");
    check(files::unsafe_places, &with_file("schemas/src/a.rs", words), &[]);
}

#[test]
fn a_root_that_does_not_forbid_unsafe_is_found() {
    let mut workspace = with_file("schemas/src/lib.rs", "//! A.\n");
    workspace.packages = vec![package("schemas", "schemas", &[])];
    check(files::unforbidden_roots, &workspace, &["schemas/src/lib.rs"]);
    let mut workspace = with_file("schemas/src/lib.rs", "//! A.\n#![forbid(unsafe_code)]\n");
    workspace.packages = vec![package("schemas", "schemas", &[])];
    check(files::unforbidden_roots, &workspace, &[]);
}

#[test]
fn a_crate_with_lints_of_its_own_is_found() {
    for text in
        ["[package]\n", "[lints]\nworkspace = false\n", "[lints.clippy]\ntodo = \"allow\"\n"]
    {
        let mut workspace = with_file("schemas/Cargo.toml", text);
        workspace.packages = vec![package("schemas", "schemas", &[])];
        check(lints::own_lints, &workspace, &["schemas/Cargo.toml"]);
    }
}

#[test]
fn another_function_limit_is_found() {
    let workspace = with_file("schemas/clippy.toml", "too-many-lines-threshold = 100\n");
    check(
        lints::other_function_limits,
        &workspace,
        &[
            "schemas/clippy.toml: too-many-lines-threshold is not 70",
            "clippy.toml is missing",
            "Cargo.toml: the lint too_many_lines is not on",
        ],
    );
    let excuse = concat!("#[expect(clippy::too", "_many_lines)]");
    check(lints::excused_functions, &with_file("a.rs", excuse), &["a.rs"]);
}

#[test]
fn a_core_without_its_clippy_is_found() {
    let mut workspace = with_file("services/registry/core/clippy.toml", "\"std::env::var\"");
    workspace.packages = vec![package("services/registry/core", "registry-core", &[])];
    assert_eq!(lints::lax_cores(&workspace).len(), 3);
}

/// `rule` finds `line` in a test, and nothing in any of `near`.
#[track_caller]
fn check_word(rule: Rule, line: &str, near: &[&str]) {
    let found = rule(&with_file("tests/tests/a.rs", line));
    assert_eq!(found.len(), 1, "{line}: {found:?}");
    for line in near {
        check(rule, &with_file("tests/tests/a.rs", line), &[]);
    }
}

#[test]
fn forbidden_words_are_found() {
    check_word(
        words::registry_hosts,
        concat!("https://pypi", ".org/simple"),
        &["the package index"],
    );
    check_word(words::machine_paths, concat!("cd /wo", "rk/main"), &["framework/a"]);
    check_word(words::machine_paths, concat!("../", "shared/design"), &["services/shared"]);
    check_word(words::unfinished, concat!("  todo", "!()"), &["// the todo list"]);
    check_word(words::unfinished, concat!("#[ig", "nore]"), &["ignored"]);
    check_word(words::fixed_sleeps, concat!("tokio::time::sleep", "(a)"), &["[\"sleep\", \"60\"]"]);
}

#[test]
fn issue_numbers_are_found_and_other_projects_are_not() {
    let near = [
        "nats-io/nats-server#8274",
        "#[derive(Debug)]",
        "colour #123456",
        "&#39;",
        "an issue of its own",
        "# 2 things",
    ];
    for line in [
        concat!("see #", "12."),
        concat!("(#", "7)"),
        concat!("as issue", " 12 says"),
        concat!("Issue #", "3"),
    ] {
        check_word(words::issue_references, line, &near);
    }
}

#[test]
fn lock_files_may_name_a_registry() {
    let line = concat!("source = \"https://crates", ".io\"");
    check(words::registry_hosts, &with_file("Cargo.lock", line), &[]);
    check(
        words::registry_hosts,
        &with_file("docs/a.md", line),
        &[concat!("docs/a.md:1: crates", ".io")],
    );
}
