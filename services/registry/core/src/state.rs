//! What is remembered: who may take part, every agent that was ever announced, and the index over
//! the listed ones.
//!
//! **Invariant:** the index is a function of the agents; a snapshot holds only the agents.

use std::{collections::BTreeMap, sync::Arc};

use schemas::{
    PrincipalId,
    enrolment::PrincipalView,
    permission::{Asker, Denial, denials},
    registry::AgentView,
};
use serde::{Deserialize, Serialize, Serializer};

use crate::{Agent, index::Index, principals::Principals};

/// Every agent by id. Copies share what neither changes, so a copy for a snapshot is cheap.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Restored")]
pub struct State {
    agents: BTreeMap<PrincipalId, Arc<Agent>>,
    index: Arc<Index>,
    principals: Arc<Principals>,
}

impl State {
    /// An agent that was ever announced.
    #[must_use]
    pub fn agent(&self, id: &PrincipalId) -> Option<&Agent> {
        self.agents.get(id).map(AsRef::as_ref)
    }

    /// Every agent that was ever announced, by id.
    pub fn agents(&self) -> impl Iterator<Item = &Agent> {
        self.agents.values().map(AsRef::as_ref)
    }

    /// Who may take part.
    #[must_use]
    pub fn principals(&self) -> &Principals {
        &self.principals
    }

    pub(crate) fn principals_mut(&mut self) -> &mut Principals {
        Arc::make_mut(&mut self.principals)
    }

    /// What is known of whoever asks. An agent is of whoever its invite said.
    #[must_use]
    pub fn asker<'a>(&'a self, id: &'a PrincipalId) -> Asker<'a> {
        let agent = self.agent(id);
        let enrolled = self.principals.agent(id).map(|it| &it.owner);
        let owner = enrolled.or(agent.map(|it| &it.owner));
        let manifest = agent.map(|it| &it.manifest);
        Asker { id, manifest, owner, role: self.principals.role(id) }
    }

    /// What stands against `from` tasking `to`. An agent that has not said yet whom it may task may
    /// task nobody: it is no person.
    #[must_use]
    pub fn denials(&self, from: &PrincipalId, to: &Agent) -> Vec<Denial> {
        let asker = self.asker(from);
        let mut found = denials(asker, to.as_target());
        let mute = asker.manifest.is_none() && self.principals.agent(from).is_some();
        if mute && to.owner != *from && to.id() != from {
            found.insert(0, Denial::CanTaskMissing);
        }
        found
    }

    /// The row that `cortex_principals` holds of a principal.
    #[must_use]
    pub fn principal_row(&self, id: &PrincipalId) -> Option<PrincipalView> {
        self.principals.get(id).map(|principal| principal.view())
    }

    /// Those after `id`, by id.
    pub(crate) fn agents_after(&self, id: Option<&PrincipalId>) -> impl Iterator<Item = &Agent> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = id.map_or(Unbounded, Excluded);
        self.agents.range::<PrincipalId, _>((from, Unbounded)).map(|(_, agent)| agent.as_ref())
    }

    /// The row that `cortex_agents` holds of an agent.
    #[must_use]
    pub fn row(&self, id: &PrincipalId) -> Option<AgentView> {
        self.agent(id).map(|agent| agent.view(None))
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// Takes an agent in its new form, and the index with it.
    pub(crate) fn put(&mut self, agent: Agent) {
        let before = self.agents.get(agent.id()).map(AsRef::as_ref).filter(|old| old.is_listed());
        let after = Some(&agent).filter(|new| new.is_listed());
        let same = match (before, after) {
            (Some(old), Some(new)) => Index::same(old, new),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same {
            let index = Arc::make_mut(&mut self.index);
            if let Some(old) = before {
                index.remove(old);
            }
            if let Some(new) = after {
                index.insert(new);
            }
        }
        self.agents.insert(agent.id().clone(), Arc::new(agent));
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.agents == other.agents && self.principals == other.principals
    }
}

#[derive(Serialize)]
struct Kept<'a> {
    agents: BTreeMap<&'a PrincipalId, &'a Agent>,
    principals: &'a Principals,
}

#[derive(Deserialize)]
struct Restored {
    agents: BTreeMap<PrincipalId, Agent>,
    principals: Principals,
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let agents = self.agents.iter().map(|(id, agent)| (id, agent.as_ref())).collect();
        Kept { agents, principals: &self.principals }.serialize(serializer)
    }
}

impl From<Restored> for State {
    fn from(restored: Restored) -> Self {
        let principals = Arc::new(restored.principals);
        let mut state = Self { principals, ..Self::default() };
        for agent in restored.agents.into_values() {
            state.put(agent);
        }
        state
    }
}
