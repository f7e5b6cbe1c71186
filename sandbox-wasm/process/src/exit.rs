//! How a run ended.

use std::time::Duration;

use schemas::Sha256Hash;
use serde::{Deserialize, Serialize};

/// How a run ended, and what it used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// How the first process ended.
    pub status: Status,
    /// What ended the run.
    pub verdict: Verdict,
    /// When the program was started, on the monotonic clock (`CLOCK_MONOTONIC`, since boot).
    pub started_at: Duration,
    /// When nothing of the run was left, on the same clock.
    pub ended_at: Duration,
    /// Processor time in user mode of all waited-for processes of the tree, in milliseconds.
    pub cpu_user_ms: u64,
    /// Processor time in the kernel, likewise.
    pub cpu_system_ms: u64,
    /// Largest resident memory of one process of the tree, in bytes. Never less than the few
    /// megabytes of the supervisor, of which each process is born as a copy.
    pub max_rss_bytes: u64,
    /// What it wrote to stdout.
    pub stdout: StreamTotals,
    /// What it wrote to stderr.
    pub stderr: StreamTotals,
    /// What it left behind.
    pub leftovers: Leftovers,
}

impl Exit {
    /// Wall time from the start until nothing was left.
    #[must_use]
    pub fn wall_time(&self) -> Duration {
        self.ended_at.saturating_sub(self.started_at)
    }
}

/// How the first process of a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// By itself, with this exit status.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody can tell: the supervisor was lost, or the process could not be killed.
    Unknown,
}

/// What ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The program ended by itself.
    Exited,
    /// Its wall time was over.
    TimedOut,
    /// It was cancelled, or its [`crate::Run`] was dropped.
    Cancelled,
    /// The supervisor was killed or stopped answering; what could be found was killed.
    SupervisorLost,
}

/// What a run left behind when it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftovers {
    /// Processes beside the first one that had to be killed.
    pub killed: u32,
    /// Processes that even SIGKILL did not end in time, for example in a hung disk access.
    pub survived: u32,
}

/// What a run wrote to one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamTotals {
    /// All bytes that were written.
    pub bytes: u64,
    /// Those that were not handed on: over the limit, or the reader was too slow.
    pub dropped: u64,
    /// SHA-256 of all that was written.
    pub sha256: Sha256Hash,
}
