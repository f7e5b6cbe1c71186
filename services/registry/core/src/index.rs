//! Finds who can do something without looking at everybody.
//!
//! **Invariant:** [`Index::visible_to`] marks exactly those that [`schemas::permission::sees`] shows.
//! **Invariant:** [`Index::able`] marks exactly the indexed agents for which
//! [`schemas::Manifest::grants`] names an entry, each with the place of that entry.
//! **Invariant:** [`Index::taskable_by`] marks exactly those that
//! [`schemas::permission::denials`] has nothing against.

use std::collections::BTreeMap;

use schemas::{
    Capability, PrincipalId, manifest::PrincipalPattern, permission::Asker, principal::UserRole,
};

use crate::Agent;

/// Something that agents are looked up by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Term {
    /// They hold an entry of exactly this name, in this version.
    Named(String, Option<String>),
    /// They hold an entry whose name begins with this stem, in this version.
    Under(String, Option<String>),
    /// They have this MCP server.
    Server(String),
    /// They accept tasks from whoever this covers.
    Accepts(String),
    /// They are shared with whoever this covers.
    SharedWith(String),
    /// They are this principal's.
    OwnedBy(String),
}

/// An agent that has a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    slot: usize,
    /// The first place in [`Agent::grants`] that makes it have the term.
    position: usize,
}

/// Listed agents by what they are looked up by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Agents by number; a number is used again once its agent is gone.
    slots: Vec<Option<PrincipalId>>,
    free: Vec<usize>,
    /// Numbers in the order of their agents' ids.
    order: Vec<usize>,
    /// Who has a term, by number.
    entries: BTreeMap<Term, Vec<Entry>>,
}

/// Some of the agents, each with a place in its manifest.
#[derive(Clone, Debug)]
pub(crate) struct Marks(Vec<usize>);

/// Stands in [`Marks`] for an agent that is not among them.
const ABSENT: usize = usize::MAX;

impl Marks {
    fn none(index: &Index) -> Self {
        Self(vec![ABSENT; index.slots.len()])
    }

    fn add(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let Some(mark) = self.0.get_mut(entry.slot) {
                *mark = entry.position.min(*mark);
            }
        }
    }

    /// Leaves out whoever is not among `others`.
    pub(crate) fn keep(&mut self, others: &Self) {
        for (mark, other) in self.0.iter_mut().zip(&others.0) {
            if *other == ABSENT {
                *mark = ABSENT;
            }
        }
    }
}

impl Index {
    /// Whether two forms of one agent are found alike.
    pub(crate) fn same(old: &Agent, new: &Agent) -> bool {
        old.owner == new.owner
            && old.manifest.capabilities == new.manifest.capabilities
            && old.shared_with == new.shared_with
            && old.manifest.accepts_tasks_from == new.manifest.accepts_tasks_from
    }

    pub(crate) fn insert(&mut self, agent: &Agent) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        if let Err(rank) = self.rank(agent.id()) {
            self.order.insert(rank, slot);
        }
        self.slots[slot] = Some(agent.id().clone());
        for (term, position) in terms(agent) {
            let entries = self.entries.entry(term).or_default();
            let at = entries.partition_point(|entry| entry.slot < slot);
            entries.insert(at, Entry { slot, position });
        }
    }

    pub(crate) fn remove(&mut self, agent: &Agent) {
        let Ok(rank) = self.rank(agent.id()) else { return };
        let slot = self.order.remove(rank);
        self.slots[slot] = None;
        self.free.push(slot);
        for term in terms(agent).into_keys() {
            let Some(entries) = self.entries.get_mut(&term) else { continue };
            if let Ok(at) = entries.binary_search_by_key(&slot, |entry| entry.slot) {
                entries.remove(at);
            }
            if entries.is_empty() {
                self.entries.remove(&term);
            }
        }
    }

    /// Everybody who can do what is wanted.
    pub(crate) fn able(&self, wanted: &Capability) -> Marks {
        let mut search = Search { index: self, marks: Marks::none(self), wanted };
        if wanted.is_pattern() {
            search.add(Term::Under, wanted.stem());
        } else {
            search.add(Term::Named, wanted.name());
        }
        search.add(Term::Named, "*");
        for stem in stems(wanted.name()) {
            search.add(Term::Named, &format!("{stem}*"));
            let server = stem.trim_end_matches('.').to_owned();
            self.add(&mut search.marks, &Term::Server(server));
        }
        search.marks
    }

    /// Everybody whom `from` may task.
    pub(crate) fn taskable_by(&self, from: &Asker<'_>) -> Marks {
        if from.role.is_some_and(UserRole::tasks_everything) {
            return self.everybody();
        }
        let mut marks = self.open_to(from.id);
        if let Some(manifest) = from.manifest {
            marks.keep(&self.covered_by(&manifest.can_task));
        }
        self.add_own(&mut marks, from.id);
        marks
    }

    /// Everybody of whom `viewer` may know who does not see everything.
    pub(crate) fn visible_to(&self, viewer: &Asker<'_>) -> Marks {
        let mut marks = self.open_to(viewer.id);
        self.add_own(&mut marks, viewer.id);
        if let Some(owner) = viewer.owner {
            self.add(&mut marks, &Term::OwnedBy(owner.to_string()));
        }
        marks
    }

    /// An agent itself, and those that are its own.
    pub(crate) fn own(&self, id: &PrincipalId) -> Marks {
        let mut marks = Marks::none(self);
        self.add_own(&mut marks, id);
        marks
    }

    fn add_own(&self, marks: &mut Marks, id: &PrincipalId) {
        self.add(marks, &Term::OwnedBy(id.to_string()));
        if let Ok(rank) = self.rank(id) {
            marks.0[self.order[rank]] = 0;
        }
    }

    fn everybody(&self) -> Marks {
        let mut marks = Marks::none(self);
        for slot in &self.order {
            marks.0[*slot] = 0;
        }
        marks
    }

    /// Everybody who accepts tasks from the principal, or is shared with it.
    fn open_to(&self, principal: &PrincipalId) -> Marks {
        let mut marks = Marks::none(self);
        let name = principal.as_str();
        let beginnings = (0..=name.len()).map(|end| format!("{}*", &name[..end]));
        for pattern in beginnings.chain([name.to_owned()]) {
            self.add(&mut marks, &Term::SharedWith(pattern.clone()));
            self.add(&mut marks, &Term::Accepts(pattern));
        }
        marks
    }

    /// Those who are marked, by id, each with its place.
    pub(crate) fn in_order<'a>(
        &'a self,
        marks: &'a Marks,
    ) -> impl Iterator<Item = (&'a PrincipalId, usize)> {
        let marked = |slot: &usize| marks.0.get(*slot).copied().filter(|mark| *mark != ABSENT);
        self.order.iter().filter_map(move |slot| Some((self.slots[*slot].as_ref()?, marked(slot)?)))
    }

    /// Whether an agent is marked.
    pub(crate) fn contains(&self, agent: &PrincipalId, marks: &Marks) -> bool {
        self.rank(agent).is_ok_and(|rank| marks.0[self.order[rank]] != ABSENT)
    }

    /// Everybody whom one of the patterns covers. What a pattern covers stands together in order.
    fn covered_by(&self, patterns: &[PrincipalPattern]) -> Marks {
        let mut marks = Marks::none(self);
        for pattern in patterns {
            let (stem, open) = match pattern.as_str().strip_suffix('*') {
                Some(stem) => (stem, true),
                None => (pattern.as_str(), false),
            };
            let begin = self.order.partition_point(|slot| self.name(*slot) < stem);
            let rest = &self.order[begin..];
            let covered = |slot: &usize| {
                let name = self.name(*slot);
                name == stem || (open && name.starts_with(stem))
            };
            for slot in &rest[..rest.partition_point(covered)] {
                marks.0[*slot] = 0;
            }
        }
        marks
    }

    fn add(&self, marks: &mut Marks, term: &Term) {
        marks.add(self.entries.get(term).map_or(&[], Vec::as_slice));
    }

    fn rank(&self, agent: &PrincipalId) -> Result<usize, usize> {
        self.order.binary_search_by(|slot| self.name(*slot).cmp(agent.as_str()))
    }

    fn name(&self, slot: usize) -> &str {
        self.slots[slot].as_ref().map_or("", PrincipalId::as_str)
    }
}

/// A search for a capability, in the versions that go with it.
struct Search<'a> {
    index: &'a Index,
    marks: Marks,
    wanted: &'a Capability,
}

impl Search<'_> {
    /// Adds who has a term of this name: without a version, or in the wanted one, if one is named.
    fn add(&mut self, term: fn(String, Option<String>) -> Term, name: &str) {
        let unversioned = term(name.to_owned(), None);
        if let Some(version) = self.wanted.version() {
            self.index.add(&mut self.marks, &unversioned);
            let versioned = term(name.to_owned(), Some(version.to_owned()));
            self.index.add(&mut self.marks, &versioned);
            return;
        }
        let versions = self.index.entries.range(&unversioned..);
        for (_, entries) in versions.take_while(|(found, _)| found.differs_in_version(&unversioned))
        {
            self.marks.add(entries);
        }
    }
}

impl Term {
    /// Whether two terms are the same but for their versions.
    fn differs_in_version(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Named(ours, _), Self::Named(theirs, _))
            | (Self::Under(ours, _), Self::Under(theirs, _)) => ours == theirs,
            (
                Self::Named(..)
                | Self::Under(..)
                | Self::Server(_)
                | Self::Accepts(_)
                | Self::SharedWith(_)
                | Self::OwnedBy(_),
                _,
            ) => false,
        }
    }
}

/// Everything that an agent is found by, with the first place in its manifest that says so.
fn terms(agent: &Agent) -> BTreeMap<Term, usize> {
    let manifest = &agent.manifest;
    let mut terms = BTreeMap::new();
    let mut place = |term: Term, position: usize| {
        terms.entry(term).or_insert(position);
    };
    for (position, held) in manifest.capabilities.all().enumerate() {
        let version = || held.version().map(str::to_owned);
        place(Term::Named(held.name().to_owned(), version()), position);
        place(Term::Under(String::new(), version()), position);
        for stem in stems(held.name()) {
            place(Term::Under(stem.to_owned(), version()), position);
        }
    }
    let servers_at = manifest.capabilities.all().count();
    for (position, server) in manifest.capabilities.mcp_servers.iter().enumerate() {
        place(Term::Server(server.name().to_owned()), servers_at + position);
    }
    for pattern in &manifest.accepts_tasks_from {
        place(Term::Accepts(pattern.as_str().to_owned()), 0);
    }
    for pattern in &agent.shared_with {
        place(Term::SharedWith(pattern.as_str().to_owned()), 0);
    }
    place(Term::OwnedBy(agent.owner.to_string()), 0);
    terms
}

/// Every beginning of a name that ends in a dot: `a.` and `a.b.` of `a.b.c`.
fn stems(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.').map(|(at, _)| &name[..=at])
}
