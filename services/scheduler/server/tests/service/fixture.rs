//! A scheduler on a broker of its own, with a stand-in for the registry and one for a node.
//!
//! The real registry and node are services of their own, which no other service may link; that all
//! of them work together is a test of the whole system.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::{Client, ConnectOptions, Responder, ServiceInfo};
use cortex_tests::{NatsServer, ServerOptions, eventually_some};
use futures::StreamExt as _;
use jetstream_config::{
    broker::DurabilityProof,
    streams::{self, Replicas, storage_bytes},
};
use runtime::HostConfig;
use scheduler_server::{SchedulerConfig, SchedulerTrust};
use schemas::{
    Cursor, Fault, InstanceId, PrincipalId, TaskId, Timestamp,
    agent::{Heartbeat, NodeChannel, TaskOffer},
    claims::{AssignmentClaims, RequestClaims},
    enrolment::{GetPrincipalsAnswer, GetTokensAnswer},
    feed::EventsAnswer,
    registry::{self, AgentView, GetAgentsAnswer},
    scheduler::{GetTasksAnswer, ReportAnswer, StartAnswer, verb},
    subject::{self, ServiceName},
    task::{Outcome, TaskSpec, Verdict, Work},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use trust::{
    Anchor, AssignmentFacts, ChainLink, ClusterName, Purpose, Recipient, SecretKey, Trust,
    TrustAnchors, Unverified,
};
use zeroize::Zeroizing;

/// Nothing here should take nearly as long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A scheduler on a broker of its own.
pub(crate) struct Running {
    server: NatsServer,
    state: TempDir,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Result<(), runtime::HostError>>,
}

impl Running {
    pub(crate) async fn start() -> Result<Self> {
        // Room is reserved, not used: what the streams may grow to together.
        let room = storage_bytes(&streams::all(Replicas::One));
        let jetstream_extra = format!("max_file_store: {room}");
        let options = ServerOptions { jetstream_extra, ..ServerOptions::default() };
        Self::start_on(NatsServer::start_with(options).await?, TempDir::new()?).await
    }

    async fn start_on(server: NatsServer, state: TempDir) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let host = HostConfig {
            connect: ConnectOptions::new(server.url(), id("scheduler")),
            state_dir: state.path().to_owned(),
            replicas: Replicas::One,
            // These brokers sync every write, but show their settings to nobody.
            durability: DurabilityProof::Waived,
        };
        let config = SchedulerConfig { host, trust: scheduler_trust() };
        let serving = tokio::spawn(scheduler_server::serve(config, stopped));
        let mut running = Self { server, state, stop, serving };
        // What services see does not depend on the registry, which may not be there yet.
        let client = running.client("registry").await?;
        let answers = eventually_some(DEADLINE, || async {
            ask::<GetTasksAnswer>(&client, verb::GET_TASKS, json!({})).await.ok()
        });
        tokio::select! {
            ended = &mut running.serving => bail!("the scheduler ended: {:?}", ended?),
            answer = answers => drop(answer?),
        }
        Ok(running)
    }

    pub(crate) async fn client(&self, principal: &str) -> Result<Client> {
        Ok(Client::connect(ConnectOptions::new(self.server.url(), id(principal))).await?)
    }

    pub(crate) async fn restart(self) -> Result<Self> {
        self.stop.send(true)?;
        self.serving.await??;
        Self::start_on(self.server, self.state).await
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.send(true)?;
        Ok(self.serving.await??)
    }
}

/// Answers for a fleet that never changes.
pub(crate) struct Registry(JoinHandle<()>);

impl Registry {
    pub(crate) async fn start(scheduler: &Running, nodes: &[&str]) -> Result<Self> {
        let client = scheduler.client("registry").await?;
        let info = ServiceInfo {
            name: ServiceName::Registry,
            instance: "registry-1".to_owned(),
            version: "0.0.0".to_owned(),
            description: "a fleet that never changes".to_owned(),
            verbs: &registry::verb::ALL,
            queue_group: "registry-1".to_owned(),
        };
        let mut responder = Responder::serve(client.nats(), info).await?;
        let agents: Vec<AgentView> = nodes.iter().map(|node| agent(node)).collect();
        let answering = async move {
            // The connection lives as long as somebody answers on it.
            let _client = client;
            while let Some(request) = responder.recv().await {
                let answer = match request.verb() {
                    registry::verb::EVENTS => {
                        let events = Vec::new();
                        let answer =
                            EventsAnswer { events, next: Cursor::default(), at_head: true };
                        serde_json::to_vec(&answer)
                    }
                    registry::verb::GET_PRINCIPALS => {
                        let principals = Vec::new();
                        serde_json::to_vec(&GetPrincipalsAnswer { principals, next: None })
                    }
                    registry::verb::GET_TOKENS => {
                        serde_json::to_vec(&GetTokensAnswer { tokens: Vec::new(), next: None })
                    }
                    _ => {
                        let (agents, cursor) = (agents.clone(), Cursor::default());
                        serde_json::to_vec(&GetAgentsAnswer { agents, next: None, cursor })
                    }
                };
                request.respond(Ok(answer.unwrap().into()));
            }
        };
        Ok(Self(tokio::spawn(answering)))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A node that verifies what it is offered and runs nothing.
pub(crate) struct Node {
    client: Client,
    name: PrincipalId,
    heard: mpsc::UnboundedReceiver<(String, Vec<u8>)>,
    hearing: JoinHandle<()>,
}

impl Node {
    pub(crate) async fn start(scheduler: &Running, name: &str) -> Result<Self> {
        let client = scheduler.client(name).await?;
        let (tell, heard) = mpsc::unbounded_channel();
        let mut subscriber = client.nats().subscribe(subject::node_all(&id(name))).await?;
        client.nats().flush().await?;
        let beating = client.nats().clone();
        let beat = serde_json::to_vec(&Heartbeat::bare(id(name)))?;
        let beats_on = subject::heartbeat(&id(name));
        let hearing = tokio::spawn(async move {
            let mut beats = tokio::time::interval(Duration::from_secs(1));
            loop {
                tokio::select! {
                    message = subscriber.next() => match message {
                        Some(it) => drop(tell.send((it.subject.to_string(), it.payload.to_vec()))),
                        None => return,
                    },
                    _ = beats.tick() => {
                        drop(beating.publish(beats_on.clone(), beat.clone().into()).await);
                    }
                }
            }
        });
        Ok(Self { client, name: id(name), heard, hearing })
    }

    /// The next message on a channel.
    pub(crate) async fn heard(&mut self, channel: NodeChannel) -> Result<Vec<u8>> {
        let wanted = subject::node(&self.name, channel);
        let next = async {
            loop {
                let (subject, body) = self.heard.recv().await.context("the subscription ended")?;
                if subject == wanted {
                    return Ok(body);
                }
            }
        };
        tokio::time::timeout(DEADLINE, next).await?
    }

    /// The next offer, verified as a node does.
    pub(crate) async fn offer(&mut self) -> Result<(TaskOffer, AssignmentClaims)> {
        let offer: TaskOffer = serde_json::from_slice(&self.heard(NodeChannel::Task).await?)?;
        let (anchors, now) = (anchors(), Timestamp(runtime::wall_clock_ms()));
        let by = Trust { anchors: &anchors, now };
        let can = [schemas::Capability::parse("shell.exec")?];
        let recipient = Recipient::Node { id: &self.name, capabilities: &can };
        let request = STANDARD.decode(&offer.request)?;
        let chain = offer
            .ancestors
            .iter()
            .map(|it| Ok((STANDARD.decode(&it.request)?, STANDARD.decode(&it.assignment)?)))
            .collect::<Result<Vec<_>>>()?;
        let links: Vec<ChainLink<'_>> =
            chain.iter().map(|(request, assignment)| ChainLink { request, assignment }).collect();
        let request = Unverified::with_chain(&request, &links);
        let request = request.verify::<trust::Request>(by, &recipient)?;
        let facts = AssignmentFacts { node: &self.name, request: &request };
        let assignment = STANDARD.decode(&offer.assignment)?;
        let assignment = Unverified::new(&assignment).verify::<trust::Assignment>(by, &facts)?;
        Ok((offer, assignment.claims().clone()))
    }

    pub(crate) async fn start_task(&self, task: u8, nth: u64) -> Result<StartAnswer, Fault> {
        let mut body = self.run(task);
        body["ask"] = json!(nth);
        ask(&self.client, verb::START, body).await
    }

    pub(crate) async fn report(
        &self,
        task: u8,
        epoch: u64,
        verdict: Verdict,
    ) -> Result<ReportAnswer> {
        let mut body = self.run(task);
        body["epoch"] = json!(epoch);
        body["outcome"] = serde_json::to_value(outcome(verdict))?;
        Ok(ask(&self.client, verb::REPORT, body).await?)
    }

    fn run(&self, task: u8) -> Value {
        json!({ "task": task_of(task), "epoch": 1, "instance": instance(&self.name) })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.hearing.abort();
    }
}

pub(crate) async fn ask<Ans: DeserializeOwned>(
    client: &Client,
    verb: &str,
    request: Value,
) -> Result<Ans, Fault> {
    client.request(ServiceName::Scheduler, verb, &request).await
}

pub(crate) fn outcome(verdict: Verdict) -> Outcome {
    let ended = json!({ "verdict": verdict, "started_at": 1, "ended_at": 2 });
    serde_json::from_value(ended).unwrap()
}

/// A request of `ann` for an echo; its number makes it another task.
pub(crate) fn envelope(audience: &str, number: u8) -> String {
    sign(&claims(audience, number), 1)
}

/// A request of `ann` that may ask node `db` for two more.
pub(crate) fn delegating_envelope(audience: &str, number: u8) -> String {
    let mut claims = claims(audience, number);
    claims.grants.agents = vec![schemas::manifest::PrincipalPattern::parse("db").unwrap()];
    claims.grants.tasks_max = 2;
    sign(&claims, 1)
}

/// What node `web` asks `db` for in the name of a task of `ann`.
pub(crate) fn child_envelope(parent: u8, number: u8) -> String {
    let mut claims = claims("node:db", number);
    (claims.issuer, claims.parent) = (id("web"), Some(task_of(parent)));
    // It must not outlive its parent, which may have been signed a second before.
    claims.expires_at_s -= 60;
    sign(&claims, 3)
}

fn sign(claims: &RequestClaims, seed: u8) -> String {
    let key = key(Purpose::TaskIssuer, seed);
    STANDARD.encode(trust::sign::<trust::Request>(claims, &cluster(), &key).unwrap())
}

fn claims(audience: &str, number: u8) -> RequestClaims {
    let now_s = Timestamp(runtime::wall_clock_ms()).seconds();
    let spec = TaskSpec::new(Work::Echo { text: "hello".to_owned() });
    RequestClaims {
        issuer: id("ann"),
        subject: id("ann"),
        audience: audience.parse().unwrap(),
        expires_at_s: now_s + 600,
        not_before_s: now_s,
        issued_at_s: now_s,
        nonce: [number; 16],
        spec_json: serde_json::to_string(&spec).unwrap(),
        grants: schemas::grants::Grants::default(),
        parent: None,
        trace: None,
        partition: 0,
    }
}

pub(crate) fn task_of(number: u8) -> TaskId {
    trust::task_id(&id("ann"), &[number; 16])
}

pub(crate) fn scheduler_trust() -> SchedulerTrust {
    SchedulerTrust::new(anchors(), key(Purpose::Scheduler, 2)).unwrap()
}

pub(crate) fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

fn instance(node: &PrincipalId) -> InstanceId {
    node.instance(1)
}

fn agent(name: &str) -> AgentView {
    let tier = schemas::sandbox::Tier::T0;
    let view = json!({
        "manifest": {
            "id": name, "name": name, "role": "worker",
            "capabilities": { "tools": ["shell.exec"] },
            "can_task": ["db"], "accepts_tasks_from": ["ann", "web"]
        },
        "node": {
            "instance": instance(&id(name)), "protocol": 1, "version": "0",
            "platform": "linux/x86_64", "cpus": 1, "memory_bytes": 1, "slots": 4,
            "sandbox": { "tier": tier, "properties": {} }
        },
        "owner": "olga", "enrolled": true, "status": "online",
        "registered_at": 1, "updated_at": 1, "archived": false
    });
    serde_json::from_value(view).unwrap()
}

fn anchors() -> TrustAnchors {
    let mut anchors = TrustAnchors::new(cluster());
    let pairs = [
        (key(Purpose::TaskIssuer, 1), "ann"),
        (key(Purpose::Scheduler, 2), "scheduler"),
        (key(Purpose::TaskIssuer, 3), "web"),
    ];
    for (key, principal) in pairs {
        let anchor = Anchor {
            key: key.public().clone(),
            principal: id(principal),
            not_before_s: 0,
            not_after_s: u64::MAX,
            revoked_at_s: None,
            acts_for: BTreeSet::new(),
        };
        anchors.add(anchor).unwrap();
    }
    anchors
}

fn key(purpose: Purpose, seed: u8) -> SecretKey {
    SecretKey::from_entropy(purpose, &Zeroizing::new([seed; 32]))
}

fn cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}
