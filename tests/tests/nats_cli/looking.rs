//! What an operator looks at: services, their numbers, and the log itself.

use anyhow::{Context, Result};
use cortex_tests::eventually;
use serde_json::Value;

use crate::shell::{AS_ADMIN, DEADLINE, Shell};

#[tokio::test]
async fn the_services_are_listed_with_what_they_can_be_asked() -> Result<()> {
    let Some(shell) = Shell::open().await? else { return Ok(()) };
    let listed = shell.prints("nats micro ls").await?;
    for name in ["registry", "scheduler", "Cortex registry", "Cortex scheduler"] {
        assert!(listed.contains(name), "{name} in {listed}");
    }
    for (service, verbs) in [
        ("registry", ["register", "who-can", "can-task", "events"]),
        ("scheduler", ["submit", "cancel", "why", "rebuild"]),
    ] {
        let info = shell.prints(&format!("nats micro info {service}")).await?;
        for verb in verbs {
            let subject = format!("Subject: cortex.cmd.*.{service}.{verb}");
            assert!(info.contains(&subject), "{subject} in {info}");
        }
        assert!(info.contains("protocol: 1"), "{info}");
        let stats = shell.prints(&format!("nats micro stats {service}")).await?;
        assert!(verbs.iter().all(|verb| stats.contains(verb)), "{stats}");
    }
    Ok(())
}

#[tokio::test]
async fn requests_and_errors_are_counted() -> Result<()> {
    let Some(shell) = Shell::open().await? else { return Ok(()) };
    let counted = "nats req --raw '$SRV.STATS.registry' ''";
    let relationships = |stats: &Value| {
        let endpoints = stats["endpoints"].as_array().cloned().unwrap_or_default();
        endpoints.into_iter().find(|endpoint| endpoint["name"] == "relationships")
    };
    let before = relationships(&shell.json(counted).await?).context("no such endpoint")?;
    let ask = "nats req --raw cortex.cmd.$ME.registry.relationships";
    shell.json(&format!(r#"{ask} '{{"id":"local"}}'"#)).await?;
    shell.json(&format!(r#"{ask} '{{"id":"nobody"}}'"#)).await?;
    let grown = |now: &Value, field: &str| now[field].as_u64() > before[field].as_u64();
    eventually(DEADLINE, || async {
        let stats = shell.json(counted).await.unwrap_or_default();
        let now = relationships(&stats).unwrap_or_default();
        let error = now["last_error"].as_str().unwrap_or_default().to_owned();
        grown(&now, "num_requests")
            && grown(&now, "num_errors")
            && error.contains("AGENT_NOT_FOUND")
    })
    .await
}

#[tokio::test]
async fn the_log_is_readable_without_cortex() -> Result<()> {
    let Some(shell) = Shell::open().await? else { return Ok(()) };
    // The first frame opens the first term; the second hands in the first task of `cortex up`.
    let opened =
        shell.json(&format!("{AS_ADMIN} nats stream get CORTEX_EVENTS_scheduler_0_1 1")).await?;
    assert_eq!(opened["revision"], 1, "{opened}");
    assert_eq!(opened["decisions"][0]["command"], "start-term", "{opened}");
    let submitted =
        shell.json(&format!("{AS_ADMIN} nats stream get CORTEX_EVENTS_scheduler_0_1 2")).await?;
    assert_eq!(submitted["decisions"][0]["command"], "submit", "{submitted}");
    let event = &submitted["decisions"][0]["events"][0];
    assert_eq!(event["spec"]["work"]["text"], "ready", "{submitted}");

    // A page holds more than this log, so nobody is asked whether there shall be another.
    let view = format!("{AS_ADMIN} nats stream view CORTEX_EVENTS_registry_0_1 25 --raw");
    let Some(shown) = shell.prints_to_terminal(&view).await? else { return Ok(()) };
    let frames: Vec<Value> =
        shown.lines().filter_map(|line| serde_json::from_str(line.trim()).ok()).collect();
    let revisions: Vec<_> = frames.iter().filter_map(|frame| frame["revision"].as_u64()).collect();
    assert!(revisions.starts_with(&[1, 2]), "{shown}");
    Ok(())
}

#[tokio::test]
async fn streams_and_buckets_explain_themselves() -> Result<()> {
    let Some(shell) = Shell::open().await? else { return Ok(()) };
    let buckets = shell.prints(&format!("{AS_ADMIN} nats kv ls")).await?;
    for bucket in ["cortex_agents", "cortex_tasks", "cortex_envelopes", "cortex_presence"] {
        assert!(buckets.contains(bucket), "{bucket} in {buckets}");
    }
    let streams = shell.prints(&format!("{AS_ADMIN} nats stream ls")).await?;
    for stream in ["CORTEX_EVENTS_registry_0_1", "CORTEX_EVENTS_scheduler_0_1", "CORTEX_OUTPUT"] {
        assert!(streams.contains(stream), "{stream} in {streams}");
    }
    Ok(())
}

#[tokio::test]
async fn a_person_is_told_what_is_not_theirs_to_see() -> Result<()> {
    let Some(shell) = Shell::open().await? else { return Ok(()) };
    for (line, subject) in [
        ("nats stream ls", "$JS.API.STREAM.LIST"),
        ("nats kv get cortex_agents local", "$JS.API.STREAM.INFO.KV_cortex_agents"),
        ("nats sub --count 1 'cortex.ev.>'", "cortex.ev.>"),
        (
            "nats req cortex.cmd.local.registry.get-agents ''",
            "cortex.cmd.local.registry.get-agents",
        ),
    ] {
        let output = shell.run(&format!("timeout 2 {line}")).await?;
        let all = format!("{}{}", output.stdout, output.stderr).to_lowercase();
        let denied = format!(
            "permissions violation for {}",
            if line.contains("sub") { "subscription to" } else { "publish to" }
        );
        assert!(all.contains(&denied), "{line}: {output:?}");
        assert!(all.contains(&subject.to_lowercase()), "{line}: {output:?}");
    }
    Ok(())
}
