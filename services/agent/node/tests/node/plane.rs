//! A control plane that a case can look into: registers, offers, lets start once, takes reports.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::{Client, ConnectOptions, IncomingRequest, Responder, ServiceInfo};
use schemas::{
    Audience, ErrorCode, Fault, InstanceId, PrincipalId, Sha256Hash, TaskId, Timestamp,
    agent::{CancelOrder, NodeChannel, TaskOffer},
    claims::{AssignmentClaims, RequestClaims},
    protocol::PROTOCOL_VERSION,
    registry::{AgentStatus, AgentView, RegisterAnswer, RegisterRequest, verb as registry_verb},
    scheduler::{
        RefuseRequest, ReportAnswer, ReportRequest, StartAnswer, StartDecision, StartRequest, verb,
    },
    subject::{self, ServiceName},
    task::{Outcome, TaskSpec, TaskState},
};
use serde::Serialize;
use trust::{Assignment, ClusterName, Purpose, Request, SecretKey, envelope_hash, sign, task_id};
use zeroize::Zeroizing;

use crate::SOON;

pub(crate) const ISSUER: &str = "alice";
pub(crate) const NODE: &str = "n1";

pub(crate) fn id(raw: &str) -> PrincipalId {
    PrincipalId::parse(raw).unwrap()
}

pub(crate) fn cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

pub(crate) fn key(purpose: Purpose) -> SecretKey {
    let seed = if purpose == Purpose::Scheduler { 3 } else { 1 };
    SecretKey::from_entropy(purpose, &Zeroizing::new([seed; 32]))
}

pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What the plane knows of one task.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// The instance that was let start it.
    pub(crate) started_by: Option<InstanceId>,
    /// Final reports, each with whether it was the first.
    pub(crate) reports: Vec<Outcome>,
    pub(crate) refused: Vec<ErrorCode>,
    cancelled: bool,
}

#[derive(Debug, Default)]
struct State {
    tasks: BTreeMap<TaskId, Known>,
    registered: Vec<RegisterRequest>,
    next_nonce: u128,
}

/// The control plane of one case.
pub(crate) struct Plane {
    client: Client,
    state: Arc<Mutex<State>>,
}

impl Plane {
    pub(crate) async fn start(url: &str) -> Result<Self> {
        let client = Client::connect(ConnectOptions::new(url, id("plane"))).await?;
        let state = Arc::new(Mutex::new(State::default()));
        for (name, verbs) in [
            (ServiceName::Registry, &registry_verb::ALL[..]),
            (ServiceName::Scheduler, &verb::ALL[..]),
        ] {
            let info = ServiceInfo {
                name,
                instance: "plane".to_owned(),
                version: "1.0.0".to_owned(),
                description: "plays the control plane".to_owned(),
                verbs,
                queue_group: "plane".to_owned(),
            };
            let mut responder = Responder::serve(client.nats(), info).await?;
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                while let Some(request) = responder.recv().await {
                    answer(&mut lock(&state), request);
                }
            });
        }
        client.nats().flush().await?;
        Ok(Self { client, state })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn known(&self, task: &TaskId) -> Known {
        lock(&self.state).tasks.get(task).cloned().unwrap_or_default()
    }

    pub(crate) fn registered(&self) -> Vec<RegisterRequest> {
        lock(&self.state).registered.clone()
    }

    /// Signs a task and offers it.
    pub(crate) async fn submit(&self, spec: &TaskSpec) -> Result<TaskId> {
        let offer = self.sign(spec, 1);
        self.offer(&offer).await?;
        Ok(offer.task)
    }

    pub(crate) async fn offer(&self, offer: &TaskOffer) -> Result<()> {
        let subject = subject::node(&id(NODE), NodeChannel::Task);
        self.client.nats().publish(subject, serde_json::to_vec(offer)?.into()).await?;
        Ok(())
    }

    pub(crate) fn sign(&self, spec: &TaskSpec, epoch: u64) -> TaskOffer {
        let nonce = {
            let mut state = lock(&self.state);
            state.next_nonce += 1;
            state.next_nonce.to_be_bytes()
        };
        let now_s = now_s();
        let request = RequestClaims {
            issuer: id(ISSUER),
            subject: id(ISSUER),
            audience: Audience::Node(id(NODE)),
            expires_at_s: now_s + 3600,
            not_before_s: now_s,
            issued_at_s: now_s,
            nonce,
            spec_json: serde_json::to_string(spec).unwrap(),
            grants: schemas::grants::Grants::default(),
            parent: None,
            trace: None,
            partition: 0,
        };
        let task = task_id(&id(ISSUER), &nonce);
        let request = sign::<Request>(&request, &cluster(), &key(Purpose::TaskIssuer)).unwrap();
        let assignment = assignment(task.clone(), epoch, envelope_hash(&request));
        let assignment =
            sign::<Assignment>(&assignment, &cluster(), &key(Purpose::Scheduler)).unwrap();
        lock(&self.state).tasks.entry(task.clone()).or_default();
        let (request, assignment) = (STANDARD.encode(request), STANDARD.encode(assignment));
        let (certificates, ancestors) = (Vec::new(), Vec::new());
        TaskOffer { task, epoch, request, assignment, certificates, ancestors }
    }

    pub(crate) async fn cancel(&self, task: &TaskId) -> Result<()> {
        lock(&self.state).tasks.entry(task.clone()).or_default().cancelled = true;
        let order = CancelOrder { task: task.clone(), epoch: 1, by: id(ISSUER) };
        let subject = subject::node(&id(NODE), NodeChannel::Cancel);
        self.client.nats().publish(subject, serde_json::to_vec(&order)?.into()).await?;
        Ok(())
    }

    /// Waits for the first report on the task.
    pub(crate) async fn outcome(&self, task: &TaskId) -> Result<Outcome> {
        self.known_when(task, |known| known.reports.first().cloned()).await
    }

    pub(crate) async fn known_when<T>(
        &self,
        task: &TaskId,
        find: impl Fn(&Known) -> Option<T>,
    ) -> Result<T> {
        let look = || async { find(&self.known(task)) };
        poll(SOON, look).await
    }
}

/// Looks often, for the latency of a task is measured with it.
async fn poll<T, F: Future<Output = Option<T>>>(
    deadline: Duration,
    look: impl FnMut() -> F,
) -> Result<T> {
    cortex_tests::eventually_some(deadline, look).await
}

fn assignment(task: TaskId, epoch: u64, request_hash: Sha256Hash) -> AssignmentClaims {
    AssignmentClaims {
        issuer: id("scheduler"),
        issued_at_s: now_s(),
        expires_at_s: now_s() + 120,
        task,
        request_hash,
        node: id(NODE),
        epoch,
        attempt: 1,
        term: 1,
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(state: &mut State, request: IncomingRequest) {
    let body = request.body().clone();
    let answer = match request.verb() {
        registry_verb::REGISTER => Ok(json(&register(state, &parse(&body)))),
        verb::START => Ok(json(&start(state, parse(&body)))),
        verb::REPORT => Ok(json(&report(state, parse(&body)))),
        verb::REFUSE => Ok(json(&refuse(state, parse(&body)))),
        other => Err(Fault::new(ErrorCode::UnknownVerb, other)),
    };
    request.respond(answer);
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> T {
    schemas::strict::parse(body).unwrap()
}

fn json<T: Serialize>(answer: &T) -> bytes::Bytes {
    serde_json::to_vec(answer).unwrap().into()
}

fn register(state: &mut State, request: &RegisterRequest) -> RegisterAnswer {
    state.registered.push(request.clone());
    let agent = AgentView {
        manifest: request.manifest.clone(),
        node: request.node.clone(),
        owner: id(ISSUER),
        enrolled: true,
        status: AgentStatus::Online,
        status_reason: None,
        status_set: None,
        registered_at: Timestamp(0),
        updated_at: Timestamp(0),
        archived: false,
        shared_with: Vec::new(),
        presence: None,
    };
    RegisterAnswer { agent, protocol: PROTOCOL_VERSION }
}

fn start(state: &mut State, request: StartRequest) -> StartAnswer {
    let known = state.tasks.entry(request.task.clone()).or_default();
    let holder = known.started_by.get_or_insert_with(|| request.instance.clone());
    let may = *holder == request.instance && !known.cancelled && known.reports.is_empty();
    let decision = if may {
        StartDecision::Go {}
    } else {
        StartDecision::StandDown { code: ErrorCode::NotTheRunner }
    };
    let StartRequest { task, epoch, instance, ask } = request;
    StartAnswer { task, epoch, instance, ask, term: 1, decision }
}

fn report(state: &mut State, request: ReportRequest) -> ReportAnswer {
    let known = state.tasks.entry(request.task.clone()).or_default();
    let settled = request.outcome.verdict.state();
    known.reports.push(request.outcome);
    ReportAnswer { task: request.task, state: settled, counted: known.reports.len() == 1 }
}

fn refuse(state: &mut State, request: RefuseRequest) -> ReportAnswer {
    let known = state.tasks.entry(request.task.clone()).or_default();
    known.refused.push(request.fault.code);
    ReportAnswer { task: request.task, state: TaskState::Queued, counted: true }
}
