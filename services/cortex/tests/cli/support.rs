//! A Cortex of its own for each test, gone with the test however that ends.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Nothing here should take nearly as long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A home with a supervisor that dies with the test.
pub(crate) struct Cortex {
    pub(crate) home: TempDir,
    up: Option<Child>,
}

impl Cortex {
    /// A home where nothing runs.
    pub(crate) fn absent() -> Self {
        Self { home: tempfile::tempdir().unwrap(), up: None }
    }

    /// Broker, services and a node, ready.
    pub(crate) fn up() -> Self {
        let mut cortex = Self::absent();
        cortex.start();
        cortex
    }

    /// Starts everything and waits until it is ready.
    pub(crate) fn start(&mut self) {
        std::fs::create_dir_all(self.shared()).unwrap();
        let mut child = self
            .command(&["up", "--supervised", "--nats-port", "0", "-o", "json", "--share"])
            .arg(self.shared())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "{\n", "`cortex up` did not become ready");
        self.up = Some(child);
    }

    /// The folder that runs are given.
    pub(crate) fn shared(&self) -> PathBuf {
        self.home.path().join("shared")
    }

    /// `cortex` with these arguments, on this home.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cortex"));
        command.args(arguments).env("CORTEX_HOME", self.home.path()).stdin(Stdio::null());
        for variable in ["CORTEX_CONTEXT", "CORTEX_URL", "CORTEX_PRINCIPAL", "CORTEX_OUTPUT"] {
            command.env_remove(variable);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    /// What a command prints as JSON; it must succeed.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[&["-o", "json"], arguments].concat());
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// The record that the supervisor keeps.
    pub(crate) fn record(&self) -> Value {
        let path = self.home.path().join("state/run/up.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    /// The process id of the supervisor (`up`) or of one of its children.
    pub(crate) fn pid(&self, name: &str) -> Pid {
        let record = self.record();
        let number = if name == "up" {
            record["pid"].as_i64()
        } else {
            let all = record["processes"].as_array().unwrap().iter();
            all.filter(|process| process["name"] == name).find_map(|p| p["pid"].as_i64())
        };
        let number = number.expect("the process runs");
        Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
    }

    /// The process id of nats-server itself, behind its guard.
    pub(crate) fn server_pid(&self) -> Pid {
        let text = std::fs::read_to_string(self.home.path().join("state/run/nats.pid")).unwrap();
        Pid::from_raw(text.trim().parse().unwrap()).unwrap()
    }

    /// All of them at once, the supervisor first.
    pub(crate) fn pids(&self) -> Vec<Pid> {
        let names = ["up", "nats", "registry", "scheduler", "node"];
        let mut pids: Vec<Pid> = names.iter().map(|name| self.pid(name)).collect();
        pids.push(self.server_pid());
        pids
    }

    /// Signals the supervisor and waits for its end.
    pub(crate) fn end(&mut self, signal: Signal) -> ExitStatus {
        let mut child = self.up.take().unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        child.wait().unwrap()
    }

    /// Processes whose command line names this home.
    pub(crate) fn processes(&self) -> Vec<String> {
        let home = self.home.path().display().to_string();
        let output = Command::new("ps").args(["-e", "-o", "pid=,args="]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().filter(|line| line.contains(&home)).map(str::to_owned).collect()
    }
}

impl Drop for Cortex {
    fn drop(&mut self) {
        match self.up.take() {
            // Its standard input ends here, and it stops by itself.
            Some(mut child) => {
                drop(child.stdin.take());
                drop(child.wait());
            }
            None => drop(self.command(&["down"]).output()),
        }
    }
}

/// What a command said, and what it left with.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let Output { status, stdout, stderr } = output;
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}

/// Waits for a condition.
#[track_caller]
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let happened = runtime.block_on(cortex_tests::eventually(DEADLINE, async || holds()));
    happened.expect(what);
}

pub(crate) fn is_alive(pid: Pid) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    // A process that has ended and was not waited for is no longer alive.
    let is_zombie = state.is_ok_and(|stat| stat.contains(") Z "));
    test_kill_process(pid).is_ok() && !is_zombie
}

/// An executable file with this text.
pub(crate) fn script(directory: &Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}
