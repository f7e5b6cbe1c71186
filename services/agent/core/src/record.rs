//! What the node writes to its own disk, and nothing else survives it.
//!
//! **Invariant:** folding all records of a journal, in order, gives everything that a restarted
//! node must know.

use schemas::task::{Outcome, TaskSpec};
use schemas::{ErrorCode, InstanceId, PrincipalId, Sha256Hash, TaskId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Delegation, RunKey};

/// One entry of the node's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Record {
    /// The node has taken the task on; from here on it asks to start it.
    Accepted(Box<Accepted>),
    /// The go was taken: (task, epoch) is used up, whatever happens next.
    Started(Started),
    /// How it ended.
    Ended {
        /// Which task.
        task: TaskId,
        /// By which assignment.
        epoch: u64,
        /// How.
        outcome: Box<Outcome>,
    },
    /// It was never started and is not wanted any more.
    Dropped {
        /// Which task.
        task: TaskId,
        /// By which assignment.
        epoch: u64,
        /// Why.
        code: ErrorCode,
    },
    /// The scheduler has answered the report.
    Settled {
        /// Which task.
        task: TaskId,
        /// By which assignment.
        epoch: u64,
    },
    /// Carried over from older segments: (task, epoch) was used up.
    Used {
        /// Which task.
        task: TaskId,
        /// By which assignment.
        epoch: u64,
        /// When the assignment ends and this may be forgotten.
        until: Timestamp,
    },
    /// Carried over from older segments: the highest term that a go came from.
    Term {
        /// Partition of the scheduler.
        partition: u32,
        /// The term.
        term: u64,
    },
}

/// A task that the node has taken on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// Which task.
    pub task: TaskId,
    /// By which assignment.
    pub epoch: u64,
    /// Counts the task's runs.
    pub attempt: u32,
    /// Partition of the scheduler that assigned it.
    pub partition: u32,
    /// The process start that took it on.
    pub instance: InstanceId,
    /// When.
    pub at: Timestamp,
    /// When the assignment ends.
    pub assigned_until: Timestamp,
    /// Who signed the request.
    pub issuer: PrincipalId,
    /// The user it is for.
    pub subject: PrincipalId,
    /// SHA-256 of the signed request.
    pub request_hash: Sha256Hash,
    /// W3C `traceparent` of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// What the run may ask for in its turn; nothing when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegation: Option<Delegation>,
    /// What is to be done.
    pub spec: TaskSpec,
}

/// A go that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Started {
    /// Which task.
    pub task: TaskId,
    /// By which assignment.
    pub epoch: u64,
    /// The process start that runs it.
    pub instance: InstanceId,
    /// Partition of the scheduler that said go.
    pub partition: u32,
    /// Its term.
    pub term: u64,
    /// When.
    pub at: Timestamp,
}

/// The sorts of records, as far as somebody waits for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    /// [`Record::Accepted`].
    Accepted,
    /// [`Record::Started`].
    Started,
    /// [`Record::Ended`].
    Ended,
}

impl Record {
    /// Who waits for this record to be on disk; nobody for one that only saves work later.
    #[must_use]
    pub fn awaited(&self) -> Option<(RunKey, RecordKind)> {
        match self {
            Self::Accepted(accepted) => Some((accepted.key(), RecordKind::Accepted)),
            Self::Started(started) => {
                let key = RunKey { task: started.task.clone(), epoch: started.epoch };
                Some((key, RecordKind::Started))
            }
            Self::Ended { task, epoch, .. } => {
                Some((RunKey { task: task.clone(), epoch: *epoch }, RecordKind::Ended))
            }
            Self::Dropped { .. } | Self::Settled { .. } | Self::Used { .. } | Self::Term { .. } => {
                None
            }
        }
    }
}

impl Accepted {
    /// Which task, by which assignment.
    #[must_use]
    pub fn key(&self) -> RunKey {
        RunKey { task: self.task.clone(), epoch: self.epoch }
    }
}
