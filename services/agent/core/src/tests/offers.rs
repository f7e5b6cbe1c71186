//! Offers: repeated, outdated, newer, forged, and too many.

use std::time::Duration;

use schemas::{ErrorCode, agent::CancelOrder};

use super::fixture::{
    after, asking, check, check_at, committing, draft, go, id, node, offer, on_disk, reporting,
    run_key, running, settled, task, unreachable,
};
use crate::{Input, RecordKind};

fn cancel(number: u8, epoch: u64) -> Input {
    Input::Cancel(CancelOrder { task: task(number), epoch, by: id("alice") })
}

#[test]
fn an_offer_is_recorded_before_anything_is_asked() {
    check(&mut node(), vec![], offer(1, 1), &["write accepted 1"]);
}

#[test]
fn a_repeated_offer_changes_nothing_while_its_record_is_being_written() {
    check(&mut node(), vec![offer(1, 1)], offer(1, 1), &[]);
}

#[test]
fn a_repeated_offer_does_not_disturb_a_request_that_is_under_way() {
    check(&mut node(), asking(&run_key(1, 1), 1), offer(1, 1), &[]);
}

#[test]
fn a_repeated_offer_makes_the_node_ask_at_once_when_it_was_waiting() {
    let key = run_key(1, 1);
    let failed = Input::StartFailed(key.clone(), 1, unreachable());
    let past = [asking(&key, 1), vec![failed]].concat();
    check(&mut node(), past, offer(1, 1), &["ask 1 try 2"]);
}

#[test]
fn a_repeated_offer_of_what_runs_changes_nothing() {
    check(&mut node(), committing(&run_key(1, 1), 1), offer(1, 1), &[]);
    check(&mut node(), running(&run_key(1, 1), 1), offer(1, 1), &[]);
}

#[test]
fn a_repeated_offer_of_what_has_ended_makes_the_node_report_at_once() {
    let key = run_key(1, 1);
    let failed = Input::ReportFailed(key.clone(), unreachable());
    let past = [reporting(&key, 1), vec![failed]].concat();
    check(&mut node(), past, offer(1, 1), &["report 1 Succeeded"]);
}

#[test]
fn an_offer_whose_go_was_taken_is_never_taken_on_again() {
    check(&mut node(), settled(&run_key(1, 1), 1), offer(1, 1), &[]);
}

#[test]
fn what_was_used_up_is_remembered_as_long_as_the_assignment_could_be_admitted() {
    let mut node = node();
    check(&mut node, settled(&run_key(1, 1), 1), Input::Tick, &[]);
    check_at(&mut node, vec![], (Input::Tick, after(150)), &[]);
    check_at(&mut node, vec![], (offer(1, 1), after(149)), &[]);
    check_at(&mut node, vec![], (Input::Tick, after(151)), &[]);
    assert_eq!(node.carry_over().len(), 1, "only the term is left");
    check_at(&mut node, vec![], (offer(1, 1), after(151)), &["refuse 1 EXPIRED"]);
}

#[test]
fn an_older_epoch_is_ignored() {
    check(&mut node(), vec![offer(1, 2)], offer(1, 1), &[]);
    check(&mut node(), running(&run_key(1, 2), 1), offer(1, 1), &[]);
    check(&mut node(), settled(&run_key(1, 2), 1), offer(1, 1), &[]);
}

#[test]
fn a_higher_epoch_replaces_what_was_not_started() {
    let replaced = ["write dropped 1 STALE_EPOCH", "write accepted 2"];
    check(&mut node(), vec![offer(1, 1)], offer(1, 2), &replaced);
    check(&mut node(), asking(&run_key(1, 1), 1), offer(1, 2), &replaced);
}

#[test]
fn the_go_of_a_replaced_epoch_is_not_obeyed() {
    let key = run_key(1, 1);
    let past = [asking(&key, 1), vec![offer(1, 2)]].concat();
    check(&mut node(), past, go(&key, 1), &[]);
}

#[test]
fn a_higher_epoch_ends_the_old_run_and_waits_for_its_end() {
    let past = running(&run_key(1, 1), 1);
    check(&mut node(), past, offer(1, 2), &["kill 1", "refuse 2 NODE_BUSY"]);
}

#[test]
fn a_higher_epoch_is_taken_on_beside_an_unreported_outcome() {
    check(&mut node(), reporting(&run_key(1, 1), 1), offer(1, 2), &["write accepted 2"]);
}

#[test]
fn a_forged_offer_does_not_refuse_what_the_node_holds() {
    let mut forged = draft(1, 1).sign();
    forged.request[40] ^= 1;
    check(&mut node(), running(&run_key(1, 1), 1), Input::Offer(forged.clone()), &[]);
    check(&mut node(), settled(&run_key(1, 1), 1), Input::Offer(forged), &[]);
}

#[test]
fn the_signed_bytes_decide_and_not_the_rendering() {
    let mut misnamed = draft(1, 1).sign();
    misnamed.epoch = 9;
    let mut node = node();
    check(&mut node, vec![], Input::Offer(misnamed), &["write accepted 1"]);
    assert_eq!(node.presence().running, vec![run_key(1, 1)]);
}

#[test]
fn a_full_node_is_busy_until_a_run_has_ended() {
    let mut node = node();
    check(&mut node, vec![offer(1, 1), offer(2, 1)], offer(3, 1), &["refuse 1 NODE_BUSY"]);
    assert_eq!(node.presence().slots_free, 0);
    let key = run_key(1, 1);
    let past = [
        vec![on_disk(&key, RecordKind::Accepted), go(&key, 1), on_disk(&key, RecordKind::Started)],
        vec![super::fixture::ended(&key, schemas::task::Verdict::Failed)],
    ];
    check(&mut node, past.concat(), offer(3, 1), &["write accepted 1"]);
}

#[test]
fn a_refusal_is_repeated_until_it_is_answered() {
    let mut node = node();
    let past = vec![offer(1, 1), offer(2, 1), offer(3, 1)];
    let failed = Input::RefusalFailed(run_key(3, 1), unreachable());
    check(&mut node, past, failed, &[]);
    let due = node.next_wake().unwrap();
    assert!(due <= Duration::from_secs(5));
    check_at(&mut node, vec![], (Input::Tick, after(1)), &["refuse 1 NODE_BUSY"]);
    check(&mut node, vec![], Input::RefusalAnswered(run_key(3, 1)), &[]);
    assert_eq!(node.next_wake(), None);
}

#[test]
fn a_draining_node_takes_nothing_on() {
    let drain = Input::Drain(Duration::from_secs(30));
    check(&mut node(), vec![drain], offer(1, 1), &["refuse 1 NODE_DRAINING"]);
}

#[test]
fn a_node_whose_journal_failed_takes_nothing_on_and_complains() {
    let mut node = node();
    let failed = Input::JournalFailed("no space left".to_owned());
    check(&mut node, vec![failed], offer(1, 1), &["refuse 1 JOURNAL_FAILED"]);
    let presence = node.presence();
    assert_eq!(presence.complaint.as_deref(), Some("no space left"));
    assert_eq!(presence.slots_free, 0);
}

#[test]
fn an_offer_after_its_cancel_is_ignored_but_a_newer_one_is_not() {
    check(&mut node(), vec![cancel(1, 1)], offer(1, 1), &[]);
    check(&mut node(), vec![cancel(1, 1)], offer(1, 2), &["write accepted 2"]);
}

#[test]
fn an_answered_refusal_of_an_unknown_task_is_over() {
    let mut node = node();
    let past = vec![offer(1, 1), offer(2, 1), offer(3, 1)];
    let gone = schemas::Fault::new(ErrorCode::TaskNotFound, "unknown");
    check(&mut node, past, Input::RefusalFailed(run_key(3, 1), gone), &[]);
    assert_eq!(node.refusals.len(), 0);
}
