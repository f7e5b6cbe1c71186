//! What a run is given: parts of the host's files, and amounts of what a machine has.

use schemas::sandbox::Tier;
use serde::{Deserialize, Serialize};

/// Most memory that one process of a run may hold, in bytes, unless set.
const MEMORY_BYTES_DEFAULT: u64 = 4 << 30;
/// Most processes and threads of a run at the same time, unless set.
const PIDS_DEFAULT: u64 = 512;
/// Most processor time of one process of a run, in seconds, unless set.
const CPU_S_DEFAULT: u64 = 24 * 3600;
/// Most bytes that a run may keep in its scratch directories, unless set.
const DISK_BYTES_DEFAULT: u64 = 1 << 30;
/// Most files that one process of a run may have open, unless set.
const OPEN_FILES_DEFAULT: u64 = 4096;

/// Top-level folders of a run that are made for it.
const OWN: [&str; 10] =
    ["bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "usr"];

/// Leads to the run's own space, where anything may be.
const SHARED_MEMORY: &str = "/dev/shm/";

/// What a run may do with a part of the host's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Read and execute.
    ReadOnly,
    /// Also create, change and remove.
    ReadWrite,
}

/// A file or folder of the host that a run is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Where it is on the host: an absolute path.
    pub source: String,
    /// Where the run finds it: an absolute path.
    pub target: String,
    /// What the run may do with it.
    pub access: Access,
}

impl Mount {
    /// The same path inside and outside.
    #[must_use]
    pub fn same(path: impl Into<String>, access: Access) -> Self {
        let source = path.into();
        Self { target: source.clone(), source, access }
    }

    /// Why it cannot be given to a run, whatever the host is like.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        let parts = |path: &str| path.split('/').any(|part| part == "..");
        if !self.source.starts_with('/') || !self.target.starts_with('/') {
            return Some("a path is not absolute");
        }
        if parts(&self.source) || parts(&self.target) {
            return Some("a path holds ..");
        }
        if self.target.trim_matches('/').is_empty() {
            return Some("the whole root cannot be replaced");
        }
        let first = self.target.trim_start_matches('/').split('/').next().unwrap_or_default();
        if OWN.contains(&first) && !self.target.starts_with(SHARED_MEMORY) {
            return Some("its place belongs to the sandbox itself");
        }
        None
    }
}

/// How much of the machine a run may use.
///
/// The time of its clock and the bytes of its output are limits of each request, not of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quotas {
    /// Memory in bytes: of the whole tree where there is a cgroup, of each process otherwise.
    pub memory_bytes: u64,
    /// Processes and threads at the same time.
    pub pids: u64,
    /// Processor time of each process, in seconds.
    pub cpu_s: u64,
    /// Bytes in the run's own directories together.
    pub disk_bytes: u64,
    /// Open files of each process.
    pub open_files: u64,
}

impl Default for Quotas {
    /// 4 GiB, 512 processes, a day, 1 GiB and 4,096 files.
    fn default() -> Self {
        Self {
            memory_bytes: MEMORY_BYTES_DEFAULT,
            pids: PIDS_DEFAULT,
            cpu_s: CPU_S_DEFAULT,
            disk_bytes: DISK_BYTES_DEFAULT,
            open_files: OPEN_FILES_DEFAULT,
        }
    }
}

/// What surrounds the runs of a node, as its operator sets it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxSettings {
    /// The set of mechanisms; the strongest that works when absent, and none at all only when it
    /// is named here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// What every run is given of the host's files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// What each run may use of the machine.
    pub quotas: Quotas,
}
