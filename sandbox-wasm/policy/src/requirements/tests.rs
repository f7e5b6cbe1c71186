//! Cases for required properties.

use std::collections::BTreeMap;

use schemas::sandbox::Tier;

use super::*;
use crate::{HostFacts, plain_report};

#[test]
fn a_task_that_requires_nothing_runs_anywhere() {
    check(&[], &[]);
}

#[test]
fn what_is_enforced_is_met() {
    check(&[Property::NoNewPrivs, Property::FdsClosed], &[]);
}

#[test]
fn absent_and_partial_properties_are_unmet_and_say_why() {
    check(
        &[Property::TreeKill, Property::FdsClosed, Property::NetDenied, Property::NetDenied],
        &[
            "net_denied is absent: a run shares the host's network",
            "tree_kill is partial: a run can kill its supervisor, for they have the same user",
        ],
    );
}

#[test]
fn a_report_that_does_not_name_a_property_does_not_meet_it() {
    let empty = SandboxReport { tier: Tier::T3, properties: BTreeMap::new() };
    let found = unmet(&[Property::NoCaps], &empty);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].to_string(), "no_caps is absent");
}

#[track_caller]
fn check(required: &[Property], expected: &[&str]) {
    let report = plain_report(HostFacts { uid: 0, capabilities: 1 });
    let found: Vec<_> = unmet(required, &report).iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}
