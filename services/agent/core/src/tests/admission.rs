//! What is admitted and what is refused, and by which code.

use schemas::{Audience, Capability, ErrorCode, sandbox::Property};

use super::fixture::{Draft, draft, facts, id, node, profile};
use crate::{Input, admit};

fn check(change: impl FnOnce(&mut Draft), expected: Result<(), ErrorCode>) {
    let offer = draft(1, 1).with(change).sign();
    let found = admit(&offer, &profile("i1"), facts().wall);
    assert_eq!(found.map(drop).map_err(|fault| fault.code), expected);
}

fn spec(text: &'static str) -> impl FnOnce(&mut Draft) {
    move |draft| draft.request.spec_json = text.to_owned()
}

#[test]
fn a_well_signed_offer_from_the_owner_is_admitted() {
    check(|_| (), Ok(()));
}

#[test]
fn what_was_admitted_says_what_was_signed() {
    let offer = draft(1, 4).sign();
    let admission = admit(&offer, &profile("i1"), facts().wall).unwrap();
    assert_eq!((admission.key.epoch, admission.attempt, admission.partition), (4, 1, 0));
    assert_eq!(admission.spec, super::fixture::echo());
    assert_eq!(admission.assigned_until.seconds(), super::fixture::NOW_S + 150);
}

#[test]
fn the_audience_may_be_a_capability_that_the_node_has() {
    let can = |name: &str| Audience::Can(Capability::parse(name).unwrap());
    check(|draft| draft.request.audience = can("shell.exec"), Ok(()));
    check(|draft| draft.request.audience = can("proxmox.create_vm"), Ok(()));
    check(|draft| draft.request.audience = can("browser.open"), Err(ErrorCode::WrongAudience));
}

#[test]
fn a_request_for_another_node_is_refused() {
    let other = |draft: &mut Draft| draft.request.audience = Audience::Node(id("n2"));
    check(other, Err(ErrorCode::WrongAudience));
}

#[test]
fn an_assignment_to_another_node_is_refused() {
    check(|draft| draft.assignment.node = id("n2"), Err(ErrorCode::WrongAudience));
}

#[test]
fn an_assignment_of_another_request_is_refused() {
    check(|draft| draft.hash_fits = false, Err(ErrorCode::AssignmentMismatch));
    let other = |draft: &mut Draft| draft.assignment.task = super::fixture::task(9);
    check(other, Err(ErrorCode::AssignmentMismatch));
}

#[test]
fn an_issuer_that_the_manifest_does_not_name_is_refused() {
    let mallory = |draft: &mut Draft| {
        draft.issuer_seed = 2;
        (draft.request.issuer, draft.request.subject) = (id("mallory"), id("mallory"));
        draft.assignment.task = trust::task_id(&id("mallory"), &draft.request.nonce);
    };
    check(mallory, Err(ErrorCode::TaskNotPermitted));
}

#[test]
fn a_signature_of_somebody_else_is_refused() {
    check(|draft| draft.issuer_seed = 2, Err(ErrorCode::KeyNotValid));
    check(|draft| draft.issuer_seed = 77, Err(ErrorCode::KeyUnknown));
}

#[test]
fn any_changed_byte_is_refused() {
    let offer = draft(1, 1).sign();
    for index in 0..offer.request.len() {
        let mut changed = offer.clone();
        changed.request[index] ^= 1;
        assert!(admit(&changed, &profile("i1"), facts().wall).is_err(), "request byte {index}");
    }
    for index in 0..offer.assignment.len() {
        let mut changed = offer.clone();
        changed.assignment[index] ^= 1;
        assert!(admit(&changed, &profile("i1"), facts().wall).is_err(), "assignment byte {index}");
    }
}

#[test]
fn an_expired_assignment_is_refused() {
    let offer = draft(1, 1).sign();
    let late = facts().wall.plus_ms(151_000);
    let fault = admit(&offer, &profile("i1"), late).unwrap_err();
    assert_eq!(fault.code, ErrorCode::Expired);
}

#[test]
fn a_property_that_is_only_partly_enforced_is_refused() {
    let enforced = r#"{"work":{"kind":"echo"},"properties":["fds_closed"]}"#;
    check(spec(enforced), Ok(()));
    let partial = r#"{"work":{"kind":"echo"},"properties":["tree_kill"]}"#;
    check(spec(partial), Err(ErrorCode::PropertyNotEnforced));
    let unknown = r#"{"work":{"kind":"echo"},"properties":["fds_closed","net_denied"]}"#;
    check(spec(unknown), Err(ErrorCode::PropertyNotEnforced));
    let offer = draft(1, 1).with(spec(unknown)).sign();
    let fault = admit(&offer, &profile("i1"), facts().wall).unwrap_err();
    assert!(fault.message.contains(Property::NetDenied.as_str()), "{}", fault.message);
    assert!(!fault.message.contains(Property::FdsClosed.as_str()), "{}", fault.message);
}

#[test]
fn a_label_that_the_node_lacks_is_refused() {
    check(spec(r#"{"work":{"kind":"echo"},"labels":{"gpu":"none"}}"#), Ok(()));
    let other = r#"{"work":{"kind":"echo"},"labels":{"gpu":"a100"}}"#;
    check(spec(other), Err(ErrorCode::WrongAudience));
}

#[test]
fn a_command_needs_the_capability_to_run_one() {
    let command = r#"{"work":{"kind":"command","argv":["true"]}}"#;
    check(spec(command), Ok(()));
    let mut unable = profile("i1");
    unable.manifest.capabilities.tools.clear();
    let offer = draft(1, 1).with(spec(command)).sign();
    let fault = admit(&offer, &unable, facts().wall).unwrap_err();
    assert_eq!(fault.code, ErrorCode::UnsupportedKind);
}

#[test]
fn what_is_not_admitted_is_refused_to_the_scheduler_and_counted() {
    let mut node = node();
    let offer = draft(1, 1).with(|draft| draft.hash_fits = false).sign();
    super::fixture::check(
        &mut node,
        Vec::new(),
        Input::Offer(offer),
        &["refuse 1 ASSIGNMENT_MISMATCH"],
    );
    assert_eq!(node.presence().tasks_refused, 1);
}
