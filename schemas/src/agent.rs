//! What passes between a node and the control plane.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{InstanceId, PrincipalId, TaskId, Timestamp, sandbox::SandboxReport};

/// What the control plane says to a node, each on a subject of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeChannel {
    /// [`TaskOffer`]: here is work.
    Task,
    /// [`CancelOrder`]: end it.
    Cancel,
    /// [`Ping`], answered with [`Pong`]: proves that the node hears its tasks.
    Ping,
}

impl NodeChannel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Task, Self::Cancel, Self::Ping];

    /// The last word of the subject.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Cancel => "cancel",
            Self::Ping => "ping",
        }
    }
}

/// What a node measured of its machine when it started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeReport {
    /// The process start that registers.
    pub instance: InstanceId,
    /// Version of the messages that it speaks.
    pub protocol: u32,
    /// Version of the program.
    pub version: String,
    /// Operating system and architecture, for example `linux/x86_64`.
    pub platform: String,
    /// Kernel release.
    #[serde(default)]
    pub kernel: String,
    /// Processors.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Free disk space where runs happen, in bytes.
    #[serde(default)]
    pub disk_free_bytes: u64,
    /// Runs at the same time.
    pub slots: u32,
    /// Well-known tools found on the PATH, with the path.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::strict::unique_keys"
    )]
    pub tools: BTreeMap<String, String>,
    /// What the node enforces around a run, and what it does not.
    pub sandbox: SandboxReport,
}

/// A node lives, this is how it is, and this is what it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// Who beats.
    pub node: PrincipalId,
    /// Which process start of it; absent for agents without a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// The node's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Runs that it could start now.
    #[serde(default)]
    pub slots_free: u32,
    /// What it runs or has asked to run; exactly these leases are renewed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<RunningTask>,
    /// Whether it takes no more tasks because it is about to stop.
    #[serde(default)]
    pub draining: bool,
    /// How its machine is.
    #[serde(default)]
    pub load: Load,
    /// What went wrong since it started.
    #[serde(default)]
    pub failures: FailureCounters,
    /// What is wrong now; makes the agent `degraded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complaint: Option<String>,
}

impl Heartbeat {
    /// The heartbeat of an agent that only says that it lives.
    #[must_use]
    pub fn bare(node: PrincipalId) -> Self {
        Self {
            node,
            instance: None,
            at: None,
            slots_free: 0,
            running: Vec::new(),
            draining: false,
            load: Load::default(),
            failures: FailureCounters::default(),
            complaint: None,
        }
    }
}

/// A run, or one that waits for its go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunningTask {
    /// Which task.
    pub task: TaskId,
    /// By which assignment.
    pub epoch: u64,
}

/// How a machine is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Processor time used since the last heartbeat, in hundredths of all processors' time.
    pub cpu_percent: u8,
    /// Memory in use, in bytes.
    pub memory_used_bytes: u64,
    /// Memory in all, in bytes.
    pub memory_total_bytes: u64,
    /// Load average of the last minute, in hundredths.
    pub load_1m_hundredths: u32,
    /// Memory of the node's own process, in bytes.
    #[serde(default)]
    pub process_memory_bytes: u64,
}

/// What went wrong since the node's process started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailureCounters {
    /// Runs that failed or timed out.
    pub tasks_failed: u64,
    /// Tasks that the node refused.
    pub tasks_refused: u64,
    /// Connections that were lost.
    pub disconnects: u64,
    /// Panics of earlier process starts that were found at this one.
    pub panics: u64,
    /// The first line of the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_panic: Option<String>,
}

/// Here is work: what was asked for and who shall do it, both signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskOffer {
    /// Which task; a rendering, the signed bytes decide.
    pub task: TaskId,
    /// Which assignment; a rendering, the signed bytes decide.
    pub epoch: u64,
    /// The signed request, in base64.
    pub request: String,
    /// The signed assignment, in base64.
    pub assignment: String,
    /// Certificates of all keys that signed any of this, in base64, each after the one that vouches
    /// for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
    /// The tasks that asked for one another up to this one, from the first on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<Ancestor>,
}

/// A task that asked for another one, and the proof of who was to run it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ancestor {
    /// The signed request, in base64.
    pub request: String,
    /// The signed assignment to the node that asked in its turn, in base64.
    pub assignment: String,
}

/// There is a new roster; whoever hears it asks the registry for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RosterNotice {
    /// Its version.
    pub version: u64,
}

/// End a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelOrder {
    /// Which task.
    pub task: TaskId,
    /// The newest assignment that this ends.
    pub epoch: u64,
    /// Who asked for it.
    pub by: PrincipalId,
}

/// Are you there?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ping {}

/// Yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pong {
    /// Who answers.
    pub node: PrincipalId,
    /// Which process start of it.
    pub instance: InstanceId,
    /// Version of the messages that it speaks.
    pub protocol: u32,
}

/// Which of a run's streams.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of a run's output, as it appeared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputChunk {
    /// Which task.
    pub task: TaskId,
    /// By which assignment.
    pub epoch: u64,
    /// Which stream.
    pub stream: OutputStream,
    /// Bytes of that stream before this piece.
    pub offset: u64,
    /// The bytes, in base64.
    pub data: String,
    /// Whether it is the last piece of both streams; it then has no bytes.
    #[serde(default)]
    pub end: bool,
}
