//! What is remembered: every agent that was ever announced, and the index over the listed ones.
//!
//! **Invariant:** the index is a function of the agents; a snapshot holds only these.

use std::{collections::BTreeMap, sync::Arc};

use schemas::{PrincipalId, permission::Asker, registry::AgentView};
use serde::{Deserialize, Serialize, Serializer};

use crate::{Agent, index::Index};

/// Every agent by id. Copies share what neither changes, so a copy for a snapshot is cheap.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Restored")]
pub struct State {
    agents: BTreeMap<PrincipalId, Arc<Agent>>,
    index: Arc<Index>,
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

    /// What is known of whoever asks.
    #[must_use]
    pub fn asker<'a>(&'a self, id: &'a PrincipalId) -> Asker<'a> {
        let agent = self.agent(id);
        let (manifest, owner) = (agent.map(|it| &it.manifest), agent.map(|it| &it.owner));
        Asker { manifest, owner, ..Asker::named(id) }
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
        self.agents == other.agents
    }
}

#[derive(Serialize)]
struct Kept<'a> {
    agents: BTreeMap<&'a PrincipalId, &'a Agent>,
}

#[derive(Deserialize)]
struct Restored {
    agents: BTreeMap<PrincipalId, Agent>,
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let agents = self.agents.iter().map(|(id, agent)| (id, agent.as_ref())).collect();
        Kept { agents }.serialize(serializer)
    }
}

impl From<Restored> for State {
    fn from(restored: Restored) -> Self {
        let mut state = Self::default();
        for agent in restored.agents.into_values() {
            state.put(agent);
        }
        state
    }
}
