//! Attacks that need a real node with its disk and its connections; the numbers are those of the list
//! in `tests/tests/attacks`.
//!
//! **Invariant:** every attack stands beside its control: the first, honest use runs once.

use std::{fs, path::Path, process::Command};

use anyhow::{Result, ensure};
use client::{Client, ConnectOptions};
use schemas::{
    agent::{NodeChannel, TaskOffer},
    subject,
    task::Verdict,
};
use tokio::task::JoinSet;

use crate::{
    plane::{NODE, id},
    stage::{Stage, echo, shell},
};

/// How often a line stands in the file that runs append to.
fn runs(effects: &Path, line: &str) -> usize {
    let text = fs::read_to_string(effects).unwrap_or_default();
    text.lines().filter(|found| *found == line).count()
}

/// An offer that leaves a line behind each time it is run.
fn leaving(stage: &Stage, effects: &Path, line: &str) -> TaskOffer {
    stage.plane.sign(&shell(&format!("echo {line} >> {}", effects.display())), 1)
}

/// Waits until the node has run something that was offered after everything else.
async fn everything_was_heard(stage: &Stage) -> Result<()> {
    let task = stage.plane.submit(&echo("last")).await?;
    let outcome = stage.plane.outcome(&task).await?;
    ensure!(outcome.verdict == Verdict::Succeeded, "{outcome:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_40_a_replay_to_a_node_that_crashed_while_it_ran_does_not_run_again() -> Result<()> {
    let stage = Stage::set().await?;
    let effects = stage.folder.path().join("effects");
    let node = stage.node_process().await?;
    let script = format!("echo once >> {}; sleep 600", effects.display());
    let offer = stage.plane.sign(&shell(&script), 1);
    stage.plane.offer(&offer).await?;
    cortex_tests::eventually(crate::SOON, || async { runs(&effects, "once") == 1 }).await?;
    node.kill()?;
    for _ in 0..2 {
        let again = stage.node_process().await?;
        for _ in 0..8 {
            stage.plane.offer(&offer).await?;
        }
        everything_was_heard(&stage).await?;
        again.kill()?;
    }
    assert_eq!(stage.plane.outcome(&offer.task).await?.verdict, Verdict::Lost);
    assert_eq!(runs(&effects, "once"), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_42_a_disk_restored_from_a_snapshot_does_not_run_what_it_forgot() -> Result<()> {
    let stage = Stage::set().await?;
    let (state, saved) = (stage.folder.path().join("state"), stage.folder.path().join("saved"));
    let effects = stage.folder.path().join("effects");
    let node = stage.node_process().await?;
    everything_was_heard(&stage).await?;
    node.kill()?;
    copy(&state, &saved)?;
    let node = stage.node_process().await?;
    let offer = leaving(&stage, &effects, "once");
    stage.plane.offer(&offer).await?;
    assert_eq!(stage.plane.outcome(&offer.task).await?.verdict, Verdict::Succeeded);
    node.kill()?;
    fs::remove_dir_all(&state)?;
    copy(&saved, &state)?;
    let restored = stage.node_process().await?;
    for _ in 0..8 {
        stage.plane.offer(&offer).await?;
    }
    everything_was_heard(&stage).await?;
    restored.kill()?;
    assert_eq!(runs(&effects, "once"), 1);
    assert_eq!(stage.plane.known(&offer.task).reports.len(), 1);
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-a").args([from, to]).status()?;
    ensure!(copied.success(), "{} was not copied: {copied}", from.display());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_43_duplicates_from_many_connections_at_once_run_once() -> Result<()> {
    const CONNECTIONS: usize = 16;
    let stage = Stage::set().await?;
    let effects = stage.folder.path().join("effects");
    let node = stage.node().await?;
    let lines = ["a", "b", "c", "d"];
    let offers: Vec<TaskOffer> = lines.map(|line| leaving(&stage, &effects, line)).into();
    let mut sending = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (url, offers) = (stage.broker.url(), offers.clone());
        sending.spawn(async move {
            let client = Client::connect(ConnectOptions::new(url, id("plane"))).await?;
            for offer in offers {
                let body = serde_json::to_vec(&offer)?;
                let subject = subject::node(&id(NODE), NodeChannel::Task);
                client.nats().publish(subject, body.into()).await?;
            }
            anyhow::Ok(client.nats().flush().await?)
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    for offer in &offers {
        assert_eq!(stage.plane.outcome(&offer.task).await?.verdict, Verdict::Succeeded);
    }
    everything_was_heard(&stage).await?;
    for (line, offer) in lines.iter().zip(&offers) {
        assert_eq!(runs(&effects, line), 1, "{line}");
        assert_eq!(stage.plane.known(&offer.task).reports.len(), 1, "{line}");
    }
    node.stop().await
}
