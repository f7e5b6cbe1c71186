//! What time and observations call for.
//!
//! **Invariant:** everything named here still holds, so deciding it changes the state and it is not
//! named again.

use crate::{
    command::Command,
    facts::Facts,
    limits::{DUE_MAX, NODES_PER_PLACING},
    state::State,
};

/// Commands that are due.
pub(crate) fn due(state: &State, facts: &Facts) -> Vec<Command> {
    let mut commands = Vec::new();
    let now_ms = facts.moment.now_ms.max(state.at_ms);
    let passed = |(at_ms, _): &&(u64, schemas::TaskId)| *at_ms <= now_ms;

    let requests = state.index.requests.iter().take_while(passed).take(DUE_MAX);
    commands.extend(requests.map(|(_, task)| Command::ExpireRequest { task: task.clone() }));

    let assignments = state.index.assignments.iter().take_while(passed).take(DUE_MAX);
    commands.extend(assignments.filter_map(|(_, id)| {
        let epoch = state.tasks.get(id)?.view.epoch;
        Some(Command::ExpireAssignment { task: id.clone(), epoch })
    }));

    let barred = facts.barred(state).take(DUE_MAX);
    commands.extend(barred.map(|task| Command::EndBarred { task: task.clone() }));

    let ending = state.ending.iter().take(DUE_MAX);
    commands.extend(ending.map(|parent| Command::EndChildren { parent: parent.clone() }));

    let silent = facts.leases.run_out(state, facts.moment).take(DUE_MAX);
    commands.extend(silent.map(|(id, epoch)| Command::DeclareLost { task: id.clone(), epoch }));

    let nodes: Vec<_> = facts.ready(state).take(DUE_MAX).cloned().collect();
    let placings = nodes.chunks(NODES_PER_PLACING).map(<[_]>::to_vec);
    commands.extend(placings.map(|nodes| Command::PlaceQueued { nodes }));
    commands
}
