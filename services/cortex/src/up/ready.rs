//! Waits until what was started does its work, up to a first task and back.

use std::time::Duration;

use client::Client;
use jetstream_config::{
    Destructive, apply,
    streams::{self, Replicas},
};
use schemas::{
    Audience, ErrorCode, Fault, FaultClass, PrincipalId,
    registry::{AgentRequest, AgentStatus, AgentView, GetAgentsAnswer, GetAgentsRequest, verb},
    scheduler::{self, GetTasksAnswer, GetTasksRequest, SubmitAnswer, SubmitRequest},
    subject::ServiceName,
    task::{TaskSpec, TaskState, Work},
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    commands::{
        sign::{Order, sign_order},
        tail::{Show, Tail},
    },
    context::Context,
    material::LOCAL_NODE,
};

/// How long each part may take to get ready; after a crash a writer waits some seconds for its
/// predecessor, and a broker reads its streams.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a node that registers is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);
/// How long the first task may live.
const TASK_LIVES: Duration = Duration::from_secs(60);
/// What the first task says.
const GREETING: &str = "ready";

/// Connects as whom the context says as soon as the broker lets anybody in.
pub(crate) async fn broker(context: &Context) -> Result<Client, Fault> {
    let mut options = context.connect_options();
    options.name = "cortex-up".to_owned();
    options.connect_within = Some(PATIENCE);
    Client::connect(options).await.map_err(|error| error.to_fault())
}

/// Makes streams and buckets as they should be, as who may: services cannot.
pub(crate) async fn streams(admin: &Context) -> Result<(), Fault> {
    let client = broker(admin).await?;
    let wanted = streams::all(Replicas::One);
    let made = apply(client.nats(), &wanted, Destructive::Withheld).await;
    client.close().await;
    made.map(drop).map_err(|error| error.fault())
}

/// Waits until a service answers.
pub(crate) async fn service(client: &Client, service: ServiceName) -> Result<(), Fault> {
    let until = Instant::now() + PATIENCE;
    loop {
        let fault = match ask(client, service).await {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        };
        let passes = match fault.code.class() {
            FaultClass::Unavailable | FaultClass::TimedOut => true,
            FaultClass::Invalid
            | FaultClass::NotFound
            | FaultClass::NotAllowed
            | FaultClass::Conflict
            | FaultClass::Denied
            | FaultClass::Broken => false,
        };
        if !passes || until <= Instant::now() {
            return Err(fault);
        }
    }
}

async fn ask(client: &Client, service: ServiceName) -> Result<(), Fault> {
    match service {
        ServiceName::Registry => {
            let request = GetAgentsRequest { limit: Some(1), ..Default::default() };
            let call = client.call(service, verb::GET_AGENTS);
            call.send::<_, GetAgentsAnswer>(&request).await.map(drop)
        }
        ServiceName::Scheduler => {
            let request = GetTasksRequest { limit: Some(1), ..Default::default() };
            let call = client.call(service, scheduler::verb::GET_TASKS);
            call.send::<_, GetTasksAnswer>(&request).await.map(drop)
        }
    }
}

/// Waits until the local node is online.
pub(crate) async fn node(client: &Client) -> Result<(), Fault> {
    let id = PrincipalId::parse(LOCAL_NODE)
        .map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
    let until = Instant::now() + PATIENCE;
    loop {
        let request = AgentRequest { id: id.clone() };
        let view: Result<AgentView, Fault> =
            client.request(ServiceName::Registry, verb::GET_AGENT, &request).await;
        let state = match view {
            Ok(view) if view.status == AgentStatus::Online => return Ok(()),
            Ok(view) => view.status.as_str().to_owned(),
            Err(fault) => fault.to_string(),
        };
        if until <= Instant::now() {
            let message = format!("the local node is not online within {PATIENCE:?}: {state}");
            return Err(Fault::new(ErrorCode::TimedOut, message).with_hint("its log tells why"));
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// Hands a request in; the scheduler may hear of the node a moment after the registry.
async fn submit(client: &Client, request: &SubmitRequest) -> Result<SubmitAnswer, Fault> {
    let until = Instant::now() + PATIENCE;
    loop {
        let call = client.call(ServiceName::Scheduler, scheduler::verb::SUBMIT);
        match call.send(request).await {
            Err(Fault { code: ErrorCode::NoSuchNode, .. }) if Instant::now() < until => {
                sleep(LOOK_INTERVAL).await;
            }
            answer => return answer,
        }
    }
}

/// Sends a first task to the local node and waits until its answer is back.
pub(crate) async fn first_task(client: &Client, context: &Context) -> Result<(), Fault> {
    let id = PrincipalId::parse(LOCAL_NODE)
        .map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
    let order = Order {
        grants: schemas::grants::Grants::default(),
        audience: Audience::Node(id),
        spec: TaskSpec::new(Work::Echo { text: GREETING.to_owned() }),
        lives: TASK_LIVES,
    };
    let signed = sign_order(context, order)?;
    let mut tail = Tail::new(client, &signed.task, Show::Nothing);
    submit(client, &signed.request).await?;
    let view = timeout(PATIENCE, tail.until_end()).await.map_err(|_| {
        let message = format!("the first task has not come back within {PATIENCE:?}");
        Fault::new(ErrorCode::TimedOut, message)
            .with_hint(format!("`cortex task why {}` tells why", signed.task))
    })??;
    if view.state == TaskState::Succeeded {
        return Ok(());
    }
    let message = format!("the first task ended as {}", view.state.as_str());
    Err(Fault::new(ErrorCode::Internal, message)
        .with_hint("the logs of node and scheduler tell why"))
}
