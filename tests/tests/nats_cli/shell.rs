//! Lines of a shell in which `cortex` and `nats` are found, and speak as the same principal.

use std::env;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cortex_tests::{CommandOutput, Installation, nats_cli};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Nothing here should take nearly as long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// What `cortex up` and `cortex ctx env --help` tell people to type first.
const PRELUDE: &str = r#"eval "$(cortex ctx env)""#;
/// What whoever looks after the broker types before looking at streams and events.
pub(crate) const AS_ADMIN: &str = r#"eval "$(cortex ctx env admin)";"#;

/// Started by the first test that needs it, and ended by the last.
static INSTALLATION: Mutex<Weak<Installation>> = Mutex::const_new(Weak::new());

/// A person's shell.
pub(crate) struct Shell {
    pub(crate) cortex: Arc<Installation>,
    /// `HOME`, where the `nats` command keeps what is its own, and the programs.
    home: TempDir,
}

impl Shell {
    /// A shell, or nothing after the reason was printed.
    pub(crate) async fn open() -> Result<Option<Self>> {
        let nats = match tokio::task::spawn_blocking(nats_cli).await? {
            Ok(nats) => nats,
            Err(reason) => {
                println!("skipped: {reason:#}");
                return Ok(None);
            }
        };
        let mut slot = INSTALLATION.lock().await;
        let cortex = match slot.upgrade() {
            Some(cortex) => cortex,
            None => Arc::new(Installation::start().await?),
        };
        *slot = Arc::downgrade(&cortex);
        let home = tempfile::tempdir()?;
        let program = cortex.command::<&str>(&[]).as_std().get_program().to_owned();
        for (name, target) in [("nats", nats.as_path()), ("cortex", Path::new(&program))] {
            let target = std::path::absolute(target)?;
            symlink(&target, home.path().join(name)).with_context(|| format!("linking {name}"))?;
        }
        Ok(Some(Self { cortex, home }))
    }

    /// A line, not started yet.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut words = vec![self.home.path().to_owned()];
        words.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let mut command = Command::new("bash");
        command.args(["-o", "pipefail", "-c", &format!("{PRELUDE}\n{line}")]).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("PATH", env::join_paths(words).unwrap_or_default());
        command.env("HOME", self.home.path()).env("CORTEX_HOME", self.cortex.home());
        for foreign in ["XDG_CONFIG_HOME", "NATS_CONTEXT", "NATS_URL", "ME", "CORTEX_OUTPUT"] {
            command.env_remove(foreign);
        }
        command
    }

    /// Runs a line to its end, whatever that is.
    pub(crate) async fn run(&self, line: &str) -> Result<CommandOutput> {
        let output = timeout(DEADLINE, self.command(line).output()).await;
        Ok(output.with_context(|| format!("`{line}` hangs"))??.into())
    }

    /// What a line prints; the line must end well.
    pub(crate) async fn prints(&self, line: &str) -> Result<String> {
        let output = self.run(line).await?;
        ensure!(output.code == 0, "{line}: {output:?}");
        Ok(output.stdout)
    }

    /// The JSON that a line prints, alone or beside other lines.
    pub(crate) async fn json(&self, line: &str) -> Result<Value> {
        let text = self.prints(line).await?;
        json_in(&text).with_context(|| format!("{line}: {text}"))
    }

    /// What a line prints to a terminal; nothing, after saying so, where none can be had.
    pub(crate) async fn prints_to_terminal(&self, line: &str) -> Result<Option<String>> {
        if self.run("command -v script").await?.code != 0 {
            println!("skipped on a terminal: there is no script(1) here: {line}");
            return Ok(None);
        }
        // Single quotes keep the inner shell's words as they are.
        let quoted = line.replace('\'', r"'\''");
        self.prints(&format!("script -qec '{quoted}' /dev/null")).await.map(Some)
    }
}

/// The first line that is a JSON object.
pub(crate) fn json_in(text: &str) -> Result<Value> {
    let found = text.lines().find_map(|line| serde_json::from_str::<Value>(line.trim()).ok());
    found.filter(Value::is_object).context("there is no JSON object")
}
