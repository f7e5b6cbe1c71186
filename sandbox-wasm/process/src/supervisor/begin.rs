//! From the supervisor's first instruction to the running program.

use std::{
    fs::File,
    io::{self, IoSliceMut, Read},
    mem::MaybeUninit,
    os::fd::OwnedFd,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::{
    io::{Errno, fcntl_dupfd_cloexec, retry_on_intr},
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
    process::{Pid, getpid, set_child_subreaper},
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stdin},
    thread::set_no_new_privs,
};

use super::Refusal;
use crate::{
    sys,
    wire::{self, Order, Stage},
};

/// First number that a descriptor of the supervisor may have.
const ABOVE_STANDARD_STREAMS: i32 = 3;
/// How many bytes of the order are read at once.
const READ_BYTES: usize = 16 * 1024;

/// A run that has begun.
pub(super) struct Beginning {
    /// Its first process.
    pub(super) leader: Pid,
    /// When it was started, on the monotonic clock.
    pub(super) started_at: Duration,
    /// Readable whenever a child has ended.
    pub(super) children: OwnedFd,
    /// From start to SIGTERM.
    pub(super) wall_time: Duration,
    /// From SIGTERM to SIGKILL.
    pub(super) grace: Duration,
}

/// Moves the socket away from standard input and closes everything else that was inherited.
pub(super) fn take_control() -> io::Result<OwnedFd> {
    sys::close_inherited()?;
    let control = fcntl_dupfd_cloexec(stdin(), ABOVE_STANDARD_STREAMS)?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(control)
}

/// Reads the order and carries it out.
pub(super) fn begin(control: &OwnedFd) -> Result<Beginning, Refusal> {
    let prepare = Refusal::at(Stage::Prepare);
    sys::reset_dispositions();
    let children = sys::watch_children().map_err(&prepare)?;
    set_child_subreaper(Some(getpid())).map_err(|errno| prepare(errno.into()))?;
    set_no_new_privs(true).map_err(|errno| prepare(errno.into()))?;
    let streams = receive_streams(control).map_err(&prepare)?;
    let order = receive_order(control).map_err(&prepare)?;

    std::env::set_current_dir(&order.cwd).map_err(Refusal::at(Stage::Enter))?;
    let leader = execute(&order, streams).map_err(Refusal::at(Stage::Execute))?;
    let started_at = wire::now();
    let (wall_time, grace) = (order.wall_time, order.grace);
    Ok(Beginning { leader, started_at, children, wall_time, grace })
}

fn execute(order: &Order, [stdin, stdout, stderr]: [OwnedFd; 3]) -> io::Result<Pid> {
    let mut command = Command::new(&order.program);
    command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
    sys::become_leader(&mut command, getpid(), sys::Image::new(order)?);
    // The child is waited for by pid with all others, and dropping the command closes the
    // supervisor's own ends of the streams.
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| Errno::SRCH.into())
}

fn receive_streams(control: &OwnedFd) -> io::Result<[OwnedFd; 3]> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    retry_on_intr(|| recvmsg(control, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, flags))?;
    let mut streams = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            streams.extend(descriptors);
        }
    }
    if byte != [wire::STREAMS] {
        return Err(Errno::PROTO.into());
    }
    streams.try_into().map_err(|_| Errno::PROTO.into())
}

fn receive_order(control: &OwnedFd) -> io::Result<Order> {
    let mut socket = File::from(control.try_clone()?);
    let mut line = Vec::new();
    let mut buffer = vec![0; READ_BYTES];
    while line.last() != Some(&b'\n') {
        let read = socket.read(&mut buffer)?;
        if read == 0 || wire::ORDER_BYTES_MAX < line.len() {
            return Err(Errno::PROTO.into());
        }
        line.extend_from_slice(buffer.get(..read).unwrap_or_default());
    }
    serde_json::from_slice(&line).map_err(io::Error::other)
}
