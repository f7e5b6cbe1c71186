//! Cases of the registry's rules: given events and facts, when a command, then events or a code.

mod cast;
mod denials;
mod enrolment;
mod histories;
mod invites;
mod keys;
mod people;
mod presence;
mod properties;
mod queries;
mod register;
mod seats;
mod sight;
mod status;
mod tokens;

use decider::{Decider, Moment, Recorded};
use schemas::{
    Capability, ErrorCode, Fault, Manifest, PrincipalId, Timestamp,
    agent::{Heartbeat, NodeReport},
    manifest::{Capabilities, Limits, PrincipalPattern},
    protocol::PROTOCOL_VERSION,
    registry::{AgentStatus, RegisterRequest, RegistryEvent, StatusSet},
    sandbox::{SandboxReport, Tier},
};

use crate::{Answer, Command, Facts, Observation, Query, Question, Registry, State};
use cast::cast;

/// When the events of a case were recorded, in milliseconds since the Unix epoch.
const LONG_AGO_MS: u64 = 1_000_000;
/// When its command is decided: long after, so that no registration counts as a sign of life.
const NOW_MS: u64 = 1_000_000_000;

/// Decides one command and compares what happens, or with which code it is refused.
#[track_caller]
fn check(
    given: &[RegistryEvent],
    facts: &Facts,
    when: &Command,
    then: Result<Vec<RegistryEvent>, ErrorCode>,
) {
    let decided = Registry::decide(&state(given), when, facts);
    let outcome = decided.map(|decided| decided.events).map_err(|no| Fault::from(no).code);
    assert_eq!(outcome, then);
}

/// Answers a question of somebody who sees everything.
fn ask(given: &[RegistryEvent], question: Question) -> Result<Answer, Fault> {
    ask_as("root", given, question)
}

fn ask_as(asker: &str, given: &[RegistryEvent], question: Question) -> Result<Answer, Fault> {
    let query = Query { asker: id(asker), question };
    Registry::answer(&state(given), &query, &now()).map_err(Fault::from)
}

/// The state in which the cast is seated and all of this happened.
fn state(given: &[RegistryEvent]) -> State {
    let recorded = Recorded { at_ms: LONG_AGO_MS, term: 1 };
    let happened = cast().into_iter().chain(given.iter().cloned());
    let history: Vec<_> = happened.map(|event| (event, recorded)).collect();
    decider::replay::<Registry>(&history)
}

/// What is said in return to a command.
fn answer_to(given: &[RegistryEvent], command: &Command) -> Answer {
    Registry::decide(&state(given), command, &now()).unwrap().answer
}

/// Facts of a process that listens since 0 on the lease clock.
fn at(lease_ms: u64) -> Facts {
    let mut facts = Facts::default();
    Registry::tell(&mut facts, Moment { now_ms: NOW_MS, lease_ms, ..Moment::default() });
    facts
}

fn now() -> Facts {
    at(0)
}

fn hear(given: &[RegistryEvent], facts: &mut Facts, heartbeat: Heartbeat) {
    let by = heartbeat.node.clone();
    let at = Timestamp(facts.now_ms);
    let observation = Observation::Heard { by, heartbeat: Box::new(heartbeat), at };
    Registry::observe(&state(given), facts, observation);
}

fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

fn can(name: &str) -> Capability {
    Capability::parse(name).unwrap()
}

fn patterns(patterns: &[&str]) -> Vec<PrincipalPattern> {
    patterns.iter().map(|pattern| PrincipalPattern::parse(pattern).unwrap()).collect()
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

/// A manifest with tools alone.
fn with_tools(name: &str, tools: &[&str]) -> Manifest {
    let mut manifest = manifest(name);
    manifest.capabilities.tools = tools.iter().map(|tool| can(tool)).collect();
    manifest
}

fn report() -> NodeReport {
    NodeReport {
        instance: schemas::InstanceId::parse("web-1").unwrap(),
        protocol: PROTOCOL_VERSION,
        version: "0.1.0".to_owned(),
        platform: "linux/x86_64".to_owned(),
        kernel: String::new(),
        cpus: 2,
        memory_bytes: 1 << 30,
        disk_free_bytes: 0,
        slots: 2,
        tools: std::collections::BTreeMap::new(),
        sandbox: SandboxReport { tier: Tier::T0, properties: std::collections::BTreeMap::new() },
    }
}

fn register(caller: &str, manifest: Manifest) -> Command {
    let request = RegisterRequest { manifest, owner: None, node: None };
    Command::Register { caller: id(caller), request: Box::new(request) }
}

/// An agent without a node that `registrant` registered and owns.
fn registered_by(registrant: &str, manifest: Manifest) -> RegistryEvent {
    RegistryEvent::AgentRegistered {
        manifest: Box::new(manifest),
        node: None,
        registrant: id(registrant),
        owner: id(registrant),
    }
}

/// An agent that registered itself.
fn registered(manifest: Manifest) -> RegistryEvent {
    let name = manifest.id.to_string();
    registered_by(&name, manifest)
}

fn changed(name: &str, from: AgentStatus, to: AgentStatus, reason: &str) -> RegistryEvent {
    RegistryEvent::AgentStatusChanged { agent: id(name), from, to, reason: reason.to_owned() }
}

fn set(name: &str, by: &str, status: AgentStatus) -> RegistryEvent {
    let details = std::collections::BTreeMap::new();
    RegistryEvent::AgentStatusSet {
        agent: id(name),
        set: StatusSet { by: id(by), status, details },
    }
}

fn deregistered(name: &str, by: &str) -> RegistryEvent {
    RegistryEvent::AgentDeregistered { agent: id(name), by: id(by) }
}

fn archived(name: &str) -> RegistryEvent {
    RegistryEvent::AgentArchived { agent: id(name) }
}
