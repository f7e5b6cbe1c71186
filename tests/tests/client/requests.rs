//! Requests are answered, repeated under the same id while that helps, and given up with a reason.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use cortex_tests::{NatsServer, eventually};
use schemas::{ErrorCode, Fault, subject::ServiceName};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{DEADLINE, answer_all, ask, connect, info, serve};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn a_request_carries_who_what_and_until_when_and_its_answer_comes_back() -> Result<()> {
    let server = NatsServer::start().await?;
    let mut responder = serve(&server).await?;
    let asking = tokio::spawn({
        let client = connect(&server.url()).await?;
        async move {
            let call = client.call(ServiceName::Registry, "first").trace(Some(TRACE.into()));
            call.send::<_, Value>(&json!({ "n": 1 })).await
        }
    });
    let request = timeout(DEADLINE, responder.recv()).await?.context("no request came")?;
    assert_eq!((request.principal().as_str(), request.verb()), ("bob", "first"));
    assert_eq!(request.trace(), Some(TRACE));
    assert_eq!(request.body().as_ref(), br#"{"n":1}"#);
    assert_eq!(request.command_id().context("no id")?.as_str().len(), 32);
    let now = std::time::UNIX_EPOCH.elapsed()?.as_millis();
    let ahead_ms = u128::from(request.not_after().context("no not-after")?.0) - now;
    assert!((5_000..=10_000).contains(&ahead_ms), "{ahead_ms} ms");
    request.respond(Ok(Bytes::from_static(br#"{"ok":true}"#)));
    assert_eq!(asking.await??, json!({ "ok": true }));
    Ok(())
}

#[tokio::test]
async fn a_fault_comes_back_whole_and_is_not_asked_for_twice() -> Result<()> {
    let server = NatsServer::start().await?;
    let mut asked = 0;
    let fault = Fault::new(ErrorCode::AgentNotFound, "no agent named eve")
        .with_hint("look elsewhere")
        .with_details(json!({ "asked": 1 }));
    answer_all(serve(&server).await?, move |_| {
        asked += 1;
        Err(fault.clone().with_details(json!({ "asked": asked })))
    });
    let fault = ask(&connect(&server.url()).await?, "first").await.unwrap_err();
    assert_eq!(fault.code, ErrorCode::AgentNotFound);
    assert_eq!((fault.hint.as_str(), &fault.details), ("look elsewhere", &json!({ "asked": 1 })));
    Ok(())
}

#[tokio::test]
async fn a_writer_that_changes_is_asked_again_under_the_same_id() -> Result<()> {
    for code in [ErrorCode::NotTheWriter, ErrorCode::StorageUnconfirmed] {
        let server = NatsServer::start().await?;
        let mut heard = Vec::new();
        answer_all(serve(&server).await?, move |request| {
            heard.push(request.command_id().cloned());
            match heard.len() {
                1 | 2 => Err(Fault::new(code, "not now")),
                _ => Ok(json!({ "same": heard.windows(2).all(|two| two[0] == two[1]) })
                    .to_string()
                    .into()),
            }
        });
        let answer = ask(&connect(&server.url()).await?, "first").await?;
        assert_eq!(answer, json!({ "same": true }), "{code}");
    }
    Ok(())
}

#[tokio::test]
async fn a_service_that_comes_late_still_answers() -> Result<()> {
    let server = NatsServer::start().await?;
    let client = connect(&server.url()).await?;
    let sent = client.nats().statistics();
    let asking = tokio::spawn(async move { ask(&client, "first").await });
    eventually(DEADLINE, || async { 1 < sent.out_messages.load(Ordering::Relaxed) }).await?;
    answer_all(serve(&server).await?, |_| Ok(Bytes::from_static(b"{}")));
    assert_eq!(asking.await??, json!({}));
    Ok(())
}

#[tokio::test]
async fn the_answer_to_an_attempt_that_was_given_up_still_counts() -> Result<()> {
    let server = NatsServer::start().await?;
    let mut responder = serve(&server).await?;
    let client = connect(&server.url()).await?;
    let asking = tokio::spawn(async move { ask(&client, "first").await });
    let first = timeout(DEADLINE, responder.recv()).await?.context("no request")?;
    let second = timeout(DEADLINE, responder.recv()).await?.context("no repetition")?;
    assert_eq!(first.command_id(), second.command_id());
    assert_eq!(first.not_after(), second.not_after());
    first.respond(Ok(Bytes::from_static(br#""the first""#)));
    assert_eq!(asking.await??, json!("the first"));
    Ok(())
}

#[tokio::test]
async fn silence_and_absence_are_told_apart_when_it_is_too_late() -> Result<()> {
    let server = NatsServer::start().await?;
    let client = connect(&server.url()).await?;
    check_too_late(&client, ErrorCode::Unreachable).await;
    let _silent = serve(&server).await?;
    check_too_late(&client, ErrorCode::TimedOut).await;
    Ok(())
}

async fn check_too_late(client: &client::Client, expected: ErrorCode) {
    let began = Instant::now();
    let call = client.call(ServiceName::Registry, "first").deadline(Duration::from_millis(400));
    let fault = call.send::<_, Value>(&json!({})).await.unwrap_err();
    assert_eq!(fault.code, expected, "{fault}");
    assert!(fault.message.contains("cortex.cmd.bob.registry.first"), "{fault}");
    assert!(began.elapsed() < Duration::from_secs(5), "took {:?}", began.elapsed());
}

#[tokio::test]
async fn what_is_too_large_is_refused_both_ways() -> Result<()> {
    let server = NatsServer::start().await?;
    answer_all(serve(&server).await?, |_| Ok(vec![b'1'; 2_000_000].into()));
    let client = connect(&server.url()).await?;
    let fault = ask(&client, "first").await.unwrap_err();
    assert_eq!(
        (fault.code, fault.hint.as_str()),
        (ErrorCode::TooLarge, "ask for fewer with limit")
    );
    let body = json!({ "text": "x".repeat(70_000) });
    let fault =
        client.request::<_, Value>(ServiceName::Registry, "first", &body).await.unwrap_err();
    assert_eq!(fault.code, ErrorCode::TooLarge);
    Ok(())
}

#[tokio::test]
async fn a_thousand_requests_at_once_get_each_its_own_answer() -> Result<()> {
    let server = NatsServer::start().await?;
    answer_all(serve(&server).await?, |request| Ok(request.body().clone()));
    let client = connect(&server.url()).await?;
    let asking: Vec<_> = (0..1_000)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move {
                client.request::<_, u64>(info().name, "second", &n).await.map(|back| (n, back))
            })
        })
        .collect();
    for answer in asking {
        let (sent, back) = answer.await??;
        assert_eq!(sent, back);
    }
    Ok(())
}
