//! What the scheduler is asked, told and answers, and what it wants done in the world.
//!
//! **Invariant:** whoever builds a command has proved who asks; a core only judges whether they may.

use std::collections::BTreeSet;

use schemas::{
    Audience, ErrorCode, Fault, InstanceId, PrincipalId, Sha256Hash, TaskId, Timestamp,
    agent::Heartbeat,
    enrolment::{PrincipalView, TokenView},
    grants::Grants,
    key::KeyId,
    registry::{AgentView, RegistryEvent},
    scheduler::{
        CancelAnswer, ChainAnswer, GetTasksAnswer, OutputAnswer, OutputRequest, ReportAnswer,
        StartAnswer, SubmitAnswer, TaskSelection, WhyAnswer, verb,
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
    /// The key that signed.
    pub key: KeyId,
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
    /// End a task that nobody has started, for whoever asked for it may no more.
    EndBarred {
        /// Which.
        task: TaskId,
    },
    /// End what was asked for by a task whose own end was asked for.
    EndChildren {
        /// The task that asked.
        parent: TaskId,
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
            Self::EndBarred { .. } => "end-barred",
            Self::EndChildren { .. } => "end-children",
        }
    }
}

/// What somebody wants to know; the answer holds only what they may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Who asks.
    pub by: PrincipalId,
    /// What.
    pub question: Question,
}

/// What is to be answered from what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
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
    /// Which tasks asked for one another up to a task, and which it asked for.
    Chain(TaskId),
    /// Which tasks a request is to be verified with that names one as its parent.
    Lineage(Box<Handed>),
}

/// A request that another task asked for; that task has to be found before it can be believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Handed {
    /// The task that it names as its parent.
    pub parent: TaskId,
    /// The signed envelope, in base64.
    pub envelope: String,
    /// SHA-256 of the envelope's bytes.
    pub envelope_hash: Sha256Hash,
    /// Certificates of the signer's key, in base64.
    pub certificates: Vec<String>,
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
    /// To [`Question::GetTask`] and [`Command::ForceLost`].
    Task(Box<TaskView>),
    /// To [`Question::GetTask`] of a task whose record is in the bucket alone.
    Kept(Box<Kept>),
    /// To [`Question::GetTasks`].
    Tasks(TaskPage),
    /// To [`Question::Output`]: whose output is to be read.
    Output(Box<OutputSource>),
    /// To [`Question::Output`] when it was read.
    OutputRead(OutputAnswer),
    /// To [`Question::Why`].
    Why(WhyAnswer),
    /// To [`Question::Chain`].
    Chain(Box<ChainPage>),
    /// The same when nothing is missing any more.
    ChainRead(ChainAnswer),
    /// To [`Question::Lineage`]: what the request is to be verified with, before it is submitted.
    Lineage(Box<Lineage>),
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

/// Tasks that asked for one another, with those whose records are in the bucket alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChainPage {
    /// From the first on, the named one included.
    pub ancestors: Vec<Link>,
    /// What the named one asked for, oldest first.
    pub children: Vec<Link>,
}

/// A request with the tasks that led to it, from the first to its parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lineage {
    /// The request.
    pub handed: Handed,
    /// The tasks.
    pub proofs: Vec<Proof>,
}

/// A task of a chain, as far as it is known here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Link {
    /// All of it.
    Whole(Box<TaskView>),
    /// The rest is to be read from the bucket.
    Kept(Box<Kept>),
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
    /// A principal as the registry lists it.
    Principal(Box<PrincipalView>),
    /// A token as the registry lists it.
    Token(Box<TokenView>),
    /// Every principal and every token was listed; others exist no more.
    PrincipalsListed(BTreeSet<PrincipalId>),
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
    /// Certificates that came with the request, in base64.
    pub certificates: Vec<String>,
    /// The tasks that asked for one another up to this one, from the first on.
    pub ancestors: Vec<Proof>,
}

/// What proves that a task ran on a node and could ask for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// Which task.
    pub task: TaskId,
    /// The node that ran it.
    pub node: PrincipalId,
    /// By which assignment.
    pub epoch: u64,
    /// Counts the task's runs.
    pub attempt: u32,
    /// Term in which it was assigned.
    pub term: u64,
    /// When it was assigned.
    pub assigned_at: Timestamp,
    /// SHA-256 of the request's envelope.
    pub request_hash: Sha256Hash,
    /// The signed request; in its bucket alone when the task has ended.
    pub request: Option<SignedRequest>,
}

/// A signed request with what came with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignedRequest {
    /// The envelope, in base64.
    pub envelope: String,
    /// Certificates of the signer's key, in base64.
    pub certificates: Vec<String>,
}
