//! Somebody beside the person who ran `cortex up`: a machine or a person with a home of their own.
//!
//! **Invariant:** neither a process nor a file of it outlives the test, however the test ends.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::Command;

use super::command::{command_in, run};
use super::{CommandOutput, Installation, script};
use crate::eventually;
use crate::guard::Guarded;

/// From the start of a node until the registry lists it as online.
const ONLINE_DEADLINE: Duration = Duration::from_secs(60);

/// A home in which nothing is of the installation but what came with an invite.
#[derive(Debug)]
pub struct Member {
    /// Before the directory: the last of it goes when nothing runs any more.
    node: Option<Guarded>,
    home: TempDir,
    binary: PathBuf,
    name: String,
}

/// What `cortex invite -o json` prints.
#[derive(Debug, Deserialize)]
struct Invited {
    line: String,
}

#[derive(Debug, Deserialize)]
struct Listed {
    status: String,
}

impl Installation {
    /// Invites somebody; `words` go to `cortex invite`. The line is a secret.
    pub async fn invite<S: AsRef<OsStr>>(&self, words: &[S]) -> Result<String> {
        let mut line = vec!["invite".as_ref(), "-o".as_ref(), "json".as_ref()];
        line.extend(words.iter().map(AsRef::as_ref));
        let output = self.cortex::<&OsStr>(&line).await?;
        ensure!(output.code == 0, "{output:?}");
        Ok(output.json::<Invited>()?.line)
    }
}

impl Member {
    /// Somebody who has nothing yet.
    pub fn nobody(cortex: &Installation, name: &str) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("cortex-member-").tempdir()?;
        let (binary, name) = (cortex.binary().to_owned(), name.to_owned());
        Ok(Self { node: None, home, binary, name })
    }

    /// A person who has come in with a role.
    pub async fn person(cortex: &Installation, name: &str, role: &str) -> Result<Self> {
        let person = Self::nobody(cortex, name)?;
        let line = cortex.invite(&["--name", name, "--role", role]).await?;
        let login = person.cortex(&["login", &line]).await?;
        ensure!(login.code == 0, "{login:?}");
        Ok(person)
    }

    /// A machine that has come in and does not run yet; `invited` goes to `cortex invite`, `joining`
    /// to `cortex agent join`.
    pub async fn machine(
        cortex: &Installation,
        name: &str,
        (invited, joining): (&[&str], &[&str]),
    ) -> Result<Self> {
        let machine = Self::nobody(cortex, name)?;
        let line = cortex.invite(&[&["--name", name], invited].concat()).await?;
        let joined = machine.join(&line, joining).await?;
        ensure!(joined.code == 0, "{joined:?}");
        Ok(machine)
    }

    /// As [`Self::machine`] with a node that is online.
    pub async fn node(
        cortex: &Installation,
        name: &str,
        words: (&[&str], &[&str]),
    ) -> Result<Self> {
        let mut machine = Self::machine(cortex, name, words).await?;
        machine.start()?;
        machine.wait_online(cortex).await?;
        Ok(machine)
    }

    /// `cortex agent join` into this home's folder.
    pub async fn join(&self, line: &str, words: &[&str]) -> Result<CommandOutput> {
        self.cortex(&self.joining(line, words)).await
    }

    /// The words of `cortex agent join` into this home's folder.
    #[must_use]
    pub fn joining<'a>(&self, line: &'a str, words: &[&'a str]) -> Vec<String> {
        let folder = self.folder().display().to_string();
        let mut all = vec!["agent".into(), "join".into(), line.to_owned(), "--dir".into(), folder];
        all.extend(words.iter().map(|word| (*word).to_owned()));
        all
    }

    /// Its name in the fleet.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `CORTEX_HOME`.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Where a machine keeps keys, credentials, settings and state.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.home.path().join("node")
    }

    /// The settings of a machine's node.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.folder().join("node.toml")
    }

    /// Changes the settings; a node that runs must be started again.
    pub fn change_settings(&self, change: impl FnOnce(&mut toml::Table)) -> Result<()> {
        let path = self.settings();
        let mut settings = fs::read_to_string(&path)?.parse::<toml::Table>()?;
        change(&mut settings);
        fs::write(&path, toml::to_string(&settings)?).context("writing settings")
    }

    /// `cortex` with these arguments in this home, not started yet; nothing on standard input.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        command_in(&self.binary, self.home.path(), arguments)
    }

    /// Runs `cortex` with these arguments to its end.
    pub async fn cortex<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<CommandOutput> {
        run(self.command(arguments), arguments).await
    }

    /// Starts the node, for the first time or again.
    pub fn start(&mut self) -> Result<()> {
        if let Some(node) = &self.node {
            return node.start_again();
        }
        let words = script::node(&self.binary, self.home.path(), &self.settings());
        let log = self.home.path().join("node.log");
        self.node = Some(Guarded::spawn(Path::new("sh"), words, self.home.path(), &log)?);
        Ok(())
    }

    /// The node's process.
    pub fn process(&self) -> Result<&Guarded> {
        self.node.as_ref().context("the node was never started")
    }

    /// Waits until the registry lists the node as online and the scheduler knows of it.
    pub async fn wait_online(&self, cortex: &Installation) -> Result<()> {
        let show = ["agent", "show", &self.name, "-o", "json"];
        let online = || async {
            let shown = cortex.cortex(&show).await.ok();
            let listed = shown.and_then(|shown| shown.json::<Listed>().ok());
            listed.is_some_and(|listed| listed.status == "online")
        };
        eventually(ONLINE_DEADLINE, online).await.with_context(|| self.node_log())?;
        let run = ["run", "--on", &self.name, "--", "true"];
        let known = || async {
            let ran = cortex.cortex(&run).await;
            ran.is_ok_and(|ran| !ran.stderr.contains("NO_SUCH_NODE"))
        };
        eventually(ONLINE_DEADLINE, known).await.with_context(|| self.node_log())
    }

    /// What the node has logged in all its lives.
    #[must_use]
    pub fn node_log(&self) -> String {
        fs::read_to_string(self.home.path().join("node.log")).unwrap_or_default()
    }
}
