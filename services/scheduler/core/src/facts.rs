//! What is known of the world but not from the log: the time, the fleet, who beats, which leases
//! run, what was repeated when.
//!
//! **Invariant:** losing all of it costs time, never correctness: leases begin anew in full, and
//! the fleet is read again.

use decider::Moment;
use schemas::agent::Heartbeat;

use crate::{
    command::{Effect, Observation},
    limits::NODES_EXAMINED_PER_TICK_MAX,
    placement,
    state::State,
};

mod fleet;
mod leases;
mod reminders;
mod strays;

pub(crate) use fleet::{Fleet, Node};
pub(crate) use leases::Leases;
use reminders::Reminders;
use strays::Strays;

/// Everything that is known but not recorded.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub(crate) moment: Moment,
    pub(crate) fleet: Fleet,
    pub(crate) leases: Leases,
    reminders: Reminders,
    strays: Strays,
    /// Nodes that were seen to be able to take a waiting task.
    ready: std::collections::BTreeSet<schemas::PrincipalId>,
    /// Pauses of nodes that ended up to here have been looked at.
    pauses_seen_ms: u64,
}

impl Facts {
    /// Takes an observation in.
    pub(crate) fn observe(&mut self, state: &State, observation: Observation) {
        match observation {
            Observation::Heartbeat(beat) => self.hear(state, *beat),
            Observation::Agent(agent) => self.fleet.list(*agent),
            Observation::Listed(all) => self.fleet.keep_only(&all),
            Observation::Registry(event) => self.fleet.follow(*event),
        }
    }

    fn hear(&mut self, state: &State, beat: Heartbeat) {
        let lease_ms = self.moment.lease_ms;
        if let Some(instance) = &beat.instance {
            for run in &beat.running {
                self.leases.renew(state, &beat.node, instance, run, lease_ms);
                self.strays.note(state, &beat.node, run, lease_ms);
            }
        }
        self.fleet.hear(beat, lease_ms);
    }

    /// Looks at what has changed since the last tick, and names what should be said again.
    pub(crate) fn tick(&mut self, state: &State) -> Vec<Effect> {
        self.leases.adopt(state, self.moment);
        self.examine_changed_nodes(state);
        let mut effects = self.reminders.due(state, self.moment.lease_ms);
        effects.append(&mut self.strays.due(state, self.moment.lease_ms));
        effects
    }

    /// Nodes that can take a waiting task now.
    pub(crate) fn ready<'a>(
        &'a self,
        state: &'a State,
    ) -> impl Iterator<Item = &'a schemas::PrincipalId> {
        let takes = move |node: &&schemas::PrincipalId| {
            placement::World::of(state, self).next_for(node).is_some()
        };
        self.ready.iter().filter(takes)
    }

    fn examine_changed_nodes(&mut self, state: &State) {
        let now_ms = self.moment.now_ms;
        if state.index.queue.is_empty() {
            self.ready.clear();
            self.fleet.changed.clear();
            self.pauses_seen_ms = now_ms;
            return;
        }
        let since_ms = std::mem::replace(&mut self.pauses_seen_ms, now_ms);
        let ended = state.pauses_that_ended(since_ms, now_ms);
        self.fleet.changed.extend(ended);
        let mut examined = std::mem::take(&mut self.ready);
        while examined.len() < NODES_EXAMINED_PER_TICK_MAX
            && let Some(node) = self.fleet.changed.pop_first()
        {
            examined.insert(node);
        }
        let world = placement::World::of(state, self);
        examined.retain(|node| world.next_for(node).is_some());
        self.ready = examined;
    }
}
