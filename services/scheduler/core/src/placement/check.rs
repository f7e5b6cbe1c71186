//! A checker of decisions: what no assignment may ever violate, said a second time and plainly.
//!
//! **Invariant:** it shares no search with the planner; it only judges what was planned.

use std::collections::BTreeMap;

use decider::Recorded;
use schemas::{PrincipalId, TaskId, scheduler::SchedulerEvent, task::TaskState};

use super::{Candidate, Overlay, World, filters::Probe};
use crate::{Facts, State, evolve};

/// Rules that the events of one decision break; nothing means that all is well.
#[must_use]
pub fn violations(before: &State, facts: &Facts, events: &[SchedulerEvent]) -> Vec<String> {
    let mut found = Vec::new();
    let mut state = before.clone();
    let at_ms = before.at_ms.max(facts.moment.now_ms);
    let recorded = Recorded { at_ms, term: facts.moment.term };
    for event in events {
        if let SchedulerEvent::TaskAssigned { task, node, epoch, .. } = event {
            found.extend(judge(&state, facts, (task, node, *epoch)));
        }
        evolve::evolve(&mut state, event, recorded);
    }
    found.extend(overbooked(&state, facts, before));
    found
}

fn judge(
    state: &State,
    facts: &Facts,
    (id, node_id, epoch): (&TaskId, &PrincipalId, u64),
) -> Vec<String> {
    let mut found = Vec::new();
    let Some(task) = state.tasks.get(id) else { return vec![format!("{id} is not known")] };
    let Some(node) = facts.fleet.get(node_id) else {
        return vec![format!("{node_id} is not known")];
    };
    if epoch <= task.view.epoch {
        found.push(format!("{id}: epoch {epoch} follows {}", task.view.epoch));
    }
    match task.view.state {
        TaskState::Queued | TaskState::Lost => (),
        TaskState::Assigned
        | TaskState::Started
        | TaskState::Succeeded
        | TaskState::Failed
        | TaskState::TimedOut
        | TaskState::Cancelled
        | TaskState::Expired => found.push(format!("{id} is {}", task.view.state.as_str())),
    }
    if let Some((who, bar)) = facts.bar(task) {
        found.push(format!("{id}: {who} may not ask: {bar:?}"));
    }
    let demand = task.demand();
    let overlay = Overlay::new();
    let world = World { state, facts, overlay: &overlay };
    let candidate = Candidate { id, demand: &demand, task: Some(task) };
    let excluded = Probe::new(world, node, candidate).excluded_by();
    found.extend(excluded.map(|filter| format!("{id}: {node_id} is excluded by {filter:?}")));
    found.extend(overtaken(world, node, candidate));
    found
}

/// An older task with the same demand that the node could have taken instead.
fn overtaken(
    world: World<'_>,
    node: &crate::facts::Node,
    candidate: Candidate<'_>,
) -> Option<String> {
    let seq = candidate.task.map(|task| task.seq)?;
    let lines = world.state.index.queue.get(&candidate.demand.audience)?;
    let older = lines.get(candidate.demand)?.iter().take_while(|(other, _)| *other < seq);
    let mut fitting = older.filter(|(_, id)| {
        let task = world.state.tasks.get(id);
        let probe = Probe::new(world, node, Candidate { id, task, ..candidate });
        probe.excluded_by().next().is_none()
    });
    let overtaken = fitting.next().map(|(_, id)| id)?;
    Some(format!("{} overtakes {overtaken}", candidate.id))
}

/// Nodes that have more than their slots, unless they had before.
fn overbooked(state: &State, facts: &Facts, before: &State) -> Vec<String> {
    let counts: &BTreeMap<PrincipalId, u32> = &state.index.held;
    let too_many = counts.iter().filter(|(id, held)| {
        let slots = facts.fleet.get(id).map_or(0, crate::facts::Node::slots);
        slots.max(before.held(id)) < **held
    });
    too_many.map(|(id, held)| format!("{id} holds {held} tasks")).collect()
}
