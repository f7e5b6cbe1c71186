//! Ways to find tasks: who waits for what, what a node has, what ends when.
//!
//! **Invariant:** a task stands in exactly the sets that its record calls for, so removing and
//! inserting it around a change keeps all of them true.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{
    Audience, Capability, PrincipalId, TaskId,
    sandbox::Property,
    task::{TaskSpec, TaskState},
};

use super::{Kept, Spent, Task};
use crate::{command::PageKey, visibility::Parties};

/// Waiting tasks in the order of their submission.
pub(crate) type Waiting = BTreeSet<(u64, TaskId)>;

/// What a node must be to run a task; tasks that demand alike wait in one line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Demand {
    pub(crate) audience: Audience,
    pub(crate) issuer: PrincipalId,
    pub(crate) capability: Option<Capability>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) properties: Vec<Property>,
}

impl Demand {
    pub(crate) fn new(issuer: &PrincipalId, audience: &Audience, spec: &TaskSpec) -> Self {
        let capability = spec.work.capability();
        Self {
            audience: audience.clone(),
            issuer: issuer.clone(),
            capability: capability
                .map(|name| Capability::parse(name).expect("the names of our own work are valid")),
            labels: spec.labels.clone(),
            properties: spec.properties.clone(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// Waiting tasks, by whom they are for and by what they demand.
    pub(crate) queue: BTreeMap<Audience, BTreeMap<Demand, Waiting>>,
    /// How many tasks each node has been given or runs.
    pub(crate) held: BTreeMap<PrincipalId, u32>,
    /// Tasks that each node may still be running although it was given up.
    pub(crate) lost: BTreeMap<PrincipalId, BTreeSet<TaskId>>,
    /// Ends of assignments.
    pub(crate) assignments: BTreeSet<(u64, TaskId)>,
    /// Ends of requests that nobody has started.
    pub(crate) requests: BTreeSet<(u64, TaskId)>,
    /// Assigned, running and cancelled but unsettled tasks, by their last step.
    pub(crate) steps: BTreeMap<u64, TaskId>,
    /// Finished tasks that are kept in full, by their end.
    pub(crate) finished: BTreeSet<(u64, TaskId)>,
    /// Finished tasks of the history, by their end.
    pub(crate) history: BTreeSet<(u64, TaskId)>,
    /// Spent ids, by the end of their requests.
    pub(crate) spent: BTreeSet<(u64, TaskId)>,
    /// Every task that can be looked up, by its submission.
    pub(crate) pages: BTreeSet<PageKey>,
    /// The same of everybody who asked, or for whom somebody did.
    pub(crate) asked: BTreeMap<PrincipalId, BTreeSet<PageKey>>,
    /// The same of each node that has or had some.
    pub(crate) ran: BTreeMap<PrincipalId, BTreeSet<PageKey>>,
    /// The same of each task that asked for others.
    pub(crate) children: BTreeMap<TaskId, BTreeSet<PageKey>>,
    /// Tasks that go on, by the task that asked for them.
    pub(crate) going_on: BTreeMap<TaskId, BTreeSet<TaskId>>,
}

impl Index {
    pub(super) fn of(
        tasks: &BTreeMap<TaskId, Task>,
        history: &BTreeMap<TaskId, Kept>,
        spent: &BTreeMap<TaskId, Spent>,
    ) -> Self {
        let mut index = Self::default();
        for task in tasks.values() {
            index.insert(task);
            index.enlist(task.page_key(), task.parties(), task.view.parent.as_ref());
        }
        for kept in history.values() {
            index.history.insert((kept.finished_at.0, kept.id.clone()));
            index.enlist(kept.page_key(), kept.parties(), kept.parent.as_ref());
        }
        index.spent = spent.iter().map(|(id, spent)| (spent.expires_at.0, id.clone())).collect();
        index
    }

    /// Puts a task on every list on which it can be found.
    pub(super) fn enlist(&mut self, key: PageKey, parties: Parties<'_>, parent: Option<&TaskId>) {
        let Parties { issuer, subject, node } = parties;
        for asker in [issuer, subject] {
            self.asked.entry(asker.clone()).or_default().insert(key.clone());
        }
        if let Some(node) = node {
            self.ran.entry(node.clone()).or_default().insert(key.clone());
        }
        if let Some(parent) = parent {
            self.children.entry(parent.clone()).or_default().insert(key.clone());
        }
        self.pages.insert(key);
    }

    /// Takes a task off all of them.
    pub(super) fn delist(&mut self, kept: &Kept) {
        let key = kept.page_key();
        let Parties { issuer, subject, node } = kept.parties();
        remove_from(&mut self.asked, issuer, &key);
        remove_from(&mut self.asked, subject, &key);
        if let Some(node) = node {
            remove_from(&mut self.ran, node, &key);
        }
        if let Some(parent) = &kept.parent {
            remove_from(&mut self.children, parent, &key);
        }
        self.pages.remove(&key);
    }

    /// A task was given from one node to another.
    pub(super) fn moved(
        &mut self,
        key: &PageKey,
        (from, to): (Option<&PrincipalId>, Option<&PrincipalId>),
    ) {
        if let Some(from) = from {
            remove_from(&mut self.ran, from, key);
        }
        if let Some(to) = to {
            self.ran.entry(to.clone()).or_default().insert(key.clone());
        }
    }

    pub(super) fn insert(&mut self, task: &Task) {
        if let Some(parent) = task.view.parent.as_ref().filter(|_| task.goes_on()) {
            self.going_on.entry(parent.clone()).or_default().insert(task.view.id.clone());
        }
        let view = &task.view;
        let id = || view.id.clone();
        match view.state {
            TaskState::Queued => {
                let lines = self.queue.entry(view.audience.clone()).or_default();
                lines.entry(task.demand()).or_default().insert((task.seq, id()));
                self.requests.insert((view.expires_at.0, id()));
            }
            TaskState::Assigned => {
                self.assignments.insert((task.until.0, id()));
                self.requests.insert((view.expires_at.0, id()));
            }
            TaskState::Started => (),
            TaskState::Lost => {
                if let Some(node) = &view.node {
                    self.lost.entry(node.clone()).or_default().insert(id());
                }
            }
            TaskState::Succeeded
            | TaskState::Failed
            | TaskState::TimedOut
            | TaskState::Cancelled
            | TaskState::Expired => {
                self.finished.insert((finished_ms(task), id()));
            }
        }
        if let (true, Some(node)) = (is_held(view.state), &view.node) {
            *self.held.entry(node.clone()).or_default() += 1;
            self.steps.insert(task.step, id());
        }
    }

    pub(super) fn remove(&mut self, task: &Task) {
        if let Some(parent) = &task.view.parent {
            remove_from(&mut self.going_on, parent, &task.view.id);
        }
        let view = &task.view;
        let at = |time_ms: u64| (time_ms, view.id.clone());
        match view.state {
            TaskState::Queued => {
                self.leave_queue(task);
                self.requests.remove(&at(view.expires_at.0));
            }
            TaskState::Assigned => {
                self.assignments.remove(&at(task.until.0));
                self.requests.remove(&at(view.expires_at.0));
            }
            TaskState::Started => (),
            TaskState::Lost => {
                if let Some(node) = &view.node {
                    remove_from(&mut self.lost, node, &view.id);
                }
            }
            TaskState::Succeeded
            | TaskState::Failed
            | TaskState::TimedOut
            | TaskState::Cancelled
            | TaskState::Expired => {
                self.finished.remove(&at(finished_ms(task)));
            }
        }
        if let (true, Some(node)) = (is_held(view.state), &view.node) {
            self.give_back(node);
            self.steps.remove(&task.step);
        }
    }

    fn leave_queue(&mut self, task: &Task) {
        let Some(lines) = self.queue.get_mut(&task.view.audience) else { return };
        let demand = task.demand();
        if let Some(waiting) = lines.get_mut(&demand) {
            waiting.remove(&(task.seq, task.view.id.clone()));
            if waiting.is_empty() {
                lines.remove(&demand);
            }
        }
        if lines.is_empty() {
            self.queue.remove(&task.view.audience);
        }
    }

    fn give_back(&mut self, node: &PrincipalId) {
        if let Some(count) = self.held.get_mut(node) {
            *count -= 1;
            if *count == 0 {
                self.held.remove(node);
            }
        }
    }
}

/// Whether a task in this state takes one of its node's slots.
fn is_held(state: TaskState) -> bool {
    match state {
        TaskState::Assigned | TaskState::Started => true,
        TaskState::Queued
        | TaskState::Lost
        | TaskState::Succeeded
        | TaskState::Failed
        | TaskState::TimedOut
        | TaskState::Cancelled
        | TaskState::Expired => false,
    }
}

fn finished_ms(task: &Task) -> u64 {
    task.view.finished_at.unwrap_or_default().0
}

fn remove_from<K: Ord, V: Ord>(sets: &mut BTreeMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}
