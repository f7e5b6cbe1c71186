//! The claim that makes a task run at most once.

use schemas::{
    ErrorCode,
    scheduler::StartDecision,
    task::{TaskState, Verdict},
};

use super::harness::{HOUR_MS, Scene, cancel, check, refuse, report, report_unrun, run};
use crate::{Answer, Command, limits::LEASE_TTL_MS};

#[test]
fn a_go_is_committed_anew_each_time_the_same_instance_asks() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    for ask in 1..3 {
        let when = Command::Start { run: run("t1", 1, "a-1"), ask };
        let (events, answer) = scene.decide(&when).unwrap();
        assert_eq!(events, ["t1 started by a-1 at 1"]);
        let Answer::Start(answer) = answer else { panic!("{answer:?}") };
        assert_eq!((answer.ask, answer.term), (ask, scene.moment.term));
        assert_eq!(answer.decision, StartDecision::Go {});
    }
}

#[test]
fn another_instance_of_the_node_never_gets_a_go_for_the_same_epoch() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    assert_eq!(scene.start("t1", 1, "a-1"), "go");
    assert_eq!(scene.start("t1", 1, "a-2"), "NOT_THE_RUNNER");
    assert_eq!(scene.start("t1", 1, "a-1"), "go");
}

#[test]
fn nothing_starts_after_its_request_expired() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.pass_ms(HOUR_MS);
    let ask = Command::Start { run: run("t1", 1, "a-1"), ask: 1 };
    check(&mut scene, &ask, Ok(&["t1 expired at 1"]));
}

#[test]
fn a_finished_task_tells_whoever_asks_to_stand_down() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.start("t1", 1, "a-1");
    scene.decide(&report("t1", 1, "a-1", Verdict::Succeeded)).unwrap();
    assert_eq!(scene.start("t1", 1, "a-1"), "TASK_FINISHED");
}

#[test]
fn only_the_instance_that_was_told_to_run_may_say_that_nothing_ran() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.start("t1", 1, "a-1");
    let others = [
        refuse("t1", 1, "a-2", ErrorCode::NodeDraining),
        report_unrun("t1", 1, "a-2", Verdict::Failed),
    ];
    for command in others {
        check(&mut scene, &command, Err(ErrorCode::NotTheRunner));
    }
    let own = refuse("t1", 1, "a-1", ErrorCode::NodeDraining);
    check(&mut scene, &own, Ok(&["t1 refused by a at 1", "t1 queued"]));
}

#[test]
fn another_instance_may_deliver_what_the_journal_says() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.start("t1", 1, "a-1");
    let done = report("t1", 1, "a-2", Verdict::Failed);
    check(&mut scene, &done, Ok(&["t1 failed at 1"]));
}

#[test]
fn a_report_on_an_old_epoch_changes_nothing() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.decide(&refuse("t1", 1, "a-1", ErrorCode::NodeBusy)).unwrap();
    scene.pass_ms(1000);
    assert_eq!(scene.settle(), ["t1 assigned to a at 2"]);
    scene.start("t1", 2, "a-1");
    for verdict in [Verdict::Succeeded, Verdict::Lost] {
        let (events, answer) = scene.decide(&report("t1", 1, "a-1", verdict)).unwrap();
        let Answer::Reported(answer) = answer else { panic!("{answer:?}") };
        assert_eq!((events, answer.counted), (Vec::new(), false));
    }
}

#[test]
fn whoever_asks_again_after_a_cancel_has_not_run_and_the_task_ends() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.start_again("t1", 1, "a-1", 3);
    scene.decide(&cancel("t1", "ann")).unwrap();
    // A request that was overtaken by the go proves nothing.
    assert_eq!(scene.start_again("t1", 1, "a-1", 3), "TASK_FINISHED");
    assert_eq!(scene.state_of("t1"), TaskState::Started);
    assert_eq!(scene.start_again("t1", 1, "a-1", 4), "TASK_FINISHED");
    assert_eq!(scene.state_of("t1"), TaskState::Cancelled);
}

#[test]
fn whoever_asks_again_after_its_lease_has_not_run_and_the_task_goes_on() {
    let mut scene = Scene::with(&[("a", 1)]);
    scene.submit("t1", "node:a");
    scene.start_again("t1", 1, "a-1", 3);
    scene.tick();
    scene.pass_ms(LEASE_TTL_MS);
    assert_eq!(scene.settle(), ["t1 lost at 1"]);
    assert_eq!(scene.start_again("t1", 1, "a-1", 3), "STALE_EPOCH");
    assert_eq!(scene.start_again("t1", 1, "a-2", 4), "STALE_EPOCH");
    assert_eq!(scene.state_of("t1"), TaskState::Lost);
    let again = Command::Start { run: run("t1", 1, "a-1"), ask: 4 };
    check(&mut scene, &again, Ok(&["t1 refused by a at 1", "t1 queued"]));
    scene.pass_with_beats(10_000, &[("a-1", &[])]);
    assert_eq!(scene.settle(), ["t1 assigned to a at 2"]);
}
