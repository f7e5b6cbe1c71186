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
    let owned = Target { manifest: &target, owner: Some(&owner), shared_with: &[] };
    assert_eq!(denials(Asker::named(&owner), owned), []);
    assert_eq!(denials(Asker::named(&target.id), owned), []);
    assert_eq!(denials(Asker::named(&id("asker")), owned), [NotAccepted]);
}

#[test]
fn what_is_shared_can_be_seen_and_tasked_and_admins_may_everything() {
    let target = manifest("target", &[], &[]);
    let (owner, ann, bob) = (id("owner"), id("ann"), id("bob"));
    let shared_with = [PrincipalPattern::parse("ann").unwrap()];
    let shared = Target { manifest: &target, owner: Some(&owner), shared_with: &shared_with };
    assert_eq!(
        (denials(Asker::named(&ann), shared), sees(Asker::named(&ann), shared)),
        (vec![], true)
    );
    let as_role = |role| Asker { role: Some(role), ..Asker::named(&bob) };
    for (role, tasks, sees_it) in [
        (UserRole::Admin, true, true),
        (UserRole::Operator, true, true),
        (UserRole::Auditor, false, true),
        (UserRole::User, false, false),
    ] {
        assert_eq!(denials(as_role(role), shared).is_empty(), tasks, "{role}");
        assert_eq!(sees(as_role(role), shared), sees_it, "{role}");
    }
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
    let asker_id = id("asker");
    let asker = Asker { manifest: asker.as_ref(), ..Asker::named(&asker_id) };
    let target = Target { manifest: &target, owner: None, shared_with: &[] };
    assert_eq!(denials(asker, target), then);
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
