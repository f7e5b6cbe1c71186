//! Subjects are read as they were built, and nothing can be smuggled into one.

use schemas::{
    CommandId, ErrorCode, InstanceId, PrincipalId, Sha256Hash, TaskId,
    agent::NodeChannel,
    registry::AgentRequest,
    strict,
    subject::{self, Bucket, LogName, ServiceName},
};

/// Texts that would reach beyond their own token, or not arrive at all.
const SMUGGLERS: [&str; 24] = [
    "",
    ".",
    "a.b",
    "a.",
    ".a",
    "*",
    "a*",
    ">",
    "a>",
    "a.>",
    " ",
    "a b",
    " a",
    "a\t",
    "a\n",
    "a\r\nPUB b 0",
    "a\0",
    "a\u{7f}",
    "a\u{85}",
    "\u{e4}",
    "\u{430}dmin",
    "A",
    "-a",
    "a_b",
];

#[test]
fn no_id_holds_what_a_subject_gives_meaning_to() {
    for text in SMUGGLERS {
        assert!(PrincipalId::parse(text).is_err(), "{text:?} is a principal");
        assert!(TaskId::parse(text).is_err(), "{text:?} is a task");
        assert!(InstanceId::parse(text).is_err(), "{text:?} is an instance");
        assert!(CommandId::parse(text).is_err(), "{text:?} is a command");
    }
    for character in (0..=0x2ff).filter_map(char::from_u32) {
        let plain = matches!(character, 'a'..='z' | '0'..='9' | '-');
        assert_eq!(PrincipalId::parse(&format!("a{character}")).is_ok(), plain, "{character:?}");
    }
}

#[test]
fn a_message_with_such_an_id_is_refused_by_name() {
    for text in SMUGGLERS {
        let body = serde_json::json!({ "id": text }).to_string();
        let fault = strict::parse::<AgentRequest>(body.as_bytes()).unwrap_err();
        assert_eq!(fault.code, ErrorCode::InvalidId, "{text:?}: {fault}");
        assert!(fault.message.contains("is not an id"), "{text:?}: {fault}");
        assert_eq!(fault.hint, ErrorCode::InvalidId.hint());
        assert!(!fault.message.contains(char::is_control), "{text:?}: {fault:?}");
    }
}

#[test]
fn the_principal_of_a_command_is_read_as_it_was_built() {
    for name in ["a", "web-1", &"x".repeat(63)] {
        for service in ServiceName::ALL {
            let subject = subject::command(&id(name), service, "who-can");
            assert_eq!(subject::command_principal(&subject), Some(id(name)));
        }
    }
    for subject in [
        "",
        "cortex.cmd.",
        "cortex.cmd..registry.x",
        "cortex.cmd.*.registry.x",
        "cortex.cmd.>",
        "cortex.cmd.A.registry.x",
        "cortex.cmd.a b.registry.x",
        "other.cmd.a.registry.x",
        "xcortex.cmd.a.registry.x",
    ] {
        assert_eq!(subject::command_principal(subject), None, "{subject:?}");
    }
}

#[test]
fn every_subject_has_its_own_shape() {
    let (node, task) = (id("web-1"), TaskId::parse("0a1b").unwrap());
    let log = LogName::first(ServiceName::Scheduler);
    for (subject, expected) in [
        (
            subject::command(&node, ServiceName::Registry, "register"),
            "cortex.cmd.web-1.registry.register",
        ),
        (
            subject::command_endpoint(ServiceName::Registry, "who-can"),
            "cortex.cmd.*.registry.who-can",
        ),
        (subject::writer(ServiceName::Registry, 0), "cortex.writer.registry.0"),
        (subject::writer_beat(ServiceName::Scheduler, 3), "cortex.beat.scheduler.3"),
        (subject::feed(ServiceName::Scheduler, "task", "0a1b"), "cortex.ev.scheduler.task.0a1b"),
        (subject::feed_of(ServiceName::Registry), "cortex.ev.registry.>"),
        (subject::head(ServiceName::Registry), "cortex.head.registry"),
        (subject::inbox_prefix(&node), "_INBOX.web-1"),
        (subject::node(&node, NodeChannel::Task), "cortex.node.web-1.task"),
        (subject::node(&node, NodeChannel::Cancel), "cortex.node.web-1.cancel"),
        (subject::node(&node, NodeChannel::Ping), "cortex.node.web-1.ping"),
        (subject::node_all(&node), "cortex.node.web-1.*"),
        (subject::heartbeat(&node), "cortex.hb.web-1"),
        (subject::output(&node, &task), "cortex.out.web-1.0a1b"),
        (log.subject(), "cortex.evt.scheduler.0.1"),
        (log.stream(), "CORTEX_EVENTS_scheduler_0_1"),
    ] {
        assert_eq!(subject, expected);
    }
    let blob = subject::blob(&Sha256Hash([0xab; 32]));
    assert_eq!(blob, format!("cortex.blob.{}", "ab".repeat(32)));
}

#[test]
fn an_inbox_is_its_principals_alone() {
    let node = id("web-1");
    for (subject, any, its) in [
        ("_INBOX.web-1.x", true, true),
        ("_INBOX.web-1.x.y", true, true),
        ("_INBOX.web-1.", true, false),
        ("_INBOX.web-1", true, false),
        ("_INBOX.web-12.x", true, false),
        ("_INBOX.x", true, false),
        ("_INBOX.", false, false),
        ("_INBOXES.web-1.x", false, false),
        ("cortex.hb.web-1", false, false),
    ] {
        assert_eq!(subject::is_inbox(subject), any, "{subject}");
        assert_eq!(subject::is_inbox_of(&node, subject), its, "{subject}");
    }
}

#[test]
fn what_listens_hears_what_is_said_and_nothing_of_another() {
    let node = id("web-1");
    for (pattern, subject, heard) in [
        (subject::HEARTBEATS.to_owned(), subject::heartbeat(&node), true),
        (subject::node_all(&node), subject::node(&node, NodeChannel::Task), true),
        (subject::node_all(&id("web")), subject::node(&node, NodeChannel::Task), false),
        (
            subject::command_endpoint(ServiceName::Registry, "register"),
            subject::command(&node, ServiceName::Registry, "register"),
            true,
        ),
        (
            subject::command_endpoint(ServiceName::Registry, "register"),
            subject::command(&node, ServiceName::Scheduler, "register"),
            false,
        ),
        (
            subject::feed_of(ServiceName::Registry),
            subject::feed(ServiceName::Registry, "agent", "web-1"),
            true,
        ),
        (
            subject::feed_of(ServiceName::Registry),
            subject::feed(ServiceName::Scheduler, "task", "0a1b"),
            false,
        ),
    ] {
        assert_eq!(matches(&pattern, &subject), heard, "{pattern} hears {subject}");
    }
}

/// Matches as the broker does: `*` is one token, a last `>` is all that follow.
fn matches(pattern: &str, subject: &str) -> bool {
    let (pattern, open) = pattern.strip_suffix(".>").map_or((pattern, false), |it| (it, true));
    let (wanted, tokens): (Vec<_>, Vec<_>) =
        (pattern.split('.').collect(), subject.split('.').collect());
    let long_enough = if open { wanted.len() < tokens.len() } else { wanted.len() == tokens.len() };
    long_enough && wanted.iter().zip(&tokens).all(|(want, token)| *want == "*" || want == token)
}

#[test]
fn names_of_services_and_buckets_are_read_as_they_are_written() {
    for service in ServiceName::ALL {
        assert_eq!(ServiceName::parse(service.as_str()), Some(service));
        assert!(PrincipalId::parse(service.as_str()).is_ok(), "a service acts as a principal");
    }
    for bucket in Bucket::ALL {
        assert_eq!(Bucket::parse(bucket.as_str()), Some(bucket));
    }
    assert_eq!((ServiceName::parse("regis"), Bucket::parse("agents")), (None, None));
}

#[test]
fn every_verb_is_one_token() {
    for verb in schemas::registry::verb::ALL.iter().chain(&schemas::scheduler::verb::ALL) {
        assert!(PrincipalId::parse(verb).is_ok(), "{verb:?}");
    }
}

fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}
