//! Asking to start: which go counts, and what a cancel does before it.

use std::time::Duration;

use schemas::{
    ErrorCode, Fault, InstanceId,
    agent::CancelOrder,
    scheduler::{StartAnswer, StartDecision},
};

use super::fixture::{
    after, answer, asking, check, check_at, committing, facts_at, go, id, node, offer, on_disk,
    run_key, stand_down, task, unreachable,
};
use crate::{Input, RecordKind};

fn cancel(epoch: u64) -> Input {
    Input::Cancel(CancelOrder { task: task(1), epoch, by: id("alice") })
}

#[test]
fn the_start_is_asked_when_the_record_is_on_disk() {
    let key = run_key(1, 1);
    check(&mut node(), vec![offer(1, 1)], on_disk(&key, RecordKind::Accepted), &["ask 1 try 1"]);
}

#[test]
fn a_go_is_recorded_before_the_run_begins() {
    let key = run_key(1, 1);
    check(&mut node(), asking(&key, 1), go(&key, 1), &["write started 1"]);
    check(&mut node(), committing(&key, 1), on_disk(&key, RecordKind::Started), &["run 1"]);
}

#[test]
fn a_go_counts_once() {
    let key = run_key(1, 1);
    check(&mut node(), committing(&key, 1), go(&key, 1), &[]);
}

#[test]
fn a_record_that_is_reported_twice_does_not_run_twice() {
    let key = run_key(1, 1);
    let past = [committing(&key, 1), vec![on_disk(&key, RecordKind::Started)]].concat();
    check(&mut node(), past, on_disk(&key, RecordKind::Started), &[]);
}

#[test]
fn a_go_for_an_earlier_request_is_not_obeyed() {
    let key = run_key(1, 1);
    let failed = Input::StartFailed(key.clone(), 1, unreachable());
    let past = [asking(&key, 1), vec![failed, offer(1, 1)]].concat();
    check(&mut node(), past.clone(), go(&key, 1), &[]);
    check(&mut node(), past, go(&key, 2), &["write started 1"]);
}

#[test]
fn a_go_that_comes_while_no_request_is_under_way_is_not_obeyed() {
    let key = run_key(1, 1);
    let failed = Input::StartFailed(key.clone(), 1, unreachable());
    let past = [asking(&key, 1), vec![failed]].concat();
    check(&mut node(), past, go(&key, 1), &[]);
}

#[test]
fn a_go_for_another_instance_is_not_obeyed() {
    let key = run_key(1, 1);
    let other = Input::StartAnswered(StartAnswer {
        task: task(1),
        epoch: 1,
        instance: InstanceId::parse("i0").unwrap(),
        ask: 1,
        term: 5,
        decision: StartDecision::Go {},
    });
    check(&mut node(), asking(&key, 1), other, &[]);
}

#[test]
fn a_go_later_than_its_time_makes_the_node_ask_again() {
    let key = run_key(1, 1);
    let past = || asking(&key, 1);
    check_at(&mut node(), past(), (go(&key, 1), after(10)), &["write started 1"]);
    let late = facts_at(Duration::from_millis(10_001));
    check_at(&mut node(), past(), (go(&key, 1), late), &["ask 1 try 2"]);
}

#[test]
fn a_request_without_an_answer_is_repeated_when_its_go_could_not_count_any_more() {
    let key = run_key(1, 1);
    let mut node = node();
    check_at(&mut node, asking(&key, 1), (Input::Tick, after(9)), &[]);
    assert_eq!(node.next_wake(), Some(Duration::from_secs(10)));
    check_at(&mut node, vec![], (Input::Tick, after(10)), &["ask 1 try 2"]);
    check_at(&mut node, vec![], (go(&key, 1), after(11)), &[]);
    check_at(&mut node, vec![], (go(&key, 2), after(12)), &["write started 1"]);
}

#[test]
fn a_failed_request_is_repeated_with_growing_pauses() {
    let key = run_key(1, 1);
    let mut node = node();
    check(&mut node, asking(&key, 1), Input::Tick, &[]);
    let (mut at, mut pauses) = (Duration::ZERO, Vec::new());
    for ask in 1..=12 {
        let failed = Input::StartFailed(key.clone(), ask, unreachable());
        check_at(&mut node, vec![], (failed, facts_at(at)), &[]);
        let due = node.next_wake().unwrap();
        pauses.push(due - at);
        at = due;
        let expected = format!("ask 1 try {}", ask + 1);
        check_at(&mut node, vec![], (Input::Tick, facts_at(at)), &[&expected]);
    }
    assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]), "{pauses:?}");
    assert!(pauses[11] <= Duration::from_secs(2), "{pauses:?}");
}

#[test]
fn a_reconnected_node_asks_at_once() {
    let key = run_key(1, 1);
    let failed = Input::StartFailed(key.clone(), 1, unreachable());
    let past = [asking(&key, 1), vec![failed]].concat();
    check(&mut node(), past, Input::Reconnected, &["ask 1 try 2"]);
}

#[test]
fn a_go_from_a_lower_term_is_not_obeyed_and_the_present_writer_is_asked() {
    let (first, second) = (run_key(1, 1), run_key(2, 1));
    let high = answer(&first, 1, 8, StartDecision::Go {});
    let past = [asking(&first, 1), vec![high], asking(&second, 2)].concat();
    let mut node = node();
    check(&mut node, past, answer(&second, 1, 7, StartDecision::Go {}), &[]);
    check_at(&mut node, vec![], (Input::Tick, after(1)), &["ask 1 try 2"]);
    let equal = answer(&second, 2, 8, StartDecision::Go {});
    check_at(&mut node, vec![], (equal, after(1)), &["write started 1"]);
}

#[test]
fn a_stand_down_of_a_higher_term_does_not_raise_the_bar_for_gos() {
    let (first, second) = (run_key(1, 1), run_key(2, 1));
    let down = StartDecision::StandDown { code: ErrorCode::StaleEpoch };
    let past = [asking(&first, 1), vec![answer(&first, 1, 9, down)], asking(&second, 2)].concat();
    check(&mut node(), past, go(&second, 1), &["write started 1"]);
}

#[test]
fn a_stand_down_forgets_the_task() {
    let key = run_key(1, 1);
    let mut node = node();
    check(&mut node, asking(&key, 1), stand_down(&key, 1), &["write dropped 1 STALE_EPOCH"]);
    assert_eq!(node.presence().running, vec![]);
}

#[test]
fn a_scheduler_that_does_not_know_the_task_ends_the_asking() {
    let key = run_key(1, 1);
    let gone = Fault::new(ErrorCode::TaskNotFound, "no such task");
    let failed = Input::StartFailed(key.clone(), 1, gone);
    check(&mut node(), asking(&key, 1), failed, &["write dropped 1 TASK_NOT_FOUND"]);
}

#[test]
fn a_cancel_heard_before_the_go_wins() {
    let key = run_key(1, 1);
    let mut node = node();
    check(&mut node, asking(&key, 1), cancel(1), &["write ended 1 Cancelled"]);
    check(&mut node, vec![], go(&key, 1), &[]);
    check(&mut node, vec![], on_disk(&key, RecordKind::Ended), &["report 1 Cancelled"]);
}

#[test]
fn a_cancel_heard_between_go_and_run_wins() {
    let key = run_key(1, 1);
    let mut node = node();
    check(&mut node, committing(&key, 1), cancel(1), &["write ended 1 Cancelled"]);
    check(&mut node, vec![], on_disk(&key, RecordKind::Started), &[]);
    check(&mut node, vec![], on_disk(&key, RecordKind::Ended), &["report 1 Cancelled"]);
}

#[test]
fn a_cancel_heard_before_the_record_is_on_disk_wins() {
    let key = run_key(1, 1);
    let mut node = node();
    check(&mut node, vec![offer(1, 1)], cancel(1), &["write ended 1 Cancelled"]);
    check(&mut node, vec![], on_disk(&key, RecordKind::Accepted), &[]);
}

#[test]
fn a_cancel_of_an_older_epoch_changes_nothing() {
    let key = run_key(1, 2);
    check(&mut node(), asking(&key, 1), cancel(1), &[]);
}

#[test]
fn awaited_gos_are_named_in_heartbeats() {
    let key = run_key(1, 1);
    let mut node = node();
    check(&mut node, asking(&key, 1), Input::Tick, &[]);
    assert_eq!(node.presence().running, vec![key]);
}

#[test]
fn what_cannot_be_recorded_is_not_run() {
    let key = run_key(1, 1);
    let failed = || Input::JournalFailed("no space left".to_owned());
    let mut refused = node();
    check(&mut refused, vec![offer(1, 1)], failed(), &["refuse 1 JOURNAL_FAILED"]);
    assert_eq!(refused.presence().running, vec![]);
    check(&mut node(), committing(&key, 1), failed(), &["refuse 1 JOURNAL_FAILED"]);
    let past = [asking(&key, 1), vec![failed()]].concat();
    check(&mut node(), past, go(&key, 1), &["refuse 1 JOURNAL_FAILED"]);
}

#[test]
fn a_stand_down_because_the_task_has_ended_is_answered_with_an_outcome() {
    // A go to this very instance may have been committed and lost, and then a cancel.
    let key = run_key(1, 1);
    let down = StartDecision::StandDown { code: ErrorCode::TaskFinished };
    let mut node = node();
    check(&mut node, asking(&key, 1), answer(&key, 1, 5, down), &["write ended 1 Cancelled"]);
    check(&mut node, vec![], on_disk(&key, RecordKind::Ended), &["report 1 Cancelled"]);
}
