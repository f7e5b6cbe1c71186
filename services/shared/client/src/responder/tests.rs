//! Subjects are read strictly, and the service describes itself as the NATS tools expect.

use std::time::Duration;

use super::*;

const VERBS: &[&str] = &["register", "get-agents"];

#[test]
fn a_known_verb_is_found() {
    check_verb("cortex.cmd.bob.registry.register", Ok("register"));
}

#[test]
fn an_unknown_verb_is_refused_with_the_list_of_verbs() {
    check_verb("cortex.cmd.bob.registry.destroy", Err("destroy"));
    check_verb("cortex.cmd.bob.registry.register.twice", Err("register.twice"));
    check_verb("cortex.cmd.bob.registry.Register", Err("Register"));
}

#[test]
fn a_principal_must_be_an_id() {
    assert_eq!(principal_of("cortex.cmd.bob.registry.x").unwrap().as_str(), "bob");
    for subject in ["cortex.cmd.Bob.registry.x", "cortex.cmd.-b.registry.x", "cortex.cmd.*.a.b"] {
        assert_eq!(principal_of(subject).unwrap_err().code, ErrorCode::InvalidId, "{subject}");
    }
}

#[test]
fn answers_go_to_inboxes_of_whoever_asks_only() {
    let bob = PrincipalId::parse("bob").unwrap();
    for (reply, expected) in [
        ("_INBOX.bob.1", true),
        ("_INBOX.eve.1", false),
        ("_INBOX.bob", false),
        ("_INBOX", false),
        ("_INBOX_bob.1", false),
        ("_INBOXES.bob.1", false),
        ("cortex.cmd.registry.scheduler.submit", false),
        ("$JS.API.STREAM.DELETE.x", false),
    ] {
        assert_eq!(may_hear(Some(&bob), &Subject::from(reply)), expected, "{reply}");
    }
    // Whoever is nobody can still be told so.
    assert!(may_hear(None, &Subject::from("_INBOX.1")));
    assert!(!may_hear(None, &Subject::from("cortex.hb.bob")));
}

#[test]
fn the_service_protocol_has_its_types_and_counts() {
    let (info, stats) = (info(), Stats::new(Timestamp(0)));
    let fault = Fault::new(ErrorCode::NotAllowed, "no");
    stats.count("register", Duration::from_nanos(30), None);
    stats.count("register", Duration::from_nanos(10), Some(&fault));
    let ask = |question| micro::answer(question, &info, &stats).unwrap();
    assert_eq!(ask("PING")["type"], "io.nats.micro.v1.ping_response");
    assert_eq!(ask("PING")["id"], "registry-1");
    assert_eq!(ask("INFO")["endpoints"][1]["subject"], "cortex.cmd.*.registry.get-agents");
    let counted = &ask("STATS")["endpoints"][0];
    assert_eq!(counted["num_requests"], 2);
    assert_eq!(counted["num_errors"], 1);
    assert_eq!(counted["last_error"], "NOT_ALLOWED: no");
    assert_eq!(counted["average_processing_time"], 20);
    assert_eq!(ask("STATS")["started"], "1970-01-01T00:00:00.000Z");
    assert_eq!(micro::answer("SCHEMA", &info, &stats), None);
}

fn check_verb(subject: &str, expected: Result<&str, &str>) {
    match (verb_of(subject, ServiceName::Registry, VERBS), expected) {
        (Ok(verb), Ok(expected)) => assert_eq!(verb, expected),
        (Err(fault), Err(named)) => {
            assert_eq!(fault.code, ErrorCode::UnknownVerb);
            assert!(fault.message.contains(named), "{fault}");
            assert_eq!(fault.details["verbs"], serde_json::json!(VERBS));
        }
        (found, _) => panic!("{subject}: {found:?}"),
    }
}

fn info() -> ServiceInfo {
    ServiceInfo {
        name: ServiceName::Registry,
        instance: "registry-1".to_owned(),
        version: "0.1.0".to_owned(),
        description: "Who is in the fleet.".to_owned(),
        verbs: VERBS,
        queue_group: "registry-1".to_owned(),
    }
}
