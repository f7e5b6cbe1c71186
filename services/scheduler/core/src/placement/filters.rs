//! What excludes a node from a task, one function a filter.

use schemas::{Audience, permission, scheduler::Filter};

use super::{Candidate, World};
use crate::facts::Node;

/// One node held against one task.
#[derive(Clone, Copy)]
pub(crate) struct Probe<'a> {
    world: World<'a>,
    pub(super) node: &'a Node,
    pub(super) candidate: Candidate<'a>,
}

/// In the order in which one is named when only one is: what will not change comes first.
const ORDER: [Filter; 10] = [
    Filter::Audience,
    Filter::Unenrolled,
    Filter::Capability,
    Filter::Permission,
    Filter::SandboxProperty,
    Filter::Label,
    Filter::Offline,
    Filter::OutOfRotation,
    Filter::Refused,
    Filter::Slots,
];

/// The same in the order of what they cost, for when only the verdict counts.
const CHEAPEST_FIRST: [Filter; 10] = [
    Filter::Audience,
    Filter::Unenrolled,
    Filter::Slots,
    Filter::OutOfRotation,
    Filter::Offline,
    Filter::Label,
    Filter::SandboxProperty,
    Filter::Refused,
    Filter::Permission,
    Filter::Capability,
];

impl<'a> Probe<'a> {
    pub(crate) fn new(world: World<'a>, node: &'a Node, candidate: Candidate<'a>) -> Self {
        Self { world, node, candidate }
    }

    /// Every filter that it fails.
    pub(crate) fn excluded_by(self) -> impl Iterator<Item = Filter> {
        ORDER.into_iter().filter(move |filter| self.fails(*filter))
    }

    /// Whether nothing excludes it.
    pub(crate) fn is_eligible(&self) -> bool {
        !CHEAPEST_FIRST.into_iter().any(|filter| self.fails(filter))
    }

    fn fails(&self, filter: Filter) -> bool {
        match filter {
            Filter::Audience => self.is_another(),
            Filter::Unenrolled => self.is_unenrolled(),
            Filter::Capability => self.missing_capability().is_some(),
            Filter::Permission => !self.is_permitted(),
            Filter::SandboxProperty => self.missing_property().is_some(),
            Filter::Label => self.missing_label().is_some(),
            Filter::Offline => !self.node.is_there(self.world.facts.moment),
            Filter::OutOfRotation => self.node.is_out_of_rotation(),
            Filter::Refused => self.is_refused(),
            Filter::Slots => self.world.free_slots(self.node) == 0 || self.says_busy(),
        }
    }

    fn is_another(&self) -> bool {
        match &self.candidate.demand.audience {
            Audience::Node(id) => *id != self.node.manifest.id,
            Audience::Can(_) => false,
        }
    }

    pub(super) fn missing_capability(&self) -> Option<&schemas::Capability> {
        let wanted = match &self.candidate.demand.audience {
            Audience::Node(_) => None,
            Audience::Can(wanted) => Some(wanted),
        };
        let mut all = wanted.into_iter().chain(&self.candidate.demand.capability);
        all.find(|wanted| !self.node.can(wanted))
    }

    fn is_unenrolled(&self) -> bool {
        let Node { enrolled, report, manifest, .. } = self.node;
        !enrolled || report.is_none() || self.world.facts.directory.is_out(&manifest.id)
    }

    pub(crate) fn is_permitted(&self) -> bool {
        self.knows_principals() && !self.is_barred() && self.denials().is_empty()
    }

    /// Whether it is known who may what, and who may nothing any more.
    pub(super) fn knows_principals(&self) -> bool {
        self.world.facts.directory.listed
    }

    /// Whether somebody who asked for it may not ask any more.
    pub(crate) fn is_barred(&self) -> bool {
        let Candidate { demand, task, .. } = self.candidate;
        let facts = self.world.facts;
        facts.directory.is_out(&demand.issuer) || task.is_some_and(|task| facts.bar(task).is_some())
    }

    pub(super) fn denials(&self) -> Vec<permission::Denial> {
        let asker = self.world.facts.asker(&self.candidate.demand.issuer);
        permission::denials(asker, self.node.as_target())
    }

    pub(super) fn missing_property(&self) -> Option<schemas::sandbox::Property> {
        let sandbox = self.node.report.as_ref().map(|report| &report.sandbox);
        let mut wanted = self.candidate.demand.properties.iter().copied();
        wanted.find(|property| !sandbox.is_some_and(|sandbox| sandbox.enforces(*property)))
    }

    pub(super) fn missing_label(&self) -> Option<(&String, &String)> {
        let labels = &self.node.manifest.labels;
        self.candidate.demand.labels.iter().find(|(key, value)| labels.get(*key) != Some(*value))
    }

    pub(crate) fn is_refused(&self) -> bool {
        let (id, now_ms) = (&self.node.manifest.id, self.world.facts.moment.now_ms);
        let paused = |task: &crate::state::Task| task.is_paused_for(id, now_ms);
        let refuses_now = self.world.overlay.refuses.as_ref() == Some(id);
        refuses_now || self.candidate.task.is_some_and(paused)
    }

    pub(super) fn says_busy(&self) -> bool {
        let busy = self.world.state.record_of(&self.node.manifest.id).busy;
        self.world.facts.moment.now_ms < busy.until_ms
    }
}
