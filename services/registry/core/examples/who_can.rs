//! Measures who-can and its neighbours over 10,000 agents with 50 capabilities each.
//!
//! Run it with `cargo run --release -p registry-core --example who_can`.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock; no rule does")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot begin has nobody to tell")]

use std::time::{Duration, Instant};

use decider::{Decider, Moment};
use registry_core::{Answer, Facts, Observation, Query, Question, Recorded, Registry, State};
use schemas::{
    Capability, Manifest, PrincipalId, Timestamp,
    agent::Heartbeat,
    manifest::{Capabilities, Limits, PrincipalPattern},
    principal::{PrincipalKind, UserRole},
    registry::{GetAgentsRequest, RegistryEvent, Seat, WhoCanRequest},
};

const AGENTS: usize = 10_000;
const CAPABILITIES: usize = 50;
/// Distinct names, of which each agent holds some.
const NAMES: usize = 2_000;
const ROUNDS: usize = 2_000;

fn main() {
    let begin = Instant::now();
    let state = fleet();
    println!("{AGENTS} agents with {CAPABILITIES} capabilities, taken in {:?}", begin.elapsed());
    println!("{:<44} {:>9} {:>9} {:>9}", "asked", "p50", "p99", "found");
    for (what, capability, from) in [
        ("a name that 1 in 40 holds", "tool-7.do_7", None),
        ("a name that everybody holds", "shell.exec", None),
        ("the same in one version", "shell.exec@v1", None),
        ("a pattern over one server", "tool-7.*", None),
        ("everything", "*", None),
        ("a name that nobody holds", "no.such.thing", None),
        ("everybody, for a person whom all accept", "shell.exec", Some("alice")),
        ("everybody, for an agent with 100 patterns", "shell.exec", Some("boss")),
        ("everybody, for one whom nobody accepts", "shell.exec", Some("mallory")),
    ] {
        report(what, &state, &who_can("root", capability, from));
    }
    for (what, capability, asker) in [
        ("a name that 1 in 40 holds, by a user", "tool-7.do_7", "alice"),
        ("a name that everybody holds, by a user", "shell.exec", "alice"),
        ("the same, by a user who sees nobody", "shell.exec", "mallory"),
        ("the same, by a user who sees 100", "shell.exec", "carol"),
    ] {
        report(what, &state, &who_can(asker, capability, None));
    }
    let agents = GetAgentsRequest { role: Some("none".to_owned()), ..GetAgentsRequest::default() };
    let by = |asker: &str, question| Query { asker: id(asker), question };
    let question = Question::GetAgents(agents);
    report("get-agents that finds nobody", &state, &by("root", question.clone()));
    report("the same, by a user", &state, &by("alice", question));
    let question = Question::Relationships(id("boss"));
    report("relationships of one", &state, &by("root", question));
    report_due(&state);
}

fn report(what: &str, state: &State, query: &Query) {
    let facts = Facts::default();
    let ask = || {
        let begin = Instant::now();
        let answer = std::hint::black_box(Registry::answer(state, query, &facts)).unwrap();
        (begin.elapsed(), answer)
    };
    let times = (0..ROUNDS).map(|_| ask().0).collect();
    let found = found(&ask().1);
    print(what, times, found);
}

fn found(answer: &Answer) -> usize {
    match answer {
        Answer::WhoCan(answer) => answer.agents.len(),
        Answer::Agents(answer) => answer.agents.len(),
        Answer::Relationships(answer) => answer.tasks.len(),
        Answer::Registered(_)
        | Answer::Heartbeat(_)
        | Answer::Agent(_)
        | Answer::Capabilities(_)
        | Answer::CanTask(_)
        | Answer::Deregistered(_)
        | Answer::Principals(_)
        | Answer::Invites(_)
        | Answer::Tokens(_)
        | Answer::Granted(_)
        | Answer::Rotated(_)
        | Answer::Invited(_)
        | Answer::Roster(_)
        | Answer::Sealed(_)
        | Answer::Membership(_)
        | Answer::Ordered(_)
        | Answer::SignedRoster(_)
        | Answer::Unsealed(_)
        | Answer::Refused(_)
        | Answer::DenialsReported(_)
        | Answer::Nothing => 0,
    }
}

fn report_due(state: &State) {
    let mut facts = Facts::default();
    Registry::tell(&mut facts, Moment { now_ms: 1, ..Moment::default() });
    for agent in state.agents() {
        let heartbeat = Box::new(Heartbeat::bare(agent.id().clone()));
        let (by, at) = (agent.id().clone(), Timestamp(1));
        Registry::observe(state, &mut facts, Observation::Heard { by, heartbeat, at });
    }
    let times = (0..ROUNDS).map(|_| {
        let begin = Instant::now();
        assert!(std::hint::black_box(Registry::due(state, &facts)).is_empty());
        begin.elapsed()
    });
    print("a look around when nothing is due", times.collect(), 0);
}

fn print(what: &str, mut times: Vec<Duration>, found: usize) {
    times.sort_unstable();
    let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("{what:<44} {p50:>9.1?} {p99:>9.1?} {found:>9}");
}

fn who_can(asker: &str, capability: &str, from: Option<&str>) -> Query {
    let capability = Capability::parse(capability).unwrap();
    let request = WhoCanRequest { capability, from: from.map(id), limit: None };
    Query { asker: id(asker), question: Question::WhoCan(request) }
}

fn fleet() -> State {
    let mut state = State::default();
    for (name, role) in [
        ("root", UserRole::Admin),
        ("alice", UserRole::User),
        ("mallory", UserRole::User),
        ("carol", UserRole::User),
    ] {
        seat(&mut state, name, role);
    }
    for number in 0..AGENTS {
        take(&mut state, agent(number));
    }
    for number in 0..100 {
        share(&mut state, agent(number * 100).id);
    }
    let mut boss = manifest("boss");
    boss.can_task =
        (0..100).map(|n| PrincipalPattern::parse(&format!("agent-{n:02}*")).unwrap()).collect();
    take(&mut state, boss);
    state
}

fn seat(state: &mut State, name: &str, role: UserRole) {
    let seat = Box::new(Seat {
        id: id(name),
        kind: PrincipalKind::Person,
        role: Some(role),
        owner: id(name),
        capabilities: None,
        login: name.to_owned(),
        keys: Vec::new(),
    });
    happen(state, &RegistryEvent::PrincipalSeated { seat });
}

fn share(state: &mut State, agent: PrincipalId) {
    let (with, by) = (PrincipalPattern::parse("carol").unwrap(), id("owner"));
    happen(state, &RegistryEvent::AgentShared { agent, with, by });
}

fn happen(state: &mut State, event: &RegistryEvent) {
    Registry::evolve(state, event, &Recorded { at_ms: 1, term: 1 });
}

fn take(state: &mut State, manifest: Manifest) {
    let (registrant, owner) = (manifest.id.clone(), id("owner"));
    let manifest = Box::new(manifest);
    let event = RegistryEvent::AgentRegistered { manifest, node: None, registrant, owner };
    happen(state, &event);
}

fn agent(number: usize) -> Manifest {
    // Scattered over the order of ids, as names of machines are.
    let mut manifest = manifest(&format!("agent-{:05}", number * 7919 % 100_000));
    let tool = |n: usize| {
        let name = (number * 31 + n * 41) % NAMES;
        format!("tool-{}.do_{}", name % 40, name)
    };
    let tools = (1..CAPABILITIES).map(tool).chain(["shell.exec".to_owned()]);
    manifest.capabilities.tools = tools.map(|name| Capability::parse(&name).unwrap()).collect();
    manifest.accepts_tasks_from =
        ["alice", "boss", "ops-*"].map(|name| PrincipalPattern::parse(name).unwrap()).to_vec();
    manifest
}

fn manifest(name: &str) -> Manifest {
    Manifest {
        id: id(name),
        name: name.to_owned(),
        role: "worker".to_owned(),
        location: None,
        endpoint: None,
        capabilities: Capabilities::default(),
        can_task: Vec::new(),
        accepts_tasks_from: Vec::new(),
        reports_to: Vec::new(),
        credentials: std::collections::BTreeMap::new(),
        labels: std::collections::BTreeMap::new(),
        limits: Limits::default(),
        heartbeat_interval: None,
    }
}

fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}
