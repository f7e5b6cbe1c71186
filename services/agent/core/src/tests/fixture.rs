//! One node with its keys, and short ways to bring it to any point of a task's life.

use std::time::Duration;

use schemas::{
    Audience, ErrorCode, Fault, InstanceId, Manifest, PrincipalId, TaskId, Timestamp,
    claims::{AssignmentClaims, RequestClaims},
    sandbox::{Enforcement, Property, PropertyReport, SandboxReport, Tier},
    scheduler::{StartAnswer, StartDecision},
    task::{Outcome, TaskSpec, Verdict, Work},
};
use trust::{
    Anchor, Assignment, ClusterName, Purpose, Request, SecretKey, TrustAnchors, envelope_hash,
    sign, task_id,
};
use zeroize::Zeroizing;

use crate::{Action, Facts, Input, Node, Profile, ReceivedOffer, Record, RecordKind, RunKey};

pub(super) const NOW_S: u64 = 1_800_000_000;

pub(super) fn id(raw: &str) -> PrincipalId {
    PrincipalId::parse(raw).unwrap()
}

pub(super) fn facts_at(uptime: Duration) -> Facts {
    let wall = Timestamp::from_seconds(NOW_S).plus_ms(u64::try_from(uptime.as_millis()).unwrap());
    Facts { wall, uptime, entropy: 7 }
}

pub(super) fn facts() -> Facts {
    facts_at(Duration::ZERO)
}

pub(super) fn after(seconds: u64) -> Facts {
    facts_at(Duration::from_secs(seconds))
}

fn key(purpose: Purpose, seed: u8) -> SecretKey {
    SecretKey::from_entropy(purpose, &Zeroizing::new([seed; 32]))
}

pub(super) fn cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

fn anchors() -> TrustAnchors {
    let mut anchors = TrustAnchors::new(cluster());
    let keys = [
        (Purpose::TaskIssuer, 1, "alice"),
        (Purpose::TaskIssuer, 2, "mallory"),
        (Purpose::Scheduler, 3, "scheduler"),
    ];
    for (purpose, seed, principal) in keys {
        let anchor = Anchor {
            key: key(purpose, seed).public().clone(),
            principal: id(principal),
            not_before_s: NOW_S - 1000,
            not_after_s: NOW_S + 1_000_000,
            revoked_at_s: None,
            acts_for: std::collections::BTreeSet::new(),
        };
        anchors.add(anchor).unwrap();
    }
    anchors
}

pub(super) fn manifest() -> Manifest {
    Manifest {
        id: id("n1"),
        name: "Node".to_owned(),
        role: "worker".to_owned(),
        location: None,
        endpoint: None,
        capabilities: schemas::manifest::Capabilities {
            mcp_servers: vec![schemas::Capability::parse("proxmox").unwrap()],
            system: Vec::new(),
            tools: vec![schemas::Capability::parse("shell.exec").unwrap()],
        },
        can_task: Vec::new(),
        accepts_tasks_from: vec![schemas::manifest::PrincipalPattern::parse("bob").unwrap()],
        reports_to: Vec::new(),
        credentials: std::collections::BTreeMap::new(),
        labels: [("gpu".to_owned(), "none".to_owned())].into(),
        limits: schemas::manifest::Limits::default(),
        heartbeat_interval: None,
    }
}

fn sandbox() -> SandboxReport {
    let entry = |level| PropertyReport { level, by: Vec::new(), why: String::new() };
    let properties = [
        (Property::FdsClosed, entry(Enforcement::Enforced)),
        (Property::TreeKill, entry(Enforcement::Partial)),
    ];
    SandboxReport { tier: Tier::T0, properties: properties.into() }
}

pub(super) fn profile(instance: &str) -> Profile {
    Profile {
        instance: InstanceId::parse(instance).unwrap(),
        manifest: manifest(),
        owner: Some(id("alice")),
        shared_with: Vec::new(),
        overseers: std::collections::BTreeSet::new(),
        sandbox: sandbox(),
        slots: 2,
        anchors: anchors(),
    }
}

pub(super) fn node() -> Node {
    Node::new(profile("i1"))
}

pub(super) fn echo() -> TaskSpec {
    TaskSpec::new(Work::Echo { text: "hi".to_owned() })
}

/// A request and its assignment, before they are signed.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) request: RequestClaims,
    pub(super) assignment: AssignmentClaims,
    pub(super) issuer_seed: u8,
    /// Whether the assignment names the hash of this very request.
    pub(super) hash_fits: bool,
}

/// The offer of task number `number` by assignment `epoch`.
pub(super) fn draft(number: u8, epoch: u64) -> Draft {
    let nonce = [number; 16];
    let request = RequestClaims {
        issuer: id("alice"),
        subject: id("alice"),
        audience: Audience::Node(id("n1")),
        expires_at_s: NOW_S + 3600,
        not_before_s: NOW_S,
        issued_at_s: NOW_S,
        nonce,
        spec_json: r#"{"work":{"kind":"echo","text":"hi"}}"#.to_owned(),
        grants: schemas::grants::Grants::default(),
        parent: None,
        trace: None,
        partition: 0,
    };
    let assignment = AssignmentClaims {
        issuer: id("scheduler"),
        issued_at_s: NOW_S,
        expires_at_s: NOW_S + 120,
        task: task_id(&id("alice"), &nonce),
        request_hash: schemas::Sha256Hash::ZERO,
        node: id("n1"),
        epoch,
        attempt: 1,
        term: 5,
    };
    Draft { request, assignment, issuer_seed: 1, hash_fits: true }
}

impl Draft {
    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(super) fn sign(mut self) -> ReceivedOffer {
        let issuer = key(Purpose::TaskIssuer, self.issuer_seed);
        let request = sign::<Request>(&self.request, &cluster(), &issuer).unwrap();
        if self.hash_fits {
            self.assignment.request_hash = envelope_hash(&request);
        }
        let scheduler = key(Purpose::Scheduler, 3);
        let assignment = sign::<Assignment>(&self.assignment, &cluster(), &scheduler).unwrap();
        let (task, epoch) = (self.assignment.task, self.assignment.epoch);
        let (certificates, ancestors) = (Vec::new(), Vec::new());
        ReceivedOffer { task, epoch, request, assignment, certificates, ancestors }
    }
}

pub(super) fn offer(number: u8, epoch: u64) -> Input {
    Input::Offer(draft(number, epoch).sign())
}

pub(super) fn run_key(number: u8, epoch: u64) -> RunKey {
    RunKey { task: task(number), epoch }
}

pub(super) fn task(number: u8) -> TaskId {
    task_id(&id("alice"), &[number; 16])
}

pub(super) fn answer(key: &RunKey, ask: u64, term: u64, decision: StartDecision) -> Input {
    Input::StartAnswered(StartAnswer {
        task: key.task.clone(),
        epoch: key.epoch,
        instance: InstanceId::parse("i1").unwrap(),
        ask,
        term,
        decision,
    })
}

pub(super) fn go(key: &RunKey, ask: u64) -> Input {
    answer(key, ask, 5, StartDecision::Go {})
}

pub(super) fn stand_down(key: &RunKey, ask: u64) -> Input {
    answer(key, ask, 5, StartDecision::StandDown { code: ErrorCode::StaleEpoch })
}

pub(super) fn on_disk(key: &RunKey, kind: RecordKind) -> Input {
    Input::Recorded(key.clone(), kind)
}

pub(super) fn outcome(verdict: Verdict) -> Outcome {
    Outcome {
        verdict,
        exit_code: Some(0),
        signal: None,
        fault: None,
        started_at: Some(Timestamp::from_seconds(NOW_S)),
        ended_at: Timestamp::from_seconds(NOW_S + 1),
        usage: schemas::task::Usage::default(),
        stdout: schemas::task::OutputSummary::default(),
        stderr: schemas::task::OutputSummary::default(),
        sandbox: None,
    }
}

pub(super) fn ended(key: &RunKey, verdict: Verdict) -> Input {
    Input::Ended(key.clone(), Box::new(outcome(verdict)))
}

pub(super) fn unreachable() -> Fault {
    Fault::new(ErrorCode::Unreachable, "nobody answers")
}

/// One word for each action, for cases that care about what is done and not about its content.
pub(super) fn shown(actions: &[Action]) -> Vec<String> {
    actions.iter().map(show).collect()
}

fn show(action: &Action) -> String {
    match action {
        Action::Write(Record::Accepted(accepted)) => format!("write accepted {}", accepted.epoch),
        Action::Write(Record::Started(started)) => format!("write started {}", started.epoch),
        Action::Write(Record::Ended { epoch, outcome, .. }) => {
            format!("write ended {epoch} {:?}", outcome.verdict)
        }
        Action::Write(Record::Dropped { epoch, code, .. }) => {
            format!("write dropped {epoch} {code}")
        }
        Action::Write(Record::Settled { epoch, .. }) => format!("write settled {epoch}"),
        Action::Write(Record::Used { epoch, .. }) => format!("write used {epoch}"),
        Action::Write(Record::Term { term, .. }) => format!("write term {term}"),
        Action::AskStart(request) => format!("ask {} try {}", request.epoch, request.ask),
        Action::Run(order) => format!("run {}", order.key.epoch),
        Action::Kill(key) => format!("kill {}", key.epoch),
        Action::Report(report) => format!("report {} {:?}", report.epoch, report.outcome.verdict),
        Action::AskRoster => "ask roster".to_owned(),
        Action::KeepRoster(_) => "keep roster".to_owned(),
        Action::Refuse(refusal) => format!("refuse {} {}", refusal.epoch, refusal.fault.code),
    }
}

/// Given a past, when the last input comes, then exactly `expected` is done.
pub(super) fn check(node: &mut Node, past: Vec<Input>, when: Input, expected: &[&str]) {
    check_at(node, past, (when, facts()), expected);
}

pub(super) fn check_at(node: &mut Node, past: Vec<Input>, when: (Input, Facts), expected: &[&str]) {
    for input in past {
        drop(node.step(input, &facts()));
    }
    let (input, facts) = when;
    assert_eq!(shown(&node.step(input, &facts)), expected);
}

/// Everything up to the request to start.
pub(super) fn asking(key: &RunKey, number: u8) -> Vec<Input> {
    vec![offer(number, key.epoch), on_disk(key, RecordKind::Accepted)]
}

/// Everything up to the write of `started`.
pub(super) fn committing(key: &RunKey, number: u8) -> Vec<Input> {
    [asking(key, number), vec![go(key, 1)]].concat()
}

/// Everything up to the run.
pub(super) fn running(key: &RunKey, number: u8) -> Vec<Input> {
    [committing(key, number), vec![on_disk(key, RecordKind::Started)]].concat()
}

/// Everything up to the report.
pub(super) fn reporting(key: &RunKey, number: u8) -> Vec<Input> {
    let end = vec![ended(key, Verdict::Succeeded), on_disk(key, RecordKind::Ended)];
    [running(key, number), end].concat()
}

/// Everything.
pub(super) fn settled(key: &RunKey, number: u8) -> Vec<Input> {
    [reporting(key, number), vec![Input::ReportAnswered(key.clone())]].concat()
}
