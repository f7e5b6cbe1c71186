//! What launcher and supervisor say to each other over their socket: one JSON value a line.
//!
//! The launcher sends one byte that carries the three standard streams, then the order, then
//! single bytes; the supervisor answers with reports. A closed socket means *kill everything*.

use std::{collections::BTreeMap, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::{Leftovers, Status, Verdict};

/// Most bytes of one order: above what the kernel takes as arguments and environment.
pub(crate) const ORDER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Rides with the descriptors, for they need a byte to ride on.
pub(crate) const STREAMS: u8 = b's';
/// Asks for SIGTERM and, after the grace period, SIGKILL.
pub(crate) const CANCEL: u8 = b'c';
/// Asks for SIGKILL at once.
pub(crate) const KILL: u8 = b'k';

/// What the supervisor is to run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// The file to execute.
    pub(crate) program: String,
    /// Its arguments, the zeroth included.
    pub(crate) argv: Vec<String>,
    /// Where it runs.
    pub(crate) cwd: String,
    /// Its whole environment.
    pub(crate) env: BTreeMap<String, String>,
    /// From start to SIGTERM.
    pub(crate) wall_time: Duration,
    /// From SIGTERM to SIGKILL.
    pub(crate) grace: Duration,
}

/// What the supervisor says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Report {
    /// The program runs.
    Started {
        /// Its process.
        pid: i32,
        /// When, on the monotonic clock.
        at: Duration,
    },
    /// The program could not be run. Nothing is left.
    Refused {
        /// What failed.
        stage: Stage,
        /// The operating system's number of the error.
        errno: i32,
    },
    /// Nothing of the run is left.
    Ended(Ended),
}

/// What the supervisor tries before the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// Its own preparation.
    Prepare,
    /// To enter the working directory.
    Enter,
    /// To execute the file.
    Execute,
}

/// How a run ended, but for its output.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ended {
    /// How the first process ended.
    pub(crate) status: Status,
    /// What ended the run.
    pub(crate) verdict: Verdict,
    /// When nothing was left, on the monotonic clock.
    pub(crate) at: Duration,
    /// What the tree used.
    pub(crate) usage: Usage,
    /// What the first process left behind.
    pub(crate) leftovers: Leftovers,
}

/// What the waited-for processes of a tree used.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Usage {
    /// Processor time in user mode, in milliseconds.
    pub(crate) cpu_user_ms: u64,
    /// Processor time in the kernel, in milliseconds.
    pub(crate) cpu_system_ms: u64,
    /// Largest resident memory of one process, in bytes.
    pub(crate) max_rss_bytes: u64,
}

/// Reads the monotonic clock, which launcher and supervisor share.
pub(crate) fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic))
        .expect("the monotonic clock starts at zero and only advances")
}
