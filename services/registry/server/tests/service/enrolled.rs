//! Promise: on a broker in operator mode an invite becomes a login, and an eviction ends it at once.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::{Client, ConnectOptions, Credentials, LinkState};
use cortex_tests::{NatsServer, ServerOptions, eventually_some};
use jetstream_config::{
    Destructive, KvBucket, apply,
    broker::DurabilityProof,
    streams::{self, Replicas, storage_bytes},
};
use registry_server::{Issuing, RegistryConfig};
use runtime::HostConfig;
use schemas::{
    ErrorCode, Fault, PrincipalId, Timestamp,
    enrolment::{Membership, Order, OrderAnswer, SignedRoster},
    principal::{PrincipalKind, Standing, UserRole},
    registry::{RegisterAnswer, Seat, verb},
    subject::{Bucket, ServiceName},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};
use trust::{
    Trust, Unverified,
    nats::{Creds, Jwt, Nkey, NkeyKind, Role},
};

use super::house::{House, Member, id, invite, nkey};

const DEADLINE: Duration = Duration::from_secs(30);
/// How soon whoever was put out must be off the broker.
const DROPPED_WITHIN: Duration = Duration::from_secs(2);

fn now_s() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// A registry with a broker that believes its house.
struct Cluster {
    server: NatsServer,
    house: House,
    _state: TempDir,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Result<(), runtime::HostError>>,
}

impl Cluster {
    async fn start() -> Result<Self> {
        let mut house = House::new(now_s() - 5);
        let service = |name: &str| Seat {
            id: id(name),
            kind: PrincipalKind::Service,
            role: None,
            owner: id(name),
            capabilities: None,
            login: String::new(),
            keys: Vec::new(),
        };
        let root = Member::new("root", 1).seat(&house, Some(UserRole::Admin));
        house.founders = vec![root, service("registry"), service("scheduler")];
        house.write_system_creds();
        let room = storage_bytes(&streams::all(Replicas::One));
        let jetstream_extra = format!("max_file_store: {room}");
        let extra = house.server_config();
        let options = ServerOptions { jetstream_extra, extra, ..ServerOptions::default() };
        let server = NatsServer::start_with(options).await?;
        house.url = server.url();
        let admin = house.creds_of("admin", Role::Admin);
        let admin = connect(&server, "admin", admin).await?;
        apply(admin.nats(), &streams::all(Replicas::One), Destructive::Withheld).await?;
        let (stop, stopped) = watch::channel(false);
        let state = TempDir::new()?;
        let mut login = ConnectOptions::new(server.url(), id("registry"));
        let role = Role::Service(ServiceName::Registry);
        login.credentials = Credentials::Creds(Box::new(house.creds_of("registry", role)));
        let host = HostConfig {
            connect: login,
            state_dir: state.path().to_owned(),
            replicas: Replicas::One,
            durability: DurabilityProof::Waived,
        };
        let path = house.write(&house.settings());
        let issuing = Issuing::load(&path, house.anchors(), Timestamp::from_seconds(now_s()))?;
        let config = RegistryConfig { host, issuing: Some(issuing) };
        let serving = tokio::spawn(registry_server::serve(config, stopped));
        Ok(Self { server, house, _state: state, stop, serving })
    }

    async fn root(&self) -> Result<Client> {
        let login = Member::new("root", 1).login;
        let root = connect(&self.server, "root", self.house.creds("root", Role::Person, login));
        let root = root.await?;
        eventually_some(DEADLINE, || async {
            ask::<Membership>(&root, verb::RENEW, json!({})).await.ok()
        })
        .await
        .context("the registry never seated root")?;
        Ok(root)
    }

    async fn order<Ans: DeserializeOwned>(
        &self,
        root: &Client,
        order: &Order,
    ) -> Result<Ans, Fault> {
        let request = Member::new("root", 1).order(&self.house, order);
        ask(root, verb::ORDER, serde_json::to_value(request).unwrap()).await
    }

    async fn connect(&self, name: &str, jwt: &str, login: Nkey) -> Result<Client> {
        let (jwt, _) = Jwt::parse(jwt)?;
        connect(&self.server, name, Creds::new(&jwt, login)?).await
    }

    async fn stop(self) -> Result<()> {
        self.stop.send(true)?;
        Ok(self.serving.await??)
    }
}

async fn connect(server: &NatsServer, name: &str, creds: Creds) -> Result<Client> {
    let mut options = ConnectOptions::new(server.url(), id(name));
    options.credentials = Credentials::Creds(Box::new(creds));
    Ok(Client::connect(options).await?)
}

async fn ask<Ans: DeserializeOwned>(
    client: &Client,
    verb: &str,
    body: Value,
) -> Result<Ans, Fault> {
    client.request(ServiceName::Registry, verb, &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_becomes_a_login_and_an_eviction_ends_it_within_two_seconds() -> Result<()> {
    let cluster = Cluster::start().await?;
    let root = cluster.root().await?;
    let invited = cluster.order(&root, &Order::Invite(invite("new"))).await?;
    let OrderAnswer::Invited { jwt, invite: name, .. } = invited else {
        anyhow::bail!("{invited:?} invites nobody");
    };
    let redeemer = nkey(NkeyKind::User, "redeemer");
    let enroller = cluster.connect(&format!("invite-{name}"), &jwt, redeemer).await?;
    let new = Member::new("new", 1);
    let redemption = serde_json::to_value(new.redemption())?;
    let given: Membership = ask(&enroller, verb::REDEEM, redemption).await?;

    let node = cluster.connect("new", &given.jwt, new.login.clone()).await?;
    let report: Value =
        serde_json::from_str(include_str!("../../../../../schemas/golden/node-report.json"))?;
    let manifest = json!({ "id": "new", "name": "new", "role": "worker" });
    let registration = json!({ "manifest": manifest, "node": report });
    let registered: RegisterAnswer = ask(&node, verb::REGISTER, registration).await?;
    assert_eq!((registered.agent.owner, registered.agent.enrolled), (id("root"), true));
    let rows = connect(&cluster.server, "admin", cluster.house.creds_of("admin", Role::Admin));
    let rows = KvBucket::new(rows.await?.nats().clone(), Bucket::Principals);
    standing(&rows, "new", Standing::Active).await?;

    let mut link = node.on_change();
    let begin = Instant::now();
    let (principal, reason) = (id("new"), "left".to_owned());
    cluster.order::<OrderAnswer>(&root, &Order::Evict { principal, reason }).await?;
    let dropped = link.wait_for(|state| *state != LinkState::Connected);
    tokio::time::timeout(DROPPED_WITHIN, dropped).await.context("still there")??;
    assert!(begin.elapsed() < DROPPED_WITHIN);
    assert!(cluster.connect("new", &given.jwt, new.login.clone()).await.is_err());
    assert!(cluster.connect("new", &given.renewal_jwt, new.login.clone()).await.is_err());
    standing(&rows, "new", Standing::Evicted).await?;
    evicted_keys_are_on_the_roster(&cluster, &root, &new).await?;
    cluster.stop().await
}

async fn standing(rows: &KvBucket, name: &str, wanted: Standing) -> Result<()> {
    eventually_some(DEADLINE, || async {
        let row = rows.row(name).await.ok().flatten()?;
        let row: Value = serde_json::from_slice(&row.bytes).ok()?;
        (row.to_string().contains(&format!("\"standing\":\"{wanted}\""))).then_some(())
    })
    .await
    .with_context(|| format!("the row of {name} never became {wanted}"))
}

async fn evicted_keys_are_on_the_roster(
    cluster: &Cluster,
    root: &Client,
    out: &Member,
) -> Result<()> {
    let roster: SignedRoster = ask(root, verb::GET_ROSTER, json!({})).await?;
    let mut anchors = cluster.house.anchors();
    let certificates = roster.certificates.iter().map(|text| STANDARD.decode(text));
    let now = Timestamp::from_seconds(now_s());
    anchors.admit(&certificates.collect::<Result<Vec<_>, _>>()?, now)?;
    let envelope = STANDARD.decode(&roster.envelope)?;
    let verified = Unverified::new(&envelope)
        .verify::<trust::Roster>(Trust { anchors: &anchors, now }, &())
        .map_err(|error| error.to_fault())?;
    assert_eq!(verified.claims().revoked, [out.issuer.public().id()]);
    assert_eq!(verified.claims().overseers, [id("root")]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_put_out_stays_out_when_broker_and_registry_start_anew() -> Result<()> {
    let cluster = Cluster::start().await?;
    let root = cluster.root().await?;
    let bob = Member::new("bob", 1);
    let wanted = schemas::enrolment::Invite {
        kind: PrincipalKind::Person,
        role: Some(UserRole::User),
        ..invite("bob")
    };
    let invited = cluster.order(&root, &Order::Invite(wanted)).await?;
    let OrderAnswer::Invited { jwt, invite: name, .. } = invited else {
        anyhow::bail!("{invited:?} invites nobody");
    };
    let redeemer = nkey(NkeyKind::User, "redeemer");
    let enroller = cluster.connect(&format!("invite-{name}"), &jwt, redeemer).await?;
    let redemption = serde_json::to_value(bob.redemption())?;
    let given: Membership = ask(&enroller, verb::REDEEM, redemption).await?;
    let client = cluster.connect("bob", &given.jwt, bob.login.clone()).await?;
    ask::<Membership>(&client, verb::RENEW, json!({})).await?;
    let (principal, reason) = (id("bob"), String::new());
    cluster.order::<OrderAnswer>(&root, &Order::Ban { principal, reason }).await?;
    let refused = |cluster: &Cluster| {
        let (jwt, login) = (given.jwt.clone(), bob.login.clone());
        let url = cluster.server.url();
        async move {
            let mut options = ConnectOptions::new(url, PrincipalId::parse("bob").unwrap());
            let creds = Creds::new(&Jwt::parse(&jwt).unwrap().0, login).unwrap();
            options.credentials = Credentials::Creds(Box::new(creds));
            let error = Client::connect(options).await.err()?;
            (error.code() == ErrorCode::PermissionDenied).then_some(())
        }
    };
    eventually_some(DEADLINE, || refused(&cluster)).await.context("bob is let in")?;
    cluster.server.kill()?;
    cluster.server.restart().await?;
    eventually_some(DEADLINE, || refused(&cluster)).await.context("bob is let in again")?;
    cluster.stop().await
}
