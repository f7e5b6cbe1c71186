//! What the registry knows, asked in every way.

use std::collections::BTreeMap;

use schemas::{
    permission::Denial,
    registry::{
        CanTaskRequest, GetAgentsAnswer, GetAgentsRequest, RelationshipsAnswer, WhoCanRequest,
    },
};

use super::*;
use crate::PAGE_MAX;

#[test]
fn who_can_finds_names_patterns_versions_systems_and_servers() {
    let mut kubernetes = manifest("k3s");
    kubernetes.capabilities.mcp_servers = vec![can("proxmox")];
    kubernetes.capabilities.system = vec![can("kubernetes_access")];
    let given = [
        registered(kubernetes),
        registered(with_tools("any", &["proxmox.*"])),
        registered(with_tools("one", &["proxmox.create_vm", "shell.exec"])),
        registered(with_tools("v1", &["shell.exec@v1"])),
        registered(with_tools("v2", &["shell.exec@v2", "shell.exec@v3"])),
        registered(with_tools("all", &["*"])),
    ];
    for (wanted, then) in [
        ("proxmox.create_vm", "all=* any=proxmox.* k3s=proxmox one=proxmox.create_vm"),
        ("proxmox.*", "all=* any=proxmox.* k3s=proxmox one=proxmox.create_vm"),
        ("proxmox.create_vm.now", "all=* any=proxmox.* k3s=proxmox"),
        ("proxmox", "all=* k3s=proxmox"),
        ("kubernetes_access", "all=* k3s=kubernetes_access"),
        ("shell.exec", "all=* one=shell.exec v1=shell.exec@v1 v2=shell.exec@v2"),
        ("shell.exec@v1", "all=* one=shell.exec v1=shell.exec@v1"),
        ("shell.exec@v3", "all=* one=shell.exec v2=shell.exec@v3"),
        ("shell.*@v2", "all=* one=shell.exec v2=shell.exec@v2"),
        (
            "*",
            "all=* any=proxmox.* k3s=proxmox one=proxmox.create_vm v1=shell.exec@v1 \
             v2=shell.exec@v2",
        ),
        ("prox", "all=*"),
    ] {
        assert_eq!(who_can(&given, wanted, None), then, "{wanted}");
    }
}

#[test]
fn who_can_leaves_out_who_left_the_lists_and_follows_a_changed_manifest() {
    let able = || registered(with_tools("web", &["shell.exec"]));
    assert_eq!(who_can(&[able(), archived("web")], "shell.exec", None), "");
    assert_eq!(who_can(&[able(), deregistered("web", "web")], "shell.exec", None), "");
    assert_eq!(who_can(&[able(), registered(manifest("web"))], "shell.exec", None), "");
    let back = [able(), deregistered("web", "web"), able()];
    assert_eq!(who_can(&back, "shell.exec", None), "web=shell.exec");
}

#[test]
fn who_can_names_only_those_whom_the_asker_may_task() {
    let accepting = |name: &str, from: &[&str]| {
        let accepts_tasks_from = patterns(from);
        registered(Manifest { accepts_tasks_from, ..with_tools(name, &["shell.exec"]) })
    };
    let boss = Manifest { can_task: patterns(&["web-*"]), ..manifest("boss") };
    let given = [
        registered(boss),
        accepting("web-1", &["boss"]),
        accepting("web-2", &["someone-else"]),
        accepting("web-3", &["bo*"]),
        accepting("web-4", &["*"]),
        accepting("db-1", &["*"]),
    ];
    let of = |from| who_can(&given, "shell.exec", Some(from));
    assert_eq!(of("boss"), "web-1=shell.exec web-3=shell.exec web-4=shell.exec");
    assert_eq!(of("alice"), "db-1=shell.exec web-4=shell.exec");
    assert_eq!(of("web-2"), "web-2=shell.exec");
    let given = [given.to_vec(), vec![accepting("db-1", &["boss"])]].concat();
    assert_eq!(who_can(&given, "shell.exec", Some("alice")), "web-4=shell.exec");
}

#[test]
fn can_task_says_what_stands_against_it() {
    let boss = Manifest { can_task: patterns(&["web"]), ..manifest("boss") };
    let given = [
        registered(boss),
        registered(Manifest { accepts_tasks_from: patterns(&["boss"]), ..manifest("web") }),
        registered(manifest("db")),
    ];
    for (from, to, then) in [
        ("boss", "web", vec![]),
        ("boss", "db", vec![Denial::CanTaskMissing, Denial::NotAccepted]),
        ("db", "web", vec![Denial::CanTaskMissing, Denial::NotAccepted]),
        ("alice", "web", vec![Denial::NotAccepted]),
        ("web", "web", vec![]),
    ] {
        assert_eq!(denials(&given, from, to), then, "{from} to {to}");
    }
}

#[test]
fn who_deregisters_itself_gains_nothing_by_it() {
    let given = [
        registered(manifest("worker")),
        registered(Manifest { accepts_tasks_from: patterns(&["*"]), ..manifest("web") }),
        deregistered("worker", "worker"),
    ];
    assert_eq!(denials(&given, "worker", "web"), vec![Denial::CanTaskMissing]);
}

#[test]
fn the_reasons_are_sentences_with_names() {
    let query = Question::CanTask(CanTaskRequest { from: id("alice"), to: id("web") });
    let Ok(Answer::CanTask(answer)) = ask(&[registered(manifest("web"))], query) else {
        panic!("no answer to can-task");
    };
    let reason = "the manifest of web does not name alice in accepts_tasks_from";
    assert_eq!((answer.allowed, answer.reasons), (false, vec![reason.to_owned()]));
}

#[test]
fn nobody_is_found_who_is_not_there() {
    for question in [
        Question::GetAgent(id("nobody")),
        Question::GetCapabilities(id("nobody")),
        Question::Relationships(id("nobody")),
        Question::CanTask(CanTaskRequest { from: id("alice"), to: id("nobody") }),
        Question::Heartbeat(id("nobody")),
    ] {
        let fault = ask(&[], question.clone()).unwrap_err();
        assert_eq!(fault.code, ErrorCode::AgentNotFound, "{question:?}");
        assert!(fault.message.contains("nobody"), "{fault}");
    }
}

#[test]
fn lists_are_filtered() {
    let mut gpu = with_tools("gpu-1", &["cuda.run"]);
    gpu.labels = BTreeMap::from([("gpu".to_owned(), "h100".to_owned())]);
    let given = [
        registered(gpu),
        registered(Manifest { role: "orchestrator".to_owned(), ..manifest("boss") }),
        registered_by("alice", manifest("webhook")),
        registered(with_tools("old", &["cuda.run"])),
        archived("old"),
    ];
    let any = GetAgentsRequest::default;
    for (request, then) in [
        (any(), "boss gpu-1 webhook"),
        (GetAgentsRequest { archived: true, ..any() }, "boss gpu-1 old webhook"),
        (GetAgentsRequest { role: Some("orchestrator".to_owned()), ..any() }, "boss"),
        (GetAgentsRequest { status: Some(AgentStatus::Offline), ..any() }, "webhook"),
        (GetAgentsRequest { label: Some("gpu".to_owned()), ..any() }, "gpu-1"),
        (GetAgentsRequest { label: Some("gpu=h100".to_owned()), ..any() }, "gpu-1"),
        (GetAgentsRequest { label: Some("gpu=none".to_owned()), ..any() }, ""),
        (GetAgentsRequest { capability: Some(can("cuda.*")), ..any() }, "gpu-1"),
        (
            GetAgentsRequest { capability: Some(can("cuda.*")), archived: true, ..any() },
            "gpu-1 old",
        ),
    ] {
        assert_eq!(names(&list(&given, &request)), then, "{request:?}");
    }
}

#[test]
fn lists_go_on_where_the_page_before_ended() {
    let given = ["a", "b", "c"].map(|name| registered(manifest(name)));
    let page = |after: Option<&str>| {
        let after = after.map(id);
        list(&given, &GetAgentsRequest { after, limit: Some(2), ..GetAgentsRequest::default() })
    };
    let first = page(None);
    assert_eq!((names(&first), &first.next), ("a b".to_owned(), &Some(id("b"))));
    let second = page(Some("b"));
    assert_eq!((names(&second), &second.next), ("c".to_owned(), &None));
}

#[test]
fn a_limit_or_label_that_makes_no_sense_is_refused() {
    let any = GetAgentsRequest::default;
    for request in [
        GetAgentsRequest { limit: Some(0), ..any() },
        GetAgentsRequest { limit: Some(PAGE_MAX + 1), ..any() },
        GetAgentsRequest { label: Some("=x".to_owned()), ..any() },
    ] {
        let fault = ask(&[], Question::GetAgents(request)).unwrap_err();
        assert_eq!(fault.code, ErrorCode::InvalidValue);
    }
}

#[test]
fn an_agent_that_was_deregistered_can_still_be_looked_at() {
    let given = [registered(manifest("web")), deregistered("web", "web")];
    let Ok(Answer::Agent(view)) = ask(&given, Question::GetAgent(id("web"))) else {
        panic!("no answer to get-agent");
    };
    assert_eq!((view.archived, view.status), (true, AgentStatus::Offline));
    assert_eq!(view.status_reason.as_deref(), Some("web deregistered it"));
}

#[test]
fn relationships_are_computed_both_ways() {
    let boss = Manifest { can_task: patterns(&["*"]), ..manifest("boss") };
    let web = Manifest {
        accepts_tasks_from: patterns(&["boss"]),
        reports_to: vec![id("boss")],
        ..manifest("web")
    };
    let given = [registered(boss), registered(web), registered(manifest("db"))];
    let of = |name: &str| relationships(&given, name);
    assert_eq!((of("boss").tasks, of("boss").reports), (vec![id("web")], vec![id("web")]));
    assert_eq!((of("web").tasked_by, of("web").tasks), (vec![id("boss")], vec![]));
    assert_eq!(of("db").tasked_by, vec![]);
}

#[test]
fn a_long_relationship_says_that_it_was_cut() {
    let boss = Manifest { accepts_tasks_from: patterns(&["*"]), ..manifest("boss") };
    let worker = |n: usize| {
        let can_task = patterns(&["boss"]);
        registered(Manifest { can_task, ..manifest(&format!("worker-{n:04}")) })
    };
    let mut given = vec![registered(boss)];
    given.extend((0..crate::RELATIONS_MAX).map(worker));
    assert!(!relationships(&given, "boss").more);
    given.push(worker(crate::RELATIONS_MAX));
    let cut = relationships(&given, "boss");
    assert_eq!((cut.tasked_by.len(), cut.more), (crate::RELATIONS_MAX, true));
}

#[test]
fn a_heartbeat_by_request_tells_when_the_next_one_is_expected() {
    let given = [registered_by("alice", manifest("webhook"))];
    for caller in ["webhook", "alice"] {
        let question = Question::Heartbeat(id("webhook"));
        let Ok(Answer::Heartbeat(answer)) = ask_as(caller, &given, question) else {
            panic!("no answer to heartbeat");
        };
        assert_eq!(answer.next_within, 10);
    }
    let question = || Question::Heartbeat(id("webhook"));
    let refused = |who| ask_as(who, &given, question()).unwrap_err().code;
    assert_eq!(refused("root"), ErrorCode::NotAllowed);
    assert_eq!(refused("bob"), ErrorCode::AgentNotFound);
}

fn who_can(given: &[RegistryEvent], wanted: &str, from: Option<&str>) -> String {
    let request = WhoCanRequest { capability: can(wanted), from: from.map(id), limit: None };
    let Ok(Answer::WhoCan(answer)) = ask(given, Question::WhoCan(request)) else {
        panic!("no answer to who-can");
    };
    let found = answer.agents.iter().map(|able| format!("{}={}", able.id, able.granted_by));
    found.collect::<Vec<_>>().join(" ")
}

fn denials(given: &[RegistryEvent], from: &str, to: &str) -> Vec<Denial> {
    let query = Question::CanTask(CanTaskRequest { from: id(from), to: id(to) });
    match ask(given, query) {
        Ok(Answer::CanTask(answer)) => answer.denials,
        other => panic!("{other:?} is no answer to can-task"),
    }
}

fn relationships(given: &[RegistryEvent], name: &str) -> RelationshipsAnswer {
    match ask(given, Question::Relationships(id(name))) {
        Ok(Answer::Relationships(answer)) => answer,
        other => panic!("{other:?} is no answer to relationships"),
    }
}

fn list(given: &[RegistryEvent], request: &GetAgentsRequest) -> GetAgentsAnswer {
    match ask(given, Question::GetAgents(request.clone())) {
        Ok(Answer::Agents(answer)) => answer,
        other => panic!("{other:?} is no answer to get-agents"),
    }
}

fn names(answer: &GetAgentsAnswer) -> String {
    let names = answer.agents.iter().map(|agent| agent.manifest.id.to_string());
    names.collect::<Vec<_>>().join(" ")
}
