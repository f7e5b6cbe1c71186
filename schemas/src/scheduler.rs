//! What is said to the scheduler, and what it records.

mod event;

pub use event::SchedulerEvent;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Audience, Cursor, ErrorCode, Fault, InstanceId, PrincipalId, Sha256Hash, TaskId,
    agent::OutputChunk,
    grants::Grants,
    task::{Outcome, TaskState, TaskView},
};

/// Verbs of the scheduler, as they stand in subjects.
pub mod verb {
    /// [`super::SubmitRequest`] to [`super::SubmitAnswer`].
    pub const SUBMIT: &str = "submit";
    /// [`super::StartRequest`] to [`super::StartAnswer`]; nodes only.
    pub const START: &str = "start";
    /// [`super::ReportRequest`] to [`super::ReportAnswer`]; nodes only.
    pub const REPORT: &str = "report";
    /// [`super::RefuseRequest`] to [`super::ReportAnswer`]; nodes only.
    pub const REFUSE: &str = "refuse";
    /// [`super::CancelRequest`] to [`super::CancelAnswer`].
    pub const CANCEL: &str = "cancel";
    /// [`super::TaskRequest`] to [`crate::task::TaskView`].
    pub const GET_TASK: &str = "get-task";
    /// [`super::GetTasksRequest`] to [`super::GetTasksAnswer`].
    pub const GET_TASKS: &str = "get-tasks";
    /// [`super::OutputRequest`] to [`super::OutputAnswer`].
    pub const OUTPUT: &str = "output";
    /// [`super::TaskRequest`] to [`super::ChainAnswer`].
    pub const CHAIN: &str = "chain";
    /// [`super::TaskRequest`] to [`super::WhyAnswer`].
    pub const WHY: &str = "why";
    /// [`super::TaskRequest`] to [`crate::task::TaskView`]: a person settles a lost task.
    pub const FORCE_LOST: &str = "force-lost";
    /// [`crate::feed::EventsRequest`] to [`crate::feed::EventsAnswer`].
    pub const EVENTS: &str = crate::feed::EVENTS_VERB;
    /// [`crate::projection::RebuildRequest`] to [`crate::projection::RebuildAnswer`].
    pub const REBUILD: &str = crate::projection::REBUILD_VERB;
    /// All of them.
    pub const ALL: [&str; 13] = [
        SUBMIT, START, REPORT, REFUSE, CANCEL, GET_TASK, GET_TASKS, OUTPUT, CHAIN, WHY, FORCE_LOST,
        EVENTS, REBUILD,
    ];
}

/// Hands in a signed request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// The signed envelope, in base64. Without it the answer is `UNSIGNED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<String>,
    /// Certificates of the signer's key, in base64, each after the one that vouches for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
    /// For readers only; never trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendering: Option<serde_json::Value>,
}

/// Answer to [`SubmitRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitAnswer {
    /// Which task it is; the same for the same request.
    pub task: TaskId,
    /// Where it is in its life.
    pub state: TaskState,
    /// The node that it was given to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<PrincipalId>,
    /// Why it waits, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
}

/// A node has the task on disk and asks whether it may run it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// Which task.
    pub task: TaskId,
    /// By which assignment.
    pub epoch: u64,
    /// The process start that would run it.
    pub instance: InstanceId,
    /// Counts this instance's requests for this task: only the answer to the latest counts.
    pub ask: u64,
}

/// Answer to [`StartRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartAnswer {
    /// Which task.
    pub task: TaskId,
    /// By which assignment.
    pub epoch: u64,
    /// The process start that it is for.
    pub instance: InstanceId,
    /// The request that it answers.
    pub ask: u64,
    /// Term of the scheduler's log; a lower one than seen before is not obeyed.
    pub term: u64,
    /// What to do.
    pub decision: StartDecision,
}

/// What a node shall do with a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum StartDecision {
    /// Run it.
    Go {},
    /// Drop it: it was cancelled, given to somebody else, or has ended.
    StandDown {
        /// Why.
        code: ErrorCode,
    },
}

/// A node says how a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportRequest {
    /// Which task.
    pub task: TaskId,
    /// By which assignment.
    pub epoch: u64,
    /// The process start that says so.
    pub instance: InstanceId,
    /// How it ended.
    pub outcome: Outcome,
}

/// A node does not take a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefuseRequest {
    /// Which task.
    pub task: TaskId,
    /// Which assignment.
    pub epoch: u64,
    /// The process start that says so.
    pub instance: InstanceId,
    /// Why: `NODE_BUSY`, `NODE_DRAINING`, or what the verification found.
    pub fault: Fault,
}

/// Answer to a report or refusal: the node may forget it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportAnswer {
    /// Which task.
    pub task: TaskId,
    /// Where it is in its life.
    pub state: TaskState,
    /// Whether the report changed anything; an old epoch's does not.
    pub counted: bool,
}

/// Ends tasks: one, or all that a selection names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// Exactly this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<TaskId>,
    /// Every live task of the asker that the selection names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<TaskSelection>,
}

/// Selects tasks. Absent fields select all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskSelection {
    /// Exactly this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<TaskState>,
    /// Given to this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<PrincipalId>,
    /// Signed by this principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<PrincipalId>,
}

/// Answer to [`CancelRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelAnswer {
    /// Ended at once, for no node had started them.
    pub cancelled: Vec<TaskId>,
    /// Running: their nodes were told.
    pub stopping: Vec<TaskId>,
    /// Whether more match than one request may end; ask again.
    pub more: bool,
}

/// Names one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskRequest {
    /// Which.
    pub id: TaskId,
}

/// Lists tasks, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetTasksRequest {
    /// Which.
    #[serde(default)]
    pub select: TaskSelection,
    /// Go on after this place, as the answer before gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most; 100 when absent, 1000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Answer to [`GetTasksRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetTasksAnswer {
    /// Newest first.
    pub tasks: Vec<TaskView>,
    /// Where to go on, when there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The list includes every event up to here.
    pub cursor: Cursor,
}

/// Reads what a task prints, and waits for more of it or for a turn in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputRequest {
    /// Which task.
    pub id: TaskId,
    /// Only what came after this place, 0 for all; nothing is read when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Where its caller believes the task to be; there is no waiting once it is elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<TaskState>,
    /// How long to wait when there is nothing new, in milliseconds; 1500 at most, not at all when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u32>,
}

/// Answer to [`OutputRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputAnswer {
    /// Pieces of both streams, in the order in which they came.
    pub chunks: Vec<OutputChunk>,
    /// Where to go on: the place of the last piece.
    pub next: u64,
    /// Where the task is in its life.
    pub state: TaskState,
    /// Why it waits, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
}

/// Answer to `chain`: which tasks asked for one another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChainAnswer {
    /// From the task that a person or a service asked for, to the one that was named.
    pub ancestors: Vec<ChainLink>,
    /// Tasks that the named one asked for, oldest first; 1000 at most.
    pub children: Vec<ChainLink>,
}

/// A task as part of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChainLink {
    /// Which.
    pub task: TaskId,
    /// Where it is in its life.
    pub state: TaskState,
    /// Who signed.
    pub issuer: PrincipalId,
    /// The user it is for.
    pub subject: PrincipalId,
    /// Who may carry it out.
    pub audience: Audience,
    /// The node that has or had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<PrincipalId>,
    /// What it may itself ask for.
    #[serde(default, skip_serializing_if = "Grants::is_nothing")]
    pub grants: Grants,
    /// What it does, in one line.
    pub summary: String,
}

/// Answer to `why`: why a task is where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhyAnswer {
    /// Which task.
    pub task: TaskId,
    /// Where it is in its life.
    pub state: TaskState,
    /// In one sentence.
    pub summary: String,
    /// Every node that the asker sees, with what excludes it; nothing means that it could take the
    /// task.
    pub nodes: Vec<NodeVerdict>,
    /// Nodes that are not listed: the asker does not see them, or they do not fit one answer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub others: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What excludes a node from a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeVerdict {
    /// Which node.
    pub node: PrincipalId,
    /// All of it, not only the first.
    pub excluded_by: Vec<Exclusion>,
}

/// One thing that excludes a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// In one word.
    pub filter: Filter,
    /// In one sentence.
    pub detail: String,
}

/// What a node must pass to be given a task.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// The request names another node.
    Audience,
    /// The issuer may not task it.
    Permission,
    /// It cannot do what is asked for.
    Capability,
    /// It does not enforce a required property.
    SandboxProperty,
    /// It lacks a label.
    Label,
    /// It does not beat.
    Offline,
    /// It is in maintenance or draining.
    OutOfRotation,
    /// All its slots are taken.
    Slots,
    /// It refused this task a moment ago.
    Refused,
    /// It has no node on the broker.
    Unenrolled,
}

/// A signed request as it was submitted; a row of `cortex_envelopes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeRow {
    /// The task that it asks for.
    pub task: TaskId,
    /// The signed envelope, in base64.
    pub envelope: String,
    /// SHA-256 of the envelope's bytes.
    pub envelope_hash: Sha256Hash,
    /// Certificates of the signer's key, in base64, each after the one that vouches for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
}
