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
    agent::{Ancestor, CancelOrder, NodeChannel, RosterNotice, TaskOffer},
    claims::{AssignmentClaims, RequestClaims},
    protocol::PROTOCOL_VERSION,
    registry::{AgentStatus, AgentView, RegisterAnswer, RegisterRequest, verb as registry_verb},
    scheduler::{
        OutputAnswer, OutputRequest, RefuseRequest, ReportAnswer, ReportRequest, StartAnswer,
        StartDecision, StartRequest, SubmitAnswer, SubmitRequest, TaskRequest, verb,
    },
    subject::{self, ServiceName},
    task::{Outcome, TaskSpec, TaskState, TaskView},
};
use serde::Serialize;
use trust::{
    Assignment, ClusterName, Purpose, Recipient, Request, SecretKey, Trust, TrustAnchors,
    Unverified, Verified, envelope_hash, sign, task_id,
};
use zeroize::Zeroizing;

use crate::{
    SOON,
    authority::{Authority, decode},
};

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

#[derive(Default)]
struct State {
    tasks: BTreeMap<TaskId, Known>,
    registered: Vec<RegisterRequest>,
    next_nonce: u128,
    /// What was offered, for the tasks that these ask for.
    offers: BTreeMap<TaskId, TaskOffer>,
    /// What runs asked for, in order.
    children: Vec<Verified<Request>>,
}

/// The control plane of one case.
pub(crate) struct Plane {
    client: Client,
    registry: Client,
    authority: Option<Arc<Authority>>,
    state: Arc<Mutex<State>>,
}

impl Plane {
    pub(crate) async fn start(url: &str) -> Result<Self> {
        let client = Client::connect(ConnectOptions::new(url, id("plane"))).await?;
        Self::over([client.clone(), client], None).await
    }

    /// Plays the registry on the first connection and the scheduler on the second.
    pub(crate) async fn over(
        [registry, client]: [Client; 2],
        authority: Option<Arc<Authority>>,
    ) -> Result<Self> {
        let state = Arc::new(Mutex::new(State::default()));
        for (name, verbs, client) in [
            (ServiceName::Registry, &registry_verb::ALL[..], &registry),
            (ServiceName::Scheduler, &verb::ALL[..], &client),
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
            let (state, authority) = (Arc::clone(&state), authority.clone());
            let offers = client.clone();
            tokio::spawn(async move {
                while let Some(request) = responder.recv().await {
                    let Some(authority) = &authority else {
                        answer(&mut lock(&state), request);
                        continue;
                    };
                    if let Some(given) = authority.answer(&request) {
                        request.respond(given);
                    } else if request.verb() == verb::SUBMIT {
                        let child = take_child(&mut lock(&state), authority, request.body());
                        if let Ok((_, offer)) = &child {
                            send_offer(&offers, offer).await;
                        }
                        request.respond(child.map(|(answer, _)| json(&answer)));
                    } else {
                        answer(&mut lock(&state), request);
                    }
                }
            });
            client.nats().flush().await?;
        }
        Ok(Self { client, state, registry, authority })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn known(&self, task: &TaskId) -> Known {
        lock(&self.state).tasks.get(task).cloned().unwrap_or_default()
    }

    /// What runs asked for, in order.
    pub(crate) fn children(&self) -> Vec<Verified<Request>> {
        lock(&self.state).children.clone()
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
        send_offer(&self.client, offer).await;
        Ok(())
    }

    /// Says that there is a new roster.
    pub(crate) async fn announce_roster(&self, version: u64) -> Result<()> {
        let notice = serde_json::to_vec(&RosterNotice { version })?;
        self.registry.nats().publish(subject::ROSTER, notice.into()).await?;
        Ok(())
    }

    pub(crate) fn sign(&self, spec: &TaskSpec, epoch: u64) -> TaskOffer {
        self.sign_granting(spec, epoch, schemas::grants::Grants::default())
    }

    /// Signs a task that may itself ask for others.
    pub(crate) fn sign_granting(
        &self,
        spec: &TaskSpec,
        epoch: u64,
        grants: schemas::grants::Grants,
    ) -> TaskOffer {
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
            grants,
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
        let certificates = self.authority.as_ref().map(|it| it.certificates());
        let certificates = certificates.unwrap_or_default();
        let ancestors = Vec::new();
        let offer = TaskOffer { task, epoch, request, assignment, certificates, ancestors };
        lock(&self.state).offers.insert(offer.task.clone(), offer.clone());
        offer
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
        verb::GET_TASK => view(state, &parse::<TaskRequest>(&body).id).map(|view| json(&view)),
        verb::OUTPUT => output(state, &parse(&body)).map(|answer| json(&answer)),
        verb::START => Ok(json(&start(state, parse(&body)))),
        verb::REPORT => Ok(json(&report(state, parse(&body)))),
        verb::REFUSE => Ok(json(&refuse(state, parse(&body)))),
        other => Err(Fault::new(ErrorCode::UnknownVerb, other)),
    };
    request.respond(answer);
}

async fn send_offer(client: &Client, offer: &TaskOffer) {
    let subject = subject::node(&id(NODE), NodeChannel::Task);
    let body = serde_json::to_vec(offer).unwrap();
    client.nats().publish(subject, body.into()).await.unwrap();
}

/// A run of the one node asks for a task; the same node gets it, with the task that asked.
fn take_child(
    state: &mut State,
    authority: &Authority,
    body: &[u8],
) -> Result<(SubmitAnswer, TaskOffer), Fault> {
    let request: SubmitRequest = parse(body);
    let envelope = decode(&request.envelope.unwrap_or_default());
    let anchors = authority.anchors(&request.certificates);
    let verified = state.offers.values().find_map(|parent| {
        let (ancestors, verified) = verify_child(&envelope, parent, &anchors).ok()?;
        Some((ancestors, parent.certificates.clone(), verified))
    });
    let unproven = || Fault::new(ErrorCode::ChainInvalid, "no task may have asked for it");
    let (ancestors, certificates, verified) = verified.ok_or_else(unproven)?;
    let task = verified.task().clone();
    let assignment = assigned(&assignment(task.clone(), 1, envelope_hash(&envelope)));
    let offer = TaskOffer {
        task: task.clone(),
        epoch: 1,
        request: STANDARD.encode(&envelope),
        assignment,
        certificates: [certificates, request.certificates].concat(),
        ancestors,
    };
    state.offers.insert(task.clone(), offer.clone());
    state.children.push(verified);
    let answer = SubmitAnswer { task, state: TaskState::Assigned, node: None, waiting_for: None };
    Ok((answer, offer))
}

fn assigned(claims: &AssignmentClaims) -> String {
    let key = key(Purpose::Scheduler);
    STANDARD.encode(sign::<Assignment>(claims, &cluster(), &key).unwrap())
}

fn verify_child(
    envelope: &[u8],
    parent: &TaskOffer,
    anchors: &TrustAnchors,
) -> Result<(Vec<Ancestor>, Verified<Request>), trust::EnvelopeError> {
    let mut ancestors = parent.ancestors.clone();
    let (request, assignment) = (parent.request.clone(), parent.assignment.clone());
    ancestors.push(Ancestor { request, assignment });
    let bytes = |text: &String| STANDARD.decode(text).unwrap();
    let decoded: Vec<_> =
        ancestors.iter().map(|it| (bytes(&it.request), bytes(&it.assignment))).collect();
    let links: Vec<_> = decoded
        .iter()
        .map(|(request, assignment)| trust::ChainLink { request, assignment })
        .collect();
    let trust = Trust { anchors, now: Timestamp::from_seconds(now_s()) };
    let verified = Unverified::with_chain(envelope, &links)
        .verify::<Request>(trust, &Recipient::Scheduler { partition: 0 })?;
    Ok((ancestors, verified))
}

/// How a task that a run asked for is.
fn view(state: &State, task: &TaskId) -> Result<TaskView, Fault> {
    let child = state.children.iter().find(|child| child.task() == task);
    let child = child.ok_or_else(|| Fault::new(ErrorCode::TaskNotFound, "no such child"))?;
    let outcome = state.tasks.get(task).and_then(|known| known.reports.first().cloned());
    let claims = child.claims();
    Ok(TaskView {
        id: task.clone(),
        state: outcome.as_ref().map_or(TaskState::Started, |outcome| outcome.verdict.state()),
        issuer: claims.issuer.clone(),
        subject: claims.subject.clone(),
        audience: claims.audience.clone(),
        spec: child.spec().clone(),
        grants: claims.grants.clone(),
        parent: claims.parent.clone(),
        node: Some(id(NODE)),
        epoch: 1,
        attempt: 1,
        submitted_at: Timestamp(0),
        assigned_at: None,
        started_at: None,
        finished_at: None,
        expires_at: Timestamp::from_seconds(claims.expires_at_s),
        cancelled_by: None,
        waiting_for: None,
        refusals: Vec::new(),
        outcome,
    })
}

fn output(state: &State, request: &OutputRequest) -> Result<OutputAnswer, Fault> {
    let view = view(state, &request.id)?;
    Ok(OutputAnswer { chunks: Vec::new(), next: 0, state: view.state, waiting_for: None })
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
