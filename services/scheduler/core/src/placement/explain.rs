//! Why a task waits, in words.

use schemas::{
    Audience,
    scheduler::{Exclusion, Filter, NodeVerdict},
};

use super::{Candidate, Tally, World, filters::Probe};
use crate::{
    limits::{DENIALS_NAMED_MAX, WHY_NODES_MAX},
    visibility::Viewer,
};

/// What excludes each node from a task: those that lack least come first.
///
/// Only nodes that the viewer sees are named, and no more than fit one answer; the number of the
/// others is returned too.
pub(crate) fn explain(
    world: World<'_>,
    candidate: Candidate<'_>,
    viewer: Viewer<'_>,
) -> (Vec<NodeVerdict>, u32) {
    let verdict = |node| {
        let probe = Probe::new(world, node, candidate);
        let named = |filter| Exclusion { filter, detail: detail(&probe, filter) };
        NodeVerdict {
            node: probe.node.manifest.id.clone(),
            excluded_by: probe.excluded_by().map(named).collect(),
        }
    };
    let seen = world.facts.fleet.nodes().filter(|node| viewer.sees_node(node));
    let mut verdicts: Vec<NodeVerdict> = seen.map(verdict).collect();
    verdicts.sort_by_key(|verdict| verdict.excluded_by.len());
    verdicts.truncate(WHY_NODES_MAX);
    let left_out = world.facts.fleet.nodes().count() - verdicts.len();
    (verdicts, u32::try_from(left_out).unwrap_or(u32::MAX))
}

fn detail(probe: &Probe<'_>, filter: Filter) -> String {
    let (node, demand) = (&probe.node.manifest, probe.candidate.demand);
    match filter {
        Filter::Audience => format!("the request is for {}", demand.audience),
        Filter::Permission if !probe.knows_principals() => {
            "the principals have not been listed yet".to_owned()
        }
        Filter::Permission if probe.is_barred() => {
            "somebody who asked for it was put out, or their key was revoked".to_owned()
        }
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
    if !world.facts.directory.listed {
        return format!("{audience}: the principals have not been listed yet");
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

/// What stands against the issuer at the first few nodes that the task is for: at the one that it
/// names, or at those that the issuer sees.
pub(crate) fn denials_of(world: World<'_>, candidate: Candidate<'_>) -> Vec<String> {
    let viewer = Viewer::new(world.facts, &candidate.demand.issuer);
    let is_named = match &candidate.demand.audience {
        Audience::Node(_) => true,
        Audience::Can(_) => false,
    };
    let nodes = world.audience(candidate).filter_map(|id| world.facts.fleet.get(id));
    let probes = nodes.map(|node| Probe::new(world, node, candidate));
    let denied = probes.filter(|probe| !probe.is_permitted());
    let shown = denied.filter(|probe| is_named || viewer.sees_node(probe.node));
    let mut denials: Vec<String> =
        shown.take(DENIALS_NAMED_MAX).map(|probe| detail(&probe, Filter::Permission)).collect();
    if denials.is_empty() {
        denials.push("nobody who could do it lets them ask".to_owned());
    }
    denials
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
