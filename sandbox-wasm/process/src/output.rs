//! The way of one stream from its pipe to whoever reads it.
//!
//! **Invariant:** everything that is read is counted and hashed, whether it is handed on or not.
//! **Invariant:** memory is bounded by the queue, whatever the run writes.

use std::{io, os::fd::OwnedFd, time::Duration};

use bytes::Bytes;
use rustix::io::{Errno, ioctl_fionread};
use schemas::Sha256Hash;
use sha2::{Digest, Sha256};
use tokio::{
    net::unix::pipe,
    sync::{mpsc, watch},
    time::timeout,
};

use crate::StreamTotals;

/// Most bytes of one chunk.
pub const CHUNK_BYTES_MAX: usize = 32 * 1024;

/// One of the two streams that a run writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a run wrote to one stream, as much as could be read at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Which stream.
    pub stream: Stream,
    /// How many bytes of this stream came before, dropped ones included: a gap shows a loss.
    pub offset: u64,
    /// At least one byte, at most [`CHUNK_BYTES_MAX`].
    pub bytes: Bytes,
}

/// What one stream needs.
pub(crate) struct Copier {
    /// Which stream.
    pub(crate) stream: Stream,
    /// Bytes that may yet be handed on.
    pub(crate) allowance: u64,
    /// To whoever reads.
    pub(crate) chunks: mpsc::Sender<Chunk>,
    /// How long a reader may keep the run waiting.
    pub(crate) patience: Duration,
    /// Becomes true when nothing of the run is left.
    pub(crate) gone: watch::Receiver<bool>,
}

/// Reads the pipe to its end, or until the run is gone and the pipe is empty.
pub(crate) async fn copy(copier: Copier, pipe: OwnedFd) -> StreamTotals {
    let mut gone = copier.gone.clone();
    let mut copy = Copy { copier, hash: Sha256::new(), bytes: 0, dropped: 0, stalled: false };
    let read = copy.read_all(pipe, &mut gone).await;
    if let Err(error) = read {
        tracing::warn!(%error, stream = ?copy.copier.stream, "cannot read what a run writes");
    }
    StreamTotals {
        bytes: copy.bytes,
        dropped: copy.dropped,
        sha256: Sha256Hash(copy.hash.finalize().into()),
    }
}

struct Copy {
    copier: Copier,
    hash: Sha256,
    bytes: u64,
    dropped: u64,
    stalled: bool,
}

impl Copy {
    async fn read_all(
        &mut self,
        pipe: OwnedFd,
        gone: &mut watch::Receiver<bool>,
    ) -> io::Result<()> {
        let pipe = pipe::Receiver::from_owned_fd(pipe)?;
        let mut buffer = vec![0; CHUNK_BYTES_MAX];
        loop {
            let is_gone = tokio::select! {
                biased;
                known = gone.wait_for(|gone| *gone) => { drop(known); true }
                ready = pipe.readable() => { ready?; false }
            };
            if is_gone {
                return self.read_rest(&pipe, &mut buffer).await;
            }
            match pipe.try_read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => self.take(filled(&buffer, read)).await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads what is in the pipe now: with all writers gone, that is all there will ever be.
    ///
    /// A process outside of the run may hold the pipe too, so its end is not waited for.
    async fn read_rest(&mut self, pipe: &pipe::Receiver, buffer: &mut [u8]) -> io::Result<()> {
        let mut rest = ioctl_fionread(pipe)?;
        while 0 < rest {
            let read = match rustix::io::read(pipe, &mut *buffer) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(()),
                Ok(read) => read,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            rest = rest.saturating_sub(length(read));
            self.take(filled(buffer, read)).await;
        }
        Ok(())
    }

    async fn take(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        let offset = self.bytes;
        self.bytes += length(bytes.len());
        let kept = usize::try_from(self.copier.allowance).unwrap_or(usize::MAX).min(bytes.len());
        let delivered = if kept == 0 {
            0
        } else {
            let bytes = Bytes::copy_from_slice(filled(bytes, kept));
            let chunk = Chunk { stream: self.copier.stream, offset, bytes };
            if self.hand_on(chunk).await { length(kept) } else { 0 }
        };
        self.copier.allowance -= delivered;
        self.dropped += length(bytes.len()) - delivered;
    }

    /// Waits for a reader, but only once: who let a chunk be dropped is not waited for again
    /// until there is room.
    async fn hand_on(&mut self, chunk: Chunk) -> bool {
        let room = if self.stalled {
            self.copier.chunks.try_reserve().ok()
        } else {
            timeout(self.copier.patience, self.copier.chunks.reserve())
                .await
                .ok()
                .and_then(Result::ok)
        };
        self.stalled = room.is_none();
        room.map(|room| room.send(chunk)).is_some()
    }
}

fn filled(buffer: &[u8], length: usize) -> &[u8] {
    buffer.get(..length).expect("a read does not exceed its buffer")
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a usize fits 64 bits")
}
