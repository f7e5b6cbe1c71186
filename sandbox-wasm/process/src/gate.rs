//! What the process behind the walls and its supervisor say to each other: one message a packet.
//!
//! **Invariant:** a program is executed only after the supervisor has said so, and it says so only
//! after it has looked at the waiting process from outside.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::retry_on_intr,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
};
use serde::{Deserialize, Serialize};

use crate::{Status, wire::Refusal};

/// Most bytes of one message: a path and a few words.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// What the inside says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FromInside {
    /// It waits to execute the program whose descriptor rides with this.
    Ready {
        /// The file, as the run sees it.
        program: String,
        /// Version of the Landlock rules in force.
        landlock_abi: Option<u32>,
    },
    /// It cannot go on.
    Failed(Refusal),
    /// The program has ended; said by the first process of a namespace.
    Ended(Status),
}

/// What the outside says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FromOutside {
    /// The users of the namespace are known.
    Mapped,
    /// The program may be executed.
    Go,
}

/// Two connected ends.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends a message, with a descriptor or without.
pub(crate) fn send<T: Serialize>(
    gate: &OwnedFd,
    message: &T,
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let bytes = serde_json::to_vec(message).map_err(io::Error::other)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.map(|descriptor| [descriptor]);
    if let Some(descriptors) = &descriptors
        && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors))
    {
        return Err(io::Error::other("one descriptor exceeds the space made for one"));
    }
    sendmsg(gate, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The next message with the descriptor that rides with it; `None` when the other end is closed.
pub(crate) fn receive<T: for<'de> Deserialize<'de>>(
    gate: &OwnedFd,
) -> io::Result<Option<(T, Option<OwnedFd>)>> {
    let mut buffer = vec![0; MESSAGE_BYTES_MAX];
    let (length, descriptor) = receive_bytes(gate.as_fd(), &mut buffer)?;
    if length == 0 {
        return Ok(None);
    }
    let message = serde_json::from_slice(buffer.get(..length).unwrap_or_default());
    Ok(Some((message.map_err(io::Error::other)?, descriptor)))
}

/// As much as there is, with the last descriptor that rides with it.
pub(crate) fn receive_bytes(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received =
        retry_on_intr(|| recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, flags))?;
    let mut descriptor = None;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            descriptor = descriptors.last().or(descriptor);
        }
    }
    Ok((received.bytes, descriptor))
}
