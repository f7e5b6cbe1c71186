//! What can happen to a node.

use std::time::Duration;

use schemas::{Fault, TaskId, agent::CancelOrder, scheduler::StartAnswer, task::Outcome};

use trust::ChainLink;

use crate::{RecordKind, RunKey};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The control plane offers work.
    Offer(ReceivedOffer),
    /// A record that somebody waits for is on disk.
    Recorded(RunKey, RecordKind),
    /// The journal cannot be written any more; the text says why.
    JournalFailed(String),
    /// The journal was begun anew and can be written again. The shell carries the whole state over
    /// right after this, for some of what happened meanwhile is in no record.
    JournalHealed,
    /// The scheduler answered a request to start.
    StartAnswered(StartAnswer),
    /// A request to start failed; the number is the request's.
    StartFailed(RunKey, u64, Fault),
    /// A run ended, or could not begin.
    Ended(RunKey, Box<Outcome>),
    /// The control plane ends a task.
    Cancel(CancelOrder),
    /// The scheduler has taken a report.
    ReportAnswered(RunKey),
    /// A report was not taken.
    ReportFailed(RunKey, Fault),
    /// The scheduler has taken a refusal.
    RefusalAnswered(RunKey),
    /// A refusal was not taken.
    RefusalFailed(RunKey, Fault),
    /// The registry says who is out and who may act everywhere.
    Roster(Box<ReceivedRoster>),
    /// The connection is back: whatever waits for its next try may try now.
    Reconnected,
    /// Time has passed; see [`crate::Node::next_wake`].
    Tick,
    /// The node is to stop: no new tasks, and runs end by themselves within this long.
    Drain(Duration),
}

/// An offer as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedOffer {
    /// Which task the rendering names; believed only to address a refusal.
    pub task: TaskId,
    /// Which assignment the rendering names; believed only to address a refusal.
    pub epoch: u64,
    /// The signed request.
    pub request: Vec<u8>,
    /// The signed assignment.
    pub assignment: Vec<u8>,
    /// Certificates of the keys that signed any of it, each after the one that vouches for it.
    pub certificates: Vec<Vec<u8>>,
    /// The tasks that asked for one another up to this one, from the first on.
    pub ancestors: Vec<ReceivedAncestor>,
}

/// A task that asked for another one, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedAncestor {
    /// The signed request.
    pub request: Vec<u8>,
    /// The signed assignment to the node that asked in its turn.
    pub assignment: Vec<u8>,
}

impl ReceivedAncestor {
    pub(crate) fn link(&self) -> ChainLink<'_> {
        ChainLink { request: &self.request, assignment: &self.assignment }
    }
}

/// A roster as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedRoster {
    /// The signed roster.
    pub envelope: Vec<u8>,
    /// Certificates of its key, each after the one that vouches for it.
    pub certificates: Vec<Vec<u8>>,
}

impl ReceivedOffer {
    /// What the rendering names.
    #[must_use]
    pub fn named(&self) -> RunKey {
        RunKey { task: self.task.clone(), epoch: self.epoch }
    }
}
