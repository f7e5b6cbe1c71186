//! The work: requests signed one after another, each submitted until it is acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use client::Client;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use schemas::scheduler::{SubmitAnswer, verb};
use schemas::subject::ServiceName::Scheduler;
use schemas::task::{TaskSpec, Work};
use schemas::{Audience, Capability, Fault, FaultClass, PrincipalId, TaskId};
use tokio::sync::watch;

use super::history::Progress;
use super::plan::Plan;
use super::witness::Witness;
use crate::signer::{Signed, Signer};

/// Tasks that may be under way, so that work lasts as long as the kills do.
const UNDER_WAY_MAX: usize = 40;
/// How long one attempt to submit goes on; the next is a new command with the same request.
const ATTEMPT: Duration = Duration::from_secs(5);
/// No outage of a test lasts as long.
const OUTAGE_MAX: Duration = Duration::from_secs(120);
/// Longest pause of a run, in milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 0..70;

/// A request, and what is expected of its task.
#[derive(Debug, Clone)]
pub(crate) struct Submitted {
    pub(crate) signed: Signed,
    pub(crate) sort: Sort,
}

/// What a task does, and how often it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Echoes, at most once.
    Echo,
    /// Leaves a line with the witness, at most once.
    Once,
    /// Leaves a line with the witness, and another when its node was lost.
    Idempotent,
}

/// All requests of a test.
pub(crate) struct Load {
    client: Client,
    /// Signed beforehand, so that signing takes no time from the work.
    requests: Vec<Submitted>,
    next: AtomicUsize,
    acknowledged: watch::Sender<BTreeMap<TaskId, usize>>,
    /// How many may be submitted; the others are kept back.
    allowed: watch::Sender<usize>,
    refusals: Mutex<Vec<Fault>>,
}

impl Load {
    pub(crate) fn new(plan: &Plan, signer: &Signer, client: Client, witness: &Witness) -> Self {
        let mut random = StdRng::seed_from_u64(plan.seed);
        let request = |_| request(&mut random, signer, witness).expect("requests can be signed");
        Self {
            client,
            requests: (0..plan.tasks).map(request).collect(),
            next: AtomicUsize::new(0),
            acknowledged: watch::Sender::default(),
            allowed: watch::Sender::new(plan.tasks.saturating_sub(plan.kept_back)),
            refusals: Mutex::default(),
        }
    }

    /// Submits what nobody else has taken, until there is nothing left.
    pub(crate) async fn submit_all(&self, mut progress: watch::Receiver<Progress>) -> Result<()> {
        loop {
            let index = self.next.fetch_add(1, Ordering::SeqCst);
            let Some(submitted) = self.requests.get(index) else { return Ok(()) };
            self.allowed.subscribe().wait_for(|allowed| index < *allowed).await?;
            progress.wait_for(|progress| index < progress.ended + UNDER_WAY_MAX).await?;
            let answer = tokio::time::timeout(OUTAGE_MAX, self.submit(&submitted.signed)).await;
            let answer = answer.map_err(|_| self.never_taken(submitted))??;
            anyhow::ensure!(answer.task == submitted.signed.task, "{answer:?} is another task");
            self.acknowledged.send_modify(|known| *known.entry(answer.task).or_default() += 1);
        }
    }

    /// As a person's program does: again and again, until somebody says yes.
    async fn submit(&self, signed: &Signed) -> Result<SubmitAnswer> {
        loop {
            let call = self.client.call(Scheduler, verb::SUBMIT).deadline(ATTEMPT);
            let fault = match call.send::<_, SubmitAnswer>(&signed.request).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            match fault.code.class() {
                FaultClass::Unavailable | FaultClass::TimedOut => self.note(fault),
                FaultClass::Invalid
                | FaultClass::NotFound
                | FaultClass::NotAllowed
                | FaultClass::Conflict
                | FaultClass::Denied
                | FaultClass::Broken => {
                    return Err(anyhow!(fault)).context("a good request is refused");
                }
            }
        }
    }

    fn note(&self, fault: Fault) {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    fn never_taken(&self, submitted: &Submitted) -> anyhow::Error {
        let refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let last = refusals.last();
        anyhow!("{} is not taken within {OUTAGE_MAX:?}; last: {last:?}", submitted.signed.task)
    }

    /// How many tasks were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.borrow().len()
    }

    /// Lets go of so many more that were kept back.
    pub(crate) fn release(&self, count: usize) {
        self.allowed.send_modify(|allowed| *allowed += count);
    }

    /// Lets go of all that was kept back.
    pub(crate) fn release_all(&self) {
        self.allowed.send_replace(self.requests.len());
    }

    /// Waits until so many tasks were acknowledged.
    pub(crate) async fn reach(&self, count: usize) -> Result<()> {
        self.acknowledged.subscribe().wait_for(|known| count <= known.len()).await?;
        Ok(())
    }

    /// Everything that was acknowledged.
    pub(crate) fn requests(&self) -> Vec<Submitted> {
        let known = self.acknowledged.borrow();
        let is_known = |submitted: &&Submitted| known.contains_key(&submitted.signed.task);
        self.requests.iter().filter(is_known).cloned().collect()
    }
}

fn request(random: &mut StdRng, signer: &Signer, witness: &Witness) -> Result<Submitted> {
    let audience = if random.random_bool(0.5) {
        Audience::Node(PrincipalId::parse("local")?)
    } else {
        Audience::Can(Capability::parse("shell.exec")?)
    };
    let sort = match random.random_range(0..10) {
        0..4 => Sort::Echo,
        4..8 => Sort::Once,
        _ => Sort::Idempotent,
    };
    let spec = match sort {
        Sort::Echo => TaskSpec::new(Work::Echo { text: "hello".to_owned() }),
        Sort::Once | Sort::Idempotent => {
            let [before, after] = [0, 1].map(|_| random.random_range(PAUSE_MS));
            TaskSpec { idempotent: sort == Sort::Idempotent, ..witness.command(before, after) }
        }
    };
    Ok(Submitted { signed: signer.sign(audience, &spec)?, sort })
}
