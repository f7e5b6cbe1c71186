//! The brokers of the harness are real: what is acknowledged survives a kill, a frozen one is silent.

use std::time::Duration;

use anyhow::Result;
use async_nats::jetstream::{self, stream};
use tokio::time::timeout;

use crate::{NatsCluster, NatsServer, ServerOptions, User, eventually_some};

const DEADLINE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

async fn stream_with_a_message(client: &async_nats::Client, replicas: usize) -> Result<()> {
    let context = jetstream::new(client.clone());
    let config = stream::Config {
        name: "KEPT".into(),
        subjects: vec!["kept".into()],
        num_replicas: replicas,
        ..Default::default()
    };
    context.create_stream(config).await?;
    context.publish("kept", "here".into()).await?.await?;
    Ok(())
}

async fn messages_in_stream(client: &async_nats::Client) -> Result<u64> {
    let context = jetstream::new(client.clone());
    eventually_some(DEADLINE, || async {
        let stream = timeout(SHORT, context.get_stream("KEPT")).await.ok()?.ok()?;
        Some(stream.cached_info().state.messages)
    })
    .await
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_and_the_address_stays() -> Result<()> {
    let server = NatsServer::start().await?;
    stream_with_a_message(&server.connect().await?, 1).await?;
    let (address, pid) = (server.address(), server.pid());
    server.kill()?;
    assert!(server.connect().await.is_err(), "a killed server takes no connection");
    server.restart().await?;
    assert_eq!(server.address(), address);
    assert_ne!(server.pid(), pid);
    assert_eq!(messages_in_stream(&server.connect().await?).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_restored_store_takes_the_log_back() -> Result<()> {
    let server = NatsServer::start().await?;
    stream_with_a_message(&server.connect().await?, 1).await?;
    assert!(server.save_store().is_err(), "a running server's store is not copied");
    server.kill()?;
    let saved = server.save_store()?;
    server.restart().await?;
    let context = jetstream::new(server.connect().await?);
    context.publish("kept", "newer".into()).await?.await?;
    server.kill()?;
    server.restore_store(&saved)?;
    server.restart().await?;
    assert_eq!(messages_in_stream(&server.connect().await?).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_paused_server_is_silent_until_it_is_resumed() -> Result<()> {
    let server = NatsServer::start().await?;
    let client = server.connect().await?;
    server.pause()?;
    assert!(timeout(SHORT, client.query_account()).await.is_err());
    server.resume()?;
    timeout(DEADLINE, client.query_account()).await??;
    Ok(())
}

trait QueryAccount {
    async fn query_account(&self) -> Result<()>;
}

impl QueryAccount for async_nats::Client {
    async fn query_account(&self) -> Result<()> {
        jetstream::new(self.clone()).query_account().await?;
        Ok(())
    }
}

#[tokio::test]
async fn logins_and_permissions_are_the_servers() -> Result<()> {
    let options = ServerOptions {
        users: vec![
            User::new("writer", "one"),
            User::new("reader", "two").limited_to("publish: { deny: \">\" }"),
        ],
        system_users: vec![User::new("system", "three")],
        ..ServerOptions::default()
    };
    let server = NatsServer::start_with(options).await?;
    stream_with_a_message(&server.connect().await?, 1).await?;
    assert!(server.connect_as("writer", "wrong").await.is_err());
    let reader = server.connect_as("reader", "two").await?;
    let denied = timeout(SHORT, reader.query_account()).await;
    assert!(!matches!(denied, Ok(Ok(()))), "the reader may not publish");
    let system = server.connect_as("system", "three").await?;
    system.request("$SYS.REQ.SERVER.PING", "".into()).await?;
    Ok(())
}

#[tokio::test]
async fn a_dropped_server_leaves_no_process_and_no_store() -> Result<()> {
    let server = NatsServer::start().await?;
    let (pid, store) = (server.pid().unwrap(), server.store_dir());
    assert!(store.exists());
    drop(server);
    assert!(!store.exists());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    Ok(())
}

#[tokio::test]
async fn a_bad_configuration_fails_with_the_servers_own_words() -> Result<()> {
    let options = ServerOptions { extra: "no_such_setting: 1".into(), ..Default::default() };
    let error = NatsServer::start_with(options).await.unwrap_err();
    assert!(format!("{error:#}").contains("no_such_setting"), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn a_cluster_keeps_what_it_acknowledged_when_the_streams_leader_is_killed_or_frozen()
-> Result<()> {
    let cluster = NatsCluster::start().await?;
    stream_with_a_message(&cluster.connect().await?, 3).await?;
    let killed = cluster.kill_leader_of("KEPT").await?;
    let client = cluster.connect().await?;
    assert_eq!(messages_in_stream(&client).await?, 1);
    killed.restart().await?;
    cluster.wait_ready().await?;
    let paused = cluster.pause_leader_of("KEPT").await?;
    assert_eq!(messages_in_stream(&cluster.connect().await?).await?, 1);
    paused.resume()?;
    cluster.wait_ready().await
}
