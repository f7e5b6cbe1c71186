//! A run asks its node for tasks, within what its own request grants.
//!
//! The run finds a socket at the path that [`DELEGATE_VARIABLE`] names and says one JSON object a
//! line: `{"submit": {"audience": "node:n2", "spec": {...}}}` is answered with `{"task": ID}`,
//! `{"wait": ID}` with `{"outcome": {...}}`, and anything that cannot be with `{"fault": {...}}`.
//!
//! **Invariant:** the run never sees a key or a signed request; the node signs in its own name, for
//! the user and within the grants of the run's request.
//! **Invariant:** a run hears of no task but those that it asked for; once it has ended nobody is
//! served in its name.

mod caller;
mod desk;
mod session;

use schemas::{
    Audience, Fault, TaskId,
    grants::Grants,
    task::{Outcome, TaskSpec},
};
use serde::{Deserialize, Serialize};

pub use caller::{Delegate, DelegateError};
pub(crate) use desk::{Counter, Desk};

/// Names the socket in the environment of a run that may ask for tasks.
pub const DELEGATE_VARIABLE: &str = "CORTEX_DELEGATE";

/// Longest line that is read, in bytes: a request with its specification.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What a run says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// It wants a task done.
    Submit(Box<Submit>),
    /// It wants to know how one ended.
    Wait(TaskId),
}

/// A task that a run wants done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// Who may carry it out: `node:ID` or `can:CAPABILITY`.
    pub audience: Audience,
    /// What shall be done.
    pub spec: TaskSpec,
    /// What that task may itself ask for; nothing when absent.
    #[serde(default, skip_serializing_if = "Grants::is_nothing")]
    pub grants: Grants,
    /// How long the request lives, in seconds; an hour when absent, or as long as the run's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lives_s: Option<u64>,
}

/// What the node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reply {
    /// The task was submitted.
    Task(TaskId),
    /// The task has ended.
    Outcome(Box<Outcome>),
    /// It cannot be.
    Fault(Fault),
}

fn line<T: Serialize>(said: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(said).expect("names and texts always encode");
    line.push(b'\n');
    line
}
