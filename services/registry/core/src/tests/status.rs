//! A status that a person sets, which outranks presence.

use std::collections::BTreeMap;

use schemas::registry::UpdateStatusRequest;

use super::{register::owned, *};

#[test]
fn owner_registrant_and_the_agent_itself_set_a_status() {
    let given = [RegistryEvent::AgentRegistered {
        manifest: Box::new(manifest("webhook")),
        node: None,
        registrant: id("alice"),
        owner: id("bob"),
    }];
    for caller in ["alice", "bob", "webhook"] {
        let then = set("webhook", caller, AgentStatus::Maintenance);
        let when = update(caller, "webhook", AgentStatus::Maintenance);
        check(&given, &now(), &when, Ok(vec![then]));
    }
    for (other, code) in [("olga", ErrorCode::NotAllowed), ("thief", ErrorCode::AgentNotFound)] {
        let when = update(other, "webhook", AgentStatus::Maintenance);
        check(&given, &now(), &when, Err(code));
    }
}

#[test]
fn the_status_of_nobody_cannot_be_set() {
    let when = update("web", "web", AgentStatus::Maintenance);
    check(&[], &now(), &when, Err(ErrorCode::AgentNotFound));
    let gone = [owned("web", "alice"), deregistered("web", "web")];
    check(&gone, &now(), &when, Err(ErrorCode::AgentNotFound));
}

#[test]
fn setting_the_same_again_changes_nothing() {
    let given = [owned("web", "alice"), set("web", "alice", AgentStatus::Maintenance)];
    let again = update("alice", "web", AgentStatus::Maintenance);
    check(&given, &now(), &again, Ok(Vec::new()));
    let other = update("web", "web", AgentStatus::Maintenance);
    check(&given, &now(), &other, Ok(vec![set("web", "web", AgentStatus::Maintenance)]));
}

#[test]
fn presence_is_not_shown_while_a_person_says_otherwise() {
    let given = [owned("web", "alice"), set("web", "alice", AgentStatus::Maintenance)];
    let silent = at(3_600_000);
    assert_eq!(Registry::due(&state(&given), &silent), Vec::new());
    check(&given, &silent, &Command::Review { agent: id("web") }, Ok(Vec::new()));
    let shown = state(&given).row(&id("web")).unwrap();
    assert_eq!(shown.status, AgentStatus::Maintenance);
    assert_eq!(shown.status_reason.as_deref(), Some("alice set it to maintenance"));
}

#[test]
fn online_gives_the_status_back_to_presence_as_it_is_by_now() {
    let given = [owned("web", "alice"), set("web", "alice", AgentStatus::Maintenance)];
    let released = RegistryEvent::AgentStatusReleased { agent: id("web"), by: id("alice") };
    let back = update("alice", "web", AgentStatus::Online);
    check(&given, &at(1_000), &back, Ok(vec![released.clone()]));
    let gone = changed("web", AgentStatus::Online, AgentStatus::Offline, "no heartbeat for 30 s");
    check(&given, &at(30_000), &back, Ok(vec![released, gone]));
}

#[test]
fn a_registration_leaves_what_a_person_said() {
    let again = registered(with_tools("web", &["shell.exec"]));
    let maintenance = set("web", "web", AgentStatus::Maintenance);
    let state = state(&[registered(manifest("web")), maintenance, again]);
    assert_eq!(state.row(&id("web")).unwrap().status, AgentStatus::Maintenance);
}

#[test]
fn giving_back_what_nobody_took_changes_nothing() {
    let given = [owned("web", "alice")];
    check(&given, &now(), &update("alice", "web", AgentStatus::Online), Ok(Vec::new()));
}

#[test]
fn details_are_bounded() {
    let given = [owned("web", "alice")];
    let many = (0..129).map(|n| (n.to_string(), String::new())).collect();
    let long = BTreeMap::from([("why".to_owned(), "x".repeat(257))]);
    for details in [many, long] {
        let request = UpdateStatusRequest { id: id("web"), status: AgentStatus::Degraded, details };
        let when = Command::UpdateStatus { caller: id("web"), request };
        check(&given, &now(), &when, Err(ErrorCode::InvalidValue));
    }
}

fn update(caller: &str, agent: &str, status: AgentStatus) -> Command {
    let request = UpdateStatusRequest { id: id(agent), status, details: BTreeMap::new() };
    Command::UpdateStatus { caller: id(caller), request }
}
