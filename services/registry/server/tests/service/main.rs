//! Promise: whoever registers on a real broker is found, seen alive, and forgotten on request.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail as the tests themselves do")]

mod enrolled;
mod house;

use std::time::Duration;

use anyhow::Result;
use client::{Client, ConnectOptions};
use cortex_tests::{NatsServer, ServerOptions, eventually_some};
use house::{House, Member};
use jetstream_config::{
    KvBucket, Row, RowKind,
    broker::DurabilityProof,
    streams::{self, Replicas, storage_bytes},
};
use registry_server::{Issuing, RegistryConfig};
use runtime::HostConfig;
use schemas::{
    Cursor, ErrorCode, Fault, PrincipalId,
    agent::Heartbeat,
    enrolment::GetPrincipalsAnswer,
    principal::UserRole,
    registry::{AgentStatus, AgentView, GetAgentsAnswer, Presence, WhoCanAnswer, verb},
    subject::{self, Bucket, ServiceName},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};

/// Nothing here should take nearly as long.
const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_registers_is_found_and_deregisters() -> Result<()> {
    let registry = Running::start().await?;
    let web = registry.client("web").await?;
    let registered: Value =
        ask(&web, verb::REGISTER, json!({ "manifest": manifest("web") })).await?;
    assert_eq!(registered["agent"]["status"], "online");

    let alice = registry.client("alice").await?;
    let able: WhoCanAnswer =
        ask(&alice, verb::WHO_CAN, json!({"capability": "shell.exec"})).await?;
    assert_eq!(able.agents.iter().map(|able| able.id.as_str()).collect::<Vec<_>>(), ["web"]);
    let listed: GetAgentsAnswer = ask(&alice, verb::GET_AGENTS, json!({})).await?;
    assert!(Cursor::default() < listed.cursor, "{}", listed.cursor);

    let thief: Result<Value, Fault> =
        ask(&alice, verb::REGISTER, json!({ "manifest": manifest("web") })).await;
    assert_eq!(thief.unwrap_err().code, ErrorCode::AgentIdTaken);

    ask::<Value>(&web, verb::DEREGISTER, json!({ "id": "web" })).await?;
    let listed: GetAgentsAnswer = ask(&alice, verb::GET_AGENTS, json!({})).await?;
    assert_eq!(listed.agents, Vec::new());
    registry.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_becomes_a_row_and_a_status() -> Result<()> {
    let registry = Running::start().await?;
    let web = registry.client("web").await?;
    ask::<Value>(&web, verb::REGISTER, json!({ "manifest": manifest("web") })).await?;
    let complaint = Some("disk full".to_owned());
    registry.beat(&web, Heartbeat { complaint, ..Heartbeat::bare(id("web")) }).await?;
    registry.beat(&web, Heartbeat::bare(id("forged"))).await?;

    let degraded = eventually_some(DEADLINE, || async {
        let view: AgentView = ask(&web, verb::GET_AGENT, json!({ "id": "web" })).await.ok()?;
        (view.status == AgentStatus::Degraded).then_some(view)
    });
    assert_eq!(degraded.await?.status_reason.as_deref(), Some("disk full"));

    let rows = KvBucket::new(web.nats().clone(), Bucket::Presence);
    let row = shown(&rows, RowKind::Value).await?;
    let presence: Presence = serde_json::from_slice(&row.bytes)?;
    assert_eq!(presence.heartbeat.complaint.as_deref(), Some("disk full"));
    assert_eq!(rows.row("forged").await?, None);

    ask::<Value>(&web, verb::DEREGISTER, json!({ "id": "web" })).await?;
    shown(&rows, RowKind::Tombstone).await?;
    registry.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_registered_outlives_the_process() -> Result<()> {
    let mut registry = Running::start().await?;
    let web = registry.client("web").await?;
    ask::<Value>(&web, verb::REGISTER, json!({ "manifest": manifest("web") })).await?;
    registry = registry.restart().await?;
    let view: AgentView = ask(&web, verb::GET_AGENT, json!({ "id": "web" })).await?;
    assert_eq!((view.manifest.id, view.status), (id("web"), AgentStatus::Online));
    registry.stop().await
}

/// Waits until the row of `web` is of this kind.
async fn shown(rows: &KvBucket, kind: RowKind) -> Result<Row> {
    eventually_some(DEADLINE, || async {
        rows.row("web").await.ok().flatten().filter(|row| row.kind == kind)
    })
    .await
}

/// A registry on a broker of its own.
struct Running {
    server: NatsServer,
    state: TempDir,
    house: House,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Result<(), runtime::HostError>>,
}

impl Running {
    async fn start() -> Result<Self> {
        // Room is reserved, not used: what the streams may grow to together.
        let room = storage_bytes(&streams::all(Replicas::One));
        let jetstream_extra = format!("max_file_store: {room}");
        let options = ServerOptions { jetstream_extra, ..ServerOptions::default() };
        let mut house = House::new(1_700_000_000);
        let person = |name: &str, role| Member::new(name, 1).seat(&house, Some(role));
        let people = [person("root", UserRole::Admin), person("alice", UserRole::Auditor)];
        let web = Member::new("web", 1).seat(&house, None);
        house.founders = people.into_iter().chain([web]).collect();
        Self::start_on(NatsServer::start_with(options).await?, TempDir::new()?, house).await
    }

    async fn start_on(server: NatsServer, state: TempDir, mut house: House) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        house.url = server.url();
        let path = house.write(&house.settings());
        let issuing = Issuing::load(&path, house.anchors(), house.now())?;
        let host = HostConfig {
            connect: ConnectOptions::new(server.url(), id("registry")),
            state_dir: state.path().to_owned(),
            replicas: Replicas::One,
            // These brokers sync every write, but show their settings to nobody.
            durability: DurabilityProof::Waived,
        };
        let config = RegistryConfig { host, issuing: Some(issuing) };
        let serving = tokio::spawn(registry_server::serve(config, stopped));
        let mut running = Self { server, state, house, stop, serving };
        let client = running.client("root").await?;
        // Founders are seated a moment after the first answer.
        let answers = eventually_some(DEADLINE, || async {
            let listed = ask::<GetPrincipalsAnswer>(&client, verb::GET_PRINCIPALS, json!({})).await;
            listed.ok().filter(|listed| listed.principals.len() == 3)
        });
        tokio::select! {
            ended = &mut running.serving => anyhow::bail!("the registry ended: {:?}", ended?),
            answer = answers => drop(answer?),
        }
        Ok(running)
    }

    async fn client(&self, principal: &str) -> Result<Client> {
        Ok(Client::connect(ConnectOptions::new(self.server.url(), id(principal))).await?)
    }

    /// Sends a heartbeat over the subject of `client`, whatever it says.
    async fn beat(&self, client: &Client, heartbeat: Heartbeat) -> Result<()> {
        let subject = subject::heartbeat(client.principal());
        client.nats().publish(subject, serde_json::to_vec(&heartbeat)?.into()).await?;
        Ok(())
    }

    async fn restart(self) -> Result<Self> {
        self.stop.send(true)?;
        self.serving.await??;
        Self::start_on(self.server, self.state, self.house).await
    }

    async fn stop(self) -> Result<()> {
        self.stop.send(true)?;
        Ok(self.serving.await??)
    }
}

async fn ask<Ans: DeserializeOwned>(
    client: &Client,
    verb: &str,
    request: Value,
) -> Result<Ans, Fault> {
    client.request(ServiceName::Registry, verb, &request).await
}

fn manifest(name: &str) -> Value {
    json!({
        "id": name, "name": name, "role": "worker", "capabilities": { "tools": ["shell.exec"] }
    })
}

fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}
