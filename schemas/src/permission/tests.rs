//! Who may task whom.

use Denial::{CanTaskMissing, NotAccepted};

use super::*;

#[test]
fn an_agent_needs_both_sides() {
    let (open, shut) = (&["*"][..], &[][..]);
    check(Some(open), open, &[]);
    check(Some(shut), open, &[CanTaskMissing]);
    check(Some(open), shut, &[NotAccepted]);
    check(Some(shut), shut, &[CanTaskMissing, NotAccepted]);
}

#[test]
fn of_a_person_only_the_other_side_counts() {
    check(None, &["asker"], &[]);
    check(None, &["ask*"], &[]);
    check(None, &["somebody-else"], &[NotAccepted]);
}

#[test]
fn the_owner_and_the_agent_itself_always_may() {
    let target = manifest("target", &[], &[]);
    let owner = id("owner");
    assert_eq!(denials(&owner, None, &target, Some(&owner)), []);
    assert_eq!(denials(&target.id, Some(&target), &target, Some(&owner)), []);
    assert_eq!(denials(&id("asker"), None, &target, Some(&owner)), [NotAccepted]);
}

#[test]
fn a_denial_tells_whose_manifest_to_change() {
    let (from, to) = (id("asker"), id("target"));
    let can_task = CanTaskMissing.explain(&from, &to);
    assert_eq!(can_task, "the manifest of asker does not name target in can_task");
    let accepts = NotAccepted.explain(&from, &to);
    assert_eq!(accepts, "the manifest of target does not name asker in accepts_tasks_from");
}

#[track_caller]
fn check(can_task: Option<&[&str]>, accepts: &[&str], then: &[Denial]) {
    let target = manifest("target", &[], accepts);
    let asker = can_task.map(|can_task| manifest("asker", can_task, &[]));
    assert_eq!(denials(&id("asker"), asker.as_ref(), &target, None), then);
}

fn manifest(name: &str, can_task: &[&str], accepts_tasks_from: &[&str]) -> Manifest {
    serde_json::from_value(serde_json::json!({
        "id": name, "name": name, "role": "worker",
        "can_task": can_task, "accepts_tasks_from": accepts_tasks_from,
    }))
    .unwrap()
}

fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}
