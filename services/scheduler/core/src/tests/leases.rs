//! When silence means that a run is lost, and what settles it.

use schemas::{
    ErrorCode,
    task::{TaskState, Verdict},
};

use super::harness::{Scene, check, principal, refuse, report, task_id};
use crate::{Answer, Command, limits::LEASE_TTL_MS};

fn started() -> Scene {
    let mut scene = Scene::with(&[("a", 1), ("b", 1)]);
    scene.submit("t1", "node:a");
    assert_eq!(scene.start("t1", 1, "a-1"), "go");
    scene.tick();
    scene
}

#[test]
fn a_silent_run_is_lost_after_its_lease_and_not_before() {
    let mut scene = started();
    scene.pass_ms(LEASE_TTL_MS - 1);
    assert_eq!(scene.settle(), Vec::<String>::new());
    scene.pass_ms(1);
    assert_eq!(scene.settle(), ["t1 lost at 1"]);
}

#[test]
fn a_beat_that_names_the_run_keeps_it() {
    let mut scene = started();
    scene.pass_with_beats(10 * LEASE_TTL_MS, &[("a-1", &[("t1", 1)])]);
    assert_eq!(scene.settle(), Vec::<String>::new());
}

#[test]
fn a_beat_of_another_instance_or_of_another_epoch_keeps_nothing() {
    for (instance, epoch) in [("a-2", 1), ("a-1", 2), ("b-1", 1)] {
        let mut scene = started();
        scene.pass_with_beats(LEASE_TTL_MS, &[(instance, &[("t1", epoch)])]);
        assert_eq!(scene.settle(), ["t1 lost at 1"], "{instance} {epoch}");
    }
}

#[test]
fn only_an_idempotent_task_runs_again_and_only_so_often() {
    let mut scene = Scene::with(&[("a", 1), ("b", 1), ("c", 1)]);
    scene.submit_idempotent("t1", "can:shell.exec");
    let beats: &[(&str, &[(&str, u64)])] = &[("a-1", &[]), ("b-1", &[]), ("c-1", &[])];
    for epoch in 1..=u64::from(crate::limits::ATTEMPTS_MAX) {
        let node = scene.state.task(&task_id("t1")).unwrap().view.node.clone().unwrap();
        assert_eq!(scene.start("t1", epoch, &format!("{node}-1")), "go");
        scene.tick();
        scene.pass_with_beats(LEASE_TTL_MS, beats);
        let lost = scene.settle();
        assert_eq!(lost[0], format!("t1 lost at {epoch}"));
    }
    assert_eq!(scene.state_of("t1"), TaskState::Lost);
}

#[test]
fn the_late_outcome_settles_a_lost_task_at_the_same_epoch() {
    let mut scene = started();
    scene.pass_ms(LEASE_TTL_MS);
    scene.settle();
    let lost = report("t1", 1, "a-2", Verdict::Lost);
    check(&mut scene, &lost, Ok(&[]));
    let done = report("t1", 1, "a-2", Verdict::Succeeded);
    check(&mut scene, &done, Ok(&["t1 succeeded at 1"]));
    check(&mut scene, &report("t1", 1, "a-2", Verdict::Failed), Ok(&[]));
}

#[test]
fn the_late_outcome_spares_a_second_run_that_has_not_been_assigned() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit_idempotent("t1", "node:a");
    scene.start("t1", 1, "a-1");
    scene.tick();
    scene.pass_ms(LEASE_TTL_MS);
    assert_eq!(scene.settle(), ["t1 lost at 1", "t1 queued"]);
    let done = report("t1", 1, "a-1", Verdict::Succeeded);
    check(&mut scene, &done, Ok(&["t1 succeeded at 1"]));
}

#[test]
fn a_person_settles_a_lost_task_and_nothing_else() {
    let mut scene = started();
    let force = |by| Command::ForceLost { by: principal(by), task: task_id("t1") };
    check(&mut scene, &force("ann"), Err(ErrorCode::TaskNotLost));
    scene.pass_ms(LEASE_TTL_MS);
    scene.settle();
    check(&mut scene, &force("bob"), Err(ErrorCode::TaskNotFound));
    check(&mut scene, &force("a"), Err(ErrorCode::NotAllowed));
    let (events, answer) = scene.decide(&force("olga")).unwrap();
    assert_eq!(events, ["t1 failed at 1"]);
    let view = scene.state.task(&task_id("t1")).unwrap().view.clone();
    assert_eq!(answer, Answer::Task(Box::new(view)));
    check(&mut scene, &report("t1", 1, "a-1", Verdict::Succeeded), Ok(&[]));
}

#[test]
fn the_granted_instance_may_say_late_that_nothing_ran() {
    let mut scene = started();
    scene.pass_ms(LEASE_TTL_MS);
    scene.settle();
    let no = refuse("t1", 1, "a-1", ErrorCode::NodeDraining);
    check(&mut scene, &no, Ok(&["t1 refused by a at 1", "t1 queued"]));
}

#[test]
fn a_new_scheduler_grants_every_run_a_whole_lease() {
    let mut scene = started();
    scene.pass_ms(LEASE_TTL_MS - 1);
    scene.restart();
    scene.tick();
    scene.pass_ms(LEASE_TTL_MS - 1);
    assert_eq!(scene.settle(), Vec::<String>::new());
    scene.pass_ms(1);
    assert_eq!(scene.settle(), ["t1 lost at 1"]);
}

#[test]
fn a_new_connection_grants_every_run_a_whole_lease() {
    let mut scene = started();
    scene.pass_ms(LEASE_TTL_MS - 1);
    scene.moment.connected_at_lease_ms = scene.moment.lease_ms;
    scene.pass_ms(LEASE_TTL_MS - 1);
    assert_eq!(scene.settle(), Vec::<String>::new());
    scene.pass_ms(1);
    assert_eq!(scene.settle(), ["t1 lost at 1"]);
}

#[test]
fn a_lost_run_that_its_node_still_names_keeps_the_slot() {
    let mut scene = started();
    scene.pass_ms(LEASE_TTL_MS);
    scene.settle();
    scene.beat("a-1", &[("t1", 1)]);
    assert_eq!(scene.submit("t2", "node:a"), ["t2 submitted", "t2 queued"]);
    let done = report("t1", 1, "a-1", Verdict::Succeeded);
    check(&mut scene, &done, Ok(&["t1 succeeded at 1", "t2 assigned to a at 1"]));
}

#[test]
fn a_node_that_went_silent_is_offered_nothing_until_it_speaks() {
    let mut patient = super::harness::agent("a", 1);
    patient.manifest.heartbeat_interval = Some(3600);
    let mut scene = Scene::new();
    scene.join(patient);
    scene.submit_idempotent("t1", "can:shell.exec");
    scene.submit("t2", "can:shell.exec");
    scene.start("t1", 1, "a-1");
    scene.tick();
    scene.pass_ms(LEASE_TTL_MS);
    assert_eq!(scene.settle(), ["t1 lost at 1", "t1 queued"]);
    scene.beat("a-1", &[]);
    assert_eq!(scene.settle(), ["t1 assigned to a at 2"]);
}

#[test]
fn a_node_that_says_that_a_run_is_lost_is_offered_the_next_task_at_once() {
    let mut scene = started();
    scene.submit("t2", "node:a");
    let lost = report("t1", 1, "a-2", Verdict::Lost);
    check(&mut scene, &lost, Ok(&["t1 lost at 1", "t2 assigned to a at 1"]));
}

#[test]
fn a_second_run_has_a_lease_of_its_own() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit_idempotent("t1", "can:shell.exec");
    scene.start("t1", 1, "a-1");
    scene.tick();
    scene.join(super::harness::agent("b", 1));
    scene.pass_ms(LEASE_TTL_MS - 1);
    scene.beat("b-1", &[]);
    scene.pass_ms(1);
    let lose = Command::DeclareLost { task: task_id("t1"), epoch: 1 };
    check(&mut scene, &lose, Ok(&["t1 lost at 1", "t1 assigned to b at 2"]));
    assert_eq!(scene.start("t1", 2, "b-1"), "go");
    scene.tick();
    scene.pass_ms(LEASE_TTL_MS - 1);
    assert_eq!(scene.settle(), Vec::<String>::new());
    scene.pass_ms(1);
    assert_eq!(scene.settle()[0], "t1 lost at 2");
}
