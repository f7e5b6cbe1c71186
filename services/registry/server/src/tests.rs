//! Requests, rows and pages, without a broker.

#[path = "../tests/service/house.rs"]
mod house;
mod issuing;
mod orders;

use decider::Decider;
use registry_core::{Answer, Command, Observation, Query, Question, Recorded, Registry, State};
use runtime::{Caller, Request, Service};
use schemas::{
    Capability, Cursor, ErrorCode, Fault, PrincipalId, Timestamp,
    registry::{AgentView, GetAgentsAnswer, GetAgentsRequest, RegistryEvent, verb},
    subject::Bucket,
};
use serde_json::{Value, json};

use crate::{RegistryService, pages, project, requests};

#[test]
fn a_registration_acts_for_whoever_the_subject_names() {
    let body = json!({ "manifest": manifest("web") }).to_string();
    match read(verb::REGISTER, &body) {
        Ok(Request::Command(Command::Register { caller, request })) => {
            assert_eq!((caller, request.manifest.id), (id("alice"), id("web")));
        }
        _ => panic!("no command to register"),
    }
}

#[test]
fn every_verb_is_read_and_every_other_is_named() {
    for verb in verb::ALL.into_iter().filter(|verb| ![verb::EVENTS, verb::REBUILD].contains(verb)) {
        let fault = read(verb, "{\"nonsense\":1}").err().unwrap();
        assert_eq!(fault.code, ErrorCode::UnknownField, "{verb}");
    }
    let fault = read("ban", "{}").err().unwrap();
    assert_eq!(fault.code, ErrorCode::UnknownVerb);
    assert!(fault.message.contains("ban"), "{fault}");
}

#[test]
fn a_body_that_makes_no_sense_is_refused_with_its_code() {
    for (verb, body, code) in [
        (verb::REGISTER, "{", ErrorCode::MalformedJson),
        (verb::REGISTER, "", ErrorCode::InvalidValue),
        (verb::GET_AGENT, r#"{"id":"a.b"}"#, ErrorCode::InvalidId),
        (verb::GET_AGENT, r#"{"id":">"}"#, ErrorCode::InvalidId),
        (verb::WHO_CAN, r#"{"capability":"a b"}"#, ErrorCode::InvalidCapability),
        (verb::GET_AGENTS, r#"{"status":"gone"}"#, ErrorCode::InvalidValue),
        (verb::CAN_TASK, r#"{"from":"a"}"#, ErrorCode::InvalidValue),
        (verb::DEREGISTER, r#"{"id":"a","force":true}"#, ErrorCode::UnknownField),
    ] {
        assert_eq!(read(verb, body).err().map(|fault| fault.code), Some(code), "{verb} {body}");
    }
}

#[test]
fn an_empty_body_lists_everybody() {
    let Ok(Request::Query(Query { asker, question })) = read(verb::GET_AGENTS, "") else {
        panic!("no query");
    };
    assert_eq!((asker, question), (id("alice"), Question::GetAgents(GetAgentsRequest::default())));
}

#[test]
fn a_heartbeat_by_request_is_of_its_sender() {
    match read(verb::HEARTBEAT, r#"{"node":"web"}"#) {
        Ok(Request::Observe(Observation::Heard { by, at, .. }, Query { asker, question })) => {
            assert_eq!((by, asker), (id("alice"), id("alice")));
            assert_eq!(question, Question::Heartbeat(id("web")));
            assert_eq!(at, Timestamp(7));
        }
        _ => panic!("no heartbeat"),
    }
}

#[test]
fn a_heartbeat_counts_only_over_its_own_subject() {
    let heard = |subject: &str| requests::hear(subject, br#"{"node":"web"}"#, 7);
    assert!(heard("cortex.hb.web").is_ok());
    for subject in ["cortex.hb.other", "cortex.hb.web.x", "cortex.hb.", "cortex.node.web.hb"] {
        assert_eq!(heard(subject).unwrap_err().code, ErrorCode::NotAllowed, "{subject}");
    }
}

#[test]
fn an_event_leaves_the_whole_row_of_its_agent() {
    let event = registered("web");
    let [row] = &project::project(&state(&event), &event)[..] else { panic!("not one row") };
    assert_eq!((row.bucket, row.key.as_str()), (Bucket::Agents, "web"));
    let view: AgentView = serde_json::from_str(row.body.as_ref().unwrap().get()).unwrap();
    assert_eq!((view.manifest.id, view.presence), (id("web"), None));
    assert_eq!(project::about(&event), ("agent", "web"));
}

#[test]
fn a_list_names_the_place_in_the_log_that_it_stands_for() {
    let head = Cursor { partition: 0, generation: 1, sequence: 9, index: 2 };
    let mut answer = Answer::Agents(page(0));
    RegistryService::stamp(&mut answer, head);
    let Answer::Agents(answer) = answer else { panic!("no list") };
    assert_eq!(answer.cursor, head);
}

#[test]
fn a_list_that_fits_is_sent_whole_and_a_heavy_one_goes_on_later() {
    let mut light = page(3);
    pages::fit(&mut light);
    assert_eq!((light.agents.len(), &light.next), (3, &None));

    let mut heavy = page(1000);
    let tool = |n: usize| Capability::parse(&format!("{}.{n}", "x".repeat(100))).unwrap();
    for agent in &mut heavy.agents {
        agent.manifest.capabilities.tools = (0..100).map(tool).collect();
    }
    pages::fit(&mut heavy);
    let last = heavy.agents.last().map(|agent| agent.manifest.id.clone());
    assert!((2..100).contains(&heavy.agents.len()), "{}", heavy.agents.len());
    assert_eq!(heavy.next, last);
    assert!(serde_json::to_vec(&heavy).unwrap().len() < 1024 * 1024);
}

fn page(agents: usize) -> GetAgentsAnswer {
    let view = |n: usize| {
        let event = registered(&format!("agent-{n:04}"));
        state(&event).row(event.principal()).unwrap()
    };
    GetAgentsAnswer {
        agents: (0..agents).map(view).collect(),
        next: None,
        cursor: Cursor::default(),
    }
}

fn state(event: &RegistryEvent) -> State {
    let mut state = State::default();
    Registry::evolve(&mut state, event, &Recorded { at_ms: 1, term: 1 });
    state
}

fn registered(name: &str) -> RegistryEvent {
    let manifest = serde_json::from_value(manifest(name)).unwrap();
    RegistryEvent::AgentRegistered { manifest, node: None, registrant: id(name), owner: id(name) }
}

fn manifest(name: &str) -> Value {
    json!({ "id": name, "name": name, "role": "worker" })
}

fn read(verb: &str, body: &str) -> Result<Request<Registry>, Fault> {
    let caller = Caller { principal: id("alice"), trace: None, now_ms: 7 };
    requests::read(None, verb, body.as_bytes(), &caller)
}

fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}
