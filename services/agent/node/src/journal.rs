//! The node's journal: what must survive the process, appended to one file and synced in groups.
//!
//! A journal is a folder with one live segment. When the segment has grown, or could not be
//! written, the whole state is carried over into a fresh one, which takes the old one's place by
//! renaming; so there is nothing else to compact and no order between files to get wrong.
//!
//! **Invariant:** a record is told to be on disk only after the sync that followed its write.
//! **Invariant:** after a failed write or sync nothing is told to be on disk until the whole state
//! was written into a fresh segment: what a failed sync left of the old one is unknown.
//! **Invariant:** one process at a time has the folder; the lock is held until it ends.

mod folder;
mod frame;
mod writer;

use std::{
    io,
    path::{Path, PathBuf},
    sync::mpsc,
    thread::JoinHandle,
};

use agent_core::{Record, RecordKind, RunKey};
use tokio::sync::mpsc::UnboundedReceiver;

pub(crate) use folder::Trimmed;
use folder::{Folder, Opened};
use writer::{Order, Writer};

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system refused something.
    #[error("cannot {attempt} {path:?}")]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error("another process uses the journal in {path:?}")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// It is not what this program wrote.
    #[error("the journal {path:?} is damaged: {problem}")]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// What the journal tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JournalEvent {
    /// These are on disk; the number is the segment's size in bytes.
    Synced(Vec<(RunKey, RecordKind)>, u64),
    /// Everything was carried over into a fresh segment of so many bytes.
    Rolled(u64),
    /// Nothing can be written any more until everything is carried over.
    Failed(String),
}

/// A journal that is open for writing, by a thread of its own.
pub(crate) struct Journal {
    orders: mpsc::Sender<Order>,
    writer: Option<JoinHandle<()>>,
}

/// What a journal held when it was opened.
pub(crate) struct History {
    /// All records, in order.
    pub(crate) records: Vec<Record>,
    /// What was cut off its end, if the last write was torn.
    pub(crate) trimmed: Option<Trimmed>,
}

impl Journal {
    /// Opens the journal in `folder`, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// When another process has it, when it is damaged before its end, or when the disk fails.
    pub(crate) fn open(
        folder: &Path,
    ) -> Result<(Self, History, UnboundedReceiver<JournalEvent>), JournalError> {
        let (folder, Opened { segment, records, trimmed }) = Folder::open(folder)?;
        let (orders, queue) = mpsc::channel();
        let (events, heard) = tokio::sync::mpsc::unbounded_channel();
        let attempt = "start the journal's thread for";
        let path = folder.path().to_owned();
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || Writer::new(folder, segment, events).run(&queue))
            .map_err(|source| JournalError::Io { attempt, path, source })?;
        let journal = Self { orders, writer: Some(writer) };
        Ok((journal, History { records, trimmed }, heard))
    }

    /// Appends a record; [`JournalEvent::Synced`] tells when it is on disk, if anybody waits.
    pub(crate) fn append(&self, record: Record) {
        self.order(Order::Append(record));
    }

    /// Begins a fresh segment with these records instead of all that came before.
    pub(crate) fn roll(&self, records: Vec<Record>) {
        self.order(Order::Roll(records));
    }

    fn order(&self, order: Order) {
        // The writer only ends when this end is dropped; if it panicked, its events end, too.
        if self.orders.send(order).is_err() {
            tracing::error!("the journal's thread is gone");
        }
    }
}

impl Drop for Journal {
    /// Waits until everything that was appended is written.
    fn drop(&mut self) {
        let (closed, _) = mpsc::channel();
        self.orders = closed;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the journal's thread panicked");
        }
    }
}

#[cfg(test)]
mod tests;
