//! Ending tasks from outside.

use schemas::{
    ErrorCode,
    scheduler::TaskSelection,
    task::{TaskState, Verdict},
};

use super::harness::{Scene, cancel, check, principal, refuse, report};
use crate::{Answer, CancelTarget, Command, limits::CANCELS_PER_DECISION_MAX};

#[test]
fn a_waiting_task_ends_at_once() {
    let mut scene = Scene::new();
    scene.submit("t1", "can:shell.exec");
    check(&mut scene, &cancel("t1", "ann"), Ok(&["t1 cancelled at 0"]));
}

#[test]
fn an_assigned_task_ends_at_once_and_nobody_starts_it_any_more() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.submit("t2", "node:a");
    let then = ["t1 cancelled at 1", "t2 assigned to a at 1"];
    check(&mut scene, &cancel("t1", "ann"), Ok(&then));
    assert!(scene.sent().contains(&"cancel t1 1 at a".to_owned()));
    assert_eq!(scene.start("t1", 1, "a-1"), "TASK_FINISHED");
}

#[test]
fn a_running_task_is_told_to_end_and_its_node_says_how_it_did() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.start("t1", 1, "a-1");
    check(&mut scene, &cancel("t1", "ann"), Ok(&["t1 to end for ann"]));
    assert_eq!(scene.sent(), ["offer t1 1 to a", "cancel t1 1 at a"]);
    let done = report("t1", 1, "a-1", Verdict::Cancelled);
    check(&mut scene, &done, Ok(&["t1 cancelled at 1"]));
}

#[test]
fn after_a_cancel_no_start_is_granted_again() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    assert_eq!(scene.start("t1", 1, "a-1"), "go");
    scene.decide(&cancel("t1", "ann")).unwrap();
    assert_eq!(scene.start("t1", 1, "a-1"), "TASK_FINISHED");
}

#[test]
fn a_task_that_was_to_end_and_did_not_run_ends_cancelled() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.start("t1", 1, "a-1");
    scene.decide(&cancel("t1", "ann")).unwrap();
    let no = refuse("t1", 1, "a-1", ErrorCode::NodeDraining);
    check(&mut scene, &no, Ok(&["t1 refused by a at 1", "t1 cancelled at 1"]));
}

#[test]
fn issuer_and_owner_may_cancel_and_nobody_else() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    check(&mut scene, &cancel("t1", "bob"), Err(ErrorCode::TaskNotFound));
    check(&mut scene, &cancel("t1", "a"), Err(ErrorCode::NotAllowed));
    check(&mut scene, &cancel("t9", "ann"), Err(ErrorCode::TaskNotFound));
    check(&mut scene, &cancel("t1", "olga"), Ok(&["t1 cancelled at 1"]));
}

#[test]
fn cancelling_again_says_the_same_and_changes_nothing() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.decide(&cancel("t1", "ann")).unwrap();
    let (events, answer) = scene.decide(&cancel("t1", "ann")).unwrap();
    let Answer::Cancelled(answer) = answer else { panic!("{answer:?}") };
    assert_eq!((events.len(), answer.cancelled.len()), (0, 1));
}

#[test]
fn what_ended_otherwise_cannot_be_cancelled() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.start("t1", 1, "a-1");
    scene.decide(&report("t1", 1, "a-1", Verdict::Succeeded)).unwrap();
    check(&mut scene, &cancel("t1", "ann"), Err(ErrorCode::TaskFinished));
}

#[test]
fn a_selection_ends_only_the_askers_tasks_that_it_names() {
    let mut scene = Scene::with(&[("a", 1), ("b", 1)]);
    scene.submit("t1", "node:a");
    scene.submit("t2", "node:b");
    let select = |node| TaskSelection { node: Some(principal(node)), ..TaskSelection::default() };
    let by = |who, node| Command::Cancel {
        by: principal(who),
        target: CancelTarget::Select(select(node)),
    };
    check(&mut scene, &by("bob", "a"), Ok(&[]));
    check(&mut scene, &by("ann", "a"), Ok(&["t1 cancelled at 1"]));
    assert_eq!(scene.state_of("t2"), TaskState::Assigned);
}

/// Interleaving 10: a decision about many is bounded, and says that there is more to do.
#[test]
fn a_decision_about_many_fits_a_frame_and_is_repeated_until_all_is_done() {
    let mut scene = Scene::new();
    let count = CANCELS_PER_DECISION_MAX * 2 + 1;
    for task in 0..count {
        scene.submit(&format!("t{task}"), "can:shell.exec");
    }
    let target = CancelTarget::Select(TaskSelection::default());
    let all = Command::Cancel { by: principal("ann"), target };
    let mut ended = Vec::new();
    for more in [true, true, false, false] {
        let (events, answer) = scene.decide(&all).unwrap();
        let Answer::Cancelled(answer) = answer else { panic!("{answer:?}") };
        assert_eq!(answer.more, more);
        assert!(events.len() <= CANCELS_PER_DECISION_MAX);
        ended.push(answer.cancelled.len());
    }
    assert_eq!(ended, [CANCELS_PER_DECISION_MAX, CANCELS_PER_DECISION_MAX, 1, 0]);
}
