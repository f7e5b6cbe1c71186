//! What is forgotten, when, and what that leaves in the buckets.

use schemas::{ErrorCode, task::Verdict};

use super::harness::{BEGIN_MS, HOUR_MS, Scene, cancel, check, report, submit, task_id};
use crate::{
    Answer, Question,
    limits::{FINISHED_KEPT_MS, HISTORY_KEPT_MS, LONG_LIVES_PER_ISSUER_MAX},
};

fn finished() -> Scene {
    let mut scene = Scene::with(&[("a", 4)]);
    scene.submit("t1", "node:a");
    scene.start("t1", 1, "a-1");
    scene.decide(&report("t1", 1, "a-1", Verdict::Succeeded)).unwrap();
    scene
}

#[test]
fn a_finished_task_is_answered_from_memory_first_and_from_the_bucket_later() {
    let mut scene = finished();
    let get = Question::GetTask(task_id("t1"));
    assert!(matches!(scene.ask(&get), Ok(Answer::Task(_))));
    scene.pass_ms(FINISHED_KEPT_MS);
    scene.submit("t2", "node:a");
    assert!(matches!(scene.ask(&get), Ok(Answer::Kept(_))));
    scene.pass_ms(HISTORY_KEPT_MS);
    scene.submit("t3", "node:a");
    assert_eq!(scene.ask(&get), Err(ErrorCode::TaskNotFound));
    scene.submit("t4", "node:a");
    assert_eq!(scene.evicted, [task_id("t1")]);
}

#[test]
fn the_signed_request_is_dropped_when_the_task_has_ended() {
    let scene = finished();
    assert_eq!(scene.state.task(&task_id("t1")).unwrap().envelope, None);
}

#[test]
fn reports_on_tasks_of_the_history_are_answered_and_do_not_count() {
    let mut scene = finished();
    scene.pass_ms(FINISHED_KEPT_MS);
    scene.submit("t2", "node:a");
    check(&mut scene, &report("t1", 1, "a-1", Verdict::Failed), Ok(&[]));
    assert_eq!(scene.start("t1", 1, "a-1"), "TASK_FINISHED");
    check(&mut scene, &cancel("t1", "ann"), Err(ErrorCode::TaskFinished));
}

#[test]
fn an_issuer_may_have_only_so_many_long_lived_requests() {
    let mut scene = Scene::new();
    let spec = || schemas::task::TaskSpec::new(schemas::task::Work::Echo { text: String::new() });
    let long =
        |task: &str, now_ms: u64| submit(task, "can:shell.exec", spec(), now_ms + 3 * HOUR_MS);
    let lives = (0..LONG_LIVES_PER_ISSUER_MAX as u64)
        .map(|n| (BEGIN_MS + 3 * HOUR_MS, task_id(&format!("x{n}"))));
    scene.state.long_lives.insert(super::harness::principal("ann"), lives.collect());
    check(&mut scene, &long("t1", BEGIN_MS), Err(ErrorCode::LifetimeTooLong));
    scene.submit("t2", "can:shell.exec");
    scene.pass_ms(3 * HOUR_MS);
    let now_ms = scene.moment.now_ms;
    check(&mut scene, &long("t1", now_ms), Ok(&["t1 submitted", "t1 queued"]));
    assert_eq!(scene.state.long_lives.values().next().unwrap().len(), 1);
}
