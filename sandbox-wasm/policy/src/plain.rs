//! The report of the plain launcher: a supervised process without walls around it.

use std::collections::BTreeMap;

use schemas::sandbox::{Enforcement, Property, PropertyReport, SandboxReport, Tier};

/// What the report depends on, measured on the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// The user that runs have: the node's own.
    pub uid: u32,
    /// The permitted capabilities that runs have, as the kernel's bit set.
    pub capabilities: u64,
}

/// What the plain launcher enforces on a host with these facts.
#[must_use]
pub fn plain_report(facts: HostFacts) -> SandboxReport {
    let properties: BTreeMap<_, _> =
        Property::ALL.into_iter().map(|property| (property, entry(property, facts))).collect();
    SandboxReport { tier: Tier::T0, properties }
}

fn entry(property: Property, facts: HostFacts) -> PropertyReport {
    match property {
        Property::FsWriteConfined => absent("a run writes wherever the node's user may"),
        Property::FsReadConfined => absent("a run reads whatever the node's user may"),
        Property::NetDenied => absent("a run shares the host's network"),
        Property::NetAllowlisted => absent("a run reaches every host that the node reaches"),
        Property::HostSocketsBlocked => absent("a run can connect to the host's unix sockets"),
        Property::ProcHidden => absent("a run sees the host's processes in /proc"),
        Property::SignalsConfined => absent("a run can signal every process of its user"),
        Property::SyscallsFiltered => absent("no system call is refused"),
        Property::MemoryLimited => absent("no cgroup bounds the memory of a run"),
        Property::PidsLimited => absent("no cgroup bounds the processes of a run"),
        Property::CpuLimited => absent("only wall time is bounded, not processor time"),
        Property::DiskLimited => absent("no quota bounds what a run writes"),
        Property::NoNewPrivs => enforced(&["PR_SET_NO_NEW_PRIVS"]),
        Property::FdsClosed => enforced(&["close_range before exec"]),
        Property::EnvScrubbed => partial(
            &["an environment made from an allow-list"],
            "a run can read the node's own environment in /proc",
        ),
        Property::TreeKill => partial(
            &["a supervisor that adopts orphans (PR_SET_CHILD_SUBREAPER)", "PR_SET_PDEATHSIG"],
            "a run can kill its supervisor, for they have the same user",
        ),
        Property::UidUnprivileged => uid(facts.uid),
        Property::NoCaps => capabilities(facts.capabilities),
    }
}

fn uid(uid: u32) -> PropertyReport {
    if uid == 0 {
        return absent("the node runs as root, and so do its runs");
    }
    enforced(&["the node's own user", "PR_SET_NO_NEW_PRIVS"])
}

fn capabilities(permitted: u64) -> PropertyReport {
    if permitted != 0 {
        return absent("runs keep the capabilities of the node");
    }
    partial(
        &["the node has no capability", "PR_SET_NO_NEW_PRIVS"],
        "a new user namespace gives capabilities within it",
    )
}

pub(crate) fn absent(why: &str) -> PropertyReport {
    PropertyReport { level: Enforcement::Absent, by: Vec::new(), why: why.to_owned() }
}

pub(crate) fn partial(by: &[&str], why: &str) -> PropertyReport {
    PropertyReport { level: Enforcement::Partial, by: words(by), why: why.to_owned() }
}

pub(crate) fn enforced(by: &[&str]) -> PropertyReport {
    PropertyReport { level: Enforcement::Enforced, by: words(by), why: String::new() }
}

fn words(by: &[&str]) -> Vec<String> {
    by.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests;
