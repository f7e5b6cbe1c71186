//! The supervisor of one run: its parent, its clock and its end.
//!
//! **Invariant:** single-threaded; it is a process of its own that began with [`supervise`].
//! **Invariant:** it leaves only when it has no child left, or when SIGKILL has not helped for
//! [`KILL_LIMIT`]. As the subreaper it is the parent of every orphan below it, so *no child* means
//! that nothing of the run is left.
//! **Invariant:** a closed socket means that the node is gone, and then everything is killed.

mod begin;
mod bubblewrap;
mod guard;
mod readback;
mod start;

use std::{os::fd::OwnedFd, time::Duration};

use rustix::{
    io::{Errno, retry_on_intr, write},
    process::{WaitOptions, wait},
};

use crate::{sys, wire::Report};
use begin::{Beginning, begin};
use guard::Guard;

/// Set by the launcher alone, and never in the environment of a run.
pub(crate) const MARK: &str = "CORTEX_SANDBOX_SUPERVISOR";

/// How long the end of a tree is tried with SIGKILL before what is left is given up.
pub(crate) const KILL_LIMIT: Duration = Duration::from_secs(2);

/// Whether this process was started to be a supervisor.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os(MARK).is_some()
}

/// What this process was started for, to its end.
pub(crate) fn live() -> ! {
    match std::env::var(MARK).ok().and_then(|value| bubblewrap::Inherited::parse(&value)) {
        Some(inherited) => bubblewrap::inside(&inherited),
        None => sys::exit(supervise()),
    }
}

/// Supervises one run from its beginning to its end and returns this process's exit status.
///
/// Standard input is the socket to the launcher.
fn supervise() -> i32 {
    let Ok(control) = begin::take_control() else { return 1 };
    match begin(&control) {
        Ok(beginning) => watch(&control, beginning),
        Err(refusal) => {
            // Its processes were killed, or are about to leave by themselves.
            while matches!(wait(WaitOptions::empty()), Ok(_) | Err(Errno::INTR)) {}
            say(&control, &Report::Refused(refusal));
            1
        }
    }
}

fn watch(control: &OwnedFd, beginning: Beginning) -> i32 {
    let pid = beginning.leader.as_raw_pid();
    say(control, &Report::Started { pid, at: beginning.started_at });
    let ended = Guard::new(control, beginning).run();
    say(control, &Report::Ended(ended));
    0
}

/// A launcher that is gone hears nothing, and the guard notices that by itself.
fn say(control: &OwnedFd, report: &Report) {
    let line = line(report);
    let mut rest = line.as_slice();
    while !rest.is_empty() {
        match retry_on_intr(|| write(control, rest)) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(_) => return,
        }
    }
}

/// A report as it is written.
fn line(report: &Report) -> Vec<u8> {
    let mut line = serde_json::to_vec(report).expect("reports hold numbers and words only");
    line.push(b'\n');
    line
}
