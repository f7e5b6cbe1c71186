//! Requests to a hosted service over the client that everybody uses.

use anyhow::Result;
use schemas::{ErrorCode, Fault, subject::ServiceName};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    hosted::{Asker, Hosted, broker},
    ledger::{Add, Sum},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_is_in_the_log_and_outlives_the_process() -> Result<()> {
    let (server, state) = (broker().await?, TempDir::new()?);
    let hosted = Hosted::start(&server.url(), &state).await?;
    let asker = Asker::connect(&server.url()).await?;
    assert_eq!(asker.add("a", 5).await?, Sum { total: 5, additions: 1 });
    assert_eq!(asker.add("b", 7).await?, Sum { total: 12, additions: 2 });
    assert_eq!(asker.amounts().await?, [5, 7]);
    hosted.stop().await?;
    let hosted = Hosted::start(&server.url(), &state).await?;
    assert_eq!(asker.total().await?, Sum { total: 12, additions: 2 });
    hosted.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_answered_with_their_code() -> Result<()> {
    let (server, state) = (broker().await?, TempDir::new()?);
    let hosted = Hosted::start(&server.url(), &state).await?;
    let asker = Asker::connect(&server.url()).await?;
    for (verb, body, code) in [
        ("add", json!({ "account": "a", "amount": 0 }), ErrorCode::InvalidValue),
        ("add", json!({ "account": "a", "amount": 1, "more": 1 }), ErrorCode::UnknownField),
        ("subtract", json!({}), ErrorCode::UnknownVerb),
        ("rebuild", json!({ "bucket": "cortex_tasks" }), ErrorCode::InvalidValue),
        ("events", json!({ "after": "1.2" }), ErrorCode::InvalidValue),
        ("events", json!({ "after": "0.2.1.0" }), ErrorCode::InvalidValue),
        ("events", json!({ "after": "0.1.1000.0" }), ErrorCode::LogRegressed),
    ] {
        let answer: Result<Value, Fault> =
            asker.client.request(ServiceName::Registry, verb, &body).await;
        assert_eq!(answer.map_err(|fault| fault.code), Err(code), "{verb} {body}");
    }
    assert!(asker.amounts().await?.is_empty());
    hosted.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_a_request_is_in_its_record() -> Result<()> {
    let (server, state) = (broker().await?, TempDir::new()?);
    let hosted = Hosted::start(&server.url(), &state).await?;
    let asker = Asker::connect(&server.url()).await?;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let call = asker.client.call(ServiceName::Registry, "add").trace(Some(trace.to_owned()));
    let add = Add { account: "a".to_owned(), amount: 1, note: String::new() };
    call.send::<_, Sum>(&add).await?;
    let frames = asker.frames().await?;
    let traces = frames.iter().flat_map(|frame| &frame.decisions).map(|it| it.trace.as_deref());
    assert_eq!(traces.collect::<Vec<_>>(), [None, Some(trace)], "the term has none");
    hosted.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stops_under_load_answers_everybody_and_loses_nothing() -> Result<()> {
    let (server, state) = (broker().await?, TempDir::new()?);
    let first = Hosted::start(&server.url(), &state).await?;
    let asker = Asker::connect(&server.url()).await?;
    let adding: Vec<_> = (0..16)
        .map(|name| {
            let asker = asker.clone();
            tokio::spawn(async move {
                let mut totals = Vec::new();
                for amount in 1..=40 {
                    totals.push(asker.add(&format!("a{name}"), amount).await?.additions);
                }
                Ok::<_, Fault>(totals)
            })
        })
        .collect();
    cortex_tests::eventually(crate::hosted::DEADLINE, || async {
        asker.amounts().await.is_ok_and(|amounts| 100 < amounts.len())
    })
    .await?;
    first.stop().await?;
    let second = Hosted::start(&server.url(), &state).await?;
    let mut answered = Vec::new();
    for adding in adding {
        answered.extend(adding.await??);
    }
    answered.sort_unstable();
    assert_eq!(answered, (1..=640).collect::<Vec<u64>>(), "each answer is of another addition");
    assert_eq!(asker.amounts().await?.len(), 640);
    second.stop().await
}
