//! The interleavings that the log and the start protocol must survive, by their numbers in the
//! protocol's review.

use schemas::{
    ErrorCode,
    task::{TaskSpec, TaskState, Verdict, Work},
};

use super::harness::{
    BEGIN_MS, HOUR_MS, Scene, cancel, check, refuse, report, report_unrun, submit, task_id,
};
use crate::{Answer, Command, limits::LEASE_TTL_MS};

/// 5: a request that lives long runs, leaves the buckets, and is submitted again.
#[test]
fn case_5_a_long_lived_request_runs_once_however_late_it_is_submitted_again() {
    let mut scene = Scene::with(&[("a", 1)]);
    let spec = TaskSpec::new(Work::Echo { text: String::new() });
    let request = submit("t1", "node:a", spec, BEGIN_MS + 30 * 24 * HOUR_MS);
    scene.decide(&request).unwrap();
    scene.start("t1", 1, "a-1");
    scene.decide(&report("t1", 1, "a-1", Verdict::Succeeded)).unwrap();
    for day in 1..30 {
        scene.pass_ms(24 * HOUR_MS);
        scene.beat("a-1", &[]);
        let other = format!("filler-{day}");
        scene.submit(&other, "node:a");
        scene.decide(&cancel(&other, "ann")).unwrap();
        let (events, answer) = scene.decide(&request).unwrap();
        let Answer::Submitted(answer) = answer else { panic!("{answer:?}") };
        assert_eq!((events.len(), answer.state), (0, TaskState::Succeeded), "day {day}");
    }
    assert!(scene.state.spent.contains_key(&task_id("t1")));
    scene.pass_ms(24 * HOUR_MS);
    scene.submit("later", "node:a");
    assert!(scene.state.known(&task_id("t1")).is_none());
    check(&mut scene, &request, Err(ErrorCode::Expired));
}

/// 5: the wall clock goes back behind the time of the newest event.
#[test]
fn case_5_a_clock_that_goes_back_revives_no_forgotten_request() {
    let mut scene = Scene::with(&[("a", 1)]);
    let request = scene.submission("t1", "node:a");
    scene.decide(&request).unwrap();
    scene.decide(&cancel("t1", "ann")).unwrap();
    for step in 0..9 {
        scene.pass_ms(24 * HOUR_MS);
        scene.submit(&format!("filler-{step}"), "node:a");
    }
    assert!(scene.state.known(&task_id("t1")).is_none());
    scene.moment.now_ms = BEGIN_MS;
    check(&mut scene, &request, Err(ErrorCode::Expired));
}

/// 6: the disk of a running node is copied, and the copy boots.
#[test]
fn case_6_a_clone_that_proves_that_nothing_ran_frees_nothing() {
    let mut scene = Scene::with(&[("a", 1), ("b", 1)]);
    scene.submit_idempotent("t1", "can:shell.exec");
    let view = scene.state.task(&task_id("t1")).unwrap().view.clone();
    let (original, clone) = match view.node.unwrap().as_str() {
        "a" => ("a-1", "a-2"),
        _ => ("b-1", "b-2"),
    };
    assert_eq!(scene.start("t1", 1, original), "go");
    let clone_says = [
        refuse("t1", 1, clone, ErrorCode::NodeDraining),
        report_unrun("t1", 1, clone, Verdict::Cancelled),
    ];
    for command in clone_says {
        check(&mut scene, &command, Err(ErrorCode::NotTheRunner));
    }
    assert_eq!(scene.start("t1", 1, clone), "NOT_THE_RUNNER");
    assert_eq!(scene.state_of("t1"), TaskState::Started);
}

/// 7a: the writer that granted the go dies before it answers; its successor has another term.
#[test]
fn case_7a_the_go_is_given_anew_in_the_term_of_whoever_answers() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    assert_eq!(scene.start("t1", 1, "a-1"), "go");
    scene.restart();
    let ask = Command::Start { run: super::harness::run("t1", 1, "a-1"), ask: 2 };
    let (events, answer) = scene.decide(&ask).unwrap();
    let Answer::Start(answer) = answer else { panic!("{answer:?}") };
    assert_eq!((answer.term, answer.ask), (8, 2));
    assert_eq!(events, ["t1 started by a-1 at 1"]);
}

/// 7b: a cancel was committed between the go and its repetition.
#[test]
fn case_7b_a_cancelled_task_gets_no_second_go() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.start("t1", 1, "a-1");
    scene.decide(&cancel("t1", "ann")).unwrap();
    scene.restart();
    assert_eq!(scene.sent(), ["cancel t1 1 at a"]);
    assert_eq!(scene.start("t1", 1, "a-1"), "TASK_FINISHED");
}

/// 7c: the go comes so late that the task was given up and cancelled meanwhile.
#[test]
fn case_7c_a_task_that_was_given_up_gets_no_go_for_its_old_epoch() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.start("t1", 1, "a-1");
    scene.tick();
    scene.pass_ms(LEASE_TTL_MS * 2);
    assert_eq!(scene.settle(), ["t1 lost at 1"]);
    assert_eq!(scene.start("t1", 1, "a-1"), "STALE_EPOCH");
    scene.decide(&cancel("t1", "ann")).unwrap();
    assert_eq!(scene.start("t1", 1, "a-1"), "STALE_EPOCH");
}

/// 8a: the go is lost and the node forgets the task, yet goes on beating.
#[test]
fn case_8a_a_node_that_beats_but_forgot_the_task_does_not_keep_it_for_ever() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.start("t1", 1, "a-1");
    scene.tick();
    scene.pass_with_beats(LEASE_TTL_MS, &[("a-1", &[])]);
    assert_eq!(scene.settle(), ["t1 lost at 1"]);
}

/// 8b: the scheduler stands still for a minute with beats queued up.
#[test]
fn case_8b_a_pause_of_the_scheduler_loses_nothing() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.start("t1", 1, "a-1");
    scene.tick();
    scene.pass_wall_ms(60_000);
    scene.moment.lease_ms += 2_000;
    assert_eq!(scene.settle(), Vec::<String>::new());
    scene.pass_ms(LEASE_TTL_MS - 2_000);
    scene.beat("a-1", &[("t1", 1)]);
    assert_eq!(scene.settle(), Vec::<String>::new());
}

/// 8c: a partition; what the lost run may still hold is not given away.
#[test]
fn case_8c_a_lost_task_is_neither_run_again_nor_over_until_somebody_settles_it() {
    let mut scene = Scene::with(&[("a", 1), ("b", 1)]);
    scene.submit("t1", "can:shell.exec");
    let node = scene.state.task(&task_id("t1")).unwrap().view.node.clone().unwrap();
    let instance = format!("{node}-1");
    scene.start("t1", 1, &instance);
    scene.tick();
    scene.pass_ms(LEASE_TTL_MS);
    assert_eq!(scene.settle(), ["t1 lost at 1"]);
    scene.pass_with_beats(20 * LEASE_TTL_MS, &[("a-1", &[]), ("b-1", &[])]);
    assert_eq!(scene.settle(), Vec::<String>::new());
    assert_eq!(scene.state_of("t1"), TaskState::Lost);
    let late = report("t1", 1, &instance, Verdict::Failed);
    check(&mut scene, &late, Ok(&["t1 failed at 1"]));
}

/// "State shrinks by events or frame times, never by a clock."
#[test]
fn a_clock_alone_shrinks_nothing() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.decide(&cancel("t1", "ann")).unwrap();
    let before = scene.state.clone();
    scene.pass_ms(100 * 24 * HOUR_MS);
    assert_eq!(scene.settle(), Vec::<String>::new());
    assert_eq!(scene.state, before);
}
