//! Starts a supervisor and hands the run over to it.

use std::{
    fs::File,
    io::{self, IoSlice, Seek, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create},
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
    process::Pid,
};

use crate::{
    LaunchError, supervisor,
    wire::{self, Order},
};

/// This very program, even when its file was replaced since it was started.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// What the supervisor is called in lists of processes.
const SUPERVISOR_NAME: &str = "cortex-supervisor";
/// How long a supervisor may take to read its order.
const ORDER_LIMIT: Duration = Duration::from_secs(10);

/// A supervisor, and this side of what connects it with the node.
pub(crate) struct Handover {
    /// The process; reaped when it is dropped.
    pub(crate) supervisor: Supervisor,
    /// The socket.
    pub(crate) control: UnixStream,
    /// What the run writes to stdout.
    pub(crate) stdout: OwnedFd,
    /// What the run writes to stderr.
    pub(crate) stderr: OwnedFd,
}

/// A supervisor's process. Dropping it leaves no zombie.
pub(crate) struct Supervisor(Option<Child>);

impl Supervisor {
    /// Its pid.
    pub(crate) fn pid(&self) -> Option<Pid> {
        let child = self.0.as_ref()?;
        i32::try_from(child.id()).ok().and_then(Pid::from_raw)
    }

    /// Ends it without regard to what it supervises.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), Child::kill)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        // It leaves within milliseconds, for its socket is closed by now or about to be.
        let reaper = std::thread::Builder::new().name("reap-supervisor".to_owned());
        if let Err(error) = reaper.spawn(move || child.wait()) {
            tracing::warn!(%error, "cannot wait for a supervisor; it stays a zombie");
        }
    }
}

/// Starts a supervisor and gives it its order. Blocks for about as long as a program's start.
pub(crate) fn hand_over(order: &Order, stdin: &[u8]) -> Result<Handover, LaunchError> {
    let (control, theirs) = UnixStream::pair().map_err(host("make a socket for the supervisor"))?;
    let (stdout, stdout_end) = io::pipe().map_err(host("make a pipe for stdout"))?;
    let (stderr, stderr_end) = io::pipe().map_err(host("make a pipe for stderr"))?;
    let input = input(stdin).map_err(host("prepare stdin"))?;
    let supervisor = start(theirs.into()).map_err(host("start a supervisor"))?;
    let streams = [input.as_fd(), stdout_end.as_fd(), stderr_end.as_fd()];
    send(&control, order, streams).map_err(host("give the supervisor its order"))?;
    Ok(Handover { supervisor, control, stdout: stdout.into(), stderr: stderr.into() })
}

/// For `map_err`: the node could not do its part.
pub(crate) fn host(attempt: &'static str) -> impl Fn(io::Error) -> LaunchError {
    move |source| LaunchError::Host { attempt, source }
}

fn start(control: OwnedFd) -> io::Result<Supervisor> {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg0(SUPERVISOR_NAME).env_clear().env(supervisor::MARK, "1");
    command.stdin(Stdio::from(control)).stdout(Stdio::null()).stderr(Stdio::null());
    // A Ctrl-C in the node's terminal is for the node, which then ends its runs in order.
    command.process_group(0);
    Ok(Supervisor(Some(command.spawn()?)))
}

fn send(
    control: &UnixStream,
    order: &Order,
    streams: [std::os::fd::BorrowedFd<'_>; 3],
) -> io::Result<()> {
    control.set_write_timeout(Some(ORDER_LIMIT))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&streams)) {
        return Err(io::Error::other("three descriptors exceed the space made for three"));
    }
    let byte = [wire::STREAMS];
    sendmsg(control, &[IoSlice::new(&byte)], &mut ancillary, SendFlags::NOSIGNAL)?;
    let mut line = serde_json::to_vec(order).map_err(io::Error::other)?;
    line.push(b'\n');
    let mut socket = control;
    socket.write_all(&line)
}

/// A file in memory holds what the run reads, so nobody must feed it and nobody waits.
fn input(stdin: &[u8]) -> io::Result<OwnedFd> {
    if stdin.is_empty() {
        return Ok(File::open("/dev/null")?.into());
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("stdin", flags)?);
    file.write_all(stdin)?;
    file.rewind()?;
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}
