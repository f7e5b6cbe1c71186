//! What the scheduler is asked, told and answers, and what it wants done in the world.
//!
//! **Invariant:** whoever builds a command has proved who asks; a core only judges whether they may.

use std::collections::BTreeSet;

use schemas::{
    Audience, ErrorCode, Fault, InstanceId, PrincipalId, Sha256Hash, TaskId, Timestamp,
    agent::Heartbeat,
    grants::Grants,
    registry::{AgentView, RegistryEvent},
    scheduler::{
        CancelAnswer, GetTasksAnswer, OutputAnswer, OutputRequest, ReportAnswer, StartAnswer,
        SubmitAnswer, TaskSelection, WhyAnswer, verb,
    },
    task::{Outcome, TaskSpec, TaskState, TaskView},
};
use serde::Serialize;

use crate::state::Kept;

/// A verified request, as the event will keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The task that the request names.
    pub task: TaskId,
    /// The signed envelope, in base64.
    pub envelope: String,
    /// SHA-256 of the envelope's bytes.
    pub envelope_hash: Sha256Hash,
    /// Who signed.
    pub issuer: PrincipalId,
    /// The user it is for.
    pub subject: PrincipalId,
    /// Who may carry it out.
    pub audience: Audience,
    /// What is to be done.
    pub spec: TaskSpec,
    /// Certificates of the signer's key, in base64, each after the one that vouches for it.
    pub certificates: Vec<String>,
    /// What it may itself ask for.
    pub grants: Grants,
    /// The task that asked for it.
    pub parent: Option<TaskId>,
    /// When the request expires.
    pub expires_at: Timestamp,
}

/// Which run of which assignment a node speaks of, and in whose name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The node that speaks, as the broker proved it.
    pub node: PrincipalId,
    /// The process start that speaks.
    pub instance: InstanceId,
    /// Which task.
    pub task: TaskId,
    /// By which assignment.
    pub epoch: u64,
}

/// Which tasks to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelTarget {
    /// Exactly this one.
    One(TaskId),
    /// Every live task of the asker that the selection names.
    Select(TaskSelection),
}

/// What is to be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take a verified request.
    Submit(Box<Submission>),
    /// Let a node run what it was given.
    Start {
        /// Who wants to run what.
        run: Run,
        /// Counts the requests of the instance; comes back in the answer.
        ask: u64,
    },
    /// Take a node's word for how a run ended.
    Report {
        /// Who speaks of what.
        run: Run,
        /// How it ended.
        outcome: Box<Outcome>,
    },
    /// Take a task back that its node does not want.
    Refuse {
        /// Who speaks of what.
        run: Run,
        /// Why.
        fault: Fault,
    },
    /// End tasks.
    Cancel {
        /// Who asks.
        by: PrincipalId,
        /// Which.
        target: CancelTarget,
    },
    /// Settle a lost task by hand.
    ForceLost {
        /// Who asks.
        by: PrincipalId,
        /// Which.
        task: TaskId,
    },
    /// Give waiting tasks to nodes that have become able to take some.
    PlaceQueued {
        /// Those nodes.
        nodes: Vec<PrincipalId>,
    },
    /// Take a task back that was not started in time.
    ExpireAssignment {
        /// Which.
        task: TaskId,
        /// By which assignment.
        epoch: u64,
    },
    /// Give up waiting for a node that runs a task.
    DeclareLost {
        /// Which.
        task: TaskId,
        /// By which assignment.
        epoch: u64,
    },
    /// End a task whose request ran out before anybody started it.
    ExpireRequest {
        /// Which.
        task: TaskId,
    },
}

impl Command {
    /// The word that names it in the record.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Submit(_) => verb::SUBMIT,
            Self::Start { .. } => verb::START,
            Self::Report { .. } => verb::REPORT,
            Self::Refuse { .. } => verb::REFUSE,
            Self::Cancel { .. } => verb::CANCEL,
            Self::ForceLost { .. } => verb::FORCE_LOST,
            Self::PlaceQueued { .. } => "place-queued",
            Self::ExpireAssignment { .. } => "expire-assignment",
            Self::DeclareLost { .. } => "declare-lost",
            Self::ExpireRequest { .. } => "expire-request",
        }
    }
}

/// What is to be answered from what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// One task.
    GetTask(TaskId),
    /// A page of tasks, newest first.
    GetTasks {
        /// Which.
        select: TaskSelection,
        /// Where the page before ended.
        after: Option<PageKey>,
        /// How many at most.
        limit: usize,
    },
    /// What a task prints.
    Output(OutputRequest),
    /// Why a task is where it is.
    Why(TaskId),
}

/// A place in the list of all tasks by the time they were submitted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageKey {
    /// When the last task of the page was submitted.
    pub submitted_at: Timestamp,
    /// Which task it was.
    pub task: TaskId,
}

impl PageKey {
    /// Reads what [`PageKey`]'s `Display` wrote.
    ///
    /// # Errors
    ///
    /// `INVALID_VALUE` for anything else.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let parsed = text.split_once('.').and_then(|(time, task)| {
            let submitted_at = Timestamp(time.parse().ok()?);
            Some(Self { submitted_at, task: TaskId::parse(task).ok()? })
        });
        parsed.ok_or_else(|| {
            let shown: String = text.chars().take(100).collect();
            Fault::new(ErrorCode::InvalidValue, format!("after: {shown:?} is not from a page"))
        })
    }
}

impl std::fmt::Display for PageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.submitted_at.0, self.task)
    }
}

/// What is said in return; encodes as the answer of its verb.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To [`Command::Submit`].
    Submitted(SubmitAnswer),
    /// To [`Command::Start`].
    Start(StartAnswer),
    /// To [`Command::Report`] and [`Command::Refuse`].
    Reported(ReportAnswer),
    /// To [`Command::Cancel`].
    Cancelled(CancelAnswer),
    /// To [`Query::GetTask`] and [`Command::ForceLost`].
    Task(Box<TaskView>),
    /// To [`Query::GetTask`] of a task whose record is in the bucket alone.
    Kept(Box<Kept>),
    /// To [`Query::GetTasks`].
    Tasks(TaskPage),
    /// To [`Query::Output`]: whose output is to be read.
    Output(Box<OutputSource>),
    /// To [`Query::Output`] when it was read.
    OutputRead(OutputAnswer),
    /// To [`Query::Why`].
    Why(WhyAnswer),
    /// To a command that nobody asked for.
    Done {},
}

/// Where the output of a task is to be read, by whoever can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutputSource {
    /// What was asked.
    pub request: OutputRequest,
    /// The node that has or had it; what another one printed under its id is none of the task's.
    pub node: Option<PrincipalId>,
    /// Where it is in its life.
    pub state: TaskState,
    /// Why it waits.
    pub waiting_for: Option<String>,
}

/// A page of tasks with the places of those whose records are in the bucket alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskPage {
    /// The page as far as it is known here.
    #[serde(flatten)]
    pub answer: GetTasksAnswer,
    /// What is to be read from the bucket, with the index that it belongs at, in ascending order.
    #[serde(skip)]
    pub missing: Vec<(usize, Kept)>,
}

/// Something seen that is not in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A node beat.
    Heartbeat(Box<Heartbeat>),
    /// An agent as the registry lists it.
    Agent(Box<AgentView>),
    /// Every agent was listed; others exist no more.
    Listed(BTreeSet<PrincipalId>),
    /// The registry recorded something.
    Registry(Box<RegistryEvent>),
}

/// Something to be done once an event is committed; doing it again does no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Offer a task to its node.
    Dispatch(Box<Dispatch>),
    /// Tell a node to end a task.
    SendCancel {
        /// Which task.
        task: TaskId,
        /// Which node.
        node: PrincipalId,
        /// The newest assignment that this ends.
        epoch: u64,
        /// Who asked for it.
        by: PrincipalId,
    },
}

/// An offer, to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// Which task.
    pub task: TaskId,
    /// Which node.
    pub node: PrincipalId,
    /// Counts the task's assignments.
    pub epoch: u64,
    /// Counts the task's runs.
    pub attempt: u32,
    /// The signed request, in base64.
    pub request: String,
    /// SHA-256 of the request's envelope.
    pub request_hash: Sha256Hash,
}

/// Why a command or a query was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The id belongs to another request.
    #[error("task {0} was already asked for by another request with the same issuer and nonce")]
    IdTaken(TaskId),
    /// The request is too old.
    #[error("the request for task {0} has expired")]
    RequestExpired(TaskId),
    /// The issuer holds as many long-lived requests as it may.
    #[error("{issuer} has {limit} requests alive that live longer than 1 h, which is the limit")]
    TooManyLongLives {
        /// Who signed.
        issuer: PrincipalId,
        /// How many there may be.
        limit: usize,
    },
    /// The request names a node that nobody knows.
    #[error("there is no node {0}")]
    NoSuchNode(PrincipalId),
    /// No node that could run it lets the issuer ask.
    #[error("{issuer} may not task {audience}: {reasons}")]
    NotPermitted {
        /// Who signed.
        issuer: PrincipalId,
        /// Whom they asked for.
        audience: String,
        /// What stands against it.
        reasons: String,
    },
    /// Nothing is known of the task.
    #[error("there is no task {0}")]
    NoSuchTask(TaskId),
    /// Somebody else has the task, or nobody was told to run it.
    #[error("{who} does not run task {task} at epoch {epoch}: {problem}")]
    NotTheRunner {
        /// Who spoke.
        who: PrincipalId,
        /// Of which task.
        task: TaskId,
        /// Of which assignment.
        epoch: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Whoever asks has nothing to do with the task.
    #[error("{by} is neither issuer nor subject of task {task}, nor owner of its node")]
    NotAllowed {
        /// Who asked.
        by: PrincipalId,
        /// For which task.
        task: TaskId,
    },
    /// It has ended.
    #[error("task {task} has ended: {state}")]
    Finished {
        /// Which.
        task: TaskId,
        /// How.
        state: &'static str,
    },
    /// Only lost tasks are settled by hand.
    #[error("task {task} is {state}, not lost")]
    NotLost {
        /// Which.
        task: TaskId,
        /// What it is.
        state: &'static str,
    },
}

impl Rejection {
    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::IdTaken(_) => ErrorCode::CommandIdReused,
            Self::RequestExpired(_) => ErrorCode::Expired,
            Self::TooManyLongLives { .. } => ErrorCode::LifetimeTooLong,
            Self::NoSuchNode(_) => ErrorCode::NoSuchNode,
            Self::NotPermitted { .. } => ErrorCode::TaskNotPermitted,
            Self::NoSuchTask(_) => ErrorCode::TaskNotFound,
            Self::NotTheRunner { .. } => ErrorCode::NotTheRunner,
            Self::NotAllowed { .. } => ErrorCode::NotAllowed,
            Self::Finished { .. } => ErrorCode::TaskFinished,
            Self::NotLost { .. } => ErrorCode::TaskNotLost,
        }
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        let fault = Self::new(rejection.code(), rejection.to_string());
        match rejection {
            Rejection::IdTaken(_) => fault.with_hint("sign the request anew, with a fresh nonce"),
            Rejection::TooManyLongLives { .. } => {
                fault.with_hint("sign for at most 1 h, or wait until older requests expire")
            }
            Rejection::RequestExpired(_)
            | Rejection::NoSuchNode(_)
            | Rejection::NotPermitted { .. }
            | Rejection::NoSuchTask(_)
            | Rejection::NotTheRunner { .. }
            | Rejection::NotAllowed { .. }
            | Rejection::Finished { .. }
            | Rejection::NotLost { .. } => fault,
        }
    }
}
