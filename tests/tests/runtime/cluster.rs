//! Three brokers: commands flow while leaders die, and each acknowledged one is in the log once.

use std::collections::BTreeMap;

use anyhow::Result;
use cortex_tests::{NatsCluster, eventually};
use jetstream_config::streams::Replicas;
use schemas::{CommandId, Fault, subject::ServiceName};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::{
    hosted::{Asker, DEADLINE, Hosted, config, name, roomy, wait_until_served},
    ledger::{Add, Sum},
};

/// Leaders that are killed.
const KILLS: usize = 3;
/// Who adds at the same time.
const ADDERS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_in_the_log_once_whichever_leaders_die() -> Result<()> {
    let cluster = NatsCluster::start_with(roomy(Replicas::Three)).await?;
    let (urls, state) = (cluster.urls(), TempDir::new()?);
    let hosted = Hosted::begin(config(&urls, state.path(), Replicas::Three));
    wait_until_served(&urls).await?;
    let (stop, stopped) = watch::channel(false);
    let adding: Vec<_> = (0..ADDERS)
        .map(|adder| tokio::spawn(add_until(urls.clone(), adder, stopped.clone())))
        .collect();
    let asker = Asker::connect(&urls).await?;
    for _ in 0..KILLS {
        let before = asker.total().await?.additions;
        let killed = cluster.kill_leader_of(&name().stream()).await?;
        eventually(DEADLINE, || async {
            asker.total().await.is_ok_and(|sum| before + 50 < sum.additions)
        })
        .await?;
        killed.restart().await?;
        cluster.wait_ready().await?;
    }
    stop.send_replace(true);
    let mut acknowledged = BTreeMap::new();
    for adder in adding {
        acknowledged.extend(adder.await??);
    }
    check(&asker, &acknowledged).await?;
    hosted.stop().await
}

/// Adds one after another until told to stop; returns what was acknowledged.
async fn add_until(
    urls: String,
    adder: usize,
    stopped: watch::Receiver<bool>,
) -> Result<BTreeMap<CommandId, Sum>, anyhow::Error> {
    let asker = Asker::connect(&urls).await?;
    let mut acknowledged = BTreeMap::new();
    while !*stopped.borrow() {
        let command = client::new_command_id();
        let call = asker.client.call(ServiceName::Registry, "add").command_id(command.clone());
        let add = Add { account: format!("a{adder}"), amount: 1, note: String::new() };
        let answer: Result<Sum, Fault> = call.deadline(DEADLINE).send(&add).await;
        acknowledged.insert(command, answer?);
    }
    Ok(acknowledged)
}

async fn check(asker: &Asker, acknowledged: &BTreeMap<CommandId, Sum>) -> Result<()> {
    let mut logged = BTreeMap::new();
    for frame in asker.frames().await? {
        for decision in frame.decisions.iter().filter(|decision| decision.command == "add") {
            let twice = logged.insert(decision.id.clone(), ());
            assert_eq!(twice, None, "{} is in the log twice", decision.id);
        }
    }
    for command in acknowledged.keys() {
        assert!(logged.contains_key(command), "{command} was acknowledged and is not in the log");
    }
    let mut totals: Vec<_> = acknowledged.values().map(|sum| sum.total).collect();
    totals.sort_unstable();
    totals.dedup();
    assert_eq!(totals.len(), acknowledged.len(), "two were answered with the same sum");
    assert_eq!(asker.total().await?.total, logged.len() as u64);
    assert!(50 * KILLS < acknowledged.len(), "{}", acknowledged.len());
    assert_eq!(asker.rebuild(true).await.map(|answer| answer.differing), Ok(0));
    Ok(())
}
