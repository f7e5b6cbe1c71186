//! What a new process start makes of its journal.

use schemas::{
    ErrorCode, Fault, InstanceId,
    agent::CancelOrder,
    scheduler::{StartAnswer, StartDecision},
    task::Verdict,
};

use super::fixture::{
    after, asking, check, committing, facts, id, offer, on_disk, profile, reporting, run_key,
    running, settled, shown, task,
};
use crate::{Action, Input, Node, Record, RecordKind};

/// What a node that went through `past` has on disk, if every write reached it.
fn journal(past: Vec<Input>) -> Vec<Record> {
    let mut node = super::fixture::node();
    let steps = past.into_iter().flat_map(|input| node.step(input, &facts()));
    steps
        .filter_map(|action| match action {
            Action::Write(record) => Some(record),
            Action::AskStart(_)
            | Action::Run(_)
            | Action::Kill(_)
            | Action::Report(_)
            | Action::Refuse(_)
            | Action::AskRoster
            | Action::KeepRoster(_) => None,
        })
        .collect()
}

fn restart(journal: Vec<Record>, expected: &[&str]) -> Node {
    let (node, actions) = Node::recover(profile("i2"), journal, &facts());
    assert_eq!(shown(&actions), expected);
    node
}

fn answered(decision: StartDecision) -> Input {
    Input::StartAnswered(StartAnswer {
        task: task(1),
        epoch: 1,
        instance: InstanceId::parse("i2").unwrap(),
        ask: 1,
        term: 5,
        decision,
    })
}

#[test]
fn an_empty_journal_asks_for_nothing() {
    let node = restart(vec![], &[]);
    assert_eq!(node.presence().slots_free, 2);
}

#[test]
fn what_was_only_accepted_is_asked_for_again_and_may_run() {
    let key = run_key(1, 1);
    let mut node = restart(journal(asking(&key, 1)), &["ask 1 try 1"]);
    check(&mut node, vec![], answered(StartDecision::Go {}), &["write started 1"]);
    check(&mut node, vec![], on_disk(&key, RecordKind::Started), &["run 1"]);
}

#[test]
fn what_was_accepted_and_is_not_to_run_is_reported_as_lost_and_never_as_not_run() {
    let key = run_key(1, 1);
    let mut node = restart(journal(asking(&key, 1)), &["ask 1 try 1"]);
    let down = StartDecision::StandDown { code: ErrorCode::NotTheRunner };
    check(&mut node, vec![], answered(down), &["write ended 1 Lost"]);
    check(&mut node, vec![], on_disk(&key, RecordKind::Ended), &["report 1 Lost"]);
}

#[test]
fn what_was_accepted_and_is_cancelled_is_reported_as_lost() {
    let mut node = restart(journal(asking(&run_key(1, 1), 1)), &["ask 1 try 1"]);
    let order = CancelOrder { task: task(1), epoch: 1, by: id("alice") };
    check(&mut node, vec![], Input::Cancel(order), &["write ended 1 Lost"]);
}

#[test]
fn what_was_accepted_and_is_forgotten_by_the_scheduler_is_dropped() {
    let key = run_key(1, 1);
    let mut node = restart(journal(asking(&key, 1)), &["ask 1 try 1"]);
    let gone = Fault::new(ErrorCode::TaskNotFound, "no such task");
    let failed = Input::StartFailed(key, 1, gone);
    check(&mut node, vec![], failed, &["write dropped 1 TASK_NOT_FOUND"]);
}

#[test]
fn what_was_started_without_an_end_is_lost_with_what_is_known() {
    let key = run_key(1, 1);
    let (mut node, actions) =
        Node::recover(profile("i2"), journal(committing(&key, 1)), &after(60));
    let [Action::Write(Record::Ended { outcome, .. })] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!(outcome.verdict, Verdict::Lost);
    assert_eq!(outcome.started_at, Some(facts().wall));
    assert_eq!(outcome.ended_at, after(60).wall);
    assert_eq!(outcome.fault.as_ref().map(|fault| fault.code), Some(ErrorCode::RunInterrupted));
    check(&mut node, vec![], on_disk(&key, RecordKind::Ended), &["report 1 Lost"]);
}

#[test]
fn what_was_started_never_runs_again() {
    let key = run_key(1, 1);
    let mut node = restart(journal(running(&key, 1)), &["write ended 1 Lost"]);
    check(&mut node, vec![], offer(1, 1), &[]);
    let past = vec![on_disk(&key, RecordKind::Ended), Input::ReportAnswered(key)];
    check(&mut node, past, offer(1, 1), &[]);
}

#[test]
fn an_outcome_from_the_journal_is_reported_by_the_new_instance() {
    let (_, actions) =
        Node::recover(profile("i2"), journal(reporting(&run_key(1, 1), 1)), &facts());
    let [Action::Report(report)] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(report.outcome.verdict, Verdict::Succeeded);
    assert_eq!(report.instance.as_str(), "i2");
}

#[test]
fn a_loss_that_was_recorded_is_only_reported_again() {
    let mut node = restart(journal(running(&run_key(1, 1), 1)), &["write ended 1 Lost"]);
    let lost = node.carry_over();
    drop(node.step(Input::Tick, &facts()));
    restart(lost, &["report 1 Lost"]);
}

#[test]
fn what_was_settled_is_over_but_stays_used_up() {
    let mut node = restart(journal(settled(&run_key(1, 1), 1)), &[]);
    check(&mut node, vec![], offer(1, 1), &[]);
}

#[test]
fn terms_survive_a_restart() {
    let node = restart(journal(settled(&run_key(1, 1), 1)), &[]);
    assert_eq!(node.terms.get(&0), Some(&5));
}

#[test]
fn a_journal_that_was_carried_over_means_the_same() {
    let key = run_key(1, 1);
    for past in [asking(&key, 1), running(&key, 1), reporting(&key, 1), settled(&key, 1)] {
        let mut node = super::fixture::node();
        let written: Vec<Record> = journal(past.clone());
        for input in past {
            drop(node.step(input, &facts()));
        }
        let (original, first) = Node::recover(profile("i2"), written, &facts());
        let (carried, second) = Node::recover(profile("i2"), node.carry_over(), &facts());
        assert_eq!(first, second);
        assert_eq!(original.carry_over(), carried.carry_over());
    }
}

#[test]
fn recovered_tasks_hold_slots() {
    let past = [asking(&run_key(1, 1), 1), asking(&run_key(2, 1), 2)].concat();
    let mut node = restart(journal(past), &["ask 1 try 1", "ask 1 try 1"]);
    check(&mut node, vec![], offer(3, 1), &["refuse 1 NODE_BUSY"]);
}

#[test]
fn what_was_accepted_and_went_on_elsewhere_is_dropped() {
    for code in [ErrorCode::StaleEpoch, ErrorCode::TaskFinished, ErrorCode::Expired] {
        let mut node = restart(journal(asking(&run_key(1, 1), 1)), &["ask 1 try 1"]);
        let down = answered(StartDecision::StandDown { code });
        check(&mut node, vec![], down, &[&format!("write dropped 1 {code}")]);
    }
}

#[test]
fn that_nothing_ran_is_only_believed_of_the_instance_that_was_told_to_run() {
    let key = run_key(1, 1);
    let order = CancelOrder { task: task(1), epoch: 1, by: id("alice") };
    let past = [asking(&key, 1), vec![Input::Cancel(order)]].concat();
    let mut node = restart(journal(past), &["report 1 Cancelled"]);
    let fault = || Fault::new(ErrorCode::NotTheRunner, "another instance was told to run it");
    let refused = || Input::ReportFailed(key.clone(), fault());
    check(&mut node, vec![], refused(), &["report 1 Lost"]);
    check(&mut node, vec![], refused(), &["write settled 1"]);
}
