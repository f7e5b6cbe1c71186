//! The system calls that no safe wrapper offers, each in a function that is safe to call.
//!
//! **Invariant:** nothing here allocates between fork and exec.

#![expect(unsafe_code, reason = "signals, rusage and what happens between fork and exec")]

use std::{
    ffi::CString,
    io,
    mem::MaybeUninit,
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, getppid, set_parent_process_death_signal, setsid},
};

use crate::{
    supervisor,
    wire::{Order, Usage},
};

/// First descriptor above the standard streams.
const FIRST_INHERITED: libc::c_uint = 3;

/// Makes every program that links this crate able to be a supervisor, before its `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    if supervisor::is_wanted() {
        let status = supervisor::supervise();
        // SAFETY: `_exit` ends the process and touches no memory of it.
        unsafe { libc::_exit(status) }
    }
}

/// Keeps the linker from dropping the constructor together with its object file.
pub(crate) fn keep_constructor() {
    std::hint::black_box(&raw const BEFORE_MAIN);
}

/// Closes every descriptor but the standard streams, whoever opened it.
///
/// The caller must not own any: this is for the beginning of a process.
pub(crate) fn close_inherited() -> io::Result<()> {
    // SAFETY: the supervisor calls this before it opens anything, so no owned descriptor is
    // closed behind its owner's back; the call touches no memory.
    let result = unsafe {
        libc::syscall(libc::SYS_close_range, FIRST_INHERITED, libc::c_uint::MAX, 0 as libc::c_uint)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives every signal its default action, so that a run does not inherit what a node ignores.
pub(crate) fn reset_dispositions() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: `SIG_DFL` installs no handler. SIGKILL, SIGSTOP and the two signals of the C
        // library itself answer with an error and stay as they are.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Blocks all signals and returns a descriptor that is readable whenever a child has ended.
pub(crate) fn watch_children() -> io::Result<OwnedFd> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` initialises the set that it is given.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: `all` was initialised above; a null pointer says that the old mask is not wanted.
    let blocked =
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut()) };
    if blocked != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut children = no_signal();
    // SAFETY: `children` is an initialised set.
    unsafe { libc::sigaddset(&raw mut children, libc::SIGCHLD) };
    // SAFETY: `children` is an initialised set; -1 asks for a new descriptor.
    let raw =
        unsafe { libc::signalfd(-1, &raw const children, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// A program with its arguments and environment, as the kernel wants them.
pub(crate) struct Image {
    path: CString,
    argv: Pointers,
    env: Pointers,
}

/// Texts, and the null-terminated list of where they are.
struct Pointers {
    /// Keeps alive what `list` points to; moving a `CString` does not move its bytes.
    _texts: Vec<CString>,
    list: Vec<*const libc::c_char>,
}

// SAFETY: the pointers lead to bytes that `_texts` owns and that nobody ever changes.
unsafe impl Send for Pointers {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Pointers {}

impl Pointers {
    fn new(texts: impl Iterator<Item = String>) -> io::Result<Self> {
        let texts = texts.map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let list = texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
        Ok(Self { _texts: texts, list })
    }
}

impl Image {
    /// Fails when a text holds NUL.
    pub(crate) fn new(order: &Order) -> io::Result<Self> {
        let variables = order.env.iter().map(|(name, value)| format!("{name}={value}"));
        Ok(Self {
            path: CString::new(order.program.as_str())?,
            argv: Pointers::new(order.argv.iter().cloned())?,
            env: Pointers::new(variables)?,
        })
    }

    /// Becomes the program; returns only the reason why not.
    fn execute(&self) -> io::Error {
        let (path, argv, env) = (self.path.as_ptr(), &self.argv.list, &self.env.list);
        // SAFETY: the path is null-terminated, and so are both lists and every text in them.
        unsafe { libc::execve(path, argv.as_ptr(), env.as_ptr()) };
        io::Error::last_os_error()
    }
}

/// Makes `command` become `image`, in a session of its own and dying with its supervisor.
///
/// The image is executed here and not by the standard library, whose `execvp` gives a file that
/// is no program to the shell.
pub(crate) fn become_leader(command: &mut Command, supervisor: Pid, image: Image) {
    let no_signal = no_signal();
    let after_fork = move || {
        setsid()?;
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The supervisor may have died before the kernel was told to watch it.
        if getppid() != Some(supervisor) {
            return Err(Errno::SRCH.into());
        }
        // SAFETY: `no_signal` is initialised; null says that the old mask is not wanted.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const no_signal, std::ptr::null_mut()) };
        Err(image.execute())
    };
    // SAFETY: the closure makes system calls only and neither allocates nor takes a lock.
    unsafe { command.pre_exec(after_fork) };
}

fn no_signal() -> libc::sigset_t {
    let mut none = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set that it is given.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: initialised by the call above.
    unsafe { none.assume_init() }
}

/// What all waited-for children have used so far.
pub(crate) fn usage_of_children() -> io::Result<Usage> {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: `usage` is a valid place for the structure that the call writes.
    let result = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the structure was written.
    let usage = unsafe { usage.assume_init() };
    let kibibytes = u64::try_from(usage.ru_maxrss).unwrap_or(0);
    Ok(Usage {
        cpu_user_ms: milliseconds(usage.ru_utime),
        cpu_system_ms: milliseconds(usage.ru_stime),
        max_rss_bytes: kibibytes.saturating_mul(1024),
    })
}

fn milliseconds(time: libc::timeval) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let microseconds = u64::try_from(time.tv_usec).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(microseconds / 1000)
}
