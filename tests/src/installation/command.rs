//! Commands as the person types them.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Installation, script::FOREIGN_VARIABLES};

/// No command of a test takes nearly as long.
const COMMAND_DEADLINE: Duration = Duration::from_secs(120);

/// How a command ended and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutput {
    /// Exit status; -1 when a signal ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl CommandOutput {
    /// Standard output as the JSON that `-o json` prints.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.stdout).with_context(|| format!("reading JSON of {self:?}"))
    }
}

impl From<Output> for CommandOutput {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Installation {
    /// `cortex` with these arguments in this home, not started yet; nothing on standard input.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        command_in(&self.binary, self.home(), arguments)
    }

    /// Runs `cortex` with these arguments to its end.
    ///
    /// Fails only when it cannot be run or hangs; what it answers is in the output.
    pub async fn cortex<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<CommandOutput> {
        run(self.command(arguments), arguments).await
    }
}

/// `cortex` in a home, not started yet.
pub(super) fn command_in<S: AsRef<OsStr>>(binary: &Path, home: &Path, arguments: &[S]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).env("CORTEX_HOME", home).kill_on_drop(true);
    for variable in FOREIGN_VARIABLES {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end.
pub(super) async fn run<S: AsRef<OsStr>>(
    mut command: Command,
    arguments: &[S],
) -> Result<CommandOutput> {
    let words: Vec<_> = arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect();
    let line = format!("cortex {}", words.join(" "));
    let output = timeout(COMMAND_DEADLINE, command.output());
    let output = output.await.with_context(|| format!("`{line}` hangs"))?;
    Ok(output.with_context(|| format!("running `{line}`"))?.into())
}
