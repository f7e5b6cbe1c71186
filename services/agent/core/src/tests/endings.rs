//! Ends of runs: recorded, reported until answered, cancelled, drained.

use std::time::Duration;

use schemas::{ErrorCode, Fault, agent::CancelOrder, task::Verdict};

use super::fixture::{
    after, asking, check, check_at, ended, facts, id, node, on_disk, outcome, reporting, run_key,
    running, settled, task, unreachable,
};
use crate::{Action, Input, RecordKind};

fn cancel() -> Input {
    Input::Cancel(CancelOrder { task: task(1), epoch: 1, by: id("alice") })
}

fn drain() -> Input {
    Input::Drain(Duration::from_secs(30))
}

#[test]
fn an_outcome_is_on_disk_before_it_is_reported() {
    let key = run_key(1, 1);
    let mut node = node();
    let end = ended(&key, Verdict::Succeeded);
    check(&mut node, running(&key, 1), end, &["write ended 1 Succeeded"]);
    check(&mut node, vec![], on_disk(&key, RecordKind::Ended), &["report 1 Succeeded"]);
}

#[test]
fn a_report_is_repeated_until_it_is_answered_and_then_settled() {
    let key = run_key(1, 1);
    let mut node = node();
    check(&mut node, reporting(&key, 1), Input::ReportFailed(key.clone(), unreachable()), &[]);
    check_at(&mut node, vec![], (Input::Tick, after(1)), &["report 1 Succeeded"]);
    check(&mut node, vec![], Input::ReportAnswered(key.clone()), &["write settled 1"]);
    check(&mut node, vec![], Input::ReportAnswered(key), &[]);
    assert_eq!(node.next_wake(), None);
}

#[test]
fn an_unreported_outcome_is_never_given_up() {
    let key = run_key(1, 1);
    let mut node = node();
    check(&mut node, reporting(&key, 1), Input::Tick, &[]);
    for seconds in 1..1000 {
        let denied = Fault::new(ErrorCode::PermissionDenied, "denied");
        drop(node.step(Input::ReportFailed(key.clone(), denied), &after(seconds * 10)));
        let again = node.step(Input::Tick, &after(seconds * 10 + 6));
        assert!(matches!(again.as_slice(), [Action::Report(_)]), "{again:?}");
    }
}

#[test]
fn a_report_that_the_scheduler_does_not_want_is_settled() {
    let key = run_key(1, 1);
    let stale = Fault::new(ErrorCode::StaleEpoch, "given to somebody else");
    let failed = Input::ReportFailed(key.clone(), stale);
    check(&mut node(), reporting(&key, 1), failed, &["write settled 1"]);
}

#[test]
fn a_cancel_ends_the_run_once_and_its_end_is_reported() {
    let key = run_key(1, 1);
    let mut node = node();
    check(&mut node, running(&key, 1), cancel(), &["kill 1"]);
    check(&mut node, vec![], cancel(), &[]);
    check(&mut node, vec![], ended(&key, Verdict::Cancelled), &["write ended 1 Cancelled"]);
}

#[test]
fn a_cancel_of_what_has_ended_changes_nothing() {
    check(&mut node(), reporting(&run_key(1, 1), 1), cancel(), &[]);
    check(&mut node(), settled(&run_key(1, 1), 1), cancel(), &[]);
}

#[test]
fn a_stopping_node_lets_runs_end_and_then_ends_them() {
    let key = run_key(1, 1);
    let mut node = node();
    check(&mut node, running(&key, 1), drain(), &[]);
    assert!(!node.is_drained() && node.presence().draining);
    assert_eq!(node.next_wake(), Some(Duration::from_secs(30)));
    check_at(&mut node, vec![], (Input::Tick, after(29)), &[]);
    check_at(&mut node, vec![], (Input::Tick, after(30)), &["kill 1"]);
    let actions = node.step(ended(&key, Verdict::Cancelled), &after(31));
    let [Action::Write(crate::Record::Ended { outcome, .. })] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!(outcome.fault.as_ref().map(|fault| fault.code), Some(ErrorCode::NodeDraining));
    check(&mut node, vec![], on_disk(&key, RecordKind::Ended), &["report 1 Cancelled"]);
    assert!(!node.is_drained());
    check(&mut node, vec![], Input::ReportAnswered(key), &["write settled 1"]);
    assert!(node.is_drained());
}

#[test]
fn a_stopping_node_does_not_wait_for_a_scheduler_that_is_away() {
    let key = run_key(1, 1);
    let mut node = node();
    check(&mut node, reporting(&key, 1), drain(), &[]);
    let failed = || Input::ReportFailed(key.clone(), unreachable());
    check(&mut node, vec![], failed(), &[]);
    assert!(!node.is_drained());
    check_at(&mut node, vec![], (Input::Tick, after(1)), &["report 1 Succeeded"]);
    check(&mut node, vec![], failed(), &[]);
    assert!(node.is_drained());
    assert_eq!(node.carry_over().len(), 4, "term, accepted, started and ended stay on record");
}

#[test]
fn an_idle_node_is_drained_at_once() {
    let mut node = node();
    assert!(!node.is_drained());
    check(&mut node, vec![], drain(), &[]);
    assert!(node.is_drained());
}

#[test]
fn an_outcome_that_cannot_be_recorded_is_still_reported() {
    let key = run_key(1, 1);
    let failed = || Input::JournalFailed("no space left".to_owned());
    let past = [running(&key, 1), vec![ended(&key, Verdict::Succeeded)]].concat();
    check(&mut node(), past, failed(), &["report 1 Succeeded"]);
    let mut node = node();
    let past = [running(&key, 1), vec![failed()]].concat();
    check(&mut node, past, ended(&key, Verdict::Succeeded), &["report 1 Succeeded"]);
    check(&mut node, vec![], Input::ReportAnswered(key), &[]);
}

#[test]
fn failures_are_counted() {
    let (first, second) = (run_key(1, 1), run_key(2, 1));
    let mut node = node();
    let past = [running(&first, 1), running(&second, 2), vec![ended(&first, Verdict::Failed)]];
    check(&mut node, past.concat(), ended(&second, Verdict::TimedOut), &["write ended 1 TimedOut"]);
    assert_eq!(node.presence().tasks_failed, 2);
}

#[test]
fn an_end_that_nobody_waits_for_changes_nothing() {
    let key = run_key(1, 1);
    check(&mut node(), asking(&key, 1), ended(&key, Verdict::Succeeded), &[]);
    let mut node = node();
    let twice = Input::Ended(key.clone(), Box::new(outcome(Verdict::Failed)));
    let past = [running(&key, 1), vec![ended(&key, Verdict::Succeeded)]].concat();
    check_at(&mut node, past, (twice, facts()), &[]);
}

#[test]
fn a_healed_journal_holds_what_could_not_be_recorded_meanwhile() {
    let key = run_key(1, 1);
    let mut node = node();
    let failed = Input::JournalFailed("no space left".to_owned());
    let past = [running(&key, 1), vec![failed, ended(&key, Verdict::Succeeded)]].concat();
    check(&mut node, past, Input::JournalHealed, &[]);
    assert_eq!(node.presence().complaint, None);
    let (_, actions) =
        crate::Node::recover(super::fixture::profile("i2"), node.carry_over(), &facts());
    assert_eq!(super::fixture::shown(&actions), ["report 1 Succeeded"]);
}

#[test]
fn a_stopping_node_gives_back_what_it_has_not_started() {
    let (first, second) = (run_key(1, 1), run_key(2, 1));
    let mut node = node();
    let past = [asking(&first, 1), vec![super::fixture::offer(2, 1)]].concat();
    check(&mut node, past, drain(), &["refuse 1 NODE_DRAINING", "refuse 1 NODE_DRAINING"]);
    check(&mut node, vec![], super::fixture::go(&first, 1), &[]);
    assert!(!node.is_drained(), "the refusals are not answered");
    let answered = vec![Input::RefusalAnswered(first)];
    check(&mut node, answered, Input::RefusalAnswered(second), &[]);
    assert!(node.is_drained());
}
