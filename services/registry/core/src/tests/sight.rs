//! Everybody is answered with what they may see, and nothing tells what they may not.

use schemas::{
    enrolment::GetPrincipalsRequest,
    principal::PrincipalKind,
    registry::{CanTaskRequest, GetAgentsRequest, WhoCanRequest},
};

use super::{cast::*, *};
use crate::{MembershipQuestion, sees_event};

fn enrolled(name: &str, owner: &str) -> RegistryEvent {
    RegistryEvent::AgentRegistered {
        manifest: Box::new(with_tools(name, &["shell.exec"])),
        node: None,
        registrant: id(name),
        owner: id(owner),
    }
}

/// Agents of alice, of bob, one that bob shared with alice, and one that accepts everybody.
fn fleet() -> Vec<RegistryEvent> {
    let open =
        Manifest { accepts_tasks_from: patterns(&["*"]), ..with_tools("open", &["shell.exec"]) };
    vec![
        enrolled("bound", "alice"),
        registered_by("bob", with_tools("hook", &["shell.exec"])),
        registered_by("bob", with_tools("lent", &["shell.exec"])),
        RegistryEvent::AgentShared {
            agent: id("lent"),
            with: patterns(&["al*"]).remove(0),
            by: id("bob"),
        },
        registered_by("bob", open),
        enrolled("web", "web"),
    ]
}

const SEEN: [(&str, &str); 8] = [
    ("root", "bound hook lent open web"),
    ("olga", "bound hook lent open web"),
    ("audrey", "bound hook lent open web"),
    ("scheduler", "bound hook lent open web"),
    ("alice", "bound lent open"),
    ("bound", "bound open"),
    ("bob", "hook lent open"),
    ("nobody", "open"),
];

#[test]
fn lists_and_searches_show_what_the_asker_may_see() {
    for (asker, seen) in SEEN {
        let question = Question::GetAgents(GetAgentsRequest::default());
        let Ok(Answer::Agents(listed)) = ask_as(asker, &fleet(), question) else {
            panic!("no list");
        };
        let names: Vec<_> = listed.agents.iter().map(|it| it.manifest.id.as_str()).collect();
        assert_eq!(names.join(" "), seen, "{asker}");
        let request = WhoCanRequest { capability: can("shell.exec"), from: None, limit: None };
        let Ok(Answer::WhoCan(found)) = ask_as(asker, &fleet(), Question::WhoCan(request)) else {
            panic!("no answer");
        };
        let names: Vec<_> = found.agents.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(names.join(" "), seen, "{asker}");
    }
}

#[test]
fn pages_are_full_and_go_on_though_others_lie_between() {
    let page = |after: Option<&str>| {
        let request = GetAgentsRequest {
            after: after.map(id),
            limit: Some(2),
            ..GetAgentsRequest::default()
        };
        match ask_as("alice", &fleet(), Question::GetAgents(request)) {
            Ok(Answer::Agents(page)) => page,
            other => panic!("{other:?} is no page"),
        }
    };
    let first = page(None);
    assert_eq!((first.agents.len(), first.next), (2, Some(id("lent"))));
    let second = page(Some("lent"));
    assert_eq!((second.agents.len(), second.next), (1, None));
}

#[test]
fn what_may_not_be_seen_is_as_if_it_were_not_there() {
    let questions = |about: &str| {
        [
            Question::GetAgent(id(about)),
            Question::GetCapabilities(id(about)),
            Question::Relationships(id(about)),
            Question::Heartbeat(id(about)),
            Question::CanTask(CanTaskRequest { from: id("alice"), to: id(about) }),
            Question::CanTask(CanTaskRequest { from: id(about), to: id("open") }),
            Question::WhoCan(WhoCanRequest {
                capability: can("shell.exec"),
                from: Some(id(about)),
                limit: None,
            }),
        ]
    };
    for question in questions("hook") {
        let fault = ask_as("alice", &fleet(), question.clone()).unwrap_err();
        assert_eq!(fault.code, ErrorCode::AgentNotFound, "{question:?}");
        assert_eq!(fault.message, "hook is not registered", "{question:?}");
    }
    for question in questions("lent") {
        let answer = ask_as("alice", &fleet(), question.clone());
        let refused = matches!(question, Question::Heartbeat(_));
        assert_eq!(answer.is_err(), refused, "{question:?}: {answer:?}");
    }
}

#[test]
fn nobody_learns_who_oversees_by_asking_what_they_may_task() {
    let may = |asker: &str, from: &str| {
        let request = CanTaskRequest { from: id(from), to: id("bound") };
        match ask_as(asker, &fleet(), Question::CanTask(request)) {
            Ok(Answer::CanTask(answer)) => answer.allowed,
            other => panic!("{other:?} is no answer to can-task"),
        }
    };
    assert!(may("audrey", "olga") && may("olga", "olga") && !may("audrey", "audrey"));
    assert!(!may("alice", "olga"));
    assert!(may("alice", "alice"));
}

#[test]
fn an_agent_that_never_registered_may_task_nobody() {
    let request = CanTaskRequest { from: id("db"), to: id("open") };
    let Ok(Answer::CanTask(answer)) = ask(&fleet(), Question::CanTask(request)) else {
        panic!("no answer to can-task");
    };
    assert!(!answer.allowed);
    let request =
        WhoCanRequest { capability: can("shell.exec"), from: Some(id("db")), limit: None };
    let Ok(Answer::WhoCan(found)) = ask(&fleet(), Question::WhoCan(request)) else {
        panic!("no answer to who-can");
    };
    assert_eq!(found.agents, []);
}

#[test]
fn relationships_show_only_whom_the_asker_may_see() {
    let boss = Manifest {
        can_task: patterns(&["*"]),
        accepts_tasks_from: patterns(&["*"]),
        ..manifest("web")
    };
    let given = [fleet(), vec![registered(boss)]].concat();
    let of = |asker: &str| match ask_as(asker, &given, Question::Relationships(id("web"))) {
        Ok(Answer::Relationships(answer)) => answer,
        other => panic!("{other:?} is no answer to relationships"),
    };
    assert_eq!(of("bound").tasks, [id("open")]);
    assert_eq!(of("root").tasks, [id("open")]);
    let more = [given.clone(), vec![shared_with("hook", "web")]].concat();
    let of = |asker: &str| match ask_as(asker, &more, Question::Relationships(id("web"))) {
        Ok(Answer::Relationships(answer)) => answer.tasks,
        other => panic!("{other:?} is no answer to relationships"),
    };
    assert_eq!((of("alice"), of("root")), (vec![id("open")], vec![id("hook"), id("open")]));
}

fn shared_with(agent: &str, with: &str) -> RegistryEvent {
    let with = patterns(&[with]).remove(0);
    RegistryEvent::AgentShared { agent: id(agent), with, by: id("bob") }
}

#[test]
fn who_was_put_out_asks_in_vain() {
    let given = [fleet(), vec![evicted("alice")]].concat();
    let question = Question::GetAgents(GetAgentsRequest::default());
    assert_eq!(ask_as("alice", &given, question).unwrap_err().code, ErrorCode::PrincipalOut);
}

#[test]
fn principals_are_seen_by_themselves_their_owners_and_whoever_sees_everything() {
    let seen = |asker: &str, kind| {
        let request = GetPrincipalsRequest { kind, ..GetPrincipalsRequest::default() };
        let question = Question::Membership(MembershipQuestion::Principals(request));
        match ask_as(asker, &[], question) {
            Ok(Answer::Principals(answer)) => {
                let names = answer.principals.iter().map(|it| it.id.to_string());
                names.collect::<Vec<_>>().join(" ")
            }
            other => panic!("{other:?} lists nobody"),
        }
    };
    let services = Some(PrincipalKind::Service);
    for asker in ["root", "olga", "audrey", "registry"] {
        assert_eq!(seen(asker, services), "gateway scheduler");
    }
    assert_eq!(seen("alice", None), "alice bound");
    assert_eq!(seen("bound", None), "alice bound");
    assert_eq!(seen("bob", None), "bob");
    assert_eq!(seen("bob", services), "");
}

#[test]
fn events_are_seen_by_those_whom_they_concern() {
    let mut given = fleet();
    given.push(invite_made("new", "alice"));
    let state = state(&given);
    let all = given.len();
    let count =
        |viewer: &str| given.iter().filter(|event| sees_event(&state, &id(viewer), event)).count();
    for viewer in ["root", "olga", "audrey", "scheduler", "gateway"] {
        assert_eq!(count(viewer), all, "{viewer}");
    }
    assert_eq!((count("alice"), count("bob"), count("nobody")), (5, 4, 1));
    let concerns = |event: &RegistryEvent, who: &str| sees_event(&state, &id(who), event);
    let out = evicted("bound");
    assert!(concerns(&out, "alice") && concerns(&out, "bound") && !concerns(&out, "bob"));
    let order = taken("alice");
    assert!(concerns(&order, "alice") && !concerns(&order, "bound") && !concerns(&order, "bob"));
}
