//! What to run, and within which limits.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use sandbox_policy::Mount;

/// What to run.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// The program and its arguments. A program without `/` is looked up on the fixed path of
    /// [`sandbox_policy::FIXED_PATH`]; one with `/` is taken relative to `cwd`.
    pub argv: Vec<String>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// The run's own directory, which becomes its `HOME`.
    pub scratch: PathBuf,
    /// Variables that the task names, see [`sandbox_policy::environment`].
    pub env: BTreeMap<String, String>,
    /// What it reads; end of file at once when empty.
    pub stdin: Vec<u8>,
    /// What this run alone is given of the host's files, beside what every run is.
    pub mounts: Vec<Mount>,
    /// What bounds it.
    pub limits: RunLimits,
}

/// What bounds a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunLimits {
    /// From the start of the program to SIGTERM.
    pub wall_time: Duration,
    /// Bytes of stdout and of stderr each that are handed on. More is counted and hashed, then
    /// dropped; the run goes on.
    pub output_bytes: u64,
    /// From SIGTERM to SIGKILL; with none, there is no SIGTERM.
    pub grace: Duration,
}
