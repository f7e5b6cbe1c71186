//! The node, its broker and its control plane go away at the worst moments.

use std::{collections::BTreeMap, fs};

use anyhow::Result;
use cortex_tests::{Signal, eventually};
use futures::StreamExt as _;
use schemas::{TaskId, subject, task::Verdict};

use crate::{
    SOON,
    plane::Plane,
    stage::{self, Stage, echo, shell},
};

/// How often each line stands in the file that runs append to.
fn effects(path: &std::path::Path) -> BTreeMap<String, usize> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_loses_no_task_and_runs_none_twice() -> Result<()> {
    const KILLS: usize = 8;
    let stage = Stage::set().await?;
    let effect_file = stage.folder.path().join("effects");
    let mut tasks: Vec<(String, TaskId)> = Vec::new();
    let mut node = stage.node_process().await?;
    for round in 0..KILLS {
        let first = tasks.len();
        for number in 0..4 {
            let name = format!("{round}.{number}");
            let line = format!("echo {name} >> {}", effect_file.display());
            tasks.push((name, stage.plane.submit(&shell(&line)).await?));
        }
        // Kill it after none, one, two or three of them have ended.
        let wanted = round % 4;
        let done = || async {
            // One is refused while those of the killed process still take its place.
            let ended = |(_, task): &&(String, TaskId)| {
                let known = stage.plane.known(task);
                !known.reports.is_empty() || !known.refused.is_empty()
            };
            wanted <= tasks[first..].iter().filter(ended).count()
        };
        eventually(SOON, done).await?;
        node.kill()?;
        drop(node);
        node = stage.node_process().await?;
    }
    let mut lost = 0;
    for (name, task) in &tasks {
        let known = stage.plane.known(task);
        if known.started_by.is_none() && known.reports.is_empty() {
            continue;
        }
        let outcome = stage.plane.outcome(task).await?;
        let ran = effects(&effect_file).get(name).copied().unwrap_or_default();
        assert!(ran <= 1, "{name} ran {ran} times");
        match outcome.verdict {
            Verdict::Succeeded => assert_eq!(ran, 1, "{name}"),
            Verdict::Lost => lost += 1,
            other @ (Verdict::Failed | Verdict::TimedOut | Verdict::Cancelled) => {
                panic!("{name} ended as {other:?}")
            }
        }
    }
    println!("{} tasks, {KILLS} kills, {lost} lost", tasks.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_survives_the_node_that_could_not_report_it() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node_process().await?;
    let done = stage.folder.path().join("done");
    let go_on = stage.folder.path().join("go-on");
    let line = format!(
        "until [ -e {} ]; do sleep 0.02; done; touch {}; exit 3",
        go_on.display(),
        done.display()
    );
    let task = stage.plane.submit(&shell(&line)).await?;
    stage.plane.known_when(&task, |known| known.started_by.clone()).await?;
    stage.broker.kill()?;
    fs::write(&go_on, "")?;
    let journal = stage.folder.path().join("state/journal");
    let recorded = || async {
        let segments = fs::read_dir(&journal).unwrap().map(|entry| fs::read(entry.unwrap().path()));
        let ended = br#""type":"ended""#;
        segments.flatten().any(|bytes| bytes.windows(ended.len()).any(|window| window == ended))
    };
    eventually(SOON, recorded).await?;
    node.kill()?;
    stage.broker.restart().await?;
    let again = stage.node_process().await?;
    let outcome = stage.plane.outcome(&task).await?;
    assert_eq!((outcome.verdict, outcome.exit_code), (Verdict::Failed, Some(3)));
    drop(again);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_went_down_with_its_node_is_lost_and_not_repeated() -> Result<()> {
    let stage = Stage::set().await?;
    let effect_file = stage.folder.path().join("effects");
    let node = stage.node_process().await?;
    let line = format!("echo once >> {}; sleep 600", effect_file.display());
    let offer = stage.plane.sign(&shell(&line), 1);
    stage.plane.offer(&offer).await?;
    let began = || async { effects(&effect_file).contains_key("once") };
    eventually(SOON, began).await?;
    node.kill()?;
    let again = stage.node_process().await?;
    stage.plane.offer(&offer).await?;
    let outcome = stage.plane.outcome(&offer.task).await?;
    assert_eq!(outcome.verdict, Verdict::Lost);
    assert!(outcome.started_at.is_some());
    assert_eq!(effects(&effect_file).get("once"), Some(&1));
    drop(again);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_broker_costs_no_outcome() -> Result<()> {
    let stage = Stage::set().await?;
    let node = stage.node().await?;
    let go_on = stage.folder.path().join("go-on");
    let line = format!("until [ -e {} ]; do sleep 0.02; done", go_on.display());
    let task = stage.plane.submit(&shell(&line)).await?;
    stage.plane.known_when(&task, |known| known.started_by.clone()).await?;
    let before = stage.plane.registered().len();
    stage.broker.kill()?;
    fs::write(&go_on, "")?;
    stage.broker.restart().await?;
    assert_eq!(stage.plane.outcome(&task).await?.verdict, Verdict::Succeeded);
    stage.registered(before).await?;
    let task = stage.plane.submit(&echo("after")).await?;
    assert_eq!(stage.plane.outcome(&task).await?.verdict, Verdict::Succeeded);
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_comes_late_finds_the_node() -> Result<()> {
    let (broker, folder) = (cortex_tests::NatsServer::start().await?, stage::folder()?);
    let config = stage::config(&broker, folder.path());
    let node = tokio::spawn(agent_node::run(config, std::future::pending()));
    let mut beats = broker.connect().await?.subscribe(subject::HEARTBEATS).await?;
    tokio::time::timeout(SOON, beats.next()).await?;
    let plane = Plane::start(&broker.url()).await?;
    let registered = || async { !plane.registered().is_empty() };
    eventually(SOON, registered).await?;
    let task = plane.submit(&echo("late")).await?;
    assert_eq!(plane.outcome(&task).await?.verdict, Verdict::Succeeded);
    node.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cancelled_while_the_node_was_frozen_does_not_run() -> Result<()> {
    let stage = Stage::set().await?;
    let ran = stage.folder.path().join("ran");
    let node = stage.node_process().await?;
    node.signal(Signal::Stop)?;
    let task = stage.plane.submit(&shell(&format!("touch {}", ran.display()))).await?;
    stage.plane.cancel(&task).await?;
    node.signal(Signal::Continue)?;
    assert_eq!(stage.plane.outcome(&task).await?.verdict, Verdict::Cancelled);
    assert!(!ran.exists());
    Ok(())
}
