//! The broker's texts about forbidden subjects are understood, and states follow events.

use super::*;

#[test]
fn a_forbidden_publication_names_its_subject() {
    check(
        "Permissions Violation for Publish to \"cortex.cmd.bob.registry.register\"",
        Some(Denial::Publish("cortex.cmd.bob.registry.register".to_owned())),
    );
}

#[test]
fn a_forbidden_subscription_names_its_subject() {
    let denied = Some(Denial::Subscribe("_INBOX.bob.7.*".to_owned()));
    check("Permissions Violation for Subscription to \"_INBOX.bob.7.*\"", denied.clone());
    check("Permissions Violation for Subscription to \"_INBOX.bob.7.*\" using queue \"q\"", denied);
}

#[test]
fn other_errors_are_no_denials() {
    check("Stale Connection", None);
    check("Unknown \"thing\" happened", None);
}

#[test]
fn the_state_follows_events_and_a_denied_inbox_is_forgotten_with_its_connection() {
    let link = Link::new("_INBOX.bob");
    let watch = link.watch();
    let denial = "Permissions Violation for Subscription to \"_INBOX.bob.1.*\"";
    link.hear(Event::ServerError(ServerError::Other(denial.to_owned())));
    assert_eq!(link.inbox_denied().as_deref(), Some("_INBOX.bob.1.*"));
    link.hear(Event::Disconnected);
    assert_eq!((*watch.borrow(), link.inbox_denied()), (LinkState::Disconnected, None));
    link.hear(Event::Connected);
    assert_eq!(*watch.borrow(), LinkState::Connected);
    link.hear(Event::ClientError(ClientError::MaxReconnects));
    assert_eq!(*watch.borrow(), LinkState::Closed);
}

fn check(text: &str, expected: Option<Denial>) {
    assert_eq!(parse_denial(text), expected, "{text}");
}
