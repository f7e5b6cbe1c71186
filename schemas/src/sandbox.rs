//! What a sandbox may promise about a run, and how far a node keeps each promise.
//!
//! **Invariant:** a property that a report does not name counts as absent.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Sha256Hash;

/// A promise about a run. Tasks ask for these, never for mechanisms.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Property {
    /// Writes reach only what was granted.
    FsWriteConfined,
    /// Reads reach only what was granted.
    FsReadConfined,
    /// No network at all.
    NetDenied,
    /// The network only to the hosts and ports that were granted.
    NetAllowlisted,
    /// The host's unix sockets cannot be reached.
    HostSocketsBlocked,
    /// Other processes cannot be seen.
    ProcHidden,
    /// Signals reach only the run's own processes.
    SignalsConfined,
    /// No program gains rights by being executed.
    NoNewPrivs,
    /// No capability of the kernel is held.
    NoCaps,
    /// Dangerous system calls are refused.
    SyscallsFiltered,
    /// The run's user is not root.
    UidUnprivileged,
    /// Memory of the whole tree is bounded.
    MemoryLimited,
    /// The number of processes is bounded.
    PidsLimited,
    /// Processor time is bounded.
    CpuLimited,
    /// Disk space is bounded.
    DiskLimited,
    /// The end of a run is the end of every process that it started.
    TreeKill,
    /// Nothing of the node's environment is visible but what the task was granted.
    EnvScrubbed,
    /// No open file of the node is inherited.
    FdsClosed,
}

impl Property {
    /// Every property, in the order in which reports show them.
    pub const ALL: [Self; 18] = [
        Self::FsWriteConfined,
        Self::FsReadConfined,
        Self::NetDenied,
        Self::NetAllowlisted,
        Self::HostSocketsBlocked,
        Self::ProcHidden,
        Self::SignalsConfined,
        Self::NoNewPrivs,
        Self::NoCaps,
        Self::SyscallsFiltered,
        Self::UidUnprivileged,
        Self::MemoryLimited,
        Self::PidsLimited,
        Self::CpuLimited,
        Self::DiskLimited,
        Self::TreeKill,
        Self::EnvScrubbed,
        Self::FdsClosed,
    ];

    /// The word that names it in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FsWriteConfined => "fs_write_confined",
            Self::FsReadConfined => "fs_read_confined",
            Self::NetDenied => "net_denied",
            Self::NetAllowlisted => "net_allowlisted",
            Self::HostSocketsBlocked => "host_sockets_blocked",
            Self::ProcHidden => "proc_hidden",
            Self::SignalsConfined => "signals_confined",
            Self::NoNewPrivs => "no_new_privs",
            Self::NoCaps => "no_caps",
            Self::SyscallsFiltered => "syscalls_filtered",
            Self::UidUnprivileged => "uid_unprivileged",
            Self::MemoryLimited => "memory_limited",
            Self::PidsLimited => "pids_limited",
            Self::CpuLimited => "cpu_limited",
            Self::DiskLimited => "disk_limited",
            Self::TreeKill => "tree_kill",
            Self::EnvScrubbed => "env_scrubbed",
            Self::FdsClosed => "fds_closed",
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a promise is kept.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Enforcement {
    /// Not at all.
    Absent,
    /// Against mistakes, not against intent.
    Partial,
    /// Against intent.
    Enforced,
}

impl Enforcement {
    /// The word that names it in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Partial => "partial",
            Self::Enforced => "enforced",
        }
    }
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which set of mechanisms surrounds a run.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// A supervised process and nothing more.
    T0,
    /// Landlock and seccomp.
    T1,
    /// The system's bubblewrap, Landlock and seccomp.
    T2,
    /// Own namespaces and root, Landlock, seccomp and cgroups.
    T3,
}

/// How far one promise is kept, by what, and why not further.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PropertyReport {
    /// How far.
    pub level: Enforcement,
    /// The mechanisms that do it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// What is missing, in one sentence; empty when it is enforced without reservation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What a node enforces around its runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SandboxReport {
    /// The set of mechanisms in use.
    pub tier: Tier,
    /// Each property that the node knows of.
    #[serde(deserialize_with = "crate::strict::unique_keys")]
    pub properties: BTreeMap<Property, PropertyReport>,
}

impl SandboxReport {
    /// How far `property` is kept; absent when the report does not name it.
    #[must_use]
    pub fn level(&self, property: Property) -> Enforcement {
        self.properties.get(&property).map_or(Enforcement::Absent, |entry| entry.level)
    }

    /// Whether a task that requires `property` may run there.
    #[must_use]
    pub fn enforces(&self, property: Property) -> bool {
        self.level(property) == Enforcement::Enforced
    }
}

/// What was around one run, read by its supervisor from outside while the program waited to be
/// executed.
///
/// The landlock version alone is the word of the process inside; the kernel shows it to nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunProof {
    /// The set of mechanisms in use.
    pub tier: Tier,
    /// The file that was executed, as the run sees it.
    pub program: String,
    /// SHA-256 of that file's content; absent when nobody but the kernel may read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program_sha256: Option<Sha256Hash>,
    /// The user on the host.
    pub uid: u32,
    /// The group on the host.
    pub gid: u32,
    /// Whether execution can give rights.
    pub no_new_privs: bool,
    /// How many filters of system calls are in force.
    pub seccomp_filters: u32,
    /// Every capability that is held, inherited or ambient, as the kernel's bits.
    pub capabilities: u64,
    /// Capabilities that execution could give if it could give rights, likewise.
    pub capability_bounds: u64,
    /// Inode of each namespace that differs from the node's, by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[serde(deserialize_with = "crate::strict::unique_keys")]
    pub namespaces: BTreeMap<String, u64>,
    /// Version of the Landlock rules in force; absent without Landlock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landlock_abi: Option<u32>,
    /// Limits of each process by the kernel's name; what is unlimited is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[serde(deserialize_with = "crate::strict::unique_keys")]
    pub limits: BTreeMap<String, u64>,
    /// The cgroup with quotas for the whole tree; absent where none is delegated to the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
}

#[cfg(test)]
mod tests;
