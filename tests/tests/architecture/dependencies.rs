//! Who may use whom: floors with arrows only downward, pure cores, services that never meet.

use crate::check;
use crate::workspace::{Package, Workspace};

/// What a package is, told by where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Schemas,
    Decider,
    JetstreamConfig,
    /// `services/shared/trust` and `tlog`: pure, with cryptography.
    PureShared,
    /// `runtime` and `client`.
    Shared,
    /// A service's `core`, or the sandbox's `policy`.
    Core,
    /// A service's other half: `server`, `node`, `dashboard`.
    Server,
    /// `services/cortex`.
    Binary,
    /// `sandbox-wasm` but for `policy`.
    Sandbox,
    /// `tests` and what lies under it.
    Harness,
}

fn kind(package: &Package) -> Option<Kind> {
    let parts: Vec<_> = package.dir.split('/').collect();
    match parts.as_slice() {
        ["schemas"] => Some(Kind::Schemas),
        ["jetstream-config"] => Some(Kind::JetstreamConfig),
        ["services", "shared", "decider"] => Some(Kind::Decider),
        ["services", "shared", "trust" | "tlog"] => Some(Kind::PureShared),
        ["services", "shared", "runtime" | "client"] => Some(Kind::Shared),
        ["services", "cortex"] => Some(Kind::Binary),
        ["services", "shared", ..] => None,
        ["services", _, "core"] | ["sandbox-wasm", "policy"] => Some(Kind::Core),
        ["services", _, "server" | "node" | "dashboard"] => Some(Kind::Server),
        ["sandbox-wasm", _] => Some(Kind::Sandbox),
        ["tests", ..] => Some(Kind::Harness),
        _ => None,
    }
}

/// `services/registry/core` is of service `registry`.
fn service(package: &Package) -> Option<&str> {
    package.dir.strip_prefix("services/")?.split('/').next()
}

fn all_uses(package: &Package) -> impl Iterator<Item = &String> {
    package.uses.iter().chain(&package.uses_in_tests)
}

pub(crate) fn unknown_packages(workspace: &Workspace) -> Vec<String> {
    let unknown = workspace.packages.iter().filter(|package| kind(package).is_none());
    unknown.map(|package| format!("{} in {}", package.name, package.dir)).collect()
}

#[test]
fn every_package_has_a_known_place() {
    check(
        unknown_packages,
        "A package's folder says what it may use. Put it where its kind lives (core, server, node, \
         services/shared, sandbox-wasm, ...), or give its place a kind in `dependencies::kind`.",
    );
}

/// Whether a package may use another one of the workspace; the harness is asked about elsewhere.
fn may_use(user: &Package, used: &Package) -> bool {
    let (Some(user_kind), Some(used_kind)) = (kind(user), kind(used)) else { return true };
    match user_kind {
        Kind::Schemas | Kind::Decider => false,
        Kind::JetstreamConfig => used_kind == Kind::Schemas,
        // Whom a node believes is a decision of its core, and trust is as pure as a core is.
        Kind::Core if user.name == "agent-core" && used.name == "trust" => true,
        Kind::Core | Kind::PureShared => matches!(used_kind, Kind::Schemas | Kind::Decider),
        Kind::Sandbox => used_kind == Kind::Schemas || used.dir.starts_with("sandbox-wasm/"),
        Kind::Shared => match used_kind {
            Kind::Schemas | Kind::Decider | Kind::JetstreamConfig => true,
            // A node has the client without the runtime.
            Kind::PureShared | Kind::Shared => user.name != "client" || used.name != "runtime",
            Kind::Core | Kind::Server | Kind::Binary | Kind::Sandbox | Kind::Harness => false,
        },
        Kind::Server => match used_kind {
            Kind::Schemas | Kind::Decider | Kind::JetstreamConfig => true,
            Kind::PureShared | Kind::Shared => true,
            Kind::Core if service(user) == service(used) => true,
            // Only what runs tasks knows the sandbox.
            Kind::Core | Kind::Sandbox => {
                used.dir.starts_with("sandbox-wasm/") && user.name == "agent-node"
            }
            Kind::Server => service(user) == service(used),
            Kind::Binary | Kind::Harness => false,
        },
        Kind::Binary => used_kind != Kind::Harness,
        Kind::Harness => user.name != "xtask",
    }
}

pub(crate) fn arrows_upward(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for user in &workspace.packages {
        let in_tests = user.uses_in_tests.iter().filter(|name| *name != "cortex-tests");
        for used in user.uses.iter().chain(in_tests) {
            if let Some(used) = workspace.package(used)
                && used.name != user.name
                && !may_use(user, used)
            {
                found.push(format!("{} uses {}", user.name, used.name));
            }
        }
    }
    found
}

#[test]
fn arrows_point_downward_and_no_service_uses_another() {
    check(
        arrows_upward,
        "services stand over jetstream-config and sandbox-wasm, those over schemas; a core sees \
         schemas and decider alone; services meet in schemas and on NATS, and only `cortex` links \
         them all. Move the shared type to schemas, or ask by a message.",
    );
}

/// What a pure package may name directly, outside of the workspace.
fn pure_allow_list(kind: Kind) -> Option<&'static [&'static str]> {
    match kind {
        Kind::Decider => Some(&[]),
        Kind::Core => Some(&["serde", "thiserror"]),
        // serde_json, for what is signed carries a specification as JSON text.
        Kind::PureShared => Some(&[
            "serde",
            "serde_json",
            "thiserror",
            "ciborium",
            "sha2",
            "ed25519-dalek",
            "chacha20poly1305",
            "nkeys",
            "zeroize",
        ]),
        Kind::Schemas
        | Kind::JetstreamConfig
        | Kind::Shared
        | Kind::Server
        | Kind::Binary
        | Kind::Sandbox
        | Kind::Harness => None,
    }
}

pub(crate) fn impure_uses(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for package in &workspace.packages {
        let Some(allowed) = kind(package).and_then(pure_allow_list) else { continue };
        let outside = package.uses.iter().filter(|name| workspace.package(name).is_none());
        for name in outside.filter(|name| !allowed.contains(&name.as_str())) {
            found.push(format!("{} uses {name}", package.name));
        }
    }
    found
}

#[test]
fn a_pure_package_names_nothing_but_its_allow_list() {
    check(
        impure_uses,
        "A core (and policy, trust, tlog) has no IO, no clock and no randomness; its direct \
         dependencies are on the list in `dependencies::pure_allow_list`. Take time, ids and \
         randomness as facts, and move IO to the server.",
    );
}

/// What decides, or says what is said, names none of these, in its tests neither.
const IMPURE: [&str; 8] =
    ["tokio", "async-nats", "axum", "wasmtime", "rand", "getrandom", "chrono", "time"];

pub(crate) fn impure_in_tests(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for package in &workspace.packages {
        let pure = kind(package)
            .is_some_and(|kind| kind == Kind::Schemas || pure_allow_list(kind).is_some());
        for name in all_uses(package).filter(|name| pure && IMPURE.contains(&name.as_str())) {
            found.push(format!("{} uses {name}", package.name));
        }
    }
    found
}

#[test]
fn no_pure_package_names_io_clocks_or_randomness_even_in_its_tests() {
    check(
        impure_in_tests,
        "Test a pure package with values. What needs a runtime or a broker is tested in the server \
         or in `tests`.",
    );
}

/// Who may name a library that should stand behind one door, by the package's folder.
const DOORS: [(&str, &[&str]); 3] = [
    (
        "async-nats",
        &["jetstream-config", "services/shared/runtime", "services/shared/client", "tests"],
    ),
    ("wasmtime", &["sandbox-wasm/wasm"]),
    ("axum", &["services/gateway/server", "services/shared/runtime"]),
];

pub(crate) fn side_doors(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for package in &workspace.packages {
        for (library, doors) in DOORS {
            let named = all_uses(package).any(|name| name == library);
            if named && !doors.contains(&package.dir.as_str()) {
                found.push(format!("{} uses {library}", package.name));
            }
        }
    }
    found
}

#[test]
fn nats_wasmtime_and_axum_each_stand_behind_their_doors() {
    check(
        side_doors,
        "Only jetstream-config, runtime, client and the test harness name async-nats; only \
         sandbox-wasm/wasm names wasmtime; only gateway/server and runtime name axum. Use what \
         those crates offer, or add to it there.",
    );
}
