//! Which node runs a task: filters, then scores, then a stable hash; and which task a node takes.
//!
//! **Invariant:** the same state and facts place alike, whoever computes it.
//! **Invariant:** tasks that demand the same are placed in the order of their submission.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use schemas::{Audience, Capability, PrincipalId, TaskId, scheduler::Filter};

use crate::{
    facts::{Facts, Node},
    limits::{CHOICES_MAX, QUEUE_PEEK_MAX, SAMPLES_MAX, SMALL_FLEET_MAX},
    state::{Demand, State, Task, Waiting},
};

pub(crate) mod check;
mod explain;
mod filters;
mod hash;

pub(crate) use explain::{denials_of, explain, waiting_for};
use filters::Probe;
pub(crate) use hash::stable_hash;

/// What a decision has changed so far, before its events are folded.
#[derive(Clone, Debug)]
pub(crate) struct Overlay {
    /// Slots taken (or given back, when negative) on each node.
    pub(crate) held: BTreeMap<PrincipalId, i64>,
    /// Tasks that wait no more.
    pub(crate) taken: BTreeSet<TaskId>,
    /// The node that refuses the task at hand.
    pub(crate) refuses: Option<PrincipalId>,
}

impl Overlay {
    pub(crate) const fn new() -> Self {
        Self { held: BTreeMap::new(), taken: BTreeSet::new(), refuses: None }
    }
}

static NOTHING_YET: Overlay = Overlay::new();

/// Everything that placement looks at.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) state: &'a State,
    pub(crate) facts: &'a Facts,
    pub(crate) overlay: &'a Overlay,
}

/// Where a task goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// There.
    Node(PrincipalId),
    /// Nowhere now; this is what stands against it.
    Nobody(Tally),
}

/// How many nodes fail which filter first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) by_filter: BTreeMap<Filter, u32>,
    /// Whether the issuer may task any of them.
    pub(crate) permitted: bool,
    /// Whether the task stands behind others that demand the same.
    pub(crate) behind: usize,
}

/// A task that is to be placed.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) id: &'a TaskId,
    pub(crate) demand: &'a Demand,
    /// Its record, unless it is submitted just now.
    pub(crate) task: Option<&'a Task>,
}

impl<'a> World<'a> {
    pub(crate) fn of(state: &'a State, facts: &'a Facts) -> Self {
        Self { state, facts, overlay: &NOTHING_YET }
    }

    /// Chooses a node for a task.
    pub(crate) fn choose(&self, candidate: Candidate<'_>) -> Choice {
        let behind = self.waiting_before(candidate);
        if 0 < behind {
            return Choice::Nobody(Tally { behind, permitted: true, ..Tally::default() });
        }
        match self.best(candidate) {
            Some(node) => Choice::Node(node.manifest.id.clone()),
            None => Choice::Nobody(self.tally(candidate)),
        }
    }

    /// The best of all that are able; of a large fleet, the best of some.
    fn best(&self, candidate: Candidate<'_>) -> Option<&'a Node> {
        let fleet = &self.facts.fleet;
        let task = candidate.id.as_str();
        let able = |id: &PrincipalId| {
            let node = fleet.get(id)?;
            let eligible = Probe::new(*self, node, candidate).is_eligible();
            (eligible && !self.is_due_to_older(node, candidate)).then_some(node)
        };
        let rank = |node: &&Node| self.rank(candidate.id, node);
        let wanted = match &candidate.demand.audience {
            Audience::Node(id) => return able(id),
            Audience::Can(wanted) => wanted,
        };
        if fleet.candidates_max(wanted) <= SMALL_FLEET_MAX {
            return self.audience(candidate).filter_map(able).max_by_key(rank);
        }
        let places = (0..SAMPLES_MAX).map(|nth| stable_hash(&[task, &nth.to_string()]));
        let some = fleet.samples(wanted, places).filter_map(able).take(CHOICES_MAX);
        let any = || self.audience(candidate).filter_map(able).take(CHOICES_MAX);
        some.max_by_key(rank).or_else(|| any().max_by_key(rank))
    }

    fn tally(&self, candidate: Candidate<'_>) -> Tally {
        let mut tally = Tally::default();
        for node in self.audience(candidate).filter_map(|id| self.facts.fleet.get(id)) {
            let probe = Probe::new(*self, node, candidate);
            match probe.excluded_by().next() {
                Some(filter) => *tally.by_filter.entry(filter).or_default() += 1,
                None => tally.behind += 1,
            }
            tally.permitted = tally.permitted || probe.is_permitted();
        }
        tally
    }

    /// The oldest waiting task that a node can take now.
    pub(crate) fn next_for(&self, node: &PrincipalId) -> Option<&'a TaskId> {
        let node = self.facts.fleet.get(node)?;
        let queue = &self.state.index.queue;
        let own = queue.get(&Audience::Node(node.manifest.id.clone()));
        let any = Audience::Can(Capability::parse("*").expect("the wildcard is a capability"));
        let shared = queue.range((Bound::Included(any), Bound::Unbounded));
        let shared = shared.filter(|(audience, _)| match audience {
            Audience::Can(wanted) => node.can(wanted),
            Audience::Node(_) => false,
        });
        let lines = own.into_iter().chain(shared.map(|(_, lines)| lines)).flatten();
        let firsts = lines.filter_map(|(demand, waiting)| self.first_for(node, demand, waiting));
        firsts.min().map(|(_, id)| id)
    }

    fn first_for(
        &self,
        node: &Node,
        demand: &Demand,
        waiting: &'a Waiting,
    ) -> Option<(u64, &'a TaskId)> {
        let (_, head) = waiting.first()?;
        let any = Candidate { id: head, demand, task: None };
        if !Probe::new(*self, node, any).is_eligible() {
            return None;
        }
        let fits = |id: &TaskId| {
            let task = self.state.tasks.get(id);
            let probe = Probe::new(*self, node, Candidate { id, demand, task });
            !self.overlay.taken.contains(id) && !probe.is_refused() && !probe.is_barred()
        };
        let taken = self.overlay.taken.len();
        let mut peeked = waiting.iter().take(QUEUE_PEEK_MAX + taken);
        peeked.find(|(_, id)| fits(id)).map(|(seq, id)| (*seq, id))
    }

    /// How many older tasks wait for the same; none when they wait because they were refused, for
    /// that says nothing about this one.
    fn waiting_before(&self, candidate: Candidate<'_>) -> usize {
        let lines = self.state.index.queue.get(&candidate.demand.audience);
        let Some(waiting) = lines.and_then(|lines| lines.get(candidate.demand)) else { return 0 };
        let seq = candidate.task.map_or(u64::MAX, |task| task.seq);
        let mut older = waiting.iter().take(QUEUE_PEEK_MAX).take_while(|(other, _)| *other < seq);
        let unrefused = older.any(|(_, id)| {
            let refused = self.state.tasks.get(id).is_some_and(|task| !task.pauses.is_empty());
            !self.overlay.taken.contains(id) && !refused
        });
        if unrefused { waiting.len() } else { 0 }
    }

    /// Whether an older task that demands the same, and that others refused, fits the node.
    fn is_due_to_older(&self, node: &Node, candidate: Candidate<'_>) -> bool {
        let lines = self.state.index.queue.get(&candidate.demand.audience);
        let Some(waiting) = lines.and_then(|lines| lines.get(candidate.demand)) else {
            return false;
        };
        let seq = candidate.task.map_or(u64::MAX, |task| task.seq);
        let first = self.first_for(node, candidate.demand, waiting);
        first.is_some_and(|(older, _)| older < seq)
    }

    pub(super) fn audience(
        &self,
        candidate: Candidate<'_>,
    ) -> Box<dyn Iterator<Item = &'a PrincipalId> + 'a> {
        let fleet = &self.facts.fleet;
        match &candidate.demand.audience {
            Audience::Node(id) => Box::new(fleet.get(id).map(|node| &node.manifest.id).into_iter()),
            Audience::Can(wanted) => {
                Box::new(fleet.candidates(wanted, stable_hash(&[candidate.id.as_str()])))
            }
        }
    }

    /// Better nodes are greater: few failures, healthy, empty, idle.
    fn rank(&self, task: &TaskId, node: &Node) -> impl Ord + use<> {
        let id = &node.manifest.id;
        let strikes = self.state.record_of(id).strikes;
        let slots = u64::from(node.slots().max(1));
        let free_permille = u64::from(self.free_slots(node)) * 1000 / slots;
        let busy_decile = node.beat.as_ref().map_or(0, |beat| beat.cpu_percent / 10);
        let tie = stable_hash(&[id.as_str(), task.as_str()]);
        (Reverse(strikes), !node.is_degraded(), free_permille, Reverse(busy_decile), tie)
    }

    /// Slots of a node that are not given away, whatever its last beat says.
    pub(crate) fn free_slots(&self, node: &Node) -> u32 {
        let id = &node.manifest.id;
        let taken_now = self.overlay.held.get(id).copied().unwrap_or(0);
        let held = i64::from(self.state.held(id)) + taken_now + self.still_running(node);
        let free = i64::from(node.slots()) - held;
        u32::try_from(free.max(0)).unwrap_or(u32::MAX)
    }

    /// Lost tasks that the node says it still runs.
    fn still_running(&self, node: &Node) -> i64 {
        let Some(lost) = self.state.index.lost.get(&node.manifest.id) else { return 0 };
        let named = lost.iter().filter(|task| node.names(task)).count();
        i64::try_from(named).unwrap_or(i64::MAX / 2)
    }
}
