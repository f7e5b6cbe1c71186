//! What the scheduler remembers: every live task in full, every finished one as long as anybody
//! can ask for it again.
//!
//! **Invariant:** a task id is forgotten only after its request has expired by event time, and what
//! has expired by event time is refused: no request runs twice.
//! **Invariant:** the index is a function of the rest, so it is never stored.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{
    InstanceId, PrincipalId, Sha256Hash, TaskId, Timestamp,
    key::KeyId,
    task::{TaskState, TaskView},
};
use serde::{Deserialize, Serialize};

use crate::{command::PageKey, visibility::Parties};

mod chains;
mod index;
mod retention;

pub(crate) use chains::Chains;
pub(crate) use index::{Demand, Index, Waiting};

/// Everything that the log says about tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct State {
    /// Time of the newest event.
    pub(crate) at_ms: u64,
    /// Counts events; orders assignments and starts.
    pub(crate) step: u64,
    /// Live tasks, and those that finished a moment ago.
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    /// Finished tasks whose records are in the bucket.
    pub(crate) history: BTreeMap<TaskId, Kept>,
    /// Tasks that are in no bucket any more, but whose requests could still be submitted again.
    pub(crate) spent: BTreeMap<TaskId, Spent>,
    /// Long-lived requests of each issuer, by expiry.
    pub(crate) long_lives: BTreeMap<PrincipalId, BTreeSet<(u64, TaskId)>>,
    /// What happened with each node lately, where that counts against it.
    pub(crate) nodes: BTreeMap<PrincipalId, NodeRecord>,
    /// When nodes that were left alone are worth asking again.
    pub(crate) wakes: BTreeSet<(u64, PrincipalId)>,
    /// Certificates that came with live tasks.
    pub(crate) chains: Chains,
    /// Tasks whose end was asked for, as long as tasks that they asked for go on.
    pub(crate) ending: BTreeSet<TaskId>,
    /// Tasks whose rows the newest event deletes.
    #[serde(skip)]
    pub(crate) evicted: Vec<TaskId>,
    #[serde(skip)]
    pub(crate) index: Index,
}

/// A [`State`] as it is stored.
#[derive(Deserialize)]
struct Stored {
    at_ms: u64,
    step: u64,
    tasks: BTreeMap<TaskId, Task>,
    history: BTreeMap<TaskId, Kept>,
    spent: BTreeMap<TaskId, Spent>,
    long_lives: BTreeMap<PrincipalId, BTreeSet<(u64, TaskId)>>,
    nodes: BTreeMap<PrincipalId, NodeRecord>,
    wakes: BTreeSet<(u64, PrincipalId)>,
    chains: Chains,
    ending: BTreeSet<TaskId>,
}

impl From<Stored> for State {
    fn from(stored: Stored) -> Self {
        let Stored { at_ms, step, tasks, history, spent, long_lives, .. } = stored;
        let Stored { nodes, wakes, chains, ending, .. } = stored;
        let index = Index::of(&tasks, &history, &spent);
        let evicted = Vec::new();
        Self {
            at_ms,
            step,
            tasks,
            history,
            spent,
            long_lives,
            nodes,
            wakes,
            chains,
            ending,
            evicted,
            index,
        }
    }
}

/// A task in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What others see of it.
    pub view: TaskView,
    /// The signed request, in base64, while somebody may still have to run it.
    pub(crate) envelope: Option<String>,
    pub(crate) envelope_hash: Sha256Hash,
    /// The key that signed.
    pub(crate) key: Option<KeyId>,
    /// Number of the certificates that came with it, as long as the request is kept.
    pub(crate) chain: Option<u64>,
    /// The tasks that asked for one another up to this one, from the first on.
    pub(crate) lineage: Vec<Forebear>,
    /// How many tasks it has asked for, with those that these may ask for.
    pub(crate) asked_for: u64,
    /// How often a node was told to run it, repetitions aside.
    pub(crate) runs: u32,
    /// Place in the order of submission; waiting tasks keep it.
    pub(crate) seq: u64,
    /// When it was last assigned or started, in events.
    pub(crate) step: u64,
    /// When its assignment ends.
    pub(crate) until: Timestamp,
    /// Term in which it was assigned.
    pub(crate) term: u64,
    /// The process start that was told to run the present epoch.
    pub(crate) instance: Option<InstanceId>,
    /// Which of that instance's requests was answered with a go last.
    pub(crate) ask: u64,
    /// The epoch that was lost, so that its late outcome can be told from an old one.
    pub(crate) lost_epoch: Option<u64>,
    /// Nodes that are not offered the task for a while.
    pub(crate) pauses: BTreeMap<PrincipalId, Pause>,
}

/// A task that asked for another one, and the assignment by which it ran when it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Forebear {
    pub(crate) task: TaskId,
    pub(crate) issuer: PrincipalId,
    pub(crate) key: Option<KeyId>,
    pub(crate) envelope_hash: Sha256Hash,
    /// The node that ran it, and signed for what it asked for.
    pub(crate) node: PrincipalId,
    pub(crate) epoch: u64,
    pub(crate) attempt: u32,
    pub(crate) term: u64,
    pub(crate) assigned_at: Timestamp,
}

/// A node is left alone for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pause {
    /// Until when, in milliseconds since the Unix epoch.
    pub(crate) until_ms: u64,
    /// How often in a row.
    pub(crate) times: u32,
}

/// What happened with a node lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeRecord {
    /// Assignments that it did not start, refused, or lost; runs that start make up for them.
    pub(crate) strikes: u32,
    /// It said that it is busy.
    pub(crate) busy: Pause,
}

/// What is remembered of a finished task whose record is in the bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Which task.
    pub id: TaskId,
    /// How it ended.
    pub state: TaskState,
    /// Who signed.
    pub issuer: PrincipalId,
    /// The user it was for.
    pub subject: PrincipalId,
    /// The node that had it last.
    pub node: Option<PrincipalId>,
    /// The task that asked for it.
    pub parent: Option<TaskId>,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// When its request expires.
    pub expires_at: Timestamp,
    /// SHA-256 of its envelope.
    pub envelope_hash: Sha256Hash,
}

/// What is remembered of a task that nobody can look up any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spent {
    pub(crate) state: TaskState,
    pub(crate) expires_at: Timestamp,
    pub(crate) envelope_hash: Sha256Hash,
}

/// What is known of a task, however little.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Known<'a> {
    Whole(&'a Task),
    Kept(&'a Kept),
    Spent(&'a Spent),
}

impl<'a> Known<'a> {
    pub(crate) fn state(&self) -> TaskState {
        match self {
            Self::Whole(task) => task.view.state,
            Self::Kept(kept) => kept.state,
            Self::Spent(spent) => spent.state,
        }
    }

    /// Who has to do with it, as long as that is known.
    pub(crate) fn parties(self) -> Option<Parties<'a>> {
        match self {
            Self::Whole(task) => Some(task.parties()),
            Self::Kept(kept) => Some(kept.parties()),
            Self::Spent(_) => None,
        }
    }

    /// The task that asked for it.
    pub(crate) fn parent(self) -> Option<&'a TaskId> {
        match self {
            Self::Whole(task) => task.view.parent.as_ref(),
            Self::Kept(kept) => kept.parent.as_ref(),
            Self::Spent(_) => None,
        }
    }

    pub(crate) fn envelope_hash(&self) -> Sha256Hash {
        match self {
            Self::Whole(task) => task.envelope_hash,
            Self::Kept(kept) => kept.envelope_hash,
            Self::Spent(spent) => spent.envelope_hash,
        }
    }
}

impl State {
    /// A live task, or one that finished a moment ago.
    #[must_use]
    pub fn task(&self, id: &TaskId) -> Option<&Task> {
        self.tasks.get(id)
    }

    /// Tasks whose rows the newest event deletes.
    #[must_use]
    pub fn evicted_by_last_event(&self) -> &[TaskId] {
        &self.evicted
    }

    pub(crate) fn known(&self, id: &TaskId) -> Option<Known<'_>> {
        let whole = self.tasks.get(id).map(Known::Whole);
        let kept = || self.history.get(id).map(Known::Kept);
        whole.or_else(kept).or_else(|| self.spent.get(id).map(Known::Spent))
    }

    /// Assignments and runs that a node has now.
    pub(crate) fn held(&self, node: &PrincipalId) -> u32 {
        self.index.held.get(node).copied().unwrap_or(0)
    }

    pub(crate) fn record_of(&self, node: &PrincipalId) -> NodeRecord {
        self.nodes.get(node).copied().unwrap_or_default()
    }

    /// Long-lived requests of an issuer whose ids must still be remembered.
    pub(crate) fn long_lives_of(&self, issuer: &PrincipalId, now_ms: u64) -> usize {
        self.long_lives.get(issuer).map_or(0, |lives| {
            let expired = lives.iter().take_while(|(expiry_ms, _)| *expiry_ms <= now_ms).count();
            lives.len() - expired
        })
    }

    /// Nodes whose pause ended after `since_ms` and up to `now_ms`.
    pub(crate) fn pauses_that_ended(
        &self,
        since_ms: u64,
        now_ms: u64,
    ) -> impl Iterator<Item = PrincipalId> {
        let ended = self.wakes.iter().skip_while(move |(until_ms, _)| *until_ms <= since_ms);
        ended.take_while(move |(until_ms, _)| *until_ms <= now_ms).map(|(_, node)| node.clone())
    }

    /// Changes a task and keeps the index true.
    pub(crate) fn change(&mut self, id: &TaskId, change: impl FnOnce(&mut Task)) {
        if let Some(task) = self.tasks.get_mut(id) {
            self.index.remove(task);
            let node = task.view.node.clone();
            change(task);
            self.index.insert(task);
            if node != task.view.node {
                self.index.moved(&task.page_key(), (node.as_ref(), task.view.node.as_ref()));
            }
        }
    }

    /// Certificates that came with a live task.
    pub(crate) fn certificates_of(&self, task: &Task) -> &[String] {
        task.chain.map_or(&[], |number| self.chains.get(number))
    }

    /// Changes what is remembered of a node, and forgets what is not worth it.
    pub(crate) fn change_node(&mut self, node: &PrincipalId, change: impl FnOnce(&mut NodeRecord)) {
        let mut record = self.record_of(node);
        change(&mut record);
        if record == NodeRecord::default() {
            self.nodes.remove(node);
        } else {
            self.nodes.insert(node.clone(), record);
        }
    }

    /// What the index should be; differs from what it is only when there is a bug.
    #[cfg(test)]
    pub(crate) fn index_made_anew(&self) -> Index {
        Index::of(&self.tasks, &self.history, &self.spent)
    }
}

impl Task {
    /// What a node must be to run it.
    pub(crate) fn demand(&self) -> Demand {
        Demand::new(&self.view.issuer, &self.view.audience, &self.view.spec)
    }

    pub(crate) fn parties(&self) -> Parties<'_> {
        let TaskView { issuer, subject, node, .. } = &self.view;
        Parties { issuer, subject, node: node.as_ref() }
    }

    pub(crate) fn page_key(&self) -> PageKey {
        PageKey { submitted_at: self.view.submitted_at, task: self.view.id.clone() }
    }

    /// Whether it can still be kept from starting.
    pub(crate) fn is_unstarted(&self) -> bool {
        match self.view.state {
            TaskState::Queued | TaskState::Assigned => true,
            TaskState::Started
            | TaskState::Lost
            | TaskState::Succeeded
            | TaskState::Failed
            | TaskState::TimedOut
            | TaskState::Cancelled
            | TaskState::Expired => false,
        }
    }

    /// Whether it goes on, and nobody has asked for its end.
    pub(crate) fn goes_on(&self) -> bool {
        !self.view.state.is_final() && self.view.cancelled_by.is_none()
    }

    /// It as the parent of a task that its node asks for now.
    pub(crate) fn as_forebear(&self) -> Option<Forebear> {
        Some(Forebear {
            task: self.view.id.clone(),
            issuer: self.view.issuer.clone(),
            key: self.key,
            envelope_hash: self.envelope_hash,
            node: self.view.node.clone()?,
            epoch: self.view.epoch,
            attempt: self.view.attempt,
            term: self.term,
            assigned_at: self.view.assigned_at?,
        })
    }

    pub(crate) fn is_cancel_requested(&self) -> bool {
        self.view.cancelled_by.is_some() && !self.view.state.is_final()
    }

    pub(crate) fn is_paused_for(&self, node: &PrincipalId, now_ms: u64) -> bool {
        self.pauses.get(node).is_some_and(|pause| now_ms < pause.until_ms)
    }

    /// Whether it may run once more after its node was lost.
    pub(crate) fn may_run_again(&self) -> bool {
        self.view.spec.idempotent
            && self.runs < crate::limits::ATTEMPTS_MAX
            && self.view.cancelled_by.is_none()
    }

    pub(crate) fn kept(&self, finished_at: Timestamp) -> Kept {
        Kept {
            id: self.view.id.clone(),
            state: self.view.state,
            issuer: self.view.issuer.clone(),
            subject: self.view.subject.clone(),
            node: self.view.node.clone(),
            parent: self.view.parent.clone(),
            submitted_at: self.view.submitted_at,
            finished_at,
            expires_at: self.view.expires_at,
            envelope_hash: self.envelope_hash,
        }
    }
}

impl Kept {
    pub(crate) fn parties(&self) -> Parties<'_> {
        Parties { issuer: &self.issuer, subject: &self.subject, node: self.node.as_ref() }
    }

    pub(crate) fn page_key(&self) -> PageKey {
        PageKey { submitted_at: self.submitted_at, task: self.id.clone() }
    }
}
