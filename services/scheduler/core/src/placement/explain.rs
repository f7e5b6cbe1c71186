//! Why a task waits, in words.

use schemas::{
    Audience,
    scheduler::{Exclusion, Filter, NodeVerdict},
};

use super::{Candidate, Tally, World, filters::Probe};
use crate::limits::{DENIALS_NAMED_MAX, WHY_NODES_MAX};

/// What excludes each node from a task: those that lack least come first.
///
/// A fleet that does not fit one answer is cut; the number left out is returned too.
pub(crate) fn explain(world: World<'_>, candidate: Candidate<'_>) -> (Vec<NodeVerdict>, usize) {
    let verdict = |node| {
        let probe = Probe::new(world, node, candidate);
        let named = |filter| Exclusion { filter, detail: detail(&probe, filter) };
        NodeVerdict {
            node: probe.node.manifest.id.clone(),
            excluded_by: probe.excluded_by().map(named).collect(),
        }
    };
    let mut verdicts: Vec<NodeVerdict> = world.facts.fleet.nodes().map(verdict).collect();
    verdicts.sort_by_key(|verdict| verdict.excluded_by.len());
    let left_out = verdicts.len().saturating_sub(WHY_NODES_MAX);
    verdicts.truncate(WHY_NODES_MAX);
    (verdicts, left_out)
}

fn detail(probe: &Probe<'_>, filter: Filter) -> String {
    let (node, demand) = (&probe.node.manifest, probe.candidate.demand);
    match filter {
        Filter::Audience => format!("the request is for {}", demand.audience),
        Filter::Permission => {
            let explain =
                |denial: &schemas::permission::Denial| denial.explain(&demand.issuer, &node.id);
            probe.denials().iter().map(explain).collect::<Vec<_>>().join("; ")
        }
        Filter::Capability => match probe.missing_capability() {
            Some(wanted) => format!("its manifest does not offer {wanted}"),
            None => "its manifest does not offer what is needed".to_owned(),
        },
        Filter::SandboxProperty => match probe.missing_property() {
            Some(property) => format!("it does not enforce {property}"),
            None => "it does not enforce what is needed".to_owned(),
        },
        Filter::Label => match probe.missing_label() {
            Some((key, value)) => format!("it has no label {key}={value}"),
            None => "it lacks a label".to_owned(),
        },
        Filter::Offline => "it does not beat".to_owned(),
        Filter::OutOfRotation => "it is in maintenance or about to stop".to_owned(),
        Filter::Slots if probe.says_busy() => "it said a moment ago that it is busy".to_owned(),
        Filter::Slots => match probe.node.slots() {
            0 => "it offers no slots".to_owned(),
            slots => format!("all {slots} slots are taken"),
        },
        Filter::Refused => "it did not take this task a moment ago".to_owned(),
        Filter::Unenrolled => "it has no node on the broker".to_owned(),
    }
}

/// Why nobody takes a task now, in one sentence.
pub(crate) fn waiting_for(world: World<'_>, candidate: Candidate<'_>, tally: &Tally) -> String {
    let audience = &candidate.demand.audience;
    if 0 < tally.behind {
        return format!("behind {} older tasks that need the same", tally.behind);
    }
    if !world.facts.fleet.listed && tally.by_filter.is_empty() {
        return format!("{audience}: the fleet has not been listed yet");
    }
    if let Audience::Node(id) = audience {
        let Some(node) = world.facts.fleet.get(id) else { return format!("there is no node {id}") };
        let probe = Probe::new(world, node, candidate);
        let details: Vec<String> =
            probe.excluded_by().map(|filter| detail(&probe, filter)).collect();
        return format!("{id}: {}", details.join("; "));
    }
    if tally.by_filter.is_empty() {
        return format!("nobody in the fleet is {audience}");
    }
    let counted =
        tally.by_filter.iter().map(|(filter, count)| format!("{count} {}", word(*filter)));
    format!("nobody for {audience} is free: {}", counted.collect::<Vec<_>>().join(", "))
}

/// What stands against the issuer at the first few nodes that the task is for.
pub(crate) fn denials_of(world: World<'_>, candidate: Candidate<'_>) -> Vec<String> {
    let nodes = world.audience(candidate).filter_map(|id| world.facts.fleet.get(id));
    let probes = nodes.map(|node| Probe::new(world, node, candidate));
    let denied = probes.filter(|probe| !probe.is_permitted());
    denied.take(DENIALS_NAMED_MAX).map(|probe| detail(&probe, Filter::Permission)).collect()
}

fn word(filter: Filter) -> &'static str {
    match filter {
        Filter::Audience => "are not meant",
        Filter::Permission => "do not accept the issuer",
        Filter::Capability => "cannot do it",
        Filter::SandboxProperty => "do not enforce a required property",
        Filter::Label => "lack a label",
        Filter::Offline => "do not beat",
        Filter::OutOfRotation => "are out of rotation",
        Filter::Slots => "have no free slot",
        Filter::Refused => "did not take it a moment ago",
        Filter::Unenrolled => "have no node on the broker",
    }
}
