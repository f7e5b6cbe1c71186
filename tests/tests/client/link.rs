//! Connections come back by themselves; while they are away nothing is queued behind one's back.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use client::{Client, ConnectOptions, LinkState};
use cortex_tests::{Fault, FaultProxy, NatsServer, eventually};
use schemas::{ErrorCode, subject::ServiceName};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{DEADLINE, answer_all, ask, connect, id, serve};

#[tokio::test]
async fn a_request_made_while_the_broker_is_away_is_answered_when_it_is_back() -> Result<()> {
    let server = NatsServer::start().await?;
    answer_all(serve(&server).await?, |_| Ok(Bytes::from_static(b"{}")));
    let client = connect(&server.url()).await?;
    lose(&server, &client).await?;
    assert_eq!(client.disconnects(), 1);
    let asking = tokio::spawn({
        let client = client.clone();
        async move { ask(&client, "first").await }
    });
    server.restart().await?;
    asking.await??;
    assert!(client.connected());
    assert_eq!(client.disconnects(), 1);
    Ok(())
}

#[tokio::test]
async fn a_request_that_was_given_up_while_disconnected_is_never_sent() -> Result<()> {
    let server = NatsServer::start().await?;
    let client = connect(&server.url()).await?;
    lose(&server, &client).await?;
    let call = client.call(ServiceName::Registry, "first").deadline(Duration::from_millis(200));
    let fault = call.send::<_, Value>(&json!("lost")).await.unwrap_err();
    assert_eq!(fault.code, ErrorCode::Unreachable, "{fault}");
    assert!(fault.message.contains(&server.url()), "{fault}");
    server.restart().await?;
    let mut responder = serve(&server).await?;
    let asking = tokio::spawn(async move {
        client.request::<_, Value>(ServiceName::Registry, "first", &json!("kept")).await
    });
    let request = timeout(DEADLINE, responder.recv()).await?.context("closed")?;
    assert_eq!(request.body().as_ref(), b"\"kept\"");
    request.respond(Ok(Bytes::from_static(b"{}")));
    asking.await??;
    Ok(())
}

#[tokio::test]
async fn a_link_that_carries_nothing_any_more_is_found_out() -> Result<()> {
    let server = NatsServer::start().await?;
    let proxy = FaultProxy::start(server.address()).await?;
    let client = connect(&proxy.url()).await?;
    let mut changes = client.on_change();
    proxy.set(Fault::BlackholeBoth);
    // Three probes of 5 s each go unanswered.
    let lost = changes.wait_for(|state| *state == LinkState::Disconnected);
    timeout(Duration::from_secs(30), lost).await??;
    proxy.set(Fault::Pass);
    eventually(DEADLINE, || async { client.connected() }).await
}

#[tokio::test]
async fn a_limit_on_reconnects_ends_in_a_closed_connection() -> Result<()> {
    let server = NatsServer::start().await?;
    let options =
        ConnectOptions { max_reconnects: Some(2), ..ConnectOptions::new(server.url(), id("bob")) };
    let client = Client::connect(options).await?;
    let mut changes = client.on_change();
    server.kill()?;
    timeout(DEADLINE, changes.wait_for(|state| *state == LinkState::Closed)).await??;
    let fault = ask(&client, "first").await.unwrap_err();
    assert_eq!(fault.code, ErrorCode::Unreachable, "{fault}");
    Ok(())
}

#[tokio::test]
async fn a_patient_client_waits_for_a_broker_that_is_not_there_yet() -> Result<()> {
    let server = NatsServer::start().await?;
    server.kill()?;
    let options =
        ConnectOptions { connect_within: None, ..ConnectOptions::new(server.url(), id("bob")) };
    let connecting = tokio::spawn(Client::connect(options));
    server.restart().await?;
    assert!(timeout(DEADLINE, connecting).await???.connected());
    Ok(())
}

#[tokio::test]
async fn closing_sends_what_is_still_unsent() -> Result<()> {
    let server = NatsServer::start().await?;
    let mut responder = serve(&server).await?;
    let client = connect(&server.url()).await?;
    for _ in 0..500 {
        let subject = "cortex.cmd.bob.registry.first";
        client.nats().publish_with_reply(subject, "_INBOX.bob.x", Bytes::new()).await?;
    }
    client.close().await;
    assert_eq!(*client.on_change().borrow(), LinkState::Closed);
    for _ in 0..500 {
        timeout(DEADLINE, responder.recv()).await?.context("closed")?;
    }
    Ok(())
}

async fn lose(server: &NatsServer, client: &Client) -> Result<()> {
    let mut changes = client.on_change();
    server.kill()?;
    timeout(DEADLINE, changes.wait_for(|state| *state == LinkState::Disconnected)).await??;
    Ok(())
}
