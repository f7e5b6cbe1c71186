//! Who may task whom: the one rule that registry, scheduler and node all apply.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Manifest, PrincipalId};

/// Why a principal may not task an agent.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Denial {
    /// The one who asks is an agent whose `can_task` does not name the other.
    CanTaskMissing,
    /// The other's `accepts_tasks_from` does not name the one who asks.
    NotAccepted,
}

impl Denial {
    /// What to change, in one sentence.
    #[must_use]
    pub fn explain(self, from: &PrincipalId, to: &PrincipalId) -> String {
        match self {
            Self::CanTaskMissing => {
                format!("the manifest of {from} does not name {to} in can_task")
            }
            Self::NotAccepted => {
                format!("the manifest of {to} does not name {from} in accepts_tasks_from")
            }
        }
    }
}

/// What stands against `from` tasking the agent of `target`; nothing means that it may.
///
/// The owner of an agent may always task it. Agents need both sides: their own `can_task` and the
/// other's `accepts_tasks_from`. People have no manifest, so only the other's side counts.
#[must_use]
pub fn denials(
    from: &PrincipalId,
    manifest_of_from: Option<&Manifest>,
    target: &Manifest,
    owner: Option<&PrincipalId>,
) -> Vec<Denial> {
    if owner == Some(from) || *from == target.id {
        return Vec::new();
    }
    let mut denials = Vec::new();
    if manifest_of_from.is_some_and(|manifest| !manifest.may_task(&target.id)) {
        denials.push(Denial::CanTaskMissing);
    }
    if !target.accepts(from) {
        denials.push(Denial::NotAccepted);
    }
    denials
}

#[cfg(test)]
mod tests;
