//! The workspace as data: its packages from `cargo metadata`, its files from `git`.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde::Deserialize;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    /// Text files that are tracked or could be: path from the root, contents.
    pub(crate) files: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// From the root, such as `services/registry/core`.
    pub(crate) dir: String,
    /// Normal and build dependencies.
    pub(crate) uses: Vec<String>,
    pub(crate) uses_in_tests: Vec<String>,
    /// The root files of its libraries and binaries, from the workspace's root.
    pub(crate) roots: Vec<String>,
}

impl Workspace {
    pub(crate) fn this() -> &'static Self {
        static THIS: OnceLock<Workspace> = OnceLock::new();
        THIS.get_or_init(|| Self { packages: packages(), files: files() })
    }

    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// Every `.rs` file.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter(|(path, _)| path.ends_with(".rs"))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }
}

/// Whether a `.rs` file holds tests and nothing else.
pub(crate) fn is_test(path: &str) -> bool {
    let in_harness = path.starts_with("tests/src/") || path.starts_with("tests/xtask/");
    let file = path.rsplit('/').next().unwrap_or(path);
    file == "tests.rs"
        || file.ends_with("_tests.rs")
        || path.contains("/tests/")
        || path.starts_with("tests/") && !in_harness
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<RawPackage>,
    workspace_root: String,
}

#[derive(Deserialize)]
struct RawPackage {
    name: String,
    manifest_path: String,
    dependencies: Vec<RawDependency>,
    targets: Vec<RawTarget>,
}

#[derive(Deserialize)]
struct RawDependency {
    name: String,
    kind: Option<String>,
}

#[derive(Deserialize)]
struct RawTarget {
    kind: Vec<String>,
    src_path: String,
}

fn packages() -> Vec<Package> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let json = run(Command::new(cargo).args(["metadata", "--no-deps", "--format-version", "1"]));
    let metadata: Metadata = serde_json::from_slice(&json).expect("cargo metadata is JSON");
    let root = metadata.workspace_root;
    metadata.packages.into_iter().map(|package| read_package(package, &root)).collect()
}

fn read_package(raw: RawPackage, root: &str) -> Package {
    let relative = |path: &str| path.trim_start_matches(root).trim_start_matches('/').to_owned();
    let of_kind = |for_tests: bool| {
        let dependencies = raw.dependencies.iter();
        let mut names: Vec<_> = dependencies
            .filter(|dependency| (dependency.kind.as_deref() == Some("dev")) == for_tests)
            .map(|dependency| dependency.name.clone())
            .collect();
        names.sort();
        names
    };
    let is_root =
        |target: &&RawTarget| target.kind.iter().any(|kind| kind == "lib" || kind == "bin");
    Package {
        dir: relative(raw.manifest_path.trim_end_matches("/Cargo.toml")),
        uses: of_kind(false),
        uses_in_tests: of_kind(true),
        roots: raw
            .targets
            .iter()
            .filter(is_root)
            .map(|target| relative(&target.src_path))
            .collect(),
        name: raw.name,
    }
}

fn files() -> BTreeMap<String, String> {
    let listed = run(Command::new("git").args([
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]));
    let listed = String::from_utf8(listed).expect("paths are UTF-8");
    let paths = listed.split('\0').filter(|path| !path.is_empty());
    paths
        // What is no text, or deleted and not yet committed, has no words to look at.
        .filter_map(|path| {
            Some((path.to_owned(), fs::read_to_string(Path::new(ROOT).join(path)).ok()?))
        })
        .collect()
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.current_dir(ROOT).output().expect("cargo and git are installed");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
