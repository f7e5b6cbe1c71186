//! Processes are killed and frozen at random in the middle of work, and every promise is checked.
//!
//! A failing run says its seed. `CORTEX_CHAOS_SEED=N` repeats its plan: targets and moments, as far
//! as processes keep to them. `CORTEX_CHAOS=long` makes it five times as many tasks and kills, and
//! adds pauses that are longer than a lease.

#![expect(clippy::print_stdout, reason = "a run says its seed and what it has proved")]

mod history;
mod killer;
mod load;
mod plan;
mod promises;
mod standby;
mod witness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use cortex_tests::Installation;
use futures::future::try_join_all;
use tokio::sync::watch;

use crate::person;
use crate::signer::Signer;
use history::{Follower, History, Progress};
use load::Load;
use plan::Plan;
use witness::Witness;

/// How long everything may take to come to rest after the last blow: some leases and take-overs.
const REST_DEADLINE: Duration = Duration::from_secs(150);
/// Who submit at the same time.
const SUBMITTERS: usize = 6;
/// Tasks that are acknowledged before the first blow.
const UNDISTURBED: usize = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_at_random_loses_no_task_and_doubles_none() -> Result<()> {
    let plan = Plan::kills();
    check(&plan, async |installation, _, progress| {
        let toll = killer::kill(installation, &plan, progress).await?;
        println!("{toll}");
        ensure!(toll.rarest() >= 2, "some process was hardly killed");
        Ok(Expected::Interruptions)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pauses_at_random_lose_no_task_and_double_none() -> Result<()> {
    let plan = Plan::pauses();
    check(&plan, async |installation, _, progress| {
        let toll = killer::kill(installation, &plan, progress).await?;
        println!("{toll}");
        Ok(Expected::Nothing)
    })
    .await
}

/// What a disturbance must have brought about, or it proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Some tasks were lost or given out again.
    Interruptions,
    /// It may all have gone well.
    Nothing,
}

/// Works, disturbs, rests, and checks every promise.
async fn check(
    plan: &Plan,
    disturb: impl AsyncFnOnce(&Installation, &Load, watch::Receiver<Progress>) -> Result<Expected>,
) -> Result<()> {
    println!("CORTEX_CHAOS_SEED={}", plan.seed);
    let shared = tempfile::tempdir()?;
    let share = ["--share".as_ref(), shared.path().as_os_str()];
    let installation = Installation::start_with(&share).await?;
    let witness = Witness::in_folder(shared.path());
    let done = run(&installation, plan, &witness, disturb).await;
    done.map_err(|error| anyhow!("{error:?}\n{}", killer::last_words(&installation)))
}

async fn run(
    installation: &Installation,
    plan: &Plan,
    witness: &Witness,
    disturb: impl AsyncFnOnce(&Installation, &Load, watch::Receiver<Progress>) -> Result<Expected>,
) -> Result<()> {
    let began = Instant::now();
    let client = person::client(installation).await?;
    let follower = Follower::start(&client);
    let load = Arc::new(Load::new(plan, &Signer::of(installation)?, client.clone(), witness));
    let submitters = (0..SUBMITTERS).map(|_| {
        let (load, progress) = (Arc::clone(&load), follower.progress());
        tokio::spawn(async move { load.submit_all(progress).await })
    });
    let submitters: Vec<_> = submitters.collect();
    load.reach(UNDISTURBED).await?;
    let before = load.acknowledged();
    let expected = disturb(installation, &load, follower.progress()).await?;
    let (after, disturbed) = (load.acknowledged(), began.elapsed());
    load.release_all();
    for ended in try_join_all(submitters).await? {
        ended?;
    }
    let requests = load.requests();
    follower.rest(&requests, REST_DEADLINE).await?;
    let rested = began.elapsed();
    let history = history::read_to_head(&client).await?;
    let seen = follower.finish(history.len()).await?;
    println!("{}", history.summary());
    let [disturbed, rested] = [disturbed, rested].map(|time| time.as_secs_f32());
    println!("last blow after {disturbed:.1} s, at rest after {rested:.1} s");
    promises::check(&history, &seen, &requests, witness)?;
    promises::check_leftovers(installation).await?;
    promises::check_rebuild(installation).await?;
    promises::check_repetition(&client, &requests, &history).await?;
    check_worth(expected, &history, [before, after - before, requests.len() - after])
}

/// Fails a run that proves nothing.
fn check_worth(expected: Expected, history: &History, acknowledged: [usize; 3]) -> Result<()> {
    let [before, during, after] = acknowledged;
    println!("acknowledged before, during and after: {before}, {during}, {after}");
    let all: usize = acknowledged.iter().sum();
    ensure!(20 <= before && all / 8 <= during && 20 <= after, "the blows missed the work");
    let interrupted = history.interrupted();
    ensure!(expected == Expected::Nothing || 0 < interrupted, "no blow interrupted any task");
    Ok(())
}
