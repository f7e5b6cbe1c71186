//! The steps of each task, as commands that are printed before they run.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

/// Runs `cortex up` in place of this process, so that Ctrl-C reaches it and nothing else.
pub(crate) fn up(arguments: &[OsString]) -> Result<ExitCode> {
    run(&mut cargo(["build", "--bin", "cortex"]))?;
    let mut up = cargo(["run", "--quiet", "--bin", "cortex", "--", "up"]);
    up.args(arguments);
    announce(&mut up);
    Err(up.exec()).context("starting cortex up")
}

/// Runs every test against a broker that is made sure of first.
pub(crate) fn test(arguments: &[OsString]) -> Result<ExitCode> {
    let prerequisites = prerequisites(&[])?;
    // The tests of the whole system start this binary.
    run(&mut cargo(["build", "--bin", "cortex"]))?;
    let mut test = cargo(["test", "--no-fail-fast"]);
    if !names_a_package(arguments) {
        test.arg("--workspace");
    }
    run(test.args(arguments).envs(prerequisites))
}

fn names_a_package(arguments: &[OsString]) -> bool {
    let of_cargo = arguments.iter().take_while(|argument| *argument != "--");
    of_cargo
        .filter_map(|argument| argument.to_str())
        .any(|argument| argument.starts_with("-p") || argument.starts_with("--package"))
}

/// Runs one benchmark, built as a release is.
pub(crate) fn bench(name: &str, arguments: &[OsString]) -> Result<ExitCode> {
    let known = benches()?;
    if !known.iter().any(|known| known == name) {
        bail!("there is no benchmark {name:?}; there are: {}", known.join(", "));
    }
    let prerequisites = prerequisites(&["--release"])?;
    run(&mut cargo(["build", "--release", "--bin", "cortex"]))?;
    let mut bench = cargo(["bench", "--package", "cortex-tests", "--bench", name]);
    if !arguments.is_empty() {
        bench.arg("--").args(arguments);
    }
    run(bench.envs(prerequisites))
}

/// Does what continuous integration does.
pub(crate) fn ci() -> Result<ExitCode> {
    run(&mut Command::new(root().join(".ci/run")))
}

/// The benchmarks in `tests/benches`.
fn benches() -> Result<Vec<String>> {
    let dir = root().join("tests/benches");
    let Ok(entries) = fs::read_dir(&dir) else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("reading {}", dir.display()))?.path();
        let is_rust = path.extension() == Some(OsStr::new("rs"));
        names.extend(path.file_stem().filter(|_| is_rust).map(|stem| stem.display().to_string()));
    }
    names.sort();
    Ok(names)
}

/// Makes sure of what tests run against; returns the variables that tell them where it is.
fn prerequisites(flags: &[&str]) -> Result<Vec<(String, String)>> {
    let mut command = cargo(["run", "--quiet"]);
    command.args(flags).args(["--bin", "prerequisites"]);
    announce(&mut command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context("starting cargo to make sure of the prerequisites")?;
    if !output.status.success() {
        bail!("a prerequisite is missing; the lines above say which and what to do");
    }
    let text = String::from_utf8(output.stdout).context("reading where the prerequisites are")?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(name, path)| (name.to_owned(), path.to_owned())).collect())
}

fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

fn run(command: &mut Command) -> Result<ExitCode> {
    announce(command);
    let program = command.get_program().display().to_string();
    let status = command.status().with_context(|| format!("starting {program}"))?;
    if !status.success() {
        bail!("{program} failed: {status}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the command as it could be typed, and moves it to the workspace's root.
#[expect(clippy::print_stderr, reason = "saying what is done is part of the task")]
fn announce(command: &mut Command) {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = command.get_args().map(|argument| argument.to_string_lossy());
    let line: Vec<_> = std::iter::once(program.to_string_lossy()).chain(words).collect();
    eprintln!("xtask: {}", line.join(" "));
    command.current_dir(root());
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
