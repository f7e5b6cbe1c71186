//! The processes of one installation: which they are, and how they are signalled and ended.
//!
//! **Invariant:** a process counts as ours only while its command line names a file of our home.

use std::path::Path;
use std::time::Duration;
use std::{fmt, fs};

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::process::{Pid, kill_process};

use crate::eventually;
use crate::guard::Signal;

/// What `cortex up` consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Process {
    /// `cortex up` itself.
    Supervisor,
    /// What stands between it and the broker.
    NatsGuard,
    /// The broker.
    Nats,
    /// The registry.
    Registry,
    /// The scheduler.
    Scheduler,
    /// The local node.
    Node,
}

impl Process {
    /// All of them, who starts before who is started.
    pub const ALL: [Self; 6] = [
        Self::Supervisor,
        Self::NatsGuard,
        Self::Nats,
        Self::Registry,
        Self::Scheduler,
        Self::Node,
    ];

    /// Its name among the supervisor's children, if it is one.
    pub(super) fn recorded_as(self) -> Option<&'static str> {
        match self {
            Self::Supervisor | Self::Nats => None,
            Self::NatsGuard => Some("nats"),
            Self::Registry => Some("registry"),
            Self::Scheduler => Some("scheduler"),
            Self::Node => Some("node"),
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Supervisor => "the supervisor",
            Self::NatsGuard => "the broker's guard",
            Self::Nats => "the broker",
            Self::Registry => "the registry",
            Self::Scheduler => "the scheduler",
            Self::Node => "the node",
        })
    }
}

/// Whether a process runs and belongs to `home`; one that has ended has no command line.
pub(super) fn is_of(pid: u32, home: &Path) -> bool {
    let home = home.as_os_str().as_encoded_bytes();
    let names_home = |file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        bytes.windows(home.len()).any(|window| window == home)
    };
    // The supervisor and commands of the test know their home by a variable alone.
    names_home("cmdline") || has_command_line(pid) && names_home("environ")
}

fn has_command_line(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Sends a signal; a process that has ended by now is no error.
pub(super) fn send(pid: u32, signal: Signal) -> Result<()> {
    use rustix::process::Signal as System;
    let number = match signal {
        Signal::Kill => System::KILL,
        Signal::Terminate => System::TERM,
        Signal::Interrupt => System::INT,
        Signal::Stop => System::STOP,
        Signal::Continue => System::CONT,
    };
    let target = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no process id")?;
    match kill_process(target, number) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("sending {signal:?} to {pid}")),
    }
}

/// Waits until a process has ended, whether or not it was waited for.
pub(super) async fn gone(pid: u32, deadline: Duration) -> Result<()> {
    eventually(deadline, || async { !has_command_line(pid) })
        .await
        .with_context(|| format!("process {pid} does not end"))
}

/// Kills everything that belongs to `home`, again and again until nothing is left to start more.
pub(super) fn end_all_of(home: &Path) {
    while let Some(pid) = processes_of(home).first() {
        if send(*pid, Signal::Kill).is_err() {
            return;
        }
    }
}

/// Every process that belongs to `home`, except guards, whose part it is to remove it.
#[must_use]
pub fn processes_of(home: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id() && !is_guard(*pid) && is_of(*pid, home)).collect()
}

/// Whether it is the shell of a [`crate::Guarded`].
fn is_guard(pid: u32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).nth(3).is_some_and(|word| word == b"guard")
}
