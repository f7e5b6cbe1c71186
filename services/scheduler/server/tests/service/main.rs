//! Promise: a signed task goes through a real broker to its node and back, and neither a restart of
//! the scheduler nor a registry that is down loses or doubles it.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail as the tests themselves do")]

mod delegation;
mod fixture;
mod output;

use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::Result;
use cortex_tests::eventually_some;
use runtime::{HostContext, RowReader, Service};
use scheduler_core::{Answer, Kept};
use scheduler_server::SchedulerService;
use schemas::{
    ErrorCode, Fault, Timestamp,
    agent::NodeChannel,
    feed::EventsAnswer,
    scheduler::{CancelAnswer, GetTasksAnswer, StartDecision, SubmitAnswer, WhyAnswer, verb},
    subject::Bucket,
    task::{TaskState, TaskView, Verdict},
};
use serde_json::json;

use fixture::{DEADLINE, Node, Registry, Running, ask, envelope, id, outcome, task_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_task_is_offered_started_reported_and_found() -> Result<()> {
    let scheduler = Running::start().await?;
    let _registry = Registry::start(&scheduler, &["web"]).await?;
    let mut web = Node::start(&scheduler, "web").await?;
    let ann = scheduler.client("ann").await?;

    let answer: SubmitAnswer =
        ask(&ann, verb::SUBMIT, json!({ "envelope": envelope("node:web", 1) })).await?;
    assert_eq!(answer.task, task_of(1));
    let (offer, assignment) = web.offer().await?;
    assert_eq!((offer.task, offer.epoch, assignment.node), (task_of(1), 1, id("web")));

    let go = web.start_task(1, 1).await?;
    assert_eq!((go.decision, go.ask, go.term), (StartDecision::Go {}, 1, assignment.term));
    let reported = web.report(1, 1, Verdict::Succeeded).await?;
    assert_eq!((reported.state, reported.counted), (TaskState::Succeeded, true));

    let view: TaskView = ask(&ann, verb::GET_TASK, json!({ "id": task_of(1) })).await?;
    assert_eq!(
        (view.state, view.node, view.outcome),
        (TaskState::Succeeded, Some(id("web")), Some(outcome(Verdict::Succeeded)))
    );
    let listed: GetTasksAnswer = ask(&ann, verb::GET_TASKS, json!({})).await?;
    assert_eq!(listed.tasks.len(), 1);
    let events: EventsAnswer = ask(&ann, verb::EVENTS, json!({})).await?;
    // Submitted before the fleet was listed, it waits for a moment.
    let kinds: Vec<String> =
        events.events.iter().map(kind).filter(|kind| kind != "task-queued").collect();
    assert_eq!(kinds, ["task-submitted", "task-assigned", "task-started", "task-finished"]);
    scheduler.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_waits_while_the_registry_is_down_and_goes_on_when_it_comes() -> Result<()> {
    let scheduler = Running::start().await?;
    let mut web = Node::start(&scheduler, "web").await?;
    let ann = scheduler.client("ann").await?;
    let request = json!({ "envelope": envelope("can:shell.exec", 1) });
    let waiting: SubmitAnswer = ask(&ann, verb::SUBMIT, request.clone()).await?;
    assert_eq!(waiting.state, TaskState::Queued);
    let why: WhyAnswer = ask(&ann, verb::WHY, json!({ "id": task_of(1) })).await?;
    assert!(why.summary.contains("not been listed"), "{}", why.summary);

    let _registry = Registry::start(&scheduler, &["web"]).await?;
    let (offer, _) = web.offer().await?;
    assert_eq!(offer.task, task_of(1));
    let again: SubmitAnswer = ask(&ann, verb::SUBMIT, request).await?;
    assert_eq!((again.task, again.state), (task_of(1), TaskState::Assigned));
    scheduler.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unanswered_offer_and_a_run_outlive_the_scheduler() -> Result<()> {
    let mut scheduler = Running::start().await?;
    let _registry = Registry::start(&scheduler, &["web"]).await?;
    let mut web = Node::start(&scheduler, "web").await?;
    let ann = scheduler.client("ann").await?;
    for task in [1, 2] {
        let request = json!({ "envelope": envelope("node:web", task) });
        ask::<SubmitAnswer>(&ann, verb::SUBMIT, request).await?;
        web.offer().await?;
    }
    let first = web.start_task(1, 1).await?;

    scheduler = scheduler.restart().await?;
    let mut offered = web.offer().await?;
    while offered.0.task != task_of(2) {
        offered = web.offer().await?;
    }
    assert!(first.term < offered.1.term);
    let again = web.start_task(1, 2).await?;
    assert_eq!(again.decision, StartDecision::Go {});
    assert!(first.term < again.term);
    let reported = web.report(1, 1, Verdict::Failed).await?;
    assert!(reported.counted);
    scheduler.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_the_node_that_runs_the_task() -> Result<()> {
    let scheduler = Running::start().await?;
    let _registry = Registry::start(&scheduler, &["web"]).await?;
    let mut web = Node::start(&scheduler, "web").await?;
    let ann = scheduler.client("ann").await?;
    let request = json!({ "envelope": envelope("node:web", 1) });
    ask::<SubmitAnswer>(&ann, verb::SUBMIT, request).await?;
    web.offer().await?;
    web.start_task(1, 1).await?;

    let bob = scheduler.client("bob").await?;
    let refused: Result<CancelAnswer, Fault> =
        ask(&bob, verb::CANCEL, json!({ "id": task_of(1) })).await;
    assert_eq!(refused.unwrap_err().code, ErrorCode::TaskNotFound);
    let answer: CancelAnswer = ask(&ann, verb::CANCEL, json!({ "id": task_of(1) })).await?;
    assert_eq!(answer.stopping, [task_of(1)]);
    web.heard(NodeChannel::Cancel).await?;
    let answer = web.start_task(1, 1).await?;
    assert_eq!(answer.decision, StartDecision::StandDown { code: ErrorCode::TaskFinished });
    scheduler.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_may_do_is_refused_over_the_broker() -> Result<()> {
    let scheduler = Running::start().await?;
    let _registry = Registry::start(&scheduler, &["web"]).await?;
    let ann = scheduler.client("ann").await?;
    let refused = |request| async { ask::<SubmitAnswer>(&ann, verb::SUBMIT, request).await };
    let unsigned = refused(json!({})).await.unwrap_err();
    assert_eq!(unsigned.code, ErrorCode::Unsigned);
    // Until the fleet is listed, a task for an unknown node waits.
    let attempt = AtomicU8::new(1);
    let unknown = eventually_some(DEADLINE, || async {
        let number = attempt.fetch_add(1, Ordering::Relaxed);
        refused(json!({ "envelope": envelope("node:nowhere", number) })).await.err()
    });
    assert_eq!(unknown.await?.code, ErrorCode::NoSuchNode);
    let stranger: Result<serde_json::Value, Fault> =
        ask(&ann, verb::START, json!({ "task": "t1", "epoch": 1, "instance": "ann-1", "ask": 1 }))
            .await;
    assert_eq!(stranger.unwrap_err().code, ErrorCode::TaskNotFound);
    scheduler.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_has_left_the_memory_is_read_from_its_bucket() -> Result<()> {
    let scheduler = Running::start().await?;
    let _registry = Registry::start(&scheduler, &["web"]).await?;
    let mut web = Node::start(&scheduler, "web").await?;
    let ann = scheduler.client("ann").await?;
    let request = json!({ "envelope": envelope("node:web", 1) });
    ask::<SubmitAnswer>(&ann, verb::SUBMIT, request).await?;
    web.offer().await?;
    web.start_task(1, 1).await?;
    web.report(1, 1, Verdict::Succeeded).await?;
    let view: TaskView = ask(&ann, verb::GET_TASK, json!({ "id": task_of(1) })).await?;

    let nats = ann.nats().clone();
    let rows = RowReader::new(move |bucket| jetstream_config::KvBucket::new(nats.clone(), bucket));
    for bucket in [Bucket::Tasks, Bucket::Envelopes] {
        eventually_some(DEADLINE, || async {
            rows.get(bucket, task_of(1).as_str()).await.ok().flatten()
        })
        .await?;
    }
    let context = HostContext { client: ann.clone(), rows, instance: id("scheduler").instance(1) };
    let service = SchedulerService::new(fixture::scheduler_trust(), context);
    let kept = |task| Kept {
        id: task,
        state: view.state,
        issuer: view.issuer.clone(),
        subject: view.subject.clone(),
        node: view.node.clone(),
        parent: None,
        submitted_at: view.submitted_at,
        finished_at: Timestamp(0),
        expires_at: view.expires_at,
        envelope_hash: schemas::Sha256Hash::ZERO,
    };
    let whole = eventually_some(DEADLINE, || async {
        let answer = service.complete(Answer::Kept(Box::new(kept(task_of(1))))).await.ok()?;
        (answer == Answer::Task(Box::new(view.clone()))).then_some(())
    });
    whole.await?;
    let missing = service.complete(Answer::Kept(Box::new(kept(task_of(9))))).await;
    assert_eq!(missing.unwrap_err().code, ErrorCode::Unreachable);
    scheduler.stop().await
}

/// The name of an event.
fn kind(event: &schemas::feed::FeedEvent) -> String {
    let event: serde_json::Value = serde_json::from_str(event.event.get()).unwrap();
    event["type"].as_str().unwrap().to_owned()
}
