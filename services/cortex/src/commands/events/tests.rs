//! What the broker forbade reads as a sentence.

use super::*;

#[track_caller]
fn check(body: &str, words: Option<&str>) {
    assert_eq!(in_words(body).as_deref(), words, "{body}");
}

#[test]
fn a_denial_names_who_what_and_how_often() {
    check(
        r#"{"type":"access-denied","principal":"web-1","login":"U","action":"publish","subject":"a.b","count":3,"since":0,"by":"admin"}"#,
        Some("denied: web-1 may not publish to a.b (3 times since 1970-01-01T00:00:00.000Z)"),
    );
    check(
        r#"{"type":"access-denied","login":"UX","action":"subscribe","subject":">","count":1,"since":0,"by":"admin"}"#,
        Some(
            "denied: somebody with login UX may not subscribe to > (once since 1970-01-01T00:00:00.000Z)",
        ),
    );
    check(
        r#"{"type":"access-denied","action":"login","subject":"10.0.0.7","count":1,"since":0,"by":"admin"}"#,
        Some("denied: somebody may not log in from 10.0.0.7 (once since 1970-01-01T00:00:00.000Z)"),
    );
    check(
        r#"{"type":"denials-suppressed","count":7,"by":"admin"}"#,
        Some("denied: 7 more, too many to tell of each"),
    );
}

#[test]
fn other_events_are_shown_as_they_are() {
    check(r#"{"type":"agent-archived","agent":"web-1"}"#, None);
    check(r#"{"type":"queued"}"#, None);
}
