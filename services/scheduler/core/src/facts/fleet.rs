//! The fleet as the registry and the nodes themselves describe it.
//!
//! **Invariant:** a node's own beats outrank what the registry last said of its presence, for they
//! are heard here first.

use std::collections::{BTreeMap, BTreeSet};

use decider::Moment;
use schemas::{
    Capability, Manifest, PrincipalId, TaskId,
    agent::{Heartbeat, NodeReport, RunningTask},
    manifest::PrincipalPattern,
    permission::Target,
    protocol::{HEARTBEAT_INTERVAL, HEARTBEATS_MISSED_MAX},
    registry::{AgentStatus, AgentView, RegistryEvent},
};

use crate::{limits::SAMPLE_NEIGHBOURS, placement::stable_hash};

/// An agent, with what was last heard of it.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) manifest: Manifest,
    pub(crate) report: Option<NodeReport>,
    pub(crate) owner: PrincipalId,
    pub(crate) shared_with: Vec<PrincipalPattern>,
    pub(crate) enrolled: bool,
    /// What presence says, according to the registry.
    presence: AgentStatus,
    /// What a person set, which outranks presence.
    pub(crate) set: Option<AgentStatus>,
    pub(crate) archived: bool,
    pub(crate) beat: Option<Beat>,
}

impl Node {
    /// The agent as somebody whom others want to task.
    pub(crate) fn as_target(&self) -> Target<'_> {
        let Self { manifest, owner, shared_with, .. } = self;
        Target { manifest, owner: Some(owner), shared_with }
    }
}

/// The part of a heartbeat that placement looks at.
#[derive(Clone, Debug)]
pub(crate) struct Beat {
    pub(crate) heard_lease_ms: u64,
    pub(crate) running: Vec<RunningTask>,
    pub(crate) draining: bool,
    pub(crate) complains: bool,
    pub(crate) cpu_percent: u8,
}

/// All agents, and which of them can do what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fleet {
    nodes: BTreeMap<PrincipalId, Node>,
    /// For each entry of a manifest its holders, each at its place on a ring of hashes.
    rings: BTreeMap<String, BTreeSet<(u64, PrincipalId)>>,
    /// Agents by their owners.
    owned: BTreeMap<PrincipalId, BTreeSet<PrincipalId>>,
    /// Whether the whole fleet was listed once since this process started.
    pub(crate) listed: bool,
    /// Nodes of which something was heard since they were last compared with the queue.
    pub(crate) changed: BTreeSet<PrincipalId>,
}

impl Fleet {
    pub(crate) fn get(&self, id: &PrincipalId) -> Option<&Node> {
        self.nodes.get(id)
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// Agents of an owner.
    pub(crate) fn owned_by(&self, owner: &PrincipalId) -> impl Iterator<Item = &PrincipalId> {
        self.owned.get(owner).into_iter().flatten()
    }

    /// Everybody is to be compared with the queue again.
    pub(super) fn look_at_all(&mut self) {
        self.changed.extend(self.nodes.keys().cloned());
    }

    /// Agents with an entry that may cover `wanted`, each once, from a place on the ring on.
    pub(crate) fn candidates<'a>(
        &'a self,
        wanted: &Capability,
        from: u64,
    ) -> impl Iterator<Item = &'a PrincipalId> + use<'a> {
        let rings = self.rings_for(wanted);
        let earlier = rings.clone();
        rings.into_iter().enumerate().flat_map(move |(nth, ring)| {
            let earlier: Vec<_> = earlier[..nth].to_vec();
            let around = ring.range((from, lowest())..).chain(ring.range(..(from, lowest())));
            let seen =
                move |place: &&(u64, PrincipalId)| earlier.iter().any(|ring| ring.contains(*place));
            around.filter(move |place| !seen(place)).map(|(_, id)| id)
        })
    }

    /// How many agents may cover `wanted`; who stands on several rings counts several times.
    pub(crate) fn candidates_max(&self, wanted: &Capability) -> usize {
        self.rings_for(wanted).into_iter().map(BTreeSet::len).sum()
    }

    /// A few agents that may cover `wanted` from each of these places on.
    pub(crate) fn samples<'a>(
        &'a self,
        wanted: &Capability,
        places: impl Iterator<Item = u64> + Clone,
    ) -> impl Iterator<Item = &'a PrincipalId> {
        let rings = self.rings_for(wanted);
        places.flat_map(move |place| {
            let near = |ring: &'a BTreeSet<(u64, PrincipalId)>| {
                ring.range((place, lowest())..).take(SAMPLE_NEIGHBOURS)
            };
            let sampled: Vec<_> = rings.iter().copied().flat_map(near).collect();
            sampled.into_iter().map(|(_, id)| id)
        })
    }

    fn rings_for(&self, wanted: &Capability) -> Vec<&BTreeSet<(u64, PrincipalId)>> {
        ring_names(wanted).iter().filter_map(|name| self.rings.get(name)).collect()
    }

    pub(super) fn list(&mut self, agent: AgentView) {
        let beat = self.nodes.get(&agent.manifest.id).and_then(|node| node.beat.clone());
        let set = agent.status_set.as_ref().map(|set| set.status);
        self.insert(Node {
            presence: if set.is_some() { AgentStatus::Online } else { agent.status },
            set: set.filter(|status| *status != AgentStatus::Online),
            manifest: agent.manifest,
            report: agent.node,
            owner: agent.owner,
            shared_with: agent.shared_with,
            enrolled: agent.enrolled,
            archived: agent.archived,
            beat,
        });
    }

    pub(super) fn keep_only(&mut self, all: &BTreeSet<PrincipalId>) {
        let gone: Vec<PrincipalId> =
            self.nodes.keys().filter(|id| !all.contains(*id)).cloned().collect();
        for id in gone {
            self.remove(&id);
        }
        self.listed = true;
    }

    pub(super) fn follow(&mut self, event: RegistryEvent) {
        match event {
            RegistryEvent::AgentRegistered { manifest, node, registrant, owner } => {
                let known = self.nodes.get(&manifest.id);
                let (beat, set, shared_with) = known.map_or_else(Default::default, |known| {
                    (known.beat.clone(), known.set, known.shared_with.clone())
                });
                self.insert(Node {
                    presence: AgentStatus::Online,
                    set,
                    enrolled: node.is_some() && registrant == manifest.id,
                    manifest: *manifest,
                    report: node.map(|report| *report),
                    owner,
                    shared_with,
                    archived: false,
                    beat,
                });
            }
            RegistryEvent::AgentStatusChanged { agent, to, .. } => {
                self.change(&agent, |node| (node.presence, node.archived) = (to, false));
            }
            RegistryEvent::AgentStatusSet { agent, set } => self.change(&agent, |node| {
                node.set = Some(set.status).filter(|status| *status != AgentStatus::Online);
            }),
            RegistryEvent::AgentStatusReleased { agent, .. } => {
                self.change(&agent, |node| node.set = None);
            }
            RegistryEvent::AgentArchived { agent } => {
                self.change(&agent, |node| node.archived = true);
            }
            RegistryEvent::AgentDeregistered { agent, .. } => self.remove(&agent),
            RegistryEvent::AgentShared { agent, with, .. } => self.change(&agent, |node| {
                node.shared_with.retain(|known| *known != with);
                node.shared_with.push(with);
            }),
            RegistryEvent::AgentUnshared { agent, with, .. } => {
                self.change(&agent, |node| node.shared_with.retain(|known| *known != with));
            }
            RegistryEvent::PrincipalSeated { .. }
            | RegistryEvent::OrderTaken { .. }
            | RegistryEvent::InviteMade { .. }
            | RegistryEvent::InviteRedeemed { .. }
            | RegistryEvent::EnrolmentConfirmed { .. }
            | RegistryEvent::InviteAbused { .. }
            | RegistryEvent::KeysRotated { .. }
            | RegistryEvent::KeysRenewed { .. }
            | RegistryEvent::KeyRevoked { .. }
            | RegistryEvent::PrincipalEvicted { .. }
            | RegistryEvent::PrincipalBanned { .. }
            | RegistryEvent::RoleSet { .. }
            | RegistryEvent::TokenCreated { .. }
            | RegistryEvent::TokenRevoked { .. }
            | RegistryEvent::AccessDenied { .. }
            | RegistryEvent::DenialsSuppressed { .. } => (),
        }
    }

    pub(super) fn hear(&mut self, beat: Heartbeat, lease_ms: u64) {
        let id = beat.node.clone();
        let heard = Beat {
            heard_lease_ms: lease_ms,
            running: beat.running,
            draining: beat.draining,
            complains: beat.complaint.is_some(),
            cpu_percent: beat.load.cpu_percent,
        };
        self.change(&id, |node| node.beat = Some(heard));
    }

    fn change(&mut self, id: &PrincipalId, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.nodes.get_mut(id) {
            change(node);
            self.changed.insert(id.clone());
        }
    }

    fn insert(&mut self, node: Node) {
        let id = node.manifest.id.clone();
        if self.nodes.get(&id).is_none_or(|known| known.manifest != node.manifest) {
            self.leave_rings(&id);
            let place = (stable_hash(&[id.as_str()]), id.clone());
            for name in entries(&node.manifest) {
                self.rings.entry(name).or_default().insert(place.clone());
            }
        }
        if self.nodes.get(&id).is_none_or(|known| known.owner != node.owner) {
            self.leave_owner(&id);
            self.owned.entry(node.owner.clone()).or_default().insert(id.clone());
        }
        self.changed.insert(id.clone());
        self.nodes.insert(id, node);
    }

    fn remove(&mut self, id: &PrincipalId) {
        self.leave_rings(id);
        self.leave_owner(id);
        self.nodes.remove(id);
        self.changed.remove(id);
    }

    fn leave_owner(&mut self, id: &PrincipalId) {
        let Some(owner) = self.nodes.get(id).map(|known| &known.owner) else { return };
        if let Some(agents) = self.owned.get_mut(owner) {
            agents.remove(id);
            if agents.is_empty() {
                self.owned.remove(owner);
            }
        }
    }

    fn leave_rings(&mut self, id: &PrincipalId) {
        let Some(known) = self.nodes.get(id) else { return };
        let place = (stable_hash(&[id.as_str()]), id.clone());
        for name in entries(&known.manifest) {
            if let Some(ring) = self.rings.get_mut(&name) {
                ring.remove(&place);
                if ring.is_empty() {
                    self.rings.remove(&name);
                }
            }
        }
    }
}

impl Node {
    /// Whether it holds everything that `wanted` stands for.
    pub(crate) fn can(&self, wanted: &Capability) -> bool {
        let capabilities = &self.manifest.capabilities;
        capabilities.all().any(|held| held.covers(wanted))
            || capabilities.mcp_servers.iter().any(|server| {
                let rest = wanted.name().strip_prefix(server.name());
                rest.is_some_and(|rest| rest.starts_with('.'))
            })
    }

    /// Whether its last beat said that it has the task.
    pub(crate) fn names(&self, task: &TaskId) -> bool {
        self.beat.as_ref().is_some_and(|beat| beat.running.iter().any(|run| run.task == *task))
    }

    /// Runs that it takes at the same time.
    pub(crate) fn slots(&self) -> u32 {
        let own = self.report.as_ref().map_or(0, |report| report.slots);
        self.manifest.limits.max_tasks.map_or(own, |limit| limit.min(own))
    }

    /// Whether it can be reached, as far as is known here.
    pub(crate) fn is_there(&self, moment: Moment) -> bool {
        let patience_ms = u64::from(self.interval_s()) * 1000 * u64::from(HEARTBEATS_MISSED_MAX);
        let heard_ms = self.beat.as_ref().map(|beat| beat.heard_lease_ms);
        let since_ms = heard_ms.unwrap_or(0).max(moment.connected_at_lease_ms);
        let silent = patience_ms <= moment.lease_ms.saturating_sub(since_ms);
        let gone = heard_ms.is_none() && self.presence == AgentStatus::Offline;
        !silent && !gone && !self.archived
    }

    /// Whether a person or its own shutdown took it out of rotation.
    pub(crate) fn is_out_of_rotation(&self) -> bool {
        let set_aside = match self.set {
            Some(AgentStatus::Maintenance | AgentStatus::Offline) => true,
            Some(AgentStatus::Online | AgentStatus::Degraded) | None => false,
        };
        set_aside || self.beat.as_ref().is_some_and(|beat| beat.draining)
    }

    /// Whether it works, but not well.
    pub(crate) fn is_degraded(&self) -> bool {
        self.set.unwrap_or(self.presence) == AgentStatus::Degraded
            || self.beat.as_ref().is_some_and(|beat| beat.complains)
    }

    fn interval_s(&self) -> u32 {
        let default = u32::try_from(HEARTBEAT_INTERVAL.as_secs()).unwrap_or(u32::MAX);
        self.manifest.heartbeat_interval.unwrap_or(default)
    }
}

/// The rings that an agent stands on.
fn entries(manifest: &Manifest) -> BTreeSet<String> {
    let capabilities = &manifest.capabilities;
    let named = capabilities.all().map(|held| held.name().to_owned());
    let offered = capabilities.mcp_servers.iter().filter(|server| !server.is_pattern());
    named.chain(offered.map(|server| format!("{}.*", server.name()))).collect()
}

/// The rings on which everybody stands who may be able to do `wanted`.
fn ring_names(wanted: &Capability) -> Vec<String> {
    let name = wanted.name();
    let mut names = vec![name.to_owned()];
    let mut stem = wanted.stem().trim_end_matches('.');
    while let Some((parent, _)) = stem.rsplit_once('.') {
        names.push(format!("{parent}.*"));
        stem = parent;
    }
    names.push("*".to_owned());
    names.dedup();
    names
}

fn lowest() -> PrincipalId {
    PrincipalId::parse("0").expect("a digit is an id")
}
