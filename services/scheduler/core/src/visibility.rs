//! Who may see a task, and who may end it.
//!
//! **Invariant:** whoever may not see a task is told that there is none.
//! **Invariant:** as long as the principals were not listed, nobody is turned away for want of a role.

use std::{
    cmp::Ordering,
    collections::{BTreeSet, BinaryHeap},
    ops::Bound,
};

use schemas::{PrincipalId, TaskId, permission, principal::UserRole, scheduler::SchedulerEvent};

use crate::{
    command::PageKey,
    facts::{Facts, Node},
    rejection::Rejection,
    state::{Known, State},
};

/// Who has to do with a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parties<'a> {
    pub(crate) issuer: &'a PrincipalId,
    pub(crate) subject: &'a PrincipalId,
    /// The node that has or had it.
    pub(crate) node: Option<&'a PrincipalId>,
}

/// How far somebody sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Everything,
    Own,
    /// The principals were not listed yet.
    Unknown,
}

/// Somebody who asks.
#[derive(Clone, Copy)]
pub(crate) struct Viewer<'a> {
    facts: &'a Facts,
    id: &'a PrincipalId,
    sight: Sight,
}

/// Refuses whoever was put out: their connection may outlive that by a moment.
///
/// # Errors
///
/// Names who is out.
pub(crate) fn check_in(facts: &Facts, who: &PrincipalId) -> Result<(), Rejection> {
    if facts.directory.is_out(who) { Err(Rejection::PrincipalOut(who.clone())) } else { Ok(()) }
}

impl<'a> Viewer<'a> {
    pub(crate) fn new(facts: &'a Facts, id: &'a PrincipalId) -> Self {
        let role = facts.directory.role(id);
        let sight = if facts.directory.is_service(id) || role.is_some_and(UserRole::sees_everything)
        {
            Sight::Everything
        } else if facts.directory.listed && facts.fleet.listed {
            Sight::Own
        } else {
            Sight::Unknown
        };
        Self { facts, id, sight }
    }

    /// Whether the task is theirs: they asked for it, it is for them, or it is or was on them or on
    /// an agent of theirs.
    fn has_part(&self, parties: Parties<'_>) -> bool {
        parties.issuer == self.id
            || parties.subject == self.id
            || parties.node.is_some_and(|node| node == self.id || self.owns(node))
    }

    /// Whether they may act on what is others'.
    pub(crate) fn oversees(&self) -> bool {
        let role = self.facts.directory.role(self.id);
        self.facts.directory.is_service(self.id) || role.is_some_and(UserRole::tasks_everything)
    }

    fn owns(&self, node: &PrincipalId) -> bool {
        let Facts { fleet, directory, .. } = self.facts;
        let owner = fleet.get(node).map(|node| &node.owner).or_else(|| directory.owner(node));
        owner == Some(self.id)
    }

    /// Whether they may see a task with these parties.
    pub(crate) fn sees(&self, parties: Parties<'_>) -> bool {
        self.sight == Sight::Everything || self.has_part(parties)
    }

    /// Lets nobody but those pass who may see the task.
    ///
    /// # Errors
    ///
    /// For all others there is no such task.
    pub(crate) fn check_sees(&self, task: &TaskId, parties: Parties<'_>) -> Result<(), Rejection> {
        if self.sees(parties) { Ok(()) } else { Err(self.blind(task)) }
    }

    /// What is said of a task that they do not see.
    pub(crate) fn blind(&self, task: &TaskId) -> Rejection {
        match self.sight {
            Sight::Unknown => Rejection::DirectoryUnread,
            Sight::Everything | Sight::Own => Rejection::NoSuchTask(task.clone()),
        }
    }

    /// Lets nobody but those pass who may end the task.
    ///
    /// # Errors
    ///
    /// Tells those who may only see it that they may not, and all others that there is none.
    pub(crate) fn check_ends(&self, task: &TaskId, parties: Parties<'_>) -> Result<(), Rejection> {
        let Parties { issuer, subject, node } = parties;
        let owns = node.is_some_and(|node| self.owns(node));
        let role = self.facts.directory.role(self.id);
        let oversees = role.is_some_and(UserRole::tasks_everything);
        if issuer == self.id || subject == self.id || owns || oversees {
            return Ok(());
        }
        self.check_sees(task, parties)?;
        match self.sight {
            Sight::Unknown => Err(Rejection::DirectoryUnread),
            Sight::Everything | Sight::Own => {
                Err(Rejection::NotAllowed { by: self.id.clone(), task: task.clone() })
            }
        }
    }

    /// Whether they may know of a node.
    pub(crate) fn sees_node(&self, node: &Node) -> bool {
        self.sight == Sight::Everything
            || permission::sees(self.facts.asker(self.id), node.as_target())
    }

    /// The tasks that they may see, newest first, from behind a place on.
    ///
    /// # Errors
    ///
    /// Nothing can be listed as long as it is not known what they may see.
    pub(crate) fn pages<'s>(
        &self,
        state: &'s State,
        after: Option<&PageKey>,
    ) -> Result<Pages<'s>, Rejection> {
        let end = after.map_or(Bound::Unbounded, Bound::Excluded);
        match self.sight {
            Sight::Unknown => Err(Rejection::DirectoryUnread),
            Sight::Everything => {
                let all = state.index.pages.range((Bound::Unbounded, end)).rev();
                Ok(Pages::new([Box::new(all) as Source<'s>]))
            }
            Sight::Own => {
                let State { index, .. } = state;
                let on_theirs = [self.id].into_iter().chain(self.facts.fleet.owned_by(self.id));
                let ran = on_theirs.filter_map(|node| index.ran.get(node));
                let lists = index.asked.get(self.id).into_iter().chain(ran);
                let newest_first = |pages: &'s BTreeSet<PageKey>| {
                    Box::new(pages.range((Bound::Unbounded, end)).rev()) as Source<'s>
                };
                Ok(Pages::new(lists.map(newest_first)))
            }
        }
    }
}

type Source<'s> = Box<dyn Iterator<Item = &'s PageKey> + 's>;

/// Several lists of tasks as one, each task once.
pub(crate) struct Pages<'s> {
    heads: BinaryHeap<Head<'s>>,
    last: Option<&'s PageKey>,
}

struct Head<'s> {
    key: &'s PageKey,
    rest: Source<'s>,
}

impl<'s> Pages<'s> {
    fn new(lists: impl IntoIterator<Item = Source<'s>>) -> Self {
        Self { heads: lists.into_iter().filter_map(Head::of).collect(), last: None }
    }
}

impl<'s> Iterator for Pages<'s> {
    type Item = &'s PageKey;

    fn next(&mut self) -> Option<&'s PageKey> {
        loop {
            let Head { key, rest } = self.heads.pop()?;
            self.heads.extend(Head::of(rest));
            if self.last.replace(key) != Some(key) {
                return Some(key);
            }
        }
    }
}

impl<'s> Head<'s> {
    fn of(mut rest: Source<'s>) -> Option<Self> {
        rest.next().map(|key| Self { key, rest })
    }
}

impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(other.key)
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Head<'_> {}

/// Whether somebody may hear of an event; of tasks that are forgotten only whoever sees everything.
pub(crate) fn sees_event(
    state: &State,
    facts: &Facts,
    viewer: &PrincipalId,
    event: &SchedulerEvent,
) -> bool {
    if check_in(facts, viewer).is_err() {
        return false;
    }
    let viewer = Viewer::new(facts, viewer);
    viewer.sight == Sight::Everything
        || state
            .known(event.task())
            .and_then(Known::parties)
            .is_some_and(|parties| viewer.has_part(parties))
}
