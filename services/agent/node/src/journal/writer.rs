//! The thread that writes: whatever has gathered goes out as one write and one sync.

use std::{error::Error, sync::mpsc::Receiver};

use agent_core::Record;
use tokio::sync::mpsc::UnboundedSender;

use super::{
    JournalEvent,
    folder::{Folder, Segment},
    frame,
};

/// Most bytes of one write; more waits for the next.
const GROUP_BYTES_MAX: usize = 1024 * 1024;

/// What the writer is told.
pub(super) enum Order {
    Append(Record),
    Roll(Vec<Record>),
}

pub(super) struct Writer {
    folder: Folder,
    segment: Segment,
    events: UnboundedSender<JournalEvent>,
    /// Whether the segment must not be appended to any more.
    failed: bool,
}

/// What goes out together.
#[derive(Default)]
struct Group {
    bytes: Vec<u8>,
    awaited: Vec<(agent_core::RunKey, agent_core::RecordKind)>,
}

impl Writer {
    pub(super) fn new(
        folder: Folder,
        segment: Segment,
        events: UnboundedSender<JournalEvent>,
    ) -> Self {
        Self { folder, segment, events, failed: false }
    }

    /// Writes until nobody orders any more.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        let mut group = Group::default();
        while let Ok(first) = orders.recv() {
            self.take(first, &mut group);
            while group.bytes.len() < GROUP_BYTES_MAX {
                match orders.try_recv() {
                    Ok(order) => self.take(order, &mut group),
                    Err(_) => break,
                }
            }
            self.write(&mut group);
        }
    }

    fn take(&mut self, order: Order, group: &mut Group) {
        match order {
            Order::Append(_) if self.failed => (),
            Order::Append(record) => {
                if let Err(error) = frame::encode(&record, &mut group.bytes) {
                    self.fail(&error);
                    *group = Group::default();
                    return;
                }
                group.awaited.extend(record.awaited());
            }
            Order::Roll(records) => {
                self.write(group);
                self.roll(&records);
            }
        }
    }

    fn write(&mut self, group: &mut Group) {
        let Group { bytes, awaited } = std::mem::take(group);
        if self.failed || bytes.is_empty() {
            return;
        }
        let written = self.segment.medium.append(&bytes).and_then(|()| {
            // What nobody waits for goes out with the next sync.
            if awaited.is_empty() { Ok(()) } else { self.segment.medium.sync() }
        });
        match written {
            Ok(()) => {
                self.segment.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                self.tell(JournalEvent::Synced(awaited, self.segment.bytes));
            }
            Err(error) => self.fail(&error),
        }
    }

    fn roll(&mut self, records: &[Record]) {
        let old = self.segment.number;
        match self.folder.begin(old + 1, records) {
            Ok(segment) => {
                self.segment = segment;
                self.failed = false;
                self.folder.remove(&[old]);
                self.tell(JournalEvent::Rolled(self.segment.bytes));
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &dyn Error) {
        self.failed = true;
        let mut text = format!("the node's journal cannot be written: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        tracing::error!("{text}");
        self.tell(JournalEvent::Failed(text));
    }

    fn tell(&self, event: JournalEvent) {
        // Nobody listens any more when the node is ending; what is written is written.
        drop(self.events.send(event));
    }
}
