//! Which processes descend from which, as /proc tells it, and their end.
//!
//! **Invariant:** a process is signalled within milliseconds of being found. The kernel hands pids
//! out in a circle, so in that time none comes to name another process.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, getpgid, kill_process, kill_process_group},
};

/// One line of `/proc/PID/stat`, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    pid: Pid,
    parent: Option<Pid>,
    session: Option<Pid>,
    ended: bool,
}

/// All descendants of `root`, itself not included, parents before children.
///
/// Processes that start or lose their parent meanwhile may be missing: ask again until none is
/// left.
pub(crate) fn descendants(root: Pid) -> Vec<Pid> {
    if Path::new("/proc/thread-self/children").exists() {
        return walk(root, children);
    }
    // The kernel was built without the list of children: look at everybody's parent.
    let mut by_parent: HashMap<Pid, Vec<Pid>> = HashMap::new();
    for entry in everybody() {
        if let Some(parent) = entry.parent {
            by_parent.entry(parent).or_default().push(entry.pid);
        }
    }
    walk(root, |parent| by_parent.remove(&parent).unwrap_or_default())
}

/// Sends `signal` to each, and to the whole process group of each but that of the caller.
///
/// A group is signalled at once and by the kernel, so none of it can fork its way out.
pub(crate) fn signal_all(processes: &[Pid], signal: Signal) {
    let mut seen: HashSet<Pid> = getpgid(None).into_iter().collect();
    for process in processes {
        if let Ok(group) = getpgid(Some(*process))
            && seen.insert(group)
        {
            ignore_gone(kill_process_group(group, signal));
        }
    }
    // The group of a process may have become another's since; the process itself must not be lost.
    for process in processes {
        ignore_gone(kill_process(*process, signal));
    }
}

/// Kills every process of a session and tells how many there were.
pub(crate) fn kill_session(session: Pid) -> u32 {
    let members: Vec<Pid> = everybody()
        .filter(|entry| entry.session == Some(session) && !entry.ended)
        .map(|entry| entry.pid)
        .collect();
    for member in &members {
        ignore_gone(kill_process(*member, Signal::KILL));
    }
    u32::try_from(members.len()).unwrap_or(u32::MAX)
}

/// Whether the process has yet to end; one that waits to be reaped has ended.
pub(crate) fn is_alive(process: Pid) -> bool {
    entry(process).is_some_and(|entry| !entry.ended)
}

/// Who is gone needs no signal; whoever may not be signalled is found again in the next round.
fn ignore_gone(result: Result<(), Errno>) {
    match result {
        Ok(()) | Err(Errno::SRCH) => (),
        Err(error) => tracing::debug!(%error, "cannot signal a process of a run"),
    }
}

fn walk(root: Pid, mut children_of: impl FnMut(Pid) -> Vec<Pid>) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut seen = HashSet::from([root]);
    let mut next = root;
    let mut position = 0;
    loop {
        found.extend(children_of(next).into_iter().filter(|child| seen.insert(*child)));
        match found.get(position) {
            Some(process) => next = *process,
            None => return found,
        }
        position += 1;
    }
}

/// A thread that ends meanwhile has handed its children over, so it is left out.
fn children(parent: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(parse_pid).collect::<Vec<_>>())
        .collect()
}

fn everybody() -> impl Iterator<Item = Entry> {
    let names =
        fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str().and_then(parse_pid)).filter_map(entry)
}

fn entry(process: Pid) -> Option<Entry> {
    parse_stat(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// Reads `PID (NAME) STATE PPID PGRP SESSION ...`, where NAME may hold anything.
fn parse_stat(line: &str) -> Option<Entry> {
    let (pid, rest) = line.split_once(" (")?;
    let (_name, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace();
    let ended = ["Z", "X"].contains(&fields.next()?);
    let parent = parse_pid(fields.next()?);
    let _group = fields.next()?;
    let session = parse_pid(fields.next()?);
    Some(Entry { pid: parse_pid(pid)?, parent, session, ended })
}

fn parse_pid(text: &str) -> Option<Pid> {
    text.parse().ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests;
