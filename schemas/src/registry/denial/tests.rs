//! What may be told of what the broker forbade.

use super::*;

const LOGIN: &str = "UCNGJTALZ6Y7C3GNZGIBRK77DB5N6ZF3FZ3LSWVJCUDULUUPYHPBJ2LA";

fn denied() -> DeniedAccess {
    DeniedAccess {
        login: LOGIN.to_owned(),
        action: DeniedAction::Publish,
        subject: "cortex.cmd.bob.registry.register".to_owned(),
        count: 3,
        since: Timestamp(7),
    }
}

#[track_caller]
fn check(entry: &DeniedAccess, names: Option<&str>) {
    let said = entry.validate().err().map(|fault| (fault.code, fault.message));
    let field = said.as_ref().map(|(_, message)| message.split(':').next().unwrap_or_default());
    assert_eq!(field, names, "{entry:?}");
    assert!(said.is_none_or(|(code, _)| code == ErrorCode::InvalidValue));
}

#[test]
fn what_a_broker_says_is_taken() {
    check(&denied(), None);
    check(&DeniedAccess { login: String::new(), ..denied() }, None);
    check(&DeniedAccess { subject: "a\"b \u{fffd}".to_owned(), ..denied() }, None);
    check(&DeniedAccess { subject: "s".repeat(DENIED_SUBJECT_BYTES_MAX), ..denied() }, None);
}

#[test]
fn what_no_broker_says_is_refused_by_field() {
    for login in ["bob", &LOGIN[1..], &LOGIN.replacen('U', "A", 1), &LOGIN.to_lowercase()] {
        check(&DeniedAccess { login: login.to_owned(), ..denied() }, Some("login"));
    }
    let long = "s".repeat(DENIED_SUBJECT_BYTES_MAX + 1);
    for subject in ["", "a\x1b[31m", "a\u{85}b", &long] {
        check(&DeniedAccess { subject: subject.to_owned(), ..denied() }, Some("subject"));
    }
    check(&DeniedAccess { count: 0, ..denied() }, Some("count"));
}
