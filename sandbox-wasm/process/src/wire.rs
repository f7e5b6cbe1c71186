//! What launcher and supervisor say to each other over their socket: one JSON value a line.
//!
//! The launcher sends one byte that carries the three standard streams, then the order, then
//! single bytes; the supervisor answers with reports: that the program is ready behind its walls,
//! that it runs, that it ended. A closed socket means *kill everything*.

use std::{collections::BTreeMap, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use sandbox_policy::{Mount, Quotas, Tier};
use schemas::sandbox::RunProof;
use serde::{Deserialize, Serialize};

use crate::{Leftovers, Status, Verdict, canary::Probe};

/// Most bytes of one order: above what the kernel takes as arguments and environment.
pub(crate) const ORDER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Rides with the descriptors, for they need a byte to ride on.
pub(crate) const STREAMS: u8 = b's';
/// Asks for SIGTERM and, after the grace period, SIGKILL.
pub(crate) const CANCEL: u8 = b'c';
/// Asks for SIGKILL at once.
pub(crate) const KILL: u8 = b'k';

/// Allows the program to be executed, after its walls were looked at.
pub(crate) const GO: u8 = b'g';

/// What the supervisor is to run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// The program and its arguments.
    pub(crate) argv: Vec<String>,
    /// Where it runs, as the run sees it.
    pub(crate) cwd: String,
    /// Its whole environment.
    pub(crate) env: BTreeMap<String, String>,
    /// From start to SIGTERM.
    pub(crate) wall_time: Duration,
    /// From SIGTERM to SIGKILL.
    pub(crate) grace: Duration,
    /// What surrounds it.
    pub(crate) walls: Walls,
}

/// What surrounds a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Walls {
    /// Which mechanisms.
    pub(crate) tier: Tier,
    /// The user that the run has, inside and outside.
    pub(crate) uid: u32,
    /// The group that the run has, likewise.
    pub(crate) gid: u32,
    /// The run's own directory, as the run sees it.
    pub(crate) scratch: String,
    /// What it is given of the host's files.
    pub(crate) mounts: Vec<Mount>,
    /// What bounds it.
    pub(crate) quotas: Quotas,
    /// The system's bubblewrap, for the tier that needs it.
    pub(crate) bubblewrap: Option<String>,
    /// Whether it tries what a run must not be able to do, instead of running a program.
    pub(crate) probe: Option<Probe>,
}

/// What the supervisor says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Report {
    /// The program waits behind its walls. The executable's descriptor rides with this.
    Ready(Box<RunProof>),
    /// The program runs.
    Started {
        /// Its process.
        pid: i32,
        /// When, on the monotonic clock.
        at: Duration,
    },
    /// The program could not be run. Nothing is left.
    Refused(Refusal),
    /// Nothing of the run is left.
    Ended(Ended),
}

/// Why a program was not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refusal {
    /// What failed.
    pub(crate) stage: Stage,
    /// The operating system's number of the error.
    pub(crate) errno: i32,
    /// What was attempted, or with which file.
    pub(crate) attempt: String,
}

impl Refusal {
    /// An attempt of a stage failed.
    pub(crate) fn of(stage: Stage, attempt: &str, error: &std::io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(libc::EPROTO);
        Self { stage, errno, attempt: attempt.to_owned() }
    }
}

/// For results of system calls.
pub(crate) trait OrRefuse<T> {
    /// Tells which attempt of which stage failed.
    fn or_refuse(self, stage: Stage, attempt: &str) -> Result<T, Refusal>;
}

impl<T, E: Into<std::io::Error>> OrRefuse<T> for Result<T, E> {
    fn or_refuse(self, stage: Stage, attempt: &str) -> Result<T, Refusal> {
        self.map_err(|error| Refusal::of(stage, attempt, &error.into()))
    }
}

/// What is tried before the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// The supervisor's own preparation.
    Prepare,
    /// To put walls around the run.
    Confine,
    /// To enter the working directory.
    Enter,
    /// To find the program.
    Resolve,
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
