//! The system calls that no safe wrapper offers, each in a function that is safe to call.
//!
//! **Invariant:** what forks has a single thread, so a child may do whatever its parent may.

#![expect(unsafe_code, reason = "signals, rusage, fork, exec and the attributes of mounts")]

mod clone;
mod mount;

use std::{
    collections::BTreeMap,
    ffi::CString,
    io,
    mem::MaybeUninit,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use libc::c_long;
use rustix::io::{FdFlags, fcntl_setfd};

pub(crate) use clone::{Forked, NAMESPACES, exit, fork, fork_into};
pub(crate) use mount::{map_owners, set_attributes, set_attributes_of_one};

use crate::{supervisor, wire::Usage};

/// First descriptor above the standard streams.
const FIRST_INHERITED: libc::c_uint = 3;

/// Makes every program that links this crate able to be a supervisor, before its `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    if supervisor::is_wanted() {
        supervisor::live()
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

/// Takes over a descriptor that was inherited under a number that the parent told.
pub(crate) fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: asking for the flags of a number touches no memory; a number that is not open is
    // answered with an error.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and at the beginning of a process nobody else owns what is inherited.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
    Ok(descriptor)
}

/// Gives every signal its default action, so that a run does not inherit what a node ignores.
pub(crate) fn reset_dispositions() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: `SIG_DFL` installs no handler. SIGKILL, SIGSTOP and the two signals of the C
        // library itself answer with an error and stay as they are.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Lets whoever exceeds a limit of files see an error instead of a signal.
pub(crate) fn survive_file_limits() {
    // SAFETY: `SIG_IGN` installs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
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

impl Pointers {
    fn new(texts: impl Iterator<Item = String>) -> io::Result<Self> {
        let texts = texts.map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let list = texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
        Ok(Self { _texts: texts, list })
    }
}

impl Image {
    /// Fails when a text holds NUL.
    pub(crate) fn new(
        path: &str,
        argv: &[String],
        env: &BTreeMap<String, String>,
    ) -> io::Result<Self> {
        let variables = env.iter().map(|(name, value)| format!("{name}={value}"));
        Ok(Self {
            path: CString::new(path)?,
            argv: Pointers::new(argv.iter().cloned())?,
            env: Pointers::new(variables)?,
        })
    }

    /// Becomes the program that `file` is open on; returns only the reason why not.
    pub(crate) fn execute(&self, file: BorrowedFd<'_>) -> io::Error {
        let (argv, env) = (&self.argv.list, &self.env.list);
        // SAFETY: the path is an empty text with its NUL, and both lists and every text in them
        // are null-terminated.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                file.as_raw_fd(),
                c"".as_ptr(),
                argv.as_ptr(),
                env.as_ptr(),
                libc::AT_EMPTY_PATH,
            )
        };
        io::Error::last_os_error()
    }

    /// Becomes the program at its path, which is how a script finds itself.
    pub(crate) fn execute_by_path(&self) -> io::Error {
        let (path, argv, env) = (self.path.as_ptr(), &self.argv.list, &self.env.list);
        // SAFETY: the path is null-terminated, and so are both lists and every text in them.
        unsafe { libc::execve(path, argv.as_ptr(), env.as_ptr()) };
        io::Error::last_os_error()
    }
}

/// Lets all signals through.
pub(crate) fn unblock_signals() -> io::Result<()> {
    let none = no_signal();
    // SAFETY: `none` is initialised; null says that the old mask is not wanted.
    let result =
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
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
