//! What the kernel says of a process that waits behind its walls.
//!
//! **Invariant:** nothing here is asked of the process itself.

use std::{collections::BTreeMap, fs, io, os::unix::fs::MetadataExt, path::Path};

use rustix::process::Pid;
use schemas::sandbox::RunProof;

use super::start::Waiting;
use crate::wire::Walls;

/// The kinds of namespaces, as /proc names them.
const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
/// Limits that are read, as /proc names them, and the name of each in the proof.
const LIMITS: [(&str, &str); 6] = [
    ("Max core file size", "core_bytes"),
    ("Max cpu time", "cpu_s"),
    ("Max data size", "data_bytes"),
    ("Max file size", "file_bytes"),
    ("Max open files", "open_files"),
    ("Max processes", "pids"),
];
/// The capability sets that give rights to a process, as /proc names them.
const CAPABILITIES: [&str; 4] = ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"];

/// Reads what surrounds the waiting process.
pub(super) fn read(waiting: &Waiting, walls: &Walls) -> io::Result<RunProof> {
    let of = Path::new("/proc").join(waiting.leader.to_string());
    let status = fs::read_to_string(of.join("status"))?;
    let limits = fs::read_to_string(of.join("limits"))?;
    Ok(RunProof {
        tier: walls.tier,
        program: waiting.program.clone(),
        program_sha256: None,
        uid: number(&status, "Uid:", 10)?,
        gid: number(&status, "Gid:", 10)?,
        no_new_privs: number::<u32>(&status, "NoNewPrivs:", 10)? == 1,
        seccomp_filters: number(&status, "Seccomp_filters:", 10)?,
        capabilities: capabilities(&status)?,
        capability_bounds: number(&status, "CapBnd:", 16)?,
        namespaces: namespaces(waiting.leader)?,
        landlock_abi: waiting.landlock_abi,
        limits: parse_limits(&limits),
        cgroup: None,
    })
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_ascii_whitespace().next()
}

fn number<N: TryFrom<u64>>(status: &str, name: &str, radix: u32) -> io::Result<N> {
    let value = field(status, name).and_then(|text| u64::from_str_radix(text, radix).ok());
    let value = value.and_then(|value| N::try_from(value).ok());
    value.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODATA))
}

fn capabilities(status: &str) -> io::Result<u64> {
    CAPABILITIES.iter().try_fold(0, |all, name| Ok(all | number::<u64>(status, name, 16)?))
}

fn namespaces(process: Pid) -> io::Result<BTreeMap<String, u64>> {
    let mut others = BTreeMap::new();
    for kind in NAMESPACES {
        let inode = |process: &str| Ok(fs::metadata(format!("/proc/{process}/ns/{kind}"))?.ino());
        let theirs: io::Result<u64> = inode(&process.to_string());
        let theirs = theirs?;
        let ours: io::Result<u64> = inode("self");
        if theirs != ours? {
            others.insert(kind.to_owned(), theirs);
        }
    }
    Ok(others)
}

/// Hard limits; what is unlimited is left out.
fn parse_limits(text: &str) -> BTreeMap<String, u64> {
    let hard = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    LIMITS.iter().filter_map(|(theirs, ours)| Some(((*ours).to_owned(), hard(theirs)?))).collect()
}

#[cfg(test)]
mod tests;
