//! What a node shall do.

use schemas::{
    PrincipalId,
    scheduler::{RefuseRequest, ReportRequest, StartRequest},
    task::TaskSpec,
};

use crate::{Delegation, ReceivedRoster, Record, RunKey};

/// One thing to do. Actions of one step are begun in their order; records keep theirs on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Append to the journal. Where [`Record::awaited`] says so, tell when it is on disk.
    Write(Record),
    /// Ask the scheduler once and tell its answer.
    AskStart(StartRequest),
    /// Run it and tell how it ended.
    Run(Box<RunOrder>),
    /// End a run with its whole tree; the run's end is told as always.
    Kill(RunKey),
    /// Report to the scheduler once and tell its answer.
    Report(Box<ReportRequest>),
    /// Refuse to the scheduler once and tell its answer.
    Refuse(RefuseRequest),
    /// Ask the registry for a roster now.
    AskRoster,
    /// Keep it on disk in place of the one before: a later process start believes none older.
    KeepRoster(Box<ReceivedRoster>),
}

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOrder {
    /// Which task, by which assignment.
    pub key: RunKey,
    /// Counts the task's runs.
    pub attempt: u32,
    /// W3C `traceparent` of the request.
    pub trace: Option<String>,
    /// The user it is for.
    pub subject: PrincipalId,
    /// Partition of the scheduler that assigned it.
    pub partition: u32,
    /// What the run may ask for in its turn; nothing when absent.
    pub delegation: Option<Delegation>,
    /// What is to be done.
    pub spec: TaskSpec,
}
