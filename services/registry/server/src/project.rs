//! What an event leaves in `cortex_agents`, and how the live feed names it.

use registry_core::State;
use runtime::Row;
use schemas::{registry::RegistryEvent, subject::Bucket};

/// What events are about that concern an agent as the fleet sees it.
const AGENT: &str = "agent";
/// What the others are about.
const PRINCIPAL: &str = "principal";

/// The rows that an event changes. No id is ever forgotten, so no row is ever deleted.
pub(crate) fn project(state: &State, event: &RegistryEvent) -> Vec<Row> {
    let Some(agent) = event.agent() else { return Vec::new() };
    let row = state.row(agent);
    row.map(|view| Row::put(Bucket::Agents, agent.as_str(), &view)).into_iter().collect()
}

/// What an event is about.
pub(crate) fn about(event: &RegistryEvent) -> (&'static str, &str) {
    let kind = if event.agent().is_some() { AGENT } else { PRINCIPAL };
    (kind, event.principal().as_str())
}
