//! The broker is checked before it is trusted, by the configuration that Cortex writes for it.

use std::path::Path;

use async_nats::Client;
use client::Credentials;
use cortex::authority::{Authority, OperatorPlace, User};
use cortex::home::Home;
use cortex_tests::{Guarded, NatsServer, eventually_some};
use jetstream_config::broker::{BrokerError, DurabilityProof, check_broker};
use jetstream_config::server_config::{Operator, ServerConfig, render};
use jetstream_config::streams::{self, Replicas};
use jetstream_config::{Destructive, apply};
use schemas::PrincipalId;
use schemas::enrolment::LOGIN_LIFETIME_S;
use tempfile::TempDir;
use trust::nats::Role;

use crate::support::{PATIENCE, connect, connect_as};

/// A server with the configuration that Cortex writes, changed by `change`.
struct Own {
    _guard: Guarded,
    _dir: TempDir,
    url: String,
}

/// What vouches for whoever logs in; the same for all servers of a cluster.
struct Keys {
    authority: Authority,
    dir: TempDir,
}

impl Keys {
    fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let authority = Authority::ensure(&home, "test", OperatorPlace::Here).unwrap();
        let root = PrincipalId::parse("root").unwrap();
        let user = User::new(root, Role::Admin);
        authority.renew(&dir.path().join("root.creds"), &user, LOGIN_LIFETIME_S).unwrap();
        Self { authority, dir }
    }

    /// Connects as whoever may make streams.
    async fn connect(&self, server: &Own) -> Client {
        let creds = Credentials::CredsFile(self.dir.path().join("root.creds"));
        connect_as(&server.url, "root", creds).await
    }
}

async fn start(keys: &Keys, change: impl Fn(String) -> String) -> Own {
    let dir = tempfile::tempdir().unwrap();
    let config = ServerConfig {
        name: "cortex".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: -1,
        store_dir: dir.path().join("store"),
        max_file_store_bytes: streams::storage_bytes(&streams::all(Replicas::One)),
        // Each server keeps what it is told of accounts to itself, also in a cluster.
        operator: Operator {
            accounts_dir: dir.path().join("accounts"),
            ..keys.authority.operator().unwrap()
        },
    };
    let file = dir.path().join("nats.conf");
    std::fs::write(&file, change(render(&config).unwrap())).unwrap();
    let binary = tokio::task::spawn_blocking(cortex_tests::broker::find).await.unwrap().unwrap();
    let args =
        ["-c".as_ref(), file.as_os_str(), "--ports_file_dir".as_ref(), dir.path().as_os_str()];
    let guard = Guarded::spawn(&binary, args, dir.path(), &dir.path().join("log")).unwrap();
    let ports = eventually_some(PATIENCE, || async { ports(dir.path()) }).await.unwrap();
    Own { _guard: guard, _dir: dir, url: ports }
}

/// The address that the server has written down for its clients.
fn ports(dir: &Path) -> Option<String> {
    let files = std::fs::read_dir(dir).ok()?.filter_map(Result::ok);
    let file =
        files.map(|file| file.path()).find(|path| path.extension() == Some("ports".as_ref()))?;
    let ports: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()?;
    Some(ports["nats"][0].as_str()?.to_owned())
}

#[tokio::test]
async fn a_server_as_cortex_configures_it_is_trusted_and_holds_everything() {
    let keys = Keys::make();
    let server = start(&keys, |config| config).await;
    let client = keys.connect(&server).await;
    let report = check_broker(&client, DurabilityProof::Required).await.unwrap();
    assert_eq!((report.cluster_size, report.servers.len()), (1, 1));
    assert_eq!(report.servers[0].name, "cortex");
    assert_eq!(report.servers[0].sync_always, Some(true));
    let everything = streams::all(Replicas::One);
    let applied = apply(&client, &everything, Destructive::Withheld).await.unwrap();
    assert_eq!(applied.created.len(), everything.len(), "the disk set aside is enough for all");
}

#[tokio::test]
async fn a_server_that_does_not_sync_is_refused_with_what_to_do() {
    let lazy = |config: String| config.replace("sync_interval: always", "sync_interval: \"2m\"");
    let keys = Keys::make();
    let server = start(&keys, lazy).await;
    let client = keys.connect(&server).await;
    let refused = check_broker(&client, DurabilityProof::Required).await.unwrap_err();
    assert!(matches!(refused, BrokerError::NotDurable { .. }), "{refused}");
    assert!(refused.fault().hint.contains("sync_interval"));
    check_broker(&client, DurabilityProof::Waived).await.unwrap();
}

/// Every server of a cluster answers for itself; one that does not sync is found among the others.
#[tokio::test]
async fn one_server_of_three_that_does_not_sync_is_found() {
    let listeners: Vec<_> =
        (0..3).map(|_| std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
    let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port());
    let ports: Vec<u16> = ports.collect();
    drop(listeners);
    let routes: Vec<_> = ports.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
    let (keys, mut servers) = (Keys::make(), Vec::new());
    for (index, port) in ports.iter().enumerate() {
        let change = |config: String| {
            let routes = routes.join(", ");
            let config = config.replace("\"cortex\"\n", &format!("\"n{index}\"\n"));
            let lazy = if index == 2 { "sync_interval: \"2m\"" } else { "sync_interval: always" };
            config.replace("sync_interval: always", lazy)
                + &format!(
                    "cluster {{ name: c, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}"
                )
        };
        servers.push(start(&keys, change).await);
    }
    let client = keys.connect(&servers[0]).await;
    let report = eventually_some(PATIENCE, || async {
        let report = check_broker(&client, DurabilityProof::Waived).await.ok()?;
        (report.servers.len() == 3 && report.cluster_size == 3).then_some(report)
    })
    .await
    .unwrap();
    let synced: Vec<_> = report.servers.iter().map(|server| server.sync_always).collect();
    assert_eq!(synced, [Some(true), Some(true), Some(false)]);
    let refused = check_broker(&client, DurabilityProof::Required).await.unwrap_err();
    assert!(matches!(&refused, BrokerError::NotDurable { server } if server == "n2"), "{refused}");
}

#[tokio::test]
async fn a_server_that_does_not_tell_is_refused_unless_somebody_answers_for_it() {
    let server = NatsServer::start().await.unwrap();
    let client = connect(&server.url()).await;
    let refused = check_broker(&client, DurabilityProof::Required).await.unwrap_err();
    assert!(matches!(refused, BrokerError::DurabilityUnknown), "{refused}");
    assert!(refused.fault().hint.contains("$SYS.REQ.SERVER.PING.JSZ"));
    let report = check_broker(&client, DurabilityProof::Waived).await.unwrap();
    assert_eq!(report.servers[0].sync_always, None);
}
