//! What an event leaves in `cortex_agents`, and how the live feed names it.

use registry_core::State;
use runtime::Row;
use schemas::{registry::RegistryEvent, subject::Bucket};

/// What every event of the registry is about.
const KIND: &str = "agent";

/// The rows that an event changes. No id is ever forgotten, so no row is ever deleted.
pub(crate) fn project(state: &State, event: &RegistryEvent) -> Vec<Row> {
    let agent = event.agent();
    let row = state.row(agent);
    row.map(|view| Row::put(Bucket::Agents, agent.as_str(), &view)).into_iter().collect()
}

/// What an event is about.
pub(crate) fn about(event: &RegistryEvent) -> (&'static str, &str) {
    (KIND, event.agent().as_str())
}
