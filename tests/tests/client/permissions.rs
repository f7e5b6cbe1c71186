//! What the broker forbids is told at once, with subject and principal, not by a time-out.

use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use client::{Client, ConnectError, ConnectOptions, Responder};
use cortex_tests::{NatsServer, ServerOptions, User};
use schemas::{ErrorCode, Fault};

use crate::support::{answer_all, ask, id, info};

#[tokio::test]
async fn a_forbidden_request_names_subject_and_principal_at_once() -> Result<()> {
    let server = start("publish: \"cortex.cmd.bob.>\", subscribe: \"_INBOX.>\"").await?;
    let eve = Client::connect(options(&server, "eve")).await?;
    check_denied(ask(&eve, "first").await, "cortex.cmd.eve.registry.first");
    let bob = Client::connect(options(&server, "bob")).await?;
    ask(&bob, "first").await?;
    Ok(())
}

#[tokio::test]
async fn a_forbidden_inbox_is_told_to_every_request() -> Result<()> {
    let server = start("publish: \">\", subscribe: \"_INBOX.bob.>\"").await?;
    let mut elsewhere = options(&server, "bob");
    elsewhere.inbox_prefix = "_INBOX.eve".to_owned();
    let client = Client::connect(elsewhere).await?;
    check_denied(ask(&client, "first").await, "_INBOX.eve.");
    check_denied(ask(&client, "first").await, "_INBOX.eve.");
    Ok(())
}

#[tokio::test]
async fn wrong_credentials_are_told_from_an_absent_broker() -> Result<()> {
    let users = vec![User::new("service", "s")];
    let server = NatsServer::start_with(ServerOptions { users, ..Default::default() }).await?;
    let refused = ConnectOptions::new(server.url(), id("bob"));
    let error = Client::connect(refused).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
    assert_eq!(error.to_fault().code, ErrorCode::PermissionDenied);

    let absent = ConnectOptions {
        connect_within: Some(Duration::from_millis(300)),
        ..ConnectOptions::new("nats://127.0.0.1:1", id("bob"))
    };
    let error = Client::connect(absent).await.unwrap_err();
    assert_eq!(error.to_fault().code, ErrorCode::Unreachable);
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");

    let nonsense = ConnectOptions::new("not an address", id("bob"));
    let error = Client::connect(nonsense).await.unwrap_err();
    assert_eq!(error.to_fault().code, ErrorCode::ConfigInvalid);
    Ok(())
}

/// A broker with a service, where whoever names no login may do what `permissions` says.
async fn start(permissions: &str) -> Result<NatsServer> {
    let users = vec![User::new("service", "s"), User::new("limited", "l").limited_to(permissions)];
    let extra = "no_auth_user: limited".to_owned();
    let server =
        NatsServer::start_with(ServerOptions { users, extra, ..Default::default() }).await?;
    let responder = Responder::serve(&server.connect().await?, info()).await?;
    answer_all(responder, |_| Ok(Bytes::from_static(b"{}")));
    Ok(server)
}

fn options(server: &NatsServer, principal: &str) -> ConnectOptions {
    ConnectOptions::new(server.url(), id(principal))
}

fn check_denied(answer: Result<serde_json::Value, Fault>, subject: &str) {
    let began = Instant::now();
    let fault = answer.unwrap_err();
    assert_eq!(fault.code, ErrorCode::PermissionDenied, "{fault}");
    assert!(fault.message.contains(subject), "{fault}");
    assert!(fault.details["subject"].as_str().unwrap().starts_with(subject));
    assert!(began.elapsed() < Duration::from_secs(1));
}
