//! Signed requests that the `nats` command hands in, and the events that it shows of them.

use std::process::Stdio;

use anyhow::{Context, Result};
use cortex_tests::eventually_some;
use serde_json::Value;
use tokio::time::timeout;

use crate::shell::{AS_ADMIN, DEADLINE, Shell, json_in};

/// The task when it has ended, as `nats req` shows it.
async fn ended(shell: &Shell, task: &Value) -> Result<Value> {
    let id = task.as_str().context("no task id")?;
    let line = format!("nats req --raw cortex.cmd.$ME.scheduler.get-task '{{\"id\":\"{id}\"}}'");
    let find = || async {
        let view = shell.json(&line).await.ok()?;
        view["finished_at"].is_u64().then_some(view)
    };
    eventually_some(DEADLINE, find).await
}

#[tokio::test]
async fn a_signed_request_is_handed_in_and_its_outcome_read() -> Result<()> {
    let Some(shell) = Shell::open().await? else { return Ok(()) };
    let submit = r#"nats req --raw cortex.cmd.$ME.scheduler.submit \
        "$(cortex task sign --on local -- sh -c 'echo out; exit 7')""#;
    let answer = shell.json(submit).await?;
    let view = ended(&shell, &answer["task"]).await?;
    assert_eq!(view["state"], "failed", "{view}");
    assert_eq!(view["outcome"]["exit_code"], 7, "{view}");
    // "out\n"
    assert_eq!(view["outcome"]["stdout"]["inline"], "b3V0Cg==", "{view}");
    let task = answer["task"].as_str().context("no task")?;
    let row = format!("{AS_ADMIN} nats kv get cortex_tasks {task} --raw");
    let row = eventually_some(DEADLINE, || async {
        shell.json(&row).await.ok().filter(|row| row["row"]["state"] == "failed")
    });
    assert_eq!(row.await?["row"]["outcome"]["exit_code"], 7);
    Ok(())
}

/// The `nats` command reads a body from a pipe where it writes to a terminal.
#[tokio::test]
async fn a_signed_request_can_be_piped_in_on_a_terminal() -> Result<()> {
    let Some(shell) = Shell::open().await? else { return Ok(()) };
    let pipe = "cortex task sign --on local -- echo '{{Count}}' | nats req --raw \
                cortex.cmd.$ME.scheduler.submit";
    let Some(shown) = shell.prints_to_terminal(pipe).await? else { return Ok(()) };
    let answer = json_in(&shown).with_context(|| shown.clone())?;
    let view = ended(&shell, &answer["task"]).await?;
    // What `nats` takes for a template of its own is in the signed bytes, which it cannot change.
    assert_eq!(view["spec"]["work"]["argv"][1], "{{Count}}", "{view}");
    assert_eq!(view["state"], "succeeded", "{view}");
    Ok(())
}

#[tokio::test]
async fn a_request_that_was_changed_on_its_way_is_refused() -> Result<()> {
    let Some(shell) = Shell::open().await? else { return Ok(()) };
    for (change, code) in [
        (r#"s/"envelope":"..../"envelope":"AAAA/"#, "ENVELOPE_MALFORMED"),
        (r#"s/"envelope":"[^"]*"/"envelope":null/"#, "UNSIGNED"),
        (r#"s/"envelope"/"envelop"/"#, "UNKNOWN_FIELD"),
    ] {
        let line = format!(
            "nats req --raw cortex.cmd.$ME.scheduler.submit \
             \"$(cortex task sign --on local -- true | sed '{change}')\"",
        );
        let fault = shell.json(&line).await?;
        assert_eq!(fault["code"], code, "{change}: {fault}");
    }
    Ok(())
}

#[tokio::test]
async fn events_are_shown_as_they_happen() -> Result<()> {
    let Some(shell) = Shell::open().await? else { return Ok(()) };
    let mut command =
        shell.command(&format!("{AS_ADMIN} exec nats sub --raw --count 8 'cortex.ev.>'"));
    let mut watching = command.stderr(Stdio::null()).spawn()?;
    // It does not say when the broker knows of it, so there is something to see until it has seen.
    let seen = async {
        loop {
            shell.prints("cortex run --on local -- true").await?;
            if let Some(status) = watching.try_wait()? {
                return anyhow::Ok(status);
            }
        }
    };
    assert!(timeout(DEADLINE, seen).await??.success());
    let shown = String::from_utf8(watching.wait_with_output().await?.stdout)?;
    let events: Vec<Value> = shown.lines().filter_map(|it| serde_json::from_str(it).ok()).collect();
    let kinds: Vec<_> = events.iter().filter_map(|it| it["event"]["type"].as_str()).collect();
    for kind in ["task-submitted", "task-assigned", "task-started", "task-finished"] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    assert!(events.iter().all(|it| it["cursor"].is_string() && it["at"].is_u64()), "{shown}");
    Ok(())
}
