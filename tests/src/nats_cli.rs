//! The real `nats` command, built from pinned sources where Go is present.

use std::env::{self, consts};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::broker::Search;

/// Names the `nats` command to use; nothing is built when it is set.
pub const NATS_CLI_VARIABLE: &str = "CORTEX_NATS_CLI";

/// What `tools/nats-cli/go.mod` pins, as the command itself says it.
const VERSION: &str = "v0.3.0";
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/nats-cli");
const PACKAGE: &str = "github.com/nats-io/natscli/nats";

/// Finds the `nats` command, or builds the pinned one into the cache with Go. Blocks; a first
/// build takes a minute or two.
///
/// The error says what is missing. A test that cannot run for it prints the error and returns.
pub fn nats_cli() -> Result<PathBuf> {
    if let Some(path) = env::var_os(NATS_CLI_VARIABLE).filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        version(&path).with_context(|| format!("{NATS_CLI_VARIABLE} names no nats command"))?;
        return Ok(path);
    }
    let cache_dir = Search::from_environment().cache_dir.context("HOME is not set")?;
    let cached = cache_dir.join(format!("nats-{VERSION}"));
    fs::create_dir_all(&cache_dir).context("making the cache directory")?;
    let lock = File::create(cache_dir.join("nats-cli.lock")).context("making a lock file")?;
    lock.lock().context("waiting for another build of the nats command")?;
    if !version(&cached).is_ok_and(|found| found == VERSION) {
        build(&cached)?;
    }
    Ok(cached)
}

fn build(target: &Path) -> Result<()> {
    let unfinished = target.with_extension("new");
    let output = Command::new("go")
        .args(["build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-o"])
        .arg(&unfinished)
        .arg(PACKAGE)
        .current_dir(SOURCES)
        .stdin(Stdio::null())
        .output()
        .context("starting go; install Go 1.24 or newer, or set CORTEX_NATS_CLI")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("building nats {VERSION} for {}: {}", consts::ARCH, errors.trim());
    }
    fs::rename(&unfinished, target).context("putting the nats command into the cache")
}

fn version(path: &Path) -> Result<String> {
    let output = Command::new(path).arg("--version").stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{} --version failed", path.display());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
