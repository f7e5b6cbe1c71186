//! A whole Cortex as a user has it: `cortex up` with a home of its own, and everything it starts.
//!
//! **Invariant:** neither a process nor a file of it outlives the test, however the test ends.
//! **Invariant:** nothing of the user's own Cortex is read: home and variables are the test's.

mod command;
mod login;
mod member;
mod process;
mod script;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use tempfile::TempDir;

pub use command::CommandOutput;
pub use login::Login;
pub use member::Member;
pub use process::{Process, processes_of};

use crate::eventually_some;
use crate::guard::{Guarded, Signal};

/// From the first process to a first task and back; a writer that was killed is waited for, and a
/// loaded machine is slow.
const UP_DEADLINE: Duration = Duration::from_secs(180);
/// A signal takes effect at once, unless the machine is very loaded.
const GONE_DEADLINE: Duration = Duration::from_secs(30);
/// Names the `cortex` to test; the one beside the tests in the target directory when absent.
pub const CORTEX_VARIABLE: &str = "CORTEX_BIN";

/// A running `cortex up`.
///
/// Dropping it kills every process and removes the home.
#[derive(Debug)]
pub struct Installation {
    /// Before the directory: the last of it goes when nothing runs any more.
    supervisor: Guarded,
    home: TempDir,
    binary: PathBuf,
}

/// What `cortex up` tells others; see `cortex status -o json`.
#[derive(Debug, Clone, Deserialize)]
struct Record {
    pid: u32,
    url: String,
    ready: bool,
    processes: Vec<ProcessRecord>,
}

#[derive(Debug, Clone, Deserialize)]
struct ProcessRecord {
    name: String,
    pid: Option<u32>,
    restarts: u32,
}

impl Installation {
    /// Starts broker, services and a node, and waits until a first task has come back.
    pub async fn start() -> Result<Self> {
        Self::start_with::<&str>(&[]).await
    }

    /// Starts it with more arguments for `cortex up`, such as `--no-node`.
    pub async fn start_with<S: AsRef<OsStr>>(arguments: &[S]) -> Result<Self> {
        let binary = binary()?;
        let home = tempfile::Builder::new()
            .prefix("cortex-home-")
            .tempdir()
            .context("making a home for cortex")?;
        let mut words = script::up(&binary, home.path())?;
        words.extend(arguments.iter().map(|argument| argument.as_ref().to_owned()));
        let log = home.path().join("up.log");
        let supervisor = Guarded::spawn(Path::new("sh"), words, home.path(), &log)?;
        let installation = Self { supervisor, home, binary };
        installation.wait_ready().await?;
        let port = installation.url()?.rsplit(':').next().unwrap_or_default().to_owned();
        fs::write(installation.home().join(script::PORT_FILE), port).context("keeping the port")?;
        Ok(installation)
    }

    /// `CORTEX_HOME`.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The `cortex` that is tested.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Where the broker listens; the same through every life.
    pub fn url(&self) -> Result<String> {
        Ok(self.record()?.url)
    }

    /// As whom the person who ran `cortex up` reaches it, and with what they sign.
    pub fn login(&self) -> Result<Login> {
        Login::read(&self.home().join("config/contexts/local.toml"))
    }

    /// How often a process was started again in this life of the supervisor.
    pub fn restarts(&self, process: Process) -> Result<u32> {
        let record = self.record()?;
        let name = process.recorded_as();
        let found = record.processes.into_iter().find(|found| Some(found.name.as_str()) == name);
        found.map(|found| found.restarts).with_context(|| format!("there is no {process}"))
    }

    /// The process id; `None` while it does not run.
    #[must_use]
    pub fn pid(&self, process: Process) -> Option<u32> {
        let pid = match process {
            Process::Supervisor => self.supervisor.pid(),
            Process::Nats => {
                let text = fs::read_to_string(self.home().join("state/run/nats.pid")).ok()?;
                text.trim().parse().ok()
            }
            Process::NatsGuard | Process::Registry | Process::Scheduler | Process::Node => {
                let name = process.recorded_as();
                let processes = self.record().ok()?.processes;
                processes.into_iter().find(|found| Some(found.name.as_str()) == name)?.pid
            }
        };
        // A record may be older than its process's end, and the number be somebody else's by now.
        pid.filter(|pid| process::is_of(*pid, self.home()))
    }

    /// Kills one process with SIGKILL and waits until it is gone. `false` when it did not run.
    pub async fn kill9(&self, process: Process) -> Result<bool> {
        let Some(pid) = self.pid(process) else { return Ok(false) };
        if process == Process::Supervisor {
            self.supervisor.kill()?;
            return Ok(true);
        }
        process::send(pid, Signal::Kill)?;
        process::gone(pid, GONE_DEADLINE).await?;
        Ok(true)
    }

    /// Kills the supervisor and everything that it started, all at once, with SIGKILL.
    pub async fn kill9_all(&self) -> Result<()> {
        let pids: Vec<_> = Process::ALL.into_iter().filter_map(|name| self.pid(name)).collect();
        for pid in &pids {
            process::send(*pid, Signal::Kill)?;
        }
        if self.supervisor.pid().is_some() {
            self.supervisor.kill()?;
        }
        for pid in pids {
            process::gone(pid, GONE_DEADLINE).await?;
        }
        Ok(())
    }

    /// Sends a signal to one process. Fails when it does not run.
    pub fn signal(&self, process: Process, signal: Signal) -> Result<()> {
        let pid = self.pid(process).with_context(|| format!("{process} does not run"))?;
        process::send(pid, signal)
    }

    /// Starts `cortex up` again on the same home and port, after it was killed, stopped or ended,
    /// and waits until it is ready.
    pub async fn up_again(&self) -> Result<()> {
        self.begin_again()?;
        self.wait_ready().await
    }

    /// As [`Self::up_again`], without waiting.
    pub fn begin_again(&self) -> Result<()> {
        if self.supervisor.pid().is_some() {
            ensure!(self.supervisor.has_ended(), "the supervisor still runs");
            self.supervisor.wait()?;
        }
        self.supervisor.start_again()
    }

    /// Stops everything with `cortex down`.
    pub async fn down(&self) -> Result<()> {
        let down = self.cortex(&["down"]).await?;
        ensure!(down.code == 0, "cortex down failed: {down:?}");
        self.supervisor.wait()?;
        Ok(())
    }

    /// What the supervisor has said in all its lives.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.home().join("up.log")).unwrap_or_default()
    }

    /// What a process has logged in all its lives.
    #[must_use]
    pub fn log_of(&self, process: Process) -> String {
        let Some(name) = process.recorded_as() else { return self.log() };
        let path = self.home().join(format!("state/logs/{name}.log"));
        fs::read_to_string(path).unwrap_or_default()
    }

    /// Whether the supervisor has ended, by itself or not.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.supervisor.has_ended()
    }

    /// Waits until `cortex up` says that it is ready. Fails when it has ended.
    pub async fn wait_ready(&self) -> Result<()> {
        let ready = eventually_some(UP_DEADLINE, || async {
            if self.supervisor.has_ended() {
                return Some(Err(anyhow!("cortex up ended")));
            }
            let record = self.record().ok()?;
            (record.ready && Some(record.pid) == self.supervisor.pid()).then_some(Ok(()))
        });
        let ready = ready.await.flatten();
        ready.with_context(|| format!("cortex up is not ready; it said:\n{}", self.log()))
    }

    fn record(&self) -> Result<Record> {
        let text = fs::read(self.home().join("state/run/up.json")).context("reading up.json")?;
        serde_json::from_slice(&text).context("reading up.json")
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        // The guard alone would do it within seconds, but with the home gone under living processes.
        if self.supervisor.pid().is_some() {
            drop(self.supervisor.kill());
        }
        process::end_all_of(self.home.path());
    }
}

/// The `cortex` to test.
fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(CORTEX_VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let test = std::env::current_exe().context("finding this test's own program")?;
    let directory = test.parent().and_then(Path::parent).context("finding the target directory")?;
    let path = directory.join("cortex");
    if !path.exists() {
        let path = path.display();
        bail!(
            "there is no {path}: `cargo build --bin cortex` makes it, {CORTEX_VARIABLE} names another"
        );
    }
    Ok(path)
}
