//! What time and heartbeats call for without anybody asking.

use schemas::{Timestamp, registry::AgentStatus};

use crate::{
    Agent, Beat, Command, Effect, Facts, Listing, State, facts::SHOW_PRESENCE_EVERY_MS, presence,
    principals,
};

/// Most commands that one look around names; the rest follows with the next.
pub const DUE_MAX: usize = 512;
/// Most heartbeats that one effect shows.
const SHOWN_AT_ONCE_MAX: usize = 256;

/// Names the commands that are due, a few at a time.
pub(crate) fn due(state: &State, facts: &Facts) -> Vec<Command> {
    if !facts.sweep {
        return Vec::new();
    }
    // Agents and heartbeats are walked side by side: both stand in the order of ids, and looking
    // each heartbeat up would cost most of the time.
    // Who was seated says nothing new, so no seat is named twice.
    let seats = facts.founders.iter().filter(|seat| principals::is_due(state, seat));
    let seats = seats.map(|seat| Command::Seat(Box::new(seat.clone())));
    let mut beats = facts.beats.iter().peekable();
    let due = state.agents().filter_map(|agent| {
        while beats.next_if(|(id, _)| *id < agent.id()).is_some() {}
        let beat = beats.next_if(|(id, _)| *id == agent.id()).map(|(_, beat)| beat);
        due_for(agent, beat, facts)
    });
    seats.chain(due).take(DUE_MAX).collect()
}

fn due_for(agent: &Agent, beat: Option<&Beat>, facts: &Facts) -> Option<Command> {
    let id = || agent.id().clone();
    if agent.listing == Listing::Deregistered || agent.set.is_some() {
        return None;
    }
    if presence::change(agent, beat, facts).is_some() {
        return Some(Command::Review { agent: id() });
    }
    is_forgotten(agent, facts).then(|| Command::Archive { agent: id() })
}

/// Whether an agent was offline for so long that it leaves the lists.
pub(crate) fn is_forgotten(agent: &Agent, facts: &Facts) -> bool {
    let offline_ms = agent.offline_since.map(|since| Timestamp(facts.now_ms).since_ms(since));
    agent.is_listed()
        && agent.set.is_none()
        && agent.present == AgentStatus::Offline
        && offline_ms.is_some_and(|offline_ms| facts.archive_after_ms <= offline_ms)
}

/// Names the heartbeats that others should see by now, each once.
pub(crate) fn due_effects(state: &State, facts: &mut Facts) -> Vec<Effect> {
    if facts.sweep {
        facts.sweep = false;
        facts.swept_at_lease_ms = facts.lease_ms;
    }
    let shown_ms = facts.lease_ms.saturating_sub(facts.shown_at_lease_ms);
    if shown_ms < SHOW_PRESENCE_EVERY_MS || facts.unshown.is_empty() {
        return Vec::new();
    }
    facts.shown_at_lease_ms = facts.lease_ms;
    let unshown = std::mem::take(&mut facts.unshown);
    let listed = unshown.iter().filter(|id| state.agent(id).is_some_and(Agent::is_listed));
    let heard: Vec<_> = listed.filter_map(|id| facts.presence(id)).collect();
    heard.chunks(SHOWN_AT_ONCE_MAX).map(|some| Effect::ShowPresence(some.to_vec())).collect()
}
