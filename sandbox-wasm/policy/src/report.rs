//! The report of a launcher with walls: what each mechanism promises, and what was seen of it.
//!
//! **Invariant:** an act that succeeded behind the walls makes its property absent, whatever the
//! mechanisms promise; an act that fails without walls as well shows nothing.

use std::collections::BTreeMap;

use schemas::sandbox::{Enforcement, Property, PropertyReport, SandboxReport, Tier};

use crate::{
    Access, Mount,
    plain::{absent, enforced, partial},
};

/// First version of Landlock that keeps signals and abstract sockets within a run.
const LANDLOCK_WITH_SCOPES: u32 = 6;

/// What was seen when the walls were tried.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The set of mechanisms.
    pub tier: Tier,
    /// The user of runs, on the host.
    pub uid: u32,
    /// Every capability in any set of a run, as the kernel's bits.
    pub capabilities: u64,
    /// Version of the Landlock rules in force.
    pub landlock_abi: Option<u32>,
    /// The acts that were tried.
    pub acts: BTreeMap<Property, Shown>,
    /// What runs are given of the host's files.
    pub mounts: Vec<Mount>,
}

/// Whether an act succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Behind the walls.
    pub inside: bool,
    /// Without walls: the control.
    pub outside: bool,
}

/// What a launcher enforces whose walls were tried with this result.
#[must_use]
pub fn walls_report(evidence: &Evidence) -> SandboxReport {
    let entry = |property| (property, weigh(promise(property, evidence), property, evidence));
    SandboxReport {
        tier: evidence.tier,
        properties: Property::ALL.into_iter().map(entry).collect(),
    }
}

/// What was seen outranks what is promised.
fn weigh(promise: PropertyReport, property: Property, evidence: &Evidence) -> PropertyReport {
    let Some(shown) = evidence.acts.get(&property) else { return promise };
    match (shown.inside, shown.outside, promise.level) {
        (true, _, Enforcement::Enforced) => {
            absent("its mechanisms are in place, but what they forbid succeeded when it was tried")
        }
        (false, false, Enforcement::Enforced) => PropertyReport {
            level: Enforcement::Partial,
            why: "what it forbids fails on this host without a sandbox too, so nothing was shown"
                .to_owned(),
            ..promise
        },
        (false | true, ..) => promise,
    }
}

fn promise(property: Property, evidence: &Evidence) -> PropertyReport {
    match evidence.tier {
        Tier::T0 | Tier::T1 => without_namespaces(property, evidence),
        Tier::T2 | Tier::T3 => with_namespaces(property, evidence),
    }
}

fn with_namespaces(property: Property, evidence: &Evidence) -> PropertyReport {
    let writable = evidence.mounts.iter().any(|mount| mount.access == Access::ReadWrite);
    let files = files(evidence);
    match property {
        Property::FsWriteConfined | Property::FsReadConfined => enforced(&files),
        Property::HostSocketsBlocked if !evidence.mounts.is_empty() => partial(
            &["a root of its own", "a network namespace"],
            "a socket within a mounted folder can be connected to",
        ),
        Property::HostSocketsBlocked => enforced(&["a root of its own", "a network namespace"]),
        Property::NetDenied => {
            enforced(&["a network namespace with nothing in it", "socket() for unix alone"])
        }
        Property::ProcHidden => enforced(&["a pid namespace", "a /proc of its own"]),
        Property::SignalsConfined => enforced(&["a pid namespace"]),
        Property::PidsLimited => enforced(&["RLIMIT_NPROC in a user namespace of its own"]),
        Property::DiskLimited if writable => partial(
            &["one tmpfs of fixed size for all that is the run's own"],
            "folders that are mounted for writing have no quota",
        ),
        Property::DiskLimited => {
            enforced(&["one tmpfs of fixed size for all that a run can write"])
        }
        Property::TreeKill => enforced(&["a pid namespace, whose end is everybody's"]),
        Property::EnvScrubbed => {
            enforced(&["an environment made from an allow-list", "a pid namespace"])
        }
        Property::NetAllowlisted
        | Property::NoNewPrivs
        | Property::NoCaps
        | Property::SyscallsFiltered
        | Property::UidUnprivileged
        | Property::MemoryLimited
        | Property::CpuLimited
        | Property::FdsClosed => common(property, evidence),
    }
}

fn without_namespaces(property: Property, evidence: &Evidence) -> PropertyReport {
    let scoped = evidence.landlock_abi.is_some_and(|abi| LANDLOCK_WITH_SCOPES <= abi);
    let files = files(evidence);
    match property {
        Property::FsWriteConfined => {
            partial(&files, "times and modes of the user's own files can be changed anywhere")
        }
        Property::FsReadConfined => {
            partial(&files, "names and sizes of files can be seen anywhere")
        }
        Property::HostSocketsBlocked | Property::NetDenied => enforced(&["no socket()"]),
        Property::ProcHidden => {
            partial(&files, "that processes exist, and whose they are, can be seen in /proc")
        }
        Property::SignalsConfined if scoped => enforced(&["Landlock"]),
        Property::SignalsConfined => {
            absent("this kernel's Landlock lets a run signal every process of its user")
        }
        Property::PidsLimited => {
            absent("without a user namespace the kernel counts all that the user runs")
        }
        Property::DiskLimited => partial(&["RLIMIT_FSIZE"], "each file is bounded, not their sum"),
        Property::TreeKill if scoped => enforced(&[
            "a supervisor that adopts orphans (PR_SET_CHILD_SUBREAPER), out of reach by Landlock",
            "PR_SET_PDEATHSIG",
        ]),
        Property::TreeKill => partial(
            &["a supervisor that adopts orphans (PR_SET_CHILD_SUBREAPER)", "PR_SET_PDEATHSIG"],
            "a run can kill its supervisor, for they have the same user",
        ),
        Property::EnvScrubbed => {
            enforced(&["an environment made from an allow-list", "Landlock over /proc"])
        }
        Property::NetAllowlisted
        | Property::NoNewPrivs
        | Property::NoCaps
        | Property::SyscallsFiltered
        | Property::UidUnprivileged
        | Property::MemoryLimited
        | Property::CpuLimited
        | Property::FdsClosed => common(property, evidence),
    }
}

/// What does not depend on namespaces.
fn common(property: Property, evidence: &Evidence) -> PropertyReport {
    match property {
        Property::NetAllowlisted => absent("there is no network at all, and no proxy yet"),
        Property::NoNewPrivs => enforced(&["PR_SET_NO_NEW_PRIVS"]),
        Property::NoCaps if evidence.capabilities != 0 => {
            absent("capabilities were read back from a run")
        }
        Property::NoCaps => enforced(&["every set emptied", "securebits locked"]),
        Property::SyscallsFiltered => enforced(&["seccomp"]),
        Property::UidUnprivileged if evidence.uid == 0 => absent("the node runs as root"),
        Property::UidUnprivileged => enforced(&["a user that is not root, inside and outside"]),
        Property::MemoryLimited => partial(
            &["RLIMIT_DATA for each process"],
            "no cgroup v2 is delegated to the node, so processes are bounded and their sum is not",
        ),
        Property::CpuLimited => partial(
            &["RLIMIT_CPU for each process", "a limit on wall time"],
            "no cgroup v2 is delegated to the node, so processes are bounded and their sum is not",
        ),
        Property::FdsClosed => enforced(&["close_range, and close-on-exec for the rest"]),
        Property::FsWriteConfined
        | Property::FsReadConfined
        | Property::NetDenied
        | Property::HostSocketsBlocked
        | Property::ProcHidden
        | Property::SignalsConfined
        | Property::PidsLimited
        | Property::DiskLimited
        | Property::TreeKill
        | Property::EnvScrubbed => absent("nothing is known of it"),
    }
}

fn files(evidence: &Evidence) -> Vec<&'static str> {
    let root = match evidence.tier {
        Tier::T0 | Tier::T1 => None,
        Tier::T2 | Tier::T3 => Some("a root of its own"),
    };
    root.into_iter().chain(evidence.landlock_abi.map(|_| "Landlock")).collect()
}

#[cfg(test)]
mod tests;
