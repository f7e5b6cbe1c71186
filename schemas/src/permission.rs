//! Who may see and task whom: the rules that registry, scheduler and node all apply.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Manifest, PrincipalId, manifest::PrincipalPattern, principal::UserRole};

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

/// Whoever wants to see or task an agent, and what is known of them.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Who.
    pub id: &'a PrincipalId,
    /// What it says about itself, when it is an agent.
    pub manifest: Option<&'a Manifest>,
    /// Whose it is, when it is an agent.
    pub owner: Option<&'a PrincipalId>,
    /// What it may do, when it is a person.
    pub role: Option<UserRole>,
}

impl<'a> Asker<'a> {
    /// Somebody of whom nothing is known but the name.
    #[must_use]
    pub fn named(id: &'a PrincipalId) -> Self {
        Self { id, manifest: None, owner: None, role: None }
    }
}

/// An agent that somebody wants to see or task.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// What it says about itself.
    pub manifest: &'a Manifest,
    /// Whose it is.
    pub owner: Option<&'a PrincipalId>,
    /// With whom it is shared.
    pub shared_with: &'a [PrincipalPattern],
}

impl Target<'_> {
    fn is_shared_with(&self, asker: &PrincipalId) -> bool {
        self.shared_with.iter().any(|pattern| pattern.covers(asker))
    }
}

/// What stands against `asker` tasking the agent of `target`; nothing means that it may.
///
/// The owner of an agent may always task it, and so may admins and operators. Agents need both
/// sides: their own `can_task` and the other's `accepts_tasks_from`. People have no manifest, so
/// only the other's side counts; sharing an agent adds to that side.
#[must_use]
pub fn denials(asker: Asker<'_>, target: Target<'_>) -> Vec<Denial> {
    let Asker { id, manifest, role, .. } = asker;
    let overseer = role.is_some_and(UserRole::tasks_everything);
    if overseer || target.owner == Some(id) || *id == target.manifest.id {
        return Vec::new();
    }
    let mut denials = Vec::new();
    if manifest.is_some_and(|manifest| !manifest.may_task(&target.manifest.id)) {
        denials.push(Denial::CanTaskMissing);
    }
    if !target.manifest.accepts(id) && !target.is_shared_with(id) {
        denials.push(Denial::NotAccepted);
    }
    denials
}

/// Whether `asker` may know of the agent of `target`: it is theirs, was shared with them, accepts
/// their tasks, has the same owner, or they see everything.
#[must_use]
pub fn sees(asker: Asker<'_>, target: Target<'_>) -> bool {
    let Asker { id, owner, role, .. } = asker;
    role.is_some_and(UserRole::sees_everything)
        || *id == target.manifest.id
        || target.owner == Some(id)
        || (owner.is_some() && owner == target.owner)
        || target.manifest.accepts(id)
        || target.is_shared_with(id)
}

#[cfg(test)]
mod tests;
