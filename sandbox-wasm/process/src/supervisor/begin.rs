//! From the supervisor's first instruction to the running program.

use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    io::{Errno, fcntl_dupfd_cloexec, retry_on_intr},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recv, recvmsg, sendmsg,
    },
    process::{Pid, getpid, set_child_subreaper},
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stdin},
};

use super::{
    readback,
    start::{Waiting, kill, start},
};
use crate::{
    gate::{self, FromInside, FromOutside},
    sys,
    wire::{self, GO, OrRefuse, Order, Refusal, Report, Stage, Walls},
};

/// First number that a descriptor of the supervisor may have.
const ABOVE_STANDARD_STREAMS: i32 = 3;
/// How many bytes of the order are read at once.
const READ_BYTES: usize = 16 * 1024;

/// A run that has begun.
pub(super) struct Beginning {
    /// Its program.
    pub(super) leader: Pid,
    /// The first process of its namespaces, which ends them, and the way to hear from it.
    pub(super) first: Option<(Pid, OwnedFd)>,
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
    sys::reset_dispositions();
    let children = sys::watch_children().or_refuse(Stage::Prepare, "watch children")?;
    set_child_subreaper(Some(getpid())).or_refuse(Stage::Prepare, "adopt orphans")?;
    let streams = receive_streams(control).or_refuse(Stage::Prepare, "receive the streams")?;
    let order = receive_order(control).or_refuse(Stage::Prepare, "read the order")?;

    let (wall_time, grace, walls) = (order.wall_time, order.grace, order.walls.clone());
    let waiting = start(order, streams)?;
    let child = waiting.child;
    if let Err(refusal) = release(control, &waiting, &walls) {
        kill(child);
        return Err(refusal);
    }
    let started_at = wire::now();
    let first = waiting.channel.map(|channel| (child, channel));
    Ok(Beginning { leader: waiting.leader, first, started_at, children, wall_time, grace })
}

/// Shows the node what surrounds the program, and lets it run when the node says so.
fn release(control: &OwnedFd, waiting: &Waiting, walls: &Walls) -> Result<(), Refusal> {
    let proof = readback::read(waiting, walls)
        .or_refuse(Stage::Confine, "read back what surrounds the program")?;
    say_with(control, &Report::Ready(Box::new(proof)), waiting.file.as_fd())
        .or_refuse(Stage::Prepare, "show the walls")?;
    let mut word = [0];
    let heard = retry_on_intr(|| recv(control, &mut word, RecvFlags::empty()));
    if heard.or_refuse(Stage::Prepare, "hear the node")?.0 == 0 || word != [GO] {
        return Err(Refusal::of(Stage::Prepare, "run: it was cancelled", &Errno::CANCELED.into()));
    }
    gate::send(&waiting.gate, &FromOutside::Go, None).or_refuse(Stage::Prepare, "open the gate")?;
    // The gate closes when the program is executed.
    match gate::receive(&waiting.gate).or_refuse(Stage::Prepare, "hear the inside")? {
        None => Ok(()),
        Some((FromInside::Failed(refusal), _)) => Err(refusal),
        Some((FromInside::Ready { .. } | FromInside::Ended(_), _)) => {
            Err(Refusal::of(Stage::Prepare, "hear the inside", &Errno::PROTO.into()))
        }
    }
}

/// Sends a report that a descriptor rides with.
fn say_with(control: &OwnedFd, report: &Report, file: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [file];
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("one descriptor exceeds the space made for one"));
    }
    let line = super::line(report);
    let (first, rest) = line.split_at(1);
    sendmsg(control, &[IoSlice::new(first)], &mut ancillary, SendFlags::NOSIGNAL)?;
    File::from(control.try_clone()?).write_all(rest)
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
