//! What is said again until somebody hears it.

use schemas::{ErrorCode, task::Verdict};

use super::harness::{Scene, agent, cancel, refuse, report};
use crate::limits::REMIND_MS;

#[test]
fn an_offer_is_repeated_ever_more_rarely_until_the_node_asks_to_start() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.tick();
    scene.sent();
    let mut offers = Vec::new();
    for second in 1..=30 {
        scene.pass_ms(REMIND_MS);
        if !scene.sent().is_empty() {
            offers.push(second);
        }
    }
    assert_eq!(offers, [1, 3, 7, 15, 30]);
    scene.start("t1", 1, "a-1");
    scene.pass_ms(60_000);
    assert_eq!(scene.sent(), Vec::<String>::new());
}

#[test]
fn a_cancel_is_repeated_until_the_run_has_ended() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.start("t1", 1, "a-1");
    scene.decide(&cancel("t1", "ann")).unwrap();
    scene.tick();
    scene.sent();
    scene.pass_ms(REMIND_MS);
    assert_eq!(scene.sent(), ["cancel t1 1 at a"]);
    scene.decide(&report("t1", 1, "a-1", Verdict::Cancelled)).unwrap();
    scene.pass_ms(60_000);
    assert_eq!(scene.sent(), Vec::<String>::new());
}

#[test]
fn a_new_scheduler_says_again_what_may_not_have_been_heard() {
    let mut scene = Scene::with(&[("a", 3)]);
    for task in ["t1", "t2", "t3"] {
        scene.submit(task, "node:a");
    }
    scene.start("t2", 1, "a-1");
    scene.start("t3", 1, "a-1");
    scene.decide(&cancel("t3", "ann")).unwrap();
    scene.restart();
    assert_eq!(scene.sent(), ["offer t1 1 to a", "cancel t3 1 at a"]);
    scene.tick();
    scene.pass_ms(REMIND_MS);
    assert_eq!(scene.sent(), ["offer t1 1 to a", "cancel t3 1 at a"]);
}

#[test]
fn a_node_that_names_a_cancelled_run_is_told_to_end_it_once_a_while() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.decide(&cancel("t1", "ann")).unwrap();
    scene.sent();
    for _ in 0..3 {
        scene.beat("a-1", &[("t1", 1)]);
        scene.pass_ms(REMIND_MS);
    }
    assert_eq!(scene.sent(), ["cancel t1 1 at a"]);
}

#[test]
fn a_run_that_goes_on_elsewhere_is_told_to_end() {
    let mut scene = Scene::with(&[("a", 1), ("b", 1)]);
    scene.submit_idempotent("t1", "can:shell.exec");
    let first = scene.state.tasks.values().next().unwrap().view.node.clone().unwrap();
    let instance = format!("{first}-1");
    scene.start("t1", 1, &instance);
    scene.tick();
    let other = if first.as_str() == "a" { "b-1" } else { "a-1" };
    scene.pass_with_beats(30_000, &[(other, &[])]);
    scene.settle();
    scene.sent();
    assert_eq!(scene.start("t1", 2, other), "go");
    scene.beat(&instance, &[("t1", 1)]);
    scene.tick();
    assert_eq!(scene.sent(), Vec::<String>::new());
    scene.pass_ms(REMIND_MS);
    assert_eq!(scene.sent(), [format!("cancel t1 1 at {first}")]);
}

#[test]
fn a_new_assignment_is_repeated_in_place_of_the_old_one() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "can:shell.exec");
    scene.tick();
    scene.join(agent("b", 1));
    scene.decide(&refuse("t1", 1, "a-1", ErrorCode::JournalFailed)).unwrap();
    scene.tick();
    scene.sent();
    scene.pass_ms(REMIND_MS);
    assert_eq!(scene.sent(), ["offer t1 2 to b"]);
}
