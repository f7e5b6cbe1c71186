//! What must hold whatever was killed, each promise on its own.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use client::Client;
use cortex_tests::{Installation, Process, eventually, processes_of};
use schemas::projection::RebuildAnswer;
use schemas::scheduler::{SubmitAnswer, verb};
use schemas::subject::ServiceName::Scheduler;
use schemas::task::TaskState;

use super::history::{self, History, Life};
use super::load::{Sort, Submitted};
use super::witness::{Line, Witness};

/// Buckets that are made from a log.
const BUCKETS: [&str; 3] = ["cortex_agents", "cortex_tasks", "cortex_envelopes"];

/// How long what a killed node had started may take to go.
const LEFTOVER_DEADLINE: Duration = Duration::from_secs(10);

/// Every acknowledged task has one outcome, and none ran twice.
pub(crate) fn check(
    history: &History,
    seen: &History,
    requests: &[Submitted],
    witness: &Witness,
) -> Result<()> {
    ensure!(history.cursors == seen.cursors, "the follower missed, doubled or moved events");
    let ascending = history.cursors.is_sorted_by(|one, next| one < next);
    ensure!(ascending, "cursors do not ascend");
    let lines = witness.lines()?;
    for submitted in requests {
        let task = &submitted.signed.task;
        let life = history.lives.get(task).context("an acknowledged task is not in the log")?;
        let lines = lines.get(task.as_str()).map(Vec::as_slice).unwrap_or_default();
        check_life(life, submitted.sort)
            .and_then(|()| check_effect(life, lines, submitted.sort))
            .with_context(|| format!("task {task}: {life:?}, witnessed {lines:?}"))?;
    }
    let ours: BTreeSet<_> =
        requests.iter().map(|submitted| submitted.signed.task.as_str()).collect();
    let stray = lines.keys().find(|task| !ours.contains(task.as_str()));
    ensure!(stray.is_none(), "{stray:?} ran and was never asked for");
    Ok(())
}

fn check_life(life: &Life, sort: Sort) -> Result<()> {
    ensure!(life.submissions == 1, "submitted {} times", life.submissions);
    ensure!(life.finished.len() <= 1, "finished more than once");
    ensure!(life.finished.len() + life.lost.len() != 0, "it has no outcome");
    ensure!(ascend(&life.assigned), "epochs do not ascend");
    ensure!(ascend(&life.lost), "lost twice in one epoch");
    let mut epochs: Vec<_> = life.started.iter().map(|(epoch, _)| *epoch).collect();
    epochs.dedup();
    ensure!(epochs.len() == life.started.len(), "two instances were told to run one epoch");
    ensure!(epochs.iter().all(|epoch| life.assigned.contains(epoch)), "started unassigned");
    match sort {
        Sort::Echo | Sort::Once => check_life_of_one_run(life),
        Sort::Idempotent => {
            ensure!(!life.finished.is_empty(), "lost, though it could have run again");
            Ok(())
        }
    }
}

fn check_life_of_one_run(life: &Life) -> Result<()> {
    ensure!(life.lost.len() <= 1, "lost more than once, though it runs at most once");
    if let (Some(lost), Some((finished, _))) = (life.lost.first(), life.finished.first()) {
        ensure!(lost == finished, "lost in one epoch and settled in another");
    }
    Ok(())
}

fn check_effect(life: &Life, lines: &[Line], sort: Sort) -> Result<()> {
    let mut epochs: Vec<_> = lines.iter().map(|line| line.epoch).collect();
    epochs.sort_unstable();
    ensure!(ascend(&epochs), "one epoch ran twice");
    ensure!(sort == Sort::Idempotent || epochs.len() <= 1, "it ran twice");
    let told = |epoch: &u64| life.started.iter().any(|(started, _)| started == epoch);
    ensure!(epochs.iter().all(told), "it ran and nobody had been told to run it");
    let ran = epochs.iter().any(|epoch| life.taken_back.contains(epoch));
    ensure!(!ran, "it ran and its node said that it had not");
    let succeeded = life.finished.first().filter(|(_, state)| *state == TaskState::Succeeded);
    if let Some((epoch, _)) = succeeded
        && sort != Sort::Echo
    {
        ensure!(epochs.contains(epoch), "it is said to have succeeded and never ran");
    }
    Ok(())
}

fn ascend(epochs: &[u64]) -> bool {
    epochs.is_sorted_by(|one, next| one < next)
}

/// Nothing runs that no task needs any more.
pub(crate) async fn check_leftovers(installation: &Installation) -> Result<()> {
    let own: BTreeSet<_> = Process::ALL.into_iter().filter_map(|p| installation.pid(p)).collect();
    let left = || processes_of(installation.home()).into_iter().filter(|pid| !own.contains(pid));
    let none_left = eventually(LEFTOVER_DEADLINE, || async { left().next().is_none() }).await;
    none_left.with_context(|| format!("processes {:?} are left", left().collect::<Vec<_>>()))
}

/// Every bucket is, row for row, what its log makes.
pub(crate) async fn check_rebuild(installation: &Installation) -> Result<()> {
    for bucket in BUCKETS {
        let output = installation.cortex(&["rebuild", bucket, "--check", "-o", "json"]).await?;
        ensure!(output.code == 0, "{bucket} differs from its log: {output:?}");
        let answer: RebuildAnswer = output.json()?;
        ensure!(answer.differing == 0 && 0 < answer.rows, "{answer:?}");
    }
    Ok(())
}

/// The same requests again are the same tasks, and leave no trace in the log.
pub(crate) async fn check_repetition(
    client: &Client,
    requests: &[Submitted],
    before: &History,
) -> Result<()> {
    for Submitted { signed, .. } in requests {
        let answer: SubmitAnswer = client.request(Scheduler, verb::SUBMIT, &signed.request).await?;
        ensure!(answer.task == signed.task, "{answer:?} is another task than {}", signed.task);
        ensure!(answer.state.is_final() || answer.state == TaskState::Lost, "{answer:?} is open");
    }
    let after = history::read_to_head(client).await?;
    ensure!(after.cursors == before.cursors, "repeating requests left events in the log");
    Ok(())
}

mod can_fail;
