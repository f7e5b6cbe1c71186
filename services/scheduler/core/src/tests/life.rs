//! The ways a task can go from its request to its end.

use schemas::{
    ErrorCode,
    task::{TaskSpec, TaskState, Verdict, Work},
};

use super::harness::{
    BEGIN_MS, HOUR_MS, Scene, agent, check, refuse, report, report_unrun, submit,
};
use crate::{Answer, Command, Observation};

#[test]
fn a_free_node_is_given_the_task_in_the_decision_that_accepts_it() {
    let mut scene = Scene::with(&[("a", 1)]);
    let when = scene.submission("t1", "node:a");
    check(&mut scene, &when, Ok(&["t1 submitted", "t1 assigned to a at 1"]));
    assert_eq!(scene.sent(), ["offer t1 1 to a"]);
}

#[test]
fn a_task_waits_with_a_reason_while_its_node_is_full() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    let when = scene.submission("t2", "node:a");
    let (_, answer) = scene.decide(&when).unwrap();
    let Answer::Submitted(answer) = answer else { panic!("{answer:?}") };
    assert_eq!(answer.state, TaskState::Queued);
    assert_eq!(answer.waiting_for.as_deref(), Some("a: all 1 slots are taken"));
}

#[test]
fn a_report_gives_the_slot_to_the_oldest_waiting_task_in_the_same_decision() {
    let mut scene = Scene::with(&[("a", 1)]);
    for task in ["t1", "t2", "t3"] {
        scene.submit(task, "node:a");
    }
    assert_eq!(scene.start("t1", 1, "a-1"), "go");
    let done = report("t1", 1, "a-1", Verdict::Succeeded);
    check(&mut scene, &done, Ok(&["t1 succeeded at 1", "t2 assigned to a at 1"]));
    check(&mut scene, &done, Ok(&[]));
}

#[test]
fn each_verdict_is_the_state_that_it_names() {
    let cases = [
        (Verdict::Succeeded, TaskState::Succeeded),
        (Verdict::Failed, TaskState::Failed),
        (Verdict::TimedOut, TaskState::TimedOut),
        (Verdict::Cancelled, TaskState::Cancelled),
        (Verdict::Lost, TaskState::Lost),
    ];
    for (verdict, state) in cases {
        let mut scene = Scene::with(&[("a", 1)]);
        scene.submit("t1", "node:a");
        scene.start("t1", 1, "a-1");
        scene.decide(&report("t1", 1, "a-1", verdict)).unwrap();
        assert_eq!(scene.state_of("t1"), state);
    }
}

#[test]
fn the_same_request_again_is_the_same_task_as_it_is_now() {
    let mut scene = Scene::with(&[("a", 1)]);
    let when = scene.submission("t1", "node:a");
    scene.decide(&when).unwrap();
    scene.start("t1", 1, "a-1");
    let (events, answer) = scene.decide(&when).unwrap();
    let Answer::Submitted(answer) = answer else { panic!("{answer:?}") };
    assert_eq!((events, answer.state), (Vec::new(), TaskState::Started));
}

#[test]
fn another_request_with_the_same_issuer_and_nonce_is_refused() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    let Command::Submit(mut other) = scene.submission("t1", "node:a") else { panic!() };
    other.envelope_hash = schemas::Sha256Hash([9; 32]);
    check(&mut scene, &Command::Submit(other), Err(ErrorCode::CommandIdReused));
}

#[test]
fn a_busy_node_keeps_the_task_waiting_and_is_left_alone_for_a_moment() {
    let mut scene = Scene::with(&[("a", 2)]);
    scene.submit("t1", "node:a");
    let busy = refuse("t1", 1, "a-1", ErrorCode::NodeBusy);
    check(&mut scene, &busy, Ok(&["t1 refused by a at 1", "t1 queued"]));
    assert_eq!(scene.settle(), Vec::<String>::new());
    scene.pass_ms(crate::limits::BUSY_PAUSE_MS);
    assert_eq!(scene.settle(), ["t1 assigned to a at 2"]);
}

#[test]
fn a_refused_task_goes_to_another_node_at_once() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "can:shell.exec");
    scene.join(agent("b", 1));
    let no = refuse("t1", 1, "a-1", ErrorCode::JournalFailed);
    check(&mut scene, &no, Ok(&["t1 refused by a at 1", "t1 assigned to b at 2"]));
}

#[test]
fn a_refusal_that_will_not_change_ends_a_task_that_is_for_nobody_else() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    let no = refuse("t1", 1, "a-1", ErrorCode::PropertyNotEnforced);
    check(&mut scene, &no, Ok(&["t1 refused by a at 1", "t1 failed at 1"]));
}

#[test]
fn an_assignment_that_nobody_starts_goes_elsewhere_under_a_higher_epoch() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "can:shell.exec");
    scene.join(agent("b", 1));
    scene.pass_with_beats(crate::limits::ASSIGNMENT_TTL_MS, &[("a-1", &[]), ("b-1", &[])]);
    assert_eq!(scene.settle(), ["t1 unstarted at 1", "t1 assigned to b at 2"]);
    assert_eq!(scene.start("t1", 1, "a-1"), "STALE_EPOCH");
    assert_eq!(scene.start("t1", 2, "b-1"), "go");
}

#[test]
fn a_node_that_did_not_start_a_task_is_not_given_it_again_at_once() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.pass_with_beats(crate::limits::ASSIGNMENT_TTL_MS, &[("a-1", &[])]);
    assert_eq!(scene.settle(), ["t1 unstarted at 1", "t1 queued"]);
    scene.pass_with_beats(crate::limits::REFUSED_PAUSE_MS, &[("a-1", &[])]);
    assert_eq!(scene.settle(), ["t1 assigned to a at 2"]);
}

#[test]
fn a_request_that_expires_before_anybody_starts_it_ends_expired() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.submit("t2", "node:a");
    scene.pass_ms(HOUR_MS);
    scene.settle();
    assert_eq!(scene.state_of("t1"), TaskState::Expired);
    assert_eq!(scene.state_of("t2"), TaskState::Expired);
}

#[test]
fn an_expired_request_is_not_taken() {
    let mut scene = Scene::with(&[("a", 1)]);
    let spec = TaskSpec::new(Work::Echo { text: String::new() });
    check(&mut scene, &submit("t1", "node:a", spec, BEGIN_MS), Err(ErrorCode::Expired));
}

#[test]
fn an_unknown_node_and_an_issuer_that_nobody_accepts_are_refused() {
    let mut scene = Scene::with(&[("a", 1)]);
    let when = scene.submission("t1", "node:b");
    check(&mut scene, &when, Err(ErrorCode::NoSuchNode));
    for audience in ["node:a", "can:shell.exec"] {
        let Command::Submit(mut other) = scene.submission("t1", audience) else { panic!() };
        other.issuer = super::harness::principal("bob");
        check(&mut scene, &Command::Submit(other), Err(ErrorCode::TaskNotPermitted));
    }
}

#[test]
fn the_owner_of_a_node_may_always_task_it() {
    let mut scene = Scene::with(&[("a", 1)]);
    let Command::Submit(mut other) = scene.submission("t1", "node:a") else { panic!() };
    other.issuer = super::harness::principal("olga");
    let then = ["t1 submitted", "t1 assigned to a at 1"];
    check(&mut scene, &Command::Submit(other), Ok(&then));
}

#[test]
fn a_task_that_nobody_can_do_yet_waits_for_somebody_who_can() {
    let mut scene = Scene::new();
    assert_eq!(scene.submit("t1", "can:shell.exec"), ["t1 submitted", "t1 queued"]);
    scene.join(agent("a", 1));
    assert_eq!(scene.settle(), ["t1 assigned to a at 1"]);
}

#[test]
fn before_the_fleet_is_listed_a_task_waits_and_nothing_is_refused() {
    let mut scene = Scene::unlisted();
    assert_eq!(scene.submit("t1", "node:a"), ["t1 submitted", "t1 queued"]);
    scene.join(agent("a", 1));
    assert_eq!(scene.settle(), Vec::<String>::new());
    assert_eq!(scene.submit("t2", "can:shell.exec"), ["t2 submitted", "t2 queued"]);
    scene.observe(Observation::PrincipalsListed(std::collections::BTreeSet::new()));
    assert_eq!(scene.settle(), ["t1 assigned to a at 1"]);
}

#[test]
fn a_node_that_lost_its_memory_before_the_start_gives_the_task_back() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    let lost = report_unrun("t1", 1, "a-2", Verdict::Lost);
    check(&mut scene, &lost, Ok(&["t1 refused by a at 1", "t1 queued"]));
}

#[test]
fn an_outcome_of_a_run_that_was_never_allowed_does_not_count() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    let done = report("t1", 1, "a-1", Verdict::Succeeded);
    check(&mut scene, &done, Err(ErrorCode::NotTheRunner));
}

#[test]
fn nobody_but_the_assigned_node_may_start_report_or_refuse() {
    let mut scene = Scene::with(&[("a", 1), ("b", 1)]);
    scene.submit("t1", "node:a");
    assert_eq!(scene.start("t1", 1, "b-1"), "NOT_THE_RUNNER");
    let theirs =
        [report("t1", 1, "b-1", Verdict::Succeeded), refuse("t1", 1, "b-1", ErrorCode::NodeBusy)];
    for command in theirs {
        check(&mut scene, &command, Err(ErrorCode::NotTheRunner));
    }
    assert_eq!(scene.start("t9", 1, "a-1"), "TASK_NOT_FOUND");
}
