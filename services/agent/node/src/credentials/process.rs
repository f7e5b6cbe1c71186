//! Keeps what this process and its runs have in memory out of files.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Most bytes of a core dump. No dump is that small, so none is written; and where the kernel pipes
/// dumps into a program, which ignores a limit of 0, one byte means *do not*.
const CORE_BYTES_MAX: u64 = 1;

/// From here on neither this process nor what it starts leaves a core dump, and others of the same
/// user read neither this process's memory nor its environment in `/proc`.
///
/// # Errors
///
/// When the kernel refuses; root reads everything all the same.
pub(crate) fn keep_off_the_disk() -> io::Result<()> {
    let none = Rlimit { current: Some(CORE_BYTES_MAX), maximum: Some(CORE_BYTES_MAX) };
    setrlimit(Resource::Core, none)?;
    // Only for this very process: a program that it starts is dumpable again, within the limit.
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
