//! A run asks for a task: over the broker, believed with its chain by scheduler and node alike.

use anyhow::Result;
use cortex_tests::eventually_some;
use runtime::RowReader;
use schemas::{
    ErrorCode,
    feed::EventsAnswer,
    scheduler::{CancelAnswer, ChainAnswer, SubmitAnswer, verb},
    subject::Bucket,
    task::{TaskState, TaskView, Verdict},
};
use serde_json::json;

use crate::fixture::{
    DEADLINE, Node, Registry, Running, ask, child_envelope, delegating_envelope, task_of,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_asks_for_a_task_and_takes_it_along_when_it_is_cancelled() -> Result<()> {
    let scheduler = Running::start().await?;
    let _registry = Registry::start(&scheduler, &["web", "db"]).await?;
    let (mut web, mut db) =
        (Node::start(&scheduler, "web").await?, Node::start(&scheduler, "db").await?);
    let (ann, by_web) = (scheduler.client("ann").await?, scheduler.client("web").await?);
    let request = json!({ "envelope": delegating_envelope("node:web", 1) });
    ask::<SubmitAnswer>(&ann, verb::SUBMIT, request).await?;
    web.offer().await?;
    let child = json!({ "envelope": child_envelope(1, 2) });
    let early = ask::<SubmitAnswer>(&by_web, verb::SUBMIT, child.clone()).await;
    assert_eq!(early.unwrap_err().code, ErrorCode::ChainInvalid);
    web.start_task(1, 1).await?;

    let answer: SubmitAnswer = ask(&by_web, verb::SUBMIT, child.clone()).await?;
    let (offer, _) = db.offer().await?;
    assert_eq!((&offer.task, offer.ancestors.len()), (&answer.task, 1));
    let again: SubmitAnswer = ask(&by_web, verb::SUBMIT, child.clone()).await?;
    assert_eq!(again.task, answer.task);

    let chain: ChainAnswer = ask(&ann, verb::CHAIN, json!({ "id": answer.task })).await?;
    let names: Vec<_> = chain.ancestors.iter().map(|link| &link.task).collect();
    assert_eq!(names, [&task_of(1), &answer.task]);
    let eve = scheduler.client("eve").await?;
    let hidden = ask::<TaskView>(&eve, verb::GET_TASK, json!({ "id": answer.task })).await;
    assert_eq!(hidden.unwrap_err().code, ErrorCode::TaskNotFound);
    let heard = |events: EventsAnswer| events.events.len();
    assert_eq!(heard(ask(&eve, verb::EVENTS, json!({})).await?), 0);
    let all = heard(ask(&ann, verb::EVENTS, json!({})).await?);
    let of_db = heard(ask(&scheduler.client("db").await?, verb::EVENTS, json!({})).await?);
    assert!(0 < of_db && of_db < all, "{of_db} of {all}");

    ask::<CancelAnswer>(&ann, verb::CANCEL, json!({ "id": task_of(1) })).await?;
    eventually_some(DEADLINE, || async {
        let asked = ask::<TaskView>(&ann, verb::GET_TASK, json!({ "id": answer.task })).await;
        asked.ok().filter(|view| view.state == TaskState::Cancelled)
    })
    .await?;
    // What was taken once is the same task whatever became of its parent.
    web.report(1, 1, Verdict::Cancelled).await?;
    let late: SubmitAnswer = ask(&by_web, verb::SUBMIT, child).await?;
    assert_eq!((late.task, late.state), (answer.task, TaskState::Cancelled));
    scheduler.stop().await
}

/// The parent has ended and left the state for its bucket when the child is offered again.
#[tokio::test(flavor = "multi_thread")]
async fn a_child_is_offered_with_a_parent_that_has_ended() -> Result<()> {
    let mut scheduler = Running::start().await?;
    let _registry = Registry::start(&scheduler, &["web", "db"]).await?;
    let mut web = Node::start(&scheduler, "web").await?;
    let mut db = Node::start(&scheduler, "db").await?;
    let ann = scheduler.client("ann").await?;
    let request = json!({ "envelope": delegating_envelope("node:web", 1) });
    ask::<SubmitAnswer>(&ann, verb::SUBMIT, request).await?;
    web.offer().await?;
    web.start_task(1, 1).await?;
    let by_web = scheduler.client("web").await?;
    let child = json!({ "envelope": child_envelope(1, 2) });
    ask::<SubmitAnswer>(&by_web, verb::SUBMIT, child).await?;
    let (first, _) = db.offer().await?;
    web.report(1, 1, Verdict::Succeeded).await?;
    let nats = ann.nats().clone();
    let rows = RowReader::new(move |bucket| jetstream_config::KvBucket::new(nats.clone(), bucket));
    eventually_some(DEADLINE, || async {
        rows.get(Bucket::Envelopes, task_of(1).as_str()).await.ok().flatten()
    })
    .await?;

    scheduler = scheduler.restart().await?;
    let (again, _) = db.offer().await?;
    assert_eq!((again.task, again.ancestors), (first.task, first.ancestors));
    scheduler.stop().await
}
