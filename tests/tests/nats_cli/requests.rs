//! Requests by `nats req`: answers, errors, and what the registry keeps.

use anyhow::{Context, Result};
use cortex_tests::eventually_some;
use serde_json::Value;

use crate::shell::{AS_ADMIN, DEADLINE, Shell};

#[tokio::test]
async fn an_agent_is_registered_found_and_kept() -> Result<()> {
    let Some(shell) = Shell::open().await? else { return Ok(()) };
    let register = r#"nats req --raw "cortex.cmd.$ME.registry.register" '{
        "manifest": {
            "id": "printer", "name": "The printer", "role": "device",
            "capabilities": { "tools": ["paper.*"] }, "accepts_tasks_from": ["*"]
        }
    }'"#;
    let answer = shell.json(register).await?;
    assert_eq!(answer["agent"]["manifest"]["id"], "printer", "{answer}");
    assert_eq!(answer["agent"]["enrolled"], false, "{answer}");

    let who_can =
        r#"nats req --raw cortex.cmd.$ME.registry.who-can '{"capability":"paper.print"}'"#;
    let able = shell.json(who_can).await?;
    assert_eq!(able["agents"][0]["id"], "printer", "{able}");
    assert_eq!(able["agents"][0]["granted_by"], "paper.*", "{able}");

    // The bucket follows the log.
    let get = format!("{AS_ADMIN} nats kv get cortex_agents printer --raw");
    let row = eventually_some(DEADLINE, || async { shell.json(&get).await.ok() }).await?;
    assert_eq!(row["row"]["manifest"]["name"], "The printer", "{row}");
    let get = format!("{AS_ADMIN} nats kv get cortex_agents local --raw");
    let local = shell.json(&get).await?;
    assert_eq!(local["row"]["enrolled"], true, "{local}");
    Ok(())
}

#[tokio::test]
async fn the_documented_line_answers_who_can() -> Result<()> {
    let Some(shell) = Shell::open().await? else { return Ok(()) };
    let line = r#"nats req cortex.cmd.$ME.registry.who-can '{"capability":"shell.exec"}'"#;
    let able = shell.json(line).await?;
    assert_eq!(able["agents"][0]["id"], "local", "{able}");
    // Without a body the request is empty, which selects all.
    let all = shell.json("nats req --raw cortex.cmd.$ME.registry.get-agents ''").await?;
    assert!(all["agents"].as_array().context("no agents")?.iter().any(is_local), "{all}");
    Ok(())
}

fn is_local(agent: &Value) -> bool {
    agent["manifest"]["id"] == "local"
}

#[tokio::test]
async fn an_error_shows_in_headers_and_body() -> Result<()> {
    let Some(shell) = Shell::open().await? else { return Ok(()) };
    for (line, code, status) in [
        ("registry.who-can '{\"capabilty\":\"a\"}'", "UNKNOWN_FIELD", "400"),
        ("registry.who-can '{'", "MALFORMED_JSON", "400"),
        ("registry.get-agent '{\"id\":\"nobody\"}'", "AGENT_NOT_FOUND", "404"),
        ("registry.deregister '{\"id\":\"a.b\"}'", "INVALID_ID", "400"),
        ("registry.destroy '{}'", "UNKNOWN_VERB", "400"),
        ("scheduler.submit '{}'", "UNSIGNED", "403"),
        (
            "-H Cortex-Protocol:2 cortex.cmd.$ME.scheduler.get-tasks '{}'",
            "PROTOCOL_MISMATCH",
            "400",
        ),
    ] {
        let words = if line.starts_with('-') { "nats req " } else { "nats req cortex.cmd.$ME." };
        let output = shell.run(&format!("{words}{line}")).await?;
        let all = format!("{}{}", output.stdout, output.stderr);
        assert_eq!(output.code, 0, "{line}: {output:?}");
        assert!(all.contains(&format!("Nats-Service-Error: {code}: ")), "{line}: {all}");
        assert!(all.contains(&format!("Nats-Service-Error-Code: {status}")), "{line}: {all}");
        let fault = crate::shell::json_in(&output.stdout)?;
        assert_eq!(fault["code"], code, "{line}: {fault}");
        assert_ne!(fault["hint"], "", "{line}: {fault}");
    }
    Ok(())
}

/// Somebody with a secret in their environment would show it to every process that they start.
#[tokio::test]
async fn no_secret_is_in_what_is_evaluated() -> Result<()> {
    let Some(shell) = Shell::open().await? else { return Ok(()) };
    let login = shell.cortex.login()?;
    let printed = shell.prints("cortex ctx env; env").await?;
    let creds = std::fs::read_to_string(&login.creds)?;
    let seed = creds.lines().find(|line| line.starts_with("SU")).context("no seed")?;
    assert!(!printed.contains(seed), "{printed}");
    assert!(printed.contains(&format!("ME={}", login.principal)), "{printed}");
    let rights = shell.prints(r#"stat -c %a "$NATS_CONTEXT""#).await?;
    assert_eq!(rights.trim(), "600");
    let another = shell.prints(r#"eval "$(cortex --as eve ctx env)"; echo $ME"#).await?;
    assert_eq!(another.trim(), "eve");
    Ok(())
}
