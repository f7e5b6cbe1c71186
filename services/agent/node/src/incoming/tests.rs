//! Messages that are understood, and what is said about those that are not.

use agent_core::Input;
use schemas::ErrorCode;

use super::{Incoming, Message, read};

fn message(channel: &str, payload: &str) -> Message {
    Message {
        subject: format!("cortex.node.n1.{channel}"),
        reply: Some("_INBOX.scheduler.1".to_owned()),
        payload: payload.to_owned().into(),
    }
}

fn check_refused(channel: &str, payload: &str, expected: ErrorCode) {
    let fault = read(&message(channel, payload)).expect_err("it was understood");
    assert_eq!(fault.code, expected, "{fault}");
}

#[test]
fn an_offer_is_decoded() {
    let text = r#"{"task":"t1","epoch":3,"request":"aGk=","assignment":"aG8="}"#;
    let Ok(Incoming::Input(input)) = read(&message("task", text)) else { panic!("not understood") };
    let Input::Offer(offer) = *input else { panic!("{input:?}") };
    assert_eq!((offer.request.as_slice(), offer.assignment.as_slice()), (&b"hi"[..], &b"ho"[..]));
    assert_eq!((offer.task.as_str(), offer.epoch), ("t1", 3));
}

#[test]
fn a_cancel_is_decoded() {
    let text = r#"{"task":"t1","epoch":3,"by":"alice"}"#;
    let Ok(Incoming::Input(input)) = read(&message("cancel", text)) else {
        panic!("not understood")
    };
    assert!(matches!(*input, Input::Cancel(_)));
}

#[test]
fn a_ping_is_answered_to_an_inbox_alone() {
    let inbox = Incoming::Ping("_INBOX.scheduler.1".to_owned());
    assert_eq!(read(&message("ping", "")), Ok(inbox.clone()));
    assert_eq!(read(&message("ping", "{}")), Ok(inbox));
    let elsewhere = Message {
        reply: Some("cortex.cmd.n1.registry.deregister".to_owned()),
        ..message("ping", "")
    };
    assert_eq!(read(&elsewhere).unwrap_err().code, ErrorCode::InvalidValue);
}

#[test]
fn what_is_not_understood_is_named() {
    check_refused("task", "{", ErrorCode::MalformedJson);
    check_refused("task", r#"{"task":"T 1"}"#, ErrorCode::InvalidId);
    let extra = r#"{"task":"t1","epoch":3,"request":"","assignment":"","now":true}"#;
    check_refused("task", extra, ErrorCode::UnknownField);
    let text = r#"{"task":"t1","epoch":3,"request":"?","assignment":""}"#;
    check_refused("task", text, ErrorCode::EnvelopeMalformed);
    check_refused("dance", "{}", ErrorCode::UnknownVerb);
    check_refused("cancel", "{}", ErrorCode::InvalidValue);
}
