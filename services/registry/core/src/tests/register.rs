//! Who may announce an agent, and take it off the lists.

use schemas::registry::AgentView;

use super::*;

#[test]
fn an_agent_registers_itself() {
    check(&[], &now(), &register("web", manifest("web")), Ok(vec![registered(manifest("web"))]));
}

#[test]
fn registering_the_same_again_changes_nothing() {
    let given = [registered(manifest("web"))];
    check(&given, &now(), &register("web", manifest("web")), Ok(Vec::new()));
}

#[test]
fn registering_otherwise_is_recorded() {
    let given = [registered(manifest("web"))];
    let other = with_tools("web", &["shell.exec"]);
    check(&given, &now(), &register("web", other.clone()), Ok(vec![registered(other)]));
}

#[test]
fn another_owner_alone_is_recorded() {
    let given = [registered(manifest("web"))];
    let request = RegisterRequest { manifest: manifest("web"), owner: Some(id("bob")), node: None };
    let command = Command::Register { caller: id("web"), request: Box::new(request) };
    check(&given, &now(), &command, Ok(vec![owned("web", "bob")]));
}

#[test]
fn another_principal_cannot_take_an_id() {
    let given = [registered(manifest("web"))];
    let thief = register("thief", manifest("web"));
    check(&given, &now(), &thief, Err(ErrorCode::AgentIdTaken));
}

#[test]
fn an_id_stays_with_its_registrant_after_it_was_deregistered_or_archived() {
    for end in [deregistered("web", "web"), archived("web")] {
        let given = [registered(manifest("web")), end];
        let thief = register("thief", manifest("web"));
        check(&given, &now(), &thief, Err(ErrorCode::AgentIdTaken));
    }
}

#[test]
fn who_was_deregistered_comes_back_by_registering_the_same() {
    let given = [registered(manifest("web")), deregistered("web", "web")];
    let online = changed("web", AgentStatus::Offline, AgentStatus::Online, "it registered");
    check(
        &given,
        &now(),
        &register("web", manifest("web")),
        Ok(vec![registered(manifest("web")), online]),
    );
}

#[test]
fn a_person_registers_an_agent_without_a_node_and_owns_it() {
    let command = register("alice", manifest("webhook"));
    check(&[], &now(), &command, Ok(vec![registered_by("alice", manifest("webhook"))]));
    let view = view_after(&[], &command);
    assert!(!view.enrolled);
    assert_eq!((view.owner, view.status), (id("alice"), AgentStatus::Offline));
}

#[test]
fn only_a_node_sends_its_own_report() {
    let command = register_node("alice", "web", report());
    check(&[], &now(), &command, Err(ErrorCode::NotAllowed));
    let view = view_after(&[], &register_node("web", "web", report()));
    assert!(view.enrolled);
    assert_eq!(view.status, AgentStatus::Online);
}

#[test]
fn a_node_of_another_protocol_is_refused() {
    let other = NodeReport { protocol: PROTOCOL_VERSION + 1, ..report() };
    let command = register_node("web", "web", other);
    check(&[], &now(), &command, Err(ErrorCode::ProtocolMismatch));
}

#[test]
fn a_manifest_is_checked() {
    let command = register("web", Manifest { role: "two words".to_owned(), ..manifest("web") });
    check(&[], &now(), &command, Err(ErrorCode::InvalidManifest));
}

#[test]
fn the_owner_may_be_named() {
    let request = RegisterRequest { manifest: manifest("web"), owner: Some(id("bob")), node: None };
    let command = Command::Register { caller: id("web"), request: Box::new(request) };
    assert_eq!(view_after(&[], &command).owner, id("bob"));
}

#[test]
fn the_answer_shows_the_agent_as_the_log_will_have_it() {
    let command = register("web", with_tools("web", &["shell.exec"]));
    let view = view_after(&[], &command);
    let at = Timestamp(NOW_MS);
    assert_eq!((view.registered_at, view.updated_at), (at, at));
    let given = [registered(manifest("web"))];
    let view = view_after(&given, &command);
    assert_eq!((view.registered_at, view.updated_at), (Timestamp(LONG_AGO_MS), at));
}

#[test]
fn registrant_and_owner_deregister_and_nobody_else() {
    let given = [owned("web", "alice")];
    for caller in ["web", "alice"] {
        check(&given, &now(), &deregister(caller), Ok(vec![deregistered("web", caller)]));
    }
    check(&given, &now(), &deregister("mallory"), Err(ErrorCode::NotAllowed));
    check(&[], &now(), &deregister("web"), Err(ErrorCode::AgentNotFound));
}

#[test]
fn an_agent_that_somebody_else_registered_cannot_deregister_itself() {
    let given = [registered_by("alice", manifest("web"))];
    check(&given, &now(), &deregister("web"), Err(ErrorCode::NotAllowed));
}

#[test]
fn deregistering_twice_changes_nothing() {
    let given = [registered(manifest("web")), deregistered("web", "web")];
    check(&given, &now(), &deregister("web"), Ok(Vec::new()));
}

fn deregister(caller: &str) -> Command {
    Command::Deregister { caller: id(caller), agent: id("web") }
}

pub(super) fn owned(name: &str, owner: &str) -> RegistryEvent {
    RegistryEvent::AgentRegistered {
        manifest: Box::new(manifest(name)),
        node: None,
        registrant: id(name),
        owner: id(owner),
    }
}

fn register_node(caller: &str, name: &str, node: NodeReport) -> Command {
    let manifest = manifest(name);
    let request = RegisterRequest { manifest, owner: None, node: Some(node) };
    Command::Register { caller: id(caller), request: Box::new(request) }
}

fn view_after(given: &[RegistryEvent], command: &Command) -> AgentView {
    let decided = Registry::decide(&state(given), command, &now()).unwrap();
    let Answer::Registered(answer) = decided.answer else { panic!("no answer to register") };
    answer.agent
}
