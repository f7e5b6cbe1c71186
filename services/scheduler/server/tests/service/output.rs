//! What a task prints reaches whoever follows it, as it appears and from its own node alone.

use std::time::Duration;

use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::Client;
use cortex_tests::eventually_some;
use schemas::{
    Fault,
    agent::{OutputChunk, OutputStream},
    scheduler::{OutputAnswer, SubmitAnswer, verb},
    subject,
    task::{TaskState, Verdict},
};
use serde_json::json;

use crate::fixture::{DEADLINE, Node, Registry, Running, ask, envelope, id, task_of};

async fn submit(client: &Client) -> Result<()> {
    let request = json!({ "envelope": envelope("node:web", 1) });
    let answer: SubmitAnswer = ask(client, verb::SUBMIT, request).await?;
    assert_eq!(answer.task, task_of(1));
    Ok(())
}

async fn print(client: &Client, node: &str, text: &str) -> Result<()> {
    let chunk = OutputChunk {
        task: task_of(1),
        epoch: 1,
        stream: OutputStream::Stdout,
        offset: 0,
        data: STANDARD.encode(text),
        end: false,
    };
    let body = serde_json::to_vec(&chunk)?;
    client.nats().publish(subject::output(&id(node), &task_of(1)), body.into()).await?;
    Ok(client.nats().flush().await?)
}

async fn output(
    client: &Client,
    after: u64,
    known: Option<TaskState>,
) -> Result<OutputAnswer, Fault> {
    let wait_ms = known.map(|_| 1_500);
    let request = json!({ "id": task_of(1), "after": after, "known": known, "wait_ms": wait_ms });
    ask(client, verb::OUTPUT, request).await
}

fn texts(answer: &OutputAnswer) -> Vec<String> {
    let text = |chunk: &OutputChunk| String::from_utf8(STANDARD.decode(&chunk.data).unwrap());
    answer.chunks.iter().map(|chunk| text(chunk).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn output_and_turns_are_told_as_they_happen() -> Result<()> {
    let scheduler = Running::start().await?;
    let _registry = Registry::start(&scheduler, &["web"]).await?;
    let mut web = Node::start(&scheduler, "web").await?;
    let ann = scheduler.client("ann").await?;
    submit(&ann).await?;
    web.offer().await?;

    let answer = output(&ann, 0, None).await?;
    assert_eq!((answer.state, answer.next, texts(&answer)), (TaskState::Assigned, 0, vec![]));
    let waiting = tokio::spawn({
        let ann = ann.clone();
        async move { output(&ann, 0, Some(TaskState::Assigned)).await }
    });
    web.start_task(1, 1).await?;
    assert_eq!(waiting.await??.state, TaskState::Started);

    // Whether it comes before the request or while it waits is the same.
    let waiting = tokio::spawn({
        let ann = ann.clone();
        async move { output(&ann, 0, Some(TaskState::Started)).await }
    });
    print(&scheduler.client("web").await?, "web", "hello").await?;
    let answer = waiting.await??;
    assert_eq!(texts(&answer), ["hello"]);
    assert_eq!(texts(&output(&ann, 0, None).await?), ["hello"]);
    assert_eq!(texts(&output(&ann, answer.next, None).await?), Vec::<String>::new());

    let waiting = tokio::spawn({
        let (ann, next) = (ann.clone(), answer.next);
        async move { output(&ann, next, Some(TaskState::Started)).await }
    });
    web.report(1, 1, Verdict::Succeeded).await?;
    assert_eq!(waiting.await??.state, TaskState::Succeeded);
    let answer = output(&ann, 0, Some(TaskState::Succeeded)).await?;
    assert_eq!((answer.state, texts(&answer)), (TaskState::Succeeded, vec!["hello".to_owned()]));
    scheduler.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_node_prints_under_a_tasks_id_is_none_of_its_output() -> Result<()> {
    let scheduler = Running::start().await?;
    let _registry = Registry::start(&scheduler, &["web"]).await?;
    let mut web = Node::start(&scheduler, "web").await?;
    let ann = scheduler.client("ann").await?;
    submit(&ann).await?;
    web.offer().await?;
    let eve = scheduler.client("eve").await?;
    print(&eve, "eve", "forged").await?;
    eve.nats().publish(subject::output(&id("web"), &task_of(1)), "garbage".into()).await?;
    print(&eve, "web", "true").await?;
    let printed = eventually_some(DEADLINE, || async {
        let answer = output(&ann, 0, None).await.ok()?;
        (!answer.chunks.is_empty()).then_some(answer)
    });
    assert_eq!(texts(&printed.await?), ["true"]);
    scheduler.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_waited_for_longer_than_it_is_asked_for() -> Result<()> {
    let scheduler = Running::start().await?;
    let ann = scheduler.client("ann").await?;
    submit(&ann).await?;
    // Why it waits may still change while the scheduler gets to know the fleet, and is told at once.
    let mut waits = Vec::new();
    while waits.last().is_none_or(|wait| *wait < Duration::from_millis(1_400)) {
        assert!(waits.len() < 5, "{waits:?}");
        let began = std::time::Instant::now();
        let answer = output(&ann, 0, Some(TaskState::Queued)).await?;
        assert_eq!((answer.state, answer.waiting_for.is_some()), (TaskState::Queued, true));
        waits.push(began.elapsed());
    }
    let request = json!({ "id": task_of(1), "wait_ms": 1_501 });
    let fault = ask::<OutputAnswer>(&ann, verb::OUTPUT, request).await.unwrap_err();
    assert_eq!(fault.code, schemas::ErrorCode::InvalidValue);
    scheduler.stop().await
}
