//! Attacks that need the scheduler's memory or its clock; the numbers are those of the list in
//! `tests/tests/attacks`.
//!
//! **Invariant:** every attack stands beside its control: the first, honest use does what it should.

use schemas::{
    ErrorCode, Sha256Hash,
    task::{TaskState, Verdict},
};

use super::harness::{HOUR_MS, Scene, cancel, check, report};
use crate::{Answer, Command};

#[test]
fn attack_32_a_clock_that_goes_back_or_forward_lets_nothing_start_again() {
    let mut scene = Scene::with(&[("a", 1)]);
    let request = scene.submission("t1", "node:a");
    scene.decide(&request).unwrap();
    assert_eq!(scene.start("t1", 1, "a-1"), "go");
    scene.decide(&report("t1", 1, "a-1", Verdict::Succeeded)).unwrap();
    let now_ms = scene.moment.now_ms;
    for moved_ms in [0, now_ms - HOUR_MS, now_ms + HOUR_MS / 2, now_ms] {
        scene.restart();
        scene.moment.now_ms = moved_ms;
        check(&mut scene, &request, Ok(&[]));
        assert_eq!(scene.state_of("t1"), TaskState::Succeeded, "at {moved_ms}");
        assert_eq!(scene.start_again("t1", 1, "a-1", 2), "TASK_FINISHED", "at {moved_ms}");
        assert_eq!(scene.start("t1", 1, "a-2"), "TASK_FINISHED", "at {moved_ms}");
    }
}

#[test]
fn attack_38_a_request_that_is_replayed_is_the_same_task_at_any_point_of_its_life() {
    let mut scene = Scene::with(&[("a", 1)]);
    let request = scene.submission("t1", "node:a");
    let (events, _) = scene.decide(&request).unwrap();
    assert_eq!(events, ["t1 submitted", "t1 assigned to a at 1"]);
    let replay = |scene: &mut Scene, expected: TaskState| {
        for _ in 0..3 {
            let (events, answer) = scene.decide(&request).unwrap();
            let Answer::Submitted(answer) = answer else { panic!("{answer:?}") };
            assert_eq!((events, answer.state), (Vec::new(), expected));
        }
    };
    replay(&mut scene, TaskState::Assigned);
    scene.start("t1", 1, "a-1");
    replay(&mut scene, TaskState::Started);
    scene.decide(&report("t1", 1, "a-1", Verdict::Failed)).unwrap();
    replay(&mut scene, TaskState::Failed);
    scene.restart();
    replay(&mut scene, TaskState::Failed);
}

/// A machine is rolled back to a snapshot, or two run from it: only the one that was told to run
/// goes on, and nobody once it is over.
#[test]
fn attack_42_a_machine_rolled_back_to_a_snapshot_gets_no_second_go() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    assert_eq!(scene.start("t1", 1, "a-1"), "go");
    // Its disk went back, so that it is another process start.
    for copy in ["a-2", "a-3"] {
        assert_eq!(scene.start("t1", 1, copy), "NOT_THE_RUNNER");
    }
    scene.decide(&report("t1", 1, "a-1", Verdict::Succeeded)).unwrap();
    // Its memory went back too, so that it is the same one, and asks once more.
    for ask in 1..4 {
        assert_eq!(scene.start_again("t1", 1, "a-1", ask), "TASK_FINISHED");
    }
    assert_eq!(scene.state_of("t1"), TaskState::Succeeded);
}

#[test]
fn attack_44_another_body_under_a_nonce_that_was_used_is_refused() {
    let mut scene = Scene::with(&[("a", 1)]);
    let request = scene.submission("t1", "node:a");
    scene.decide(&request).unwrap();
    check(&mut scene, &request, Ok(&[]));
    let Command::Submit(mut other) = request else { panic!("no submission") };
    other.envelope_hash = Sha256Hash([0xee; 32]);
    let other = Command::Submit(other);
    check(&mut scene, &other, Err(ErrorCode::CommandIdReused));
    scene.decide(&cancel("t1", "ann")).unwrap();
    check(&mut scene, &other, Err(ErrorCode::CommandIdReused));
}

#[test]
fn attack_49_a_start_or_report_under_an_epoch_that_was_used_changes_nothing() {
    let mut scene = Scene::with(&[("a", 1), ("b", 1)]);
    scene.submit("t1", "node:a");
    assert_eq!(scene.start("t1", 1, "a-1"), "go");
    for epoch in [0, 2, u64::MAX] {
        assert_eq!(scene.start("t1", epoch, "a-1"), "STALE_EPOCH", "epoch {epoch}");
        let (events, answer) = scene.decide(&report("t1", epoch, "a-1", Verdict::Failed)).unwrap();
        let Answer::Reported(answer) = answer else { panic!("{answer:?}") };
        assert_eq!((events, answer.counted), (Vec::new(), false), "epoch {epoch}");
    }
    // Another node asks for what was given to this one.
    assert_eq!(scene.start("t1", 1, "b-1"), "NOT_THE_RUNNER");
    assert_eq!(scene.state_of("t1"), TaskState::Started);
    let honest = report("t1", 1, "a-1", Verdict::Succeeded);
    check(&mut scene, &honest, Ok(&["t1 succeeded at 1"]));
    check(&mut scene, &honest, Ok(&[]));
}
