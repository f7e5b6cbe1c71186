//! Starts, reports, refusals and cancels by somebody who has nothing to do with the task.

use anyhow::{Context, Result};
use cortex_tests::eventually;
use schemas::ErrorCode::{
    InvalidId, NotAllowed, NotTheRunner, TaskFinished, TaskNotFound, TaskNotLost,
};
use serde_json::{Value, json};

use crate::people::TRENT;
use crate::stage::{DEADLINE, Stage, check, no, scheduler};

const NOBODYS: &str = "0123456789abcdef0123456789abcdef";

/// Begins a run on the local node and waits until it has started.
async fn running(stage: &Stage) -> Result<String> {
    let run = stage.run(&["run", "--detach", "--on", "local", "--", "sleep", "600"]).await?;
    let id = run.stdout.trim().to_owned();
    eventually(DEADLINE, || async { state(stage, &id).await == "started" })
        .await
        .with_context(|| format!("{run:?}"))?;
    Ok(id)
}

/// The task as its issuer sees it.
async fn view(stage: &Stage, id: &str) -> Value {
    let ask = scheduler("get-task", json!({ "id": id }).to_string()).by(&stage.login.principal);
    stage.granted(&ask).await.unwrap_or_default()
}

async fn state(stage: &Stage, id: &str) -> String {
    view(stage, id).await["state"].as_str().unwrap_or_default().to_owned()
}

fn start(task: &str, epoch: u64) -> String {
    json!({ "task": task, "epoch": epoch, "instance": "mallory-1", "ask": 1 }).to_string()
}

fn report(task: &str, epoch: u64) -> String {
    let outcome = json!({ "verdict": "succeeded", "exit_code": 0, "ended_at": 1 });
    json!({ "task": task, "epoch": epoch, "instance": "mallory-1", "outcome": outcome }).to_string()
}

fn refuse(task: &str, epoch: u64) -> String {
    let fault = json!({ "code": "WRONG_AUDIENCE", "message": "no", "hint": "" });
    json!({ "task": task, "epoch": epoch, "instance": "mallory-1", "fault": fault }).to_string()
}

fn id(task: &str) -> String {
    json!({ "id": task }).to_string()
}

#[tokio::test]
async fn only_its_node_speaks_of_a_task_and_only_its_people_end_it() -> Result<()> {
    let stage = Stage::enter().await?;
    let task = running(&stage).await?;
    let (owner, epoch) = (stage.login.principal.clone(), 1);
    let not_run = no(NotTheRunner, "another node was given it");
    let hidden = no(TaskNotFound, "there is no task");
    let visible = no(NotAllowed, "trent is neither issuer nor subject");
    let nothing_ran = "only the instance that was told to may say that nothing ran";
    for (ask, expected) in [
        (scheduler("start", start(&task, epoch)), not_run),
        (scheduler("report", report(&task, epoch)), not_run),
        (scheduler("refuse", refuse(&task, epoch)), not_run),
        // The owner of the node is not the node.
        (scheduler("report", report(&task, epoch)).by(&owner), not_run),
        // An impostor of the node, or its former life.
        (scheduler("report", report(&task, epoch)).by("local"), no(NotTheRunner, nothing_ran)),
        (scheduler("refuse", refuse(&task, epoch)).by("local"), no(NotTheRunner, nothing_ran)),
        // Whoever may not see it is told that there is none, and whoever may, why not.
        (scheduler("get-task", id(&task)), hidden),
        (scheduler("why", id(&task)), hidden),
        (scheduler("cancel", id(&task)), hidden),
        (scheduler("force-lost", id(&task)), hidden),
        (scheduler("cancel", id(&task)).by(TRENT), visible),
        (scheduler("force-lost", id(&task)).by(TRENT), visible),
        (scheduler("force-lost", id(&task)).by(&owner), no(TaskNotLost, "is started, not lost")),
    ] {
        check(&stage, ask, expected).await?;
    }
    for ask in [
        scheduler("report", report(&task, 0)),
        scheduler("report", report(&task, 99)),
        scheduler("refuse", refuse(&task, 99)),
        scheduler("report", report(&task, 99)).by("local"),
    ] {
        check_uncounted(&stage, &ask).await?;
    }
    check_stands_down(&stage, scheduler("start", start(&task, 99)), "STALE_EPOCH").await?;
    let impostor = scheduler("start", start(&task, epoch)).by("local");
    check_stands_down(&stage, impostor, "NOT_THE_RUNNER").await?;
    assert_eq!(state(&stage, &task).await, "started");
    stage.granted(&scheduler("cancel", id(&task)).by(&owner)).await?;
    eventually(DEADLINE, || async { state(&stage, &task).await == "cancelled" }).await
}

#[tokio::test]
async fn an_unknown_task_is_not_found_whatever_is_asked() -> Result<()> {
    let stage = Stage::enter().await?;
    let expected = no(TaskNotFound, "there is no task 0123456789abcdef0123456789abcdef");
    for (verb, body) in [
        ("get-task", id(NOBODYS)),
        ("why", id(NOBODYS)),
        ("cancel", id(NOBODYS)),
        ("force-lost", id(NOBODYS)),
        ("start", start(NOBODYS, 1)),
        ("report", report(NOBODYS, 1)),
        ("refuse", refuse(NOBODYS, 1)),
    ] {
        check(&stage, scheduler(verb, body), expected).await?;
    }
    check(&stage, scheduler("get-task", id("*")), no(InvalidId, "is not an id")).await?;
    Ok(())
}

#[tokio::test]
async fn what_has_ended_is_not_ended_again() -> Result<()> {
    let stage = Stage::enter().await?;
    let run = stage.run(&["run", "--detach", "--on", "local", "--", "true"]).await?;
    let task = run.stdout.trim().to_owned();
    assert_eq!(stage.run(&["task", "wait", &task]).await?.code, 0);
    let owner = stage.login.principal.clone();
    let ended = no(TaskFinished, "has ended: succeeded");
    check(&stage, scheduler("cancel", id(&task)).by(&owner), ended).await?;
    let not_lost = no(TaskNotLost, "is succeeded, not lost");
    check(&stage, scheduler("force-lost", id(&task)).by(&owner), not_lost).await?;
    check_uncounted(&stage, &scheduler("report", report(&task, 7))).await
}

/// The answer says that it changed nothing, and nothing is recorded.
async fn check_uncounted(stage: &Stage, ask: &crate::stage::Ask) -> Result<()> {
    check_harmless(stage, ask, |answer| answer["counted"] == false).await
}

async fn check_stands_down(stage: &Stage, ask: crate::stage::Ask, code: &str) -> Result<()> {
    let stands_down =
        |answer: &Value| answer["decision"] == json!({ "do": "stand-down", "code": code });
    check_harmless(stage, &ask, stands_down).await
}

async fn check_harmless(
    stage: &Stage,
    ask: &crate::stage::Ask,
    holds: impl Fn(&Value) -> bool,
) -> Result<()> {
    let heads = stage.heads().await?;
    let answer = stage.granted(ask).await?;
    assert!(holds(&answer), "{ask:?}: {answer}");
    for principal in ["mallory", "local"] {
        let recorded = stage.recorded(heads, principal).await?;
        assert!(recorded.is_empty(), "{ask:?}: {recorded:?}");
    }
    Ok(())
}
