//! The node's own life: registration, heartbeats, pings, stopping, its lock.

use std::time::{Duration, Instant};

use anyhow::Result;
use cortex_tests::{eventually, percentile};
use futures::StreamExt as _;
use schemas::{
    ErrorCode,
    agent::{Heartbeat, NodeChannel, Pong},
    sandbox::Tier,
    subject,
    task::{TaskSpec, Verdict},
};

use crate::{
    SOON,
    plane::{NODE, id},
    stage::{Stage, echo, shell},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_says_what_its_machine_is_and_what_it_does_not_enforce() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node().await?;
    let registered = stage.plane.registered().remove(0);
    let report = registered.node.unwrap();
    assert_eq!(report.slots, 8);
    assert_ne!(report.sandbox.tier, Tier::T0, "walls are on by default");
    assert!(0 < report.memory_bytes && report.tools.contains_key("sh"), "{report:?}");
    assert_eq!(registered.owner, Some(id("alice")));
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_name_what_runs_and_how_the_machine_is() -> Result<()> {
    let stage = Stage::set().await?;
    let mut config = stage.config();
    let manifest = "id = \"n1\"\nname = \"N\"\nrole = \"worker\"\nheartbeat_interval = 1\n\
                    capabilities = { tools = [\"shell.exec\"] }\n";
    config.manifest = Some(agent_node::ManifestSource::Inline(Box::new(toml::from_str(manifest)?)));
    let mut beats = stage.plane.client().nats().subscribe(subject::HEARTBEATS).await?;
    stage.plane.client().nats().flush().await?;
    let node = stage.node_with(config).await?;
    let task = stage.plane.submit(&shell("sleep 600")).await?;
    let named = async {
        while let Some(message) = beats.next().await {
            let beat: Heartbeat = serde_json::from_slice(&message.payload).unwrap();
            if beat.running.iter().any(|running| running.task == task) {
                return beat;
            }
        }
        panic!("the heartbeats ended")
    };
    let beat = tokio::time::timeout(SOON, named).await?;
    assert_eq!((beat.slots_free, beat.draining, beat.complaint), (7, false, None));
    assert!(0 < beat.load.memory_used_bytes && 0 < beat.load.process_memory_bytes);
    stage.plane.cancel(&task).await?;
    stage.plane.outcome(&task).await?;
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_is_answered() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node().await?;
    let subject = subject::node(&id(NODE), NodeChannel::Ping);
    let answer = stage.plane.client().nats().request(subject, "".into()).await?;
    let pong: Pong = serde_json::from_slice(&answer.payload)?;
    assert_eq!((pong.node, pong.protocol), (id(NODE), 1));
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_node_lets_its_run_end_and_takes_no_other() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node().await?;
    let go_on = stage.folder.path().join("go-on");
    let line = format!("until [ -e {} ]; do sleep 0.02; done; echo done", go_on.display());
    let running = stage.plane.submit(&shell(&line)).await?;
    stage.plane.known_when(&running, |known| known.started_by.clone()).await?;
    let ended = node.begin_to_stop();
    let refused = || async {
        let task = stage.plane.submit(&echo("late")).await.unwrap();
        let refusal = |known: &crate::plane::Known| {
            known.refused.first().copied().or(known.reports.first().map(|_| ErrorCode::Internal))
        };
        stage.plane.known_when(&task, refusal).await.unwrap() == ErrorCode::NodeDraining
    };
    eventually(SOON, refused).await?;
    assert!(!ended.is_finished());
    std::fs::write(&go_on, "")?;
    ended.await??;
    assert_eq!(stage.plane.outcome(&running).await?.verdict, Verdict::Succeeded);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_node_ends_what_does_not_end_by_itself() -> Result<()> {
    let stage = Stage::set().await?;
    let mut config = stage.config();
    config.drain_grace_ms = Some(100);
    let node = stage.node_with(config).await?;
    let task = stage.plane.submit(&shell("sleep 600")).await?;
    stage.plane.known_when(&task, |known| known.started_by.clone()).await?;
    node.stop().await?;
    let outcome = stage.plane.outcome(&task).await?;
    assert_eq!(outcome.verdict, Verdict::Cancelled);
    assert_eq!(outcome.fault.map(|fault| fault.code), Some(ErrorCode::NodeDraining));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_with_the_same_state_is_refused() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node().await?;
    let error = agent_node::run(stage.config(), std::future::pending()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::AlreadyRunning, "{error}");
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_refused_or_dropped_and_the_node_goes_on() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node().await?;
    let subject = subject::node(&id(NODE), NodeChannel::Task);
    for garbage in ["", "{", "[[[[[[[[[[", "{\"task\":\"A.B\"}"] {
        stage.plane.client().nats().publish(subject.clone(), garbage.into()).await?;
    }
    let mut tampered = stage.plane.sign(&echo("x"), 1);
    tampered
        .request
        .replace_range(60..61, if &tampered.request[60..61] == "A" { "B" } else { "A" });
    stage.plane.offer(&tampered).await?;
    stage.plane.known_when(&tampered.task, |known| known.refused.first().copied()).await?;
    let task = stage.plane.submit(&echo("still here")).await?;
    assert_eq!(stage.plane.outcome(&task).await?.verdict, Verdict::Succeeded);
    node.stop().await
}

/// How long tasks take from their offer to their report, one after another: p50 and p99.
async fn latency(spec: &TaskSpec) -> Result<(Duration, Duration)> {
    const TASKS: usize = 100;
    let stage = Stage::set().await?;
    let node = stage.node().await?;
    let mut times = Vec::new();
    for _ in 0..TASKS {
        let offer = stage.plane.sign(spec, 1);
        let began = Instant::now();
        stage.plane.offer(&offer).await?;
        while stage.plane.known(&offer.task).reports.is_empty() {
            tokio::task::yield_now().await;
            assert!(began.elapsed() < SOON);
        }
        times.push(began.elapsed());
    }
    node.stop().await?;
    Ok((percentile(&times, 500), percentile(&times, 990)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_takes_milliseconds_on_the_node() -> Result<()> {
    let (p50, p99) = latency(&echo("hi")).await?;
    println!("echo, offer to report: p50 {p50:?}, p99 {p99:?}");
    assert!(p50 < Duration::from_millis(200), "{p50:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_takes_milliseconds_on_the_node() -> Result<()> {
    let (p50, p99) = latency(&shell("true")).await?;
    println!("sh -c true, offer to report: p50 {p50:?}, p99 {p99:?}");
    assert!(p50 < Duration::from_millis(400), "{p50:?}");
    Ok(())
}
