//! Responders keep the order of requests, answer bad ones themselves and describe themselves.

use std::process::Command;

use anyhow::{Context, Result};
use async_nats::HeaderMap;
use bytes::Bytes;
use cortex_tests::{NatsServer, nats_cli};
use futures::StreamExt;
use schemas::{ErrorCode, Fault};
use serde_json::Value;
use tokio::time::timeout;

use crate::support::{DEADLINE, answer_all, ask, connect, serve};

#[tokio::test]
async fn requests_of_different_verbs_do_not_overtake_each_other() -> Result<()> {
    let server = NatsServer::start().await?;
    let mut responder = serve(&server).await?;
    let nats = server.connect().await?;
    for n in 0..2_000_u32 {
        let verb = if n % 2 == 0 { "first" } else { "second" };
        let subject = format!("cortex.cmd.bob.registry.{verb}");
        nats.publish_with_reply(subject, "_INBOX.bob.x", n.to_string().into()).await?;
    }
    for n in 0..2_000_u32 {
        let request = timeout(DEADLINE, responder.recv()).await?.context("closed")?;
        assert_eq!(request.body().as_ref(), n.to_string().as_bytes());
    }
    Ok(())
}

#[tokio::test]
async fn bad_requests_are_answered_with_code_message_and_hint() -> Result<()> {
    let server = NatsServer::start().await?;
    answer_all(serve(&server).await?, |_| Ok(Bytes::from_static(b"{}")));
    let none = HeaderMap::new();
    for (subject, headers, expected) in [
        ("cortex.cmd.bob.registry.first", none.clone(), None),
        ("cortex.cmd.bob.registry.third", none.clone(), Some("UNKNOWN_VERB")),
        ("cortex.cmd.Bob.registry.first", none, Some("INVALID_ID")),
        (
            "cortex.cmd.bob.registry.first",
            header("Cortex-Protocol", "9"),
            Some("PROTOCOL_MISMATCH"),
        ),
        ("cortex.cmd.bob.registry.first", header("Cortex-Command-Id", "a b"), Some("INVALID_ID")),
        (
            "cortex.cmd.bob.registry.first",
            header("Cortex-Not-After", "soon"),
            Some("INVALID_VALUE"),
        ),
    ] {
        check_answer(&server, subject, headers, expected).await?;
    }
    Ok(())
}

fn header(name: &str, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(name, value);
    headers
}

async fn check_answer(
    server: &NatsServer,
    subject: &'static str,
    headers: HeaderMap,
    expected: Option<&str>,
) -> Result<()> {
    let bob = async_nats::ConnectOptions::new().custom_inbox_prefix("_INBOX.bob");
    let nats = server.connect_with(bob).await?;
    let answer = nats.request_with_headers(subject, headers, Bytes::new()).await?;
    let error = answer.headers.as_ref().and_then(|headers| headers.get("Nats-Service-Error"));
    let Some(code) = expected else {
        assert!(error.is_none(), "{error:?}");
        return Ok(());
    };
    let fault: Fault = serde_json::from_slice(&answer.payload)?;
    assert_eq!(fault.code.as_str(), code, "{subject}: {fault}");
    assert!(!fault.hint.is_empty());
    assert!(error.context("no header")?.as_str().starts_with(code));
    Ok(())
}

#[tokio::test]
async fn an_answer_cannot_be_aimed_at_anything_but_an_inbox_of_whoever_asks() -> Result<()> {
    let server = NatsServer::start().await?;
    answer_all(serve(&server).await?, |_| Ok(Bytes::from_static(b"{}")));
    let nats = server.connect().await?;
    let mut target = nats.subscribe("cortex.cmd.registry.>").await?;
    let mut stranger = nats.subscribe("_INBOX.eve.>").await?;
    for subject in ["cortex.cmd.bob.registry.first", "cortex.cmd.bob.registry.third", "$SRV.PING"] {
        nats.publish_with_reply(subject, "cortex.cmd.registry.scheduler.submit", "{}".into())
            .await?;
    }
    for subject in ["cortex.cmd.bob.registry.first", "cortex.cmd.bob.registry.third"] {
        nats.publish_with_reply(subject, "_INBOX.eve.1", "{}".into()).await?;
    }
    // The service reads in order, so once this is answered the others have been dealt with.
    ask(&connect(&server.url()).await?, "first").await?;
    nats.request("$SRV.PING", Bytes::new()).await?;
    nats.publish("cortex.cmd.registry.marker", Bytes::new()).await?;
    let first = timeout(DEADLINE, target.next()).await?.context("closed")?;
    assert_eq!(first.subject.as_str(), "cortex.cmd.registry.marker");
    nats.publish("_INBOX.eve.marker", Bytes::new()).await?;
    let first = timeout(DEADLINE, stranger.next()).await?.context("closed")?;
    assert_eq!(first.subject.as_str(), "_INBOX.eve.marker");
    Ok(())
}

#[tokio::test]
async fn the_service_protocol_is_answered_on_all_three_levels() -> Result<()> {
    let server = NatsServer::start().await?;
    answer_all(serve(&server).await?, |request| match request.verb() {
        "first" => Ok(Bytes::from_static(b"{}")),
        _ => Err(Fault::new(ErrorCode::NotAllowed, "no")),
    });
    let client = connect(&server.url()).await?;
    ask(&client, "first").await?;
    ask(&client, "second").await.unwrap_err();
    for suffix in ["", ".registry", ".registry.registry-7"] {
        let answer = client.nats().request(format!("$SRV.STATS{suffix}"), Bytes::new()).await?;
        let stats: Value = serde_json::from_slice(&answer.payload)?;
        assert_eq!(stats["type"], "io.nats.micro.v1.stats_response");
        let counts = |verb: usize| {
            let endpoint = &stats["endpoints"][verb];
            (endpoint["num_requests"].as_u64(), endpoint["num_errors"].as_u64())
        };
        assert_eq!((counts(0), counts(1)), ((Some(1), Some(0)), (Some(1), Some(1))));
        assert!(0 < stats["endpoints"][0]["processing_time"].as_u64().unwrap());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nats_command_lists_and_describes_the_service() -> Result<()> {
    let cli = match nats_cli() {
        Ok(cli) => cli,
        Err(missing) => {
            println!("skipped: {missing:#}");
            return Ok(());
        }
    };
    let server = NatsServer::start().await?;
    answer_all(serve(&server).await?, |_| Ok(Bytes::from_static(b"{}")));
    let run = |args: &'static [&'static str]| {
        let options = ["--server", &server.url(), "--inbox-prefix", "_INBOX.bob"];
        let output = Command::new(&cli).args(options).args(args).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        anyhow::ensure!(output.status.success(), "nats {args:?}: {output:?}");
        Ok::<_, anyhow::Error>(text)
    };
    assert!(run(&["micro", "ls"])?.contains("registry-7"));
    let info = run(&["micro", "info", "registry"])?;
    assert!(info.contains("cortex.cmd.*.registry.get-agents"), "{info}");
    assert!(run(&["micro", "stats", "registry"])?.contains("get-agents"));
    assert_eq!(run(&["req", "--raw", "cortex.cmd.bob.registry.first", "{}"])?.trim(), "{}");
    Ok(())
}
