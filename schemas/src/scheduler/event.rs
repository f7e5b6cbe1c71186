//! What the scheduler records.
//!
//! **Invariant:** no secret is in any event: credentials are named, never held.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Audience, Fault, InstanceId, PrincipalId, Sha256Hash, TaskId, Timestamp,
    grants::Grants,
    key::KeyId,
    task::{Outcome, TaskSpec, TaskState},
};

/// What the scheduler records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SchedulerEvent {
    /// A signed request was accepted.
    TaskSubmitted {
        /// Which task.
        task: TaskId,
        /// The signed envelope, in base64.
        envelope: String,
        /// SHA-256 of the envelope's bytes, as assignments name it.
        envelope_hash: Sha256Hash,
        /// Who signed.
        issuer: PrincipalId,
        /// The user it is for.
        subject: PrincipalId,
        /// Who may carry it out.
        audience: Audience,
        /// What is to be done.
        spec: Box<TaskSpec>,
        /// Certificates of the signer's key, in base64, each after the one that vouches for it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        certificates: Vec<String>,
        /// What it may itself ask for.
        #[serde(default, skip_serializing_if = "Grants::is_nothing")]
        grants: Box<Grants>,
        /// The task that asked for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<TaskId>,
        /// The key that signed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<KeyId>,
        /// When the request expires.
        expires_at: Timestamp,
    },
    /// No node can take it now.
    TaskQueued {
        /// Which task.
        task: TaskId,
        /// Why, in one sentence.
        waiting_for: String,
    },
    /// A node is to run it.
    TaskAssigned {
        /// Which task.
        task: TaskId,
        /// Who.
        node: PrincipalId,
        /// Counts the assignments of the task.
        epoch: u64,
        /// Counts its runs.
        attempt: u32,
        /// When the assignment ends unless the node has asked to start.
        until: Timestamp,
    },
    /// The node had not asked to start in time.
    AssignmentExpired {
        /// Which task.
        task: TaskId,
        /// Which assignment.
        epoch: u64,
    },
    /// The node does not take it.
    TaskRefused {
        /// Which task.
        task: TaskId,
        /// Which assignment.
        epoch: u64,
        /// Who.
        node: PrincipalId,
        /// Why.
        fault: Fault,
    },
    /// The node was told to run it; told again when it asks again.
    TaskStarted {
        /// Which task.
        task: TaskId,
        /// By which assignment.
        epoch: u64,
        /// Who.
        node: PrincipalId,
        /// The only process start that may say that nothing ran.
        instance: InstanceId,
        /// The request that it answers: a later one of the same instance proves that it was not
        /// acted upon.
        ask: u64,
    },
    /// Somebody asked for its end while it ran.
    TaskCancelRequested {
        /// Which task.
        task: TaskId,
        /// Who.
        by: PrincipalId,
    },
    /// It ended.
    TaskFinished {
        /// Which task.
        task: TaskId,
        /// By which assignment; 0 when no node ever had it.
        epoch: u64,
        /// How.
        state: TaskState,
        /// As the node reported it; absent when no node ran it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outcome: Option<Box<Outcome>>,
        /// Who asked for the end, when somebody did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<PrincipalId>,
    },
    /// Its node went silent or cannot tell how it ended.
    TaskLost {
        /// Which task.
        task: TaskId,
        /// By which assignment.
        epoch: u64,
        /// Who.
        node: PrincipalId,
        /// Why, in one sentence.
        reason: String,
    },
}

impl SchedulerEvent {
    /// The task that the event is about.
    #[must_use]
    pub fn task(&self) -> &TaskId {
        match self {
            Self::TaskSubmitted { task, .. }
            | Self::TaskQueued { task, .. }
            | Self::TaskAssigned { task, .. }
            | Self::AssignmentExpired { task, .. }
            | Self::TaskRefused { task, .. }
            | Self::TaskStarted { task, .. }
            | Self::TaskCancelRequested { task, .. }
            | Self::TaskFinished { task, .. }
            | Self::TaskLost { task, .. } => task,
        }
    }
}
