//! What a task is: its specification, how it lives, and how it ends.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ErrorCode, Fault, PrincipalId, Sha256Hash, Timestamp,
    credential::{CREDENTIALS_MAX, name_problem},
    sandbox::{Property, RunProof},
};

/// Longest run that a task may ask for, in milliseconds (24 h).
pub const TIME_LIMIT_MS_MAX: u64 = 24 * 3600 * 1000;
/// Time limit of a task that names none, in milliseconds (1 h).
pub const TIME_LIMIT_MS_DEFAULT: u64 = 3600 * 1000;
/// Most output that is kept of one run, in bytes, stdout and stderr each.
pub const OUTPUT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Output that is kept when the task names no limit, in bytes.
pub const OUTPUT_BYTES_DEFAULT: u64 = 16 * 1024 * 1024;
/// Names the folder of a run's credentials in its environment, as systemd does.
pub const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// What is to be done. Signed by whoever asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// The work itself.
    pub work: Work,
    /// The run is ended after this many milliseconds; 1 h when absent, 24 h at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit_ms: Option<u64>,
    /// Bytes kept of stdout and stderr each; more is counted and hashed, then dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_limit_bytes: Option<u64>,
    /// Whether the task may run again after its node was lost. Otherwise it runs at most once.
    #[serde(default)]
    pub idempotent: bool,
    /// Labels that the node must have.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::strict::unique_keys"
    )]
    pub labels: BTreeMap<String, String>,
    /// Properties of the sandbox that the node must enforce.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
    /// Credentials that the run shall find in `$CREDENTIALS_DIRECTORY`, by their names in the
    /// node's manifest; each once, 16 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<String>,
}

/// The kinds of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Work {
    /// Does nothing but answer with its text: proves the whole way to a node and back.
    Echo {
        /// Comes back as stdout.
        #[serde(default)]
        text: String,
    },
    /// Runs a program.
    Command {
        /// The program and its arguments; no shell is involved.
        argv: Vec<String>,
        /// Where it runs; a directory of its own when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cwd: Option<String>,
        /// Added to the scrubbed environment.
        #[serde(
            default,
            skip_serializing_if = "BTreeMap::is_empty",
            deserialize_with = "crate::strict::unique_keys"
        )]
        env: BTreeMap<String, String>,
        /// What it reads; nothing when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stdin: Option<String>,
    },
}

impl Work {
    /// The capability that a node needs for it.
    #[must_use]
    pub fn capability(&self) -> Option<&'static str> {
        match self {
            Self::Echo { .. } => None,
            Self::Command { .. } => Some("shell.exec"),
        }
    }

    /// The word that names the kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Echo { .. } => "echo",
            Self::Command { .. } => "command",
        }
    }

    /// One line for lists: the command with its arguments, control characters escaped.
    #[must_use]
    pub fn summary(&self) -> String {
        let words: Vec<String> = match self {
            Self::Echo { text } => vec!["echo".to_owned(), text.clone()],
            Self::Command { argv, .. } => argv.clone(),
        };
        words
            .join(" ")
            .chars()
            .flat_map(|c| c.escape_debug().collect::<Vec<_>>())
            .take(200)
            .collect()
    }
}

impl TaskSpec {
    /// A specification with nothing but its work.
    #[must_use]
    pub fn new(work: Work) -> Self {
        Self {
            work,
            time_limit_ms: None,
            output_limit_bytes: None,
            idempotent: false,
            labels: BTreeMap::new(),
            properties: Vec::new(),
            credentials: Vec::new(),
        }
    }

    /// Milliseconds that the run may take.
    #[must_use]
    pub fn time_limit_ms(&self) -> u64 {
        self.time_limit_ms.unwrap_or(TIME_LIMIT_MS_DEFAULT)
    }

    /// Bytes that are kept of stdout and stderr each.
    #[must_use]
    pub fn output_limit_bytes(&self) -> u64 {
        self.output_limit_bytes.unwrap_or(OUTPUT_BYTES_DEFAULT)
    }

    /// Checks what the types alone do not say.
    ///
    /// # Errors
    ///
    /// `SPEC_INVALID`, naming the field.
    pub fn validate(&self) -> Result<(), Fault> {
        let invalid = |message: &str| Err(Fault::new(ErrorCode::SpecInvalid, message));
        if !(1..=TIME_LIMIT_MS_MAX).contains(&self.time_limit_ms()) {
            return invalid("time_limit_ms must be 1 to 86400000");
        }
        if OUTPUT_BYTES_MAX < self.output_limit_bytes() {
            return invalid("output_limit_bytes must be at most 1 GiB");
        }
        self.credentials_problem().map_or(Ok(()), |problem| invalid(&problem))?;
        match &self.work {
            Work::Echo { .. } => Ok(()),
            Work::Command { argv, cwd, env, .. } => {
                if argv.first().is_none_or(String::is_empty) {
                    return invalid("argv names no program");
                }
                if argv.iter().chain(cwd).chain(env.values()).any(|text| text.contains('\0')) {
                    return invalid("argv, cwd and env must not hold NUL");
                }
                let bad_name = |name: &String| name.is_empty() || name.contains(['=', '\0']);
                if env.keys().any(bad_name) {
                    return invalid("a name in env is empty or holds =");
                }
                Ok(())
            }
        }
    }

    fn credentials_problem(&self) -> Option<String> {
        let names = &self.credentials;
        if CREDENTIALS_MAX < names.len() {
            return Some(format!("credentials must be at most {CREDENTIALS_MAX}"));
        }
        if let Some(problem) = names.iter().find_map(|name| name_problem(name)) {
            return Some(format!("a name in credentials {problem}"));
        }
        let unique: BTreeSet<&String> = names.iter().collect();
        if unique.len() < names.len() {
            return Some("credentials names one twice".to_owned());
        }
        match &self.work {
            Work::Echo { .. } if !names.is_empty() => {
                Some("an echo runs nothing that could use credentials".to_owned())
            }
            Work::Command { env, .. }
                if !names.is_empty() && env.contains_key(CREDENTIALS_VARIABLE) =>
            {
                Some(format!("env must not name {CREDENTIALS_VARIABLE} beside credentials"))
            }
            Work::Echo { .. } | Work::Command { .. } => None,
        }
    }
}

/// Where a task is in its life.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// Waits for a node; `why` tells for what.
    Queued,
    /// Given to a node that has not asked to start.
    Assigned,
    /// A node was told to run it.
    Started,
    /// Ended as it should: exit status 0.
    Succeeded,
    /// Ended otherwise, or could not be started.
    Failed,
    /// Took longer than it may.
    TimedOut,
    /// Ended because somebody asked for it.
    Cancelled,
    /// Its node went silent after the start: the outcome is unknown.
    Lost,
    /// Nobody could take it before its request expired.
    Expired,
}

impl TaskState {
    /// Whether nothing more will happen; a lost task can still be settled.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Assigned | Self::Started | Self::Lost => false,
            Self::Succeeded | Self::Failed | Self::TimedOut | Self::Cancelled | Self::Expired => {
                true
            }
        }
    }

    /// The word that names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Assigned => "assigned",
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
            Self::Expired => "expired",
        }
    }
}

/// How a run ended, as its node reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// In one word.
    pub verdict: Verdict,
    /// Exit status, where a process ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Signal, where one ended the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Why it could not run or was ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// When the node started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it had ended, with all that it started.
    pub ended_at: Timestamp,
    /// What it used.
    #[serde(default)]
    pub usage: Usage,
    /// What it wrote to stdout.
    #[serde(default)]
    pub stdout: OutputSummary,
    /// What it wrote to stderr.
    #[serde(default)]
    pub stderr: OutputSummary,
    /// What surrounded the program, read from outside just before it was executed; absent when
    /// nothing was executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Box<RunProof>>,
}

/// How a run ended, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Exit status 0.
    Succeeded,
    /// Any other exit status, a signal, or no start at all.
    Failed,
    /// Ended by its time limit.
    TimedOut,
    /// Ended by a cancel.
    Cancelled,
    /// The node cannot tell, for example after a crash in the middle of the run.
    Lost,
}

impl Verdict {
    /// The state that follows.
    #[must_use]
    pub fn state(self) -> TaskState {
        match self {
            Self::Succeeded => TaskState::Succeeded,
            Self::Failed => TaskState::Failed,
            Self::TimedOut => TaskState::TimedOut,
            Self::Cancelled => TaskState::Cancelled,
            Self::Lost => TaskState::Lost,
        }
    }
}

/// What a run used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Wall time in milliseconds.
    pub wall_ms: u64,
    /// Processor time of the process and its waited-for children, in milliseconds.
    pub cpu_ms: u64,
    /// Largest resident memory, in bytes.
    pub memory_peak_bytes: u64,
    /// Processes that had to be killed after the first one ended.
    pub leftovers: u32,
}

/// What a run wrote to one stream; of a run that had credentials, with their values masked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputSummary {
    /// All bytes that were written.
    pub bytes: u64,
    /// Those that were over the limit and not kept.
    pub dropped: u64,
    /// SHA-256 of all of them; absent when there were none, or when some were dropped of a run
    /// that had credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Hash>,
    /// All of them in base64, when they are few; longer output is in the output stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
}

/// A task as others see it; also a row of `cortex_tasks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskView {
    /// Which task.
    pub id: crate::TaskId,
    /// Where it is in its life.
    pub state: TaskState,
    /// Who signed the request.
    pub issuer: PrincipalId,
    /// The user it is for.
    pub subject: PrincipalId,
    /// Who may carry it out, as signed.
    pub audience: crate::Audience,
    /// What is to be done.
    pub spec: TaskSpec,
    /// The task that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<crate::TaskId>,
    /// What it may itself ask for.
    #[serde(default, skip_serializing_if = "crate::grants::Grants::is_nothing")]
    pub grants: crate::grants::Grants,
    /// The node that has or had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<PrincipalId>,
    /// Counts its assignments; 0 before the first.
    pub epoch: u64,
    /// Counts its runs.
    pub attempt: u32,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it was given to its node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_at: Option<Timestamp>,
    /// When its node was told to run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// When the request expires.
    pub expires_at: Timestamp,
    /// Who asked for its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_by: Option<PrincipalId>,
    /// Why it waits, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// The last refusals by nodes, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// A node said no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Which node.
    pub node: PrincipalId,
    /// The assignment that it refused.
    pub epoch: u64,
    /// Why.
    pub fault: Fault,
    /// When that was decided on.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests;
