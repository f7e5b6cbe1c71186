//! New processes.

use std::io;

use rustix::process::Pid;

use super::c_long;

/// Which side of a fork this is.
pub(crate) enum Forked {
    /// The new process.
    Child,
    /// The one that asked for it.
    Parent(Pid),
}

/// Every kind of namespace that a run has of its own.
pub(crate) const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Forks. Only for a process with a single thread, so that the child may do anything.
pub(crate) fn fork() -> io::Result<Forked> {
    debug_assert!(is_single_threaded());
    // SAFETY: supervisors have one thread (see `supervisor`), so no lock is held by a thread that
    // the child lacks.
    let pid = unsafe { libc::fork() };
    forked(c_long::from(pid))
}

/// Forks into new namespaces, of which the child is the first process.
///
/// The child must not use what the C library remembers of its thread: it forks again first.
pub(crate) fn fork_into(namespaces: libc::c_int) -> io::Result<Forked> {
    debug_assert!(is_single_threaded());
    let flags = c_long::from(namespaces | libc::SIGCHLD);
    let none: c_long = 0;
    // SAFETY: without `CLONE_VM` the child has a copy of everything, its stack included, so the
    // null stack is right; the supervisor has one thread, as above.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
    forked(pid)
}

fn forked(pid: c_long) -> io::Result<Forked> {
    match i32::try_from(pid) {
        Ok(0) => Ok(Forked::Child),
        Ok(pid) => Pid::from_raw(pid).map(Forked::Parent).ok_or_else(io::Error::last_os_error),
        Err(error) => Err(io::Error::other(error)),
    }
}

fn is_single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

/// Ends this process without running anything of the program that it is a copy of.
pub(crate) fn exit(status: i32) -> ! {
    // SAFETY: `_exit` ends the process and touches no memory of it.
    unsafe { libc::_exit(status) }
}
