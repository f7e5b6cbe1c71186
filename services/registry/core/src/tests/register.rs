//! Who may announce an agent, and take it off the lists.

use schemas::registry::AgentView;

use super::{
    cast::{evicted, invite_made},
    *,
};

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
    let given = [registered_by("alice", manifest("hook")), deregistered("hook", "alice")];
    let thief = register("thief", manifest("hook"));
    check(&given, &now(), &thief, Err(ErrorCode::AgentIdTaken));
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
fn an_enrolled_agent_is_of_whoever_its_invite_said() {
    let claim = Command::Register { caller: id("web"), request: claiming("web", "bob") };
    assert_eq!(view_after(&[], &claim).owner, id("web"));
}

#[test]
fn only_those_who_oversee_register_agents_for_others() {
    let command =
        |caller: &str| Command::Register { caller: id(caller), request: claiming("hook", "bob") };
    for overseer in ["root", "olga"] {
        assert_eq!(view_after(&[], &command(overseer)).owner, id("bob"));
    }
    for other in ["alice", "audrey", "web"] {
        check(&[], &now(), &command(other), Err(ErrorCode::NotAllowed));
    }
    assert_eq!(view_after(&[], &command("bob")).owner, id("bob"));
    let nobody = Command::Register { caller: id("root"), request: claiming("hook", "nobody") };
    check(&[], &now(), &nobody, Err(ErrorCode::PrincipalNotFound));
}

#[test]
fn only_who_is_enrolled_as_an_agent_registers_a_node() {
    let node = |caller: &str| register_node(caller, caller, report());
    check(&[], &now(), &node("nobody"), Err(ErrorCode::PrincipalNotFound));
    check(&[], &now(), &node("alice"), Err(ErrorCode::NotAllowed));
    check(&[], &now(), &register("nobody", manifest("hook")), Err(ErrorCode::PrincipalNotFound));
    let out = [evicted("web")];
    check(&out, &now(), &node("web"), Err(ErrorCode::PrincipalOut));
    let out = [evicted("alice")];
    check(&out, &now(), &register("alice", manifest("hook")), Err(ErrorCode::PrincipalOut));
}

#[test]
fn the_id_of_a_principal_cannot_be_squatted_nor_one_that_was_promised() {
    let promised = [invite_made("new-node", "bob")];
    for (given, name) in [
        (&[][..], "db"),
        (&[], "bob"),
        (&[], "scheduler"),
        (&[], "gateway"),
        (&[], "invite-1"),
        (&promised, "new-node"),
        (&[evicted("db")], "db"),
    ] {
        for caller in ["alice", "root"] {
            let squatter = register(caller, manifest(name));
            check(given, &now(), &squatter, Err(ErrorCode::AgentIdTaken));
        }
    }
}

#[test]
fn a_manifest_stays_within_what_the_invite_allowed() {
    let mut server = manifest("bound");
    server.capabilities.mcp_servers = vec![can("proxmox")];
    let mut other = manifest("bound");
    other.capabilities.mcp_servers = vec![can("k3s")];
    for (manifest, allowed) in [
        (with_tools("bound", &["shell.exec", "proxmox.create_vm", "proxmox.*"]), true),
        (server, true),
        (with_tools("bound", &["git.push@v2"]), true),
        (with_tools("bound", &["shell.exec@v1"]), true),
        (with_tools("bound", &["git.push"]), false),
        (with_tools("bound", &["git.push@v1"]), false),
        (with_tools("bound", &["shell.*"]), false),
        (with_tools("bound", &["*"]), false),
        (other, false),
    ] {
        let command = register("bound", manifest.clone());
        let then = if allowed {
            Ok(vec![owned_by("alice", manifest)])
        } else {
            Err(ErrorCode::ManifestExceedsInvite)
        };
        check(&[], &now(), &command, then);
    }
}

#[test]
fn who_is_invited_takes_over_what_its_inviter_registered_for_it() {
    let given = [registered_by("alice", manifest("bound"))];
    let online = changed("bound", AgentStatus::Offline, AgentStatus::Online, "it registered");
    let then = Ok(vec![owned_by("alice", manifest("bound")), online]);
    check(&given, &now(), &register("bound", manifest("bound")), then);
    check(&given, &now(), &register("alice", manifest("bound")), Err(ErrorCode::AgentIdTaken));
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
    check(&given, &now(), &deregister("root"), Ok(vec![deregistered("web", "root")]));
    check(&given, &now(), &deregister("olga"), Err(ErrorCode::NotAllowed));
    check(&given, &now(), &deregister("bob"), Err(ErrorCode::AgentNotFound));
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

fn claiming(name: &str, owner: &str) -> Box<RegisterRequest> {
    Box::new(RegisterRequest { manifest: manifest(name), owner: Some(id(owner)), node: None })
}

/// An agent that registered itself and belongs to somebody else.
fn owned_by(owner: &str, manifest: Manifest) -> RegistryEvent {
    let registrant = manifest.id.clone();
    let manifest = Box::new(manifest);
    RegistryEvent::AgentRegistered { manifest, node: None, registrant, owner: id(owner) }
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
