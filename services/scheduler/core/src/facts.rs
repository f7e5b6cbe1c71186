//! What is known of the world but not from the log: the time, the fleet, who beats, which leases
//! run, what was repeated when.
//!
//! **Invariant:** losing all of it costs time, never correctness: leases begin anew in full, and
//! the fleet is read again.

use std::collections::BTreeSet;

use decider::Moment;
use schemas::{PrincipalId, TaskId, agent::Heartbeat, permission::Asker, registry::RegistryEvent};

use crate::{
    command::{Effect, Observation},
    limits::NODES_EXAMINED_PER_TICK_MAX,
    placement,
    state::{State, Task},
};

mod directory;
mod fleet;
mod leases;
mod reminders;
mod strays;

pub(crate) use directory::Bar;
use directory::Directory;
pub use directory::Revocations;
pub(crate) use fleet::{Fleet, Node};
pub(crate) use leases::Leases;
use reminders::Reminders;
use strays::Strays;

/// Everything that is known but not recorded.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub(crate) moment: Moment,
    pub(crate) fleet: Fleet,
    pub(crate) directory: Directory,
    pub(crate) leases: Leases,
    reminders: Reminders,
    strays: Strays,
    /// Nodes that were seen to be able to take a waiting task.
    ready: BTreeSet<PrincipalId>,
    /// Tasks that nobody has started and that were found to be asked for by somebody who may not.
    barred: BTreeSet<TaskId>,
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
            Observation::Principal(principal) => self.directory.list(*principal),
            Observation::Token(token) => self.directory.list_token(&token),
            Observation::PrincipalsListed(all) => {
                self.directory.keep_only(&all);
                self.fleet.look_at_all();
                self.find_barred(state);
            }
            Observation::Registry(event) => self.follow(state, *event),
        }
    }

    fn follow(&mut self, state: &State, event: RegistryEvent) {
        self.directory.follow(&event);
        match &event {
            RegistryEvent::KeyRevoked { .. }
            | RegistryEvent::TokenRevoked { .. }
            | RegistryEvent::PrincipalEvicted { .. }
            | RegistryEvent::PrincipalBanned { .. } => self.find_barred(state),
            RegistryEvent::RoleSet { .. } => self.fleet.look_at_all(),
            RegistryEvent::AgentRegistered { .. }
            | RegistryEvent::AgentStatusChanged { .. }
            | RegistryEvent::AgentStatusSet { .. }
            | RegistryEvent::AgentStatusReleased { .. }
            | RegistryEvent::AgentArchived { .. }
            | RegistryEvent::AgentDeregistered { .. }
            | RegistryEvent::AgentShared { .. }
            | RegistryEvent::AgentUnshared { .. }
            | RegistryEvent::PrincipalSeated { .. }
            | RegistryEvent::OrderTaken { .. }
            | RegistryEvent::InviteMade { .. }
            | RegistryEvent::InviteRedeemed { .. }
            | RegistryEvent::EnrolmentConfirmed { .. }
            | RegistryEvent::InviteAbused { .. }
            | RegistryEvent::KeysRotated { .. }
            | RegistryEvent::KeysRenewed { .. }
            | RegistryEvent::TokenCreated { .. }
            | RegistryEvent::AccessDenied { .. }
            | RegistryEvent::DenialsSuppressed { .. } => (),
        }
        self.fleet.follow(event);
    }

    /// Whoever asks, with all that is known of them.
    pub(crate) fn asker<'a>(&'a self, id: &'a PrincipalId) -> Asker<'a> {
        let node = self.fleet.get(id);
        Asker {
            id,
            manifest: node.map(|node| &node.manifest),
            owner: node.map(|node| &node.owner).or_else(|| self.directory.owner(id)),
            role: self.directory.role(id),
        }
    }

    /// What stands against a task's signatures, also those of the tasks that led to it.
    pub(crate) fn bar<'a>(&self, task: &'a Task) -> Option<(&'a PrincipalId, Bar)> {
        let own = (&task.view.issuer, task.key);
        let signers = task.lineage.iter().map(|link| (&link.issuer, link.key));
        signers
            .chain([own])
            .find_map(|(issuer, key)| Some((issuer, self.directory.bar(issuer, key)?)))
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
    pub(crate) fn ready<'a>(&'a self, state: &'a State) -> impl Iterator<Item = &'a PrincipalId> {
        let takes =
            move |node: &&PrincipalId| placement::World::of(state, self).next_for(node).is_some();
        self.ready.iter().filter(takes)
    }

    /// Tasks that must not be started any more because of who asked for them.
    pub(crate) fn barred<'a>(&'a self, state: &'a State) -> impl Iterator<Item = &'a TaskId> {
        self.barred.iter().filter(|id| {
            let task = state.tasks.get(*id).filter(|task| task.is_unstarted());
            task.is_some_and(|task| self.bar(task).is_some())
        })
    }

    /// Looks through everything that nobody has started: rare, as what calls for it is.
    fn find_barred(&mut self, state: &State) {
        let unstarted = state.index.requests.iter().filter_map(|(_, id)| state.tasks.get(id));
        let barred = unstarted.filter(|task| self.bar(task).is_some());
        self.barred = barred.map(|task| task.view.id.clone()).collect();
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
