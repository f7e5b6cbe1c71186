//! What will be done to which process, drawn from a seed.

use std::env;
use std::time::Duration;

use cortex_tests::Process;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

/// How often each part of twenty kills is meant. What `up` starts again is killed most.
const SHARES: [(Blow, usize); 7] = [
    (Blow::Kill(Process::Nats), 4),
    (Blow::Kill(Process::Registry), 3),
    (Blow::Kill(Process::Scheduler), 4),
    (Blow::Kill(Process::Node), 4),
    (Blow::Kill(Process::NatsGuard), 1),
    (Blow::Kill(Process::Supervisor), 2),
    (Blow::KillAll, 2),
];
/// Pauses that every process gets, in milliseconds: too short for any lease.
const PAUSES_MS: [u64; 3] = [150, 900, 2500];
/// Pauses of scheduler and node that are longer than a lease, in milliseconds.
const LONG_PAUSE_MS: &[u64] = &[35_000, 50_000];
/// Tasks that are kept back until the last blow.
const KEPT_BACK: usize = 60;
/// How many more tasks may end between two blows.
const TASKS_BETWEEN: std::ops::Range<usize> = 1..50;
/// How long it is waited for that at most: a blow also falls while nothing ends.
const TIME_BETWEEN_MS: std::ops::Range<u64> = 50..4000;

/// What is done to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Blow {
    /// SIGKILL.
    Kill(Process),
    /// SIGKILL to everything at once.
    KillAll,
    /// SIGSTOP, and SIGCONT after so many milliseconds.
    Pause(Process, u64),
}

/// A blow, and how long it is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) blow: Blow,
    pub(crate) after_tasks: usize,
    pub(crate) after: Duration,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) tasks: usize,
    /// Those of them that wait until they are let go; without more, until the last blow.
    pub(crate) kept_back: usize,
    pub(crate) steps: Vec<Step>,
}

impl Plan {
    /// Pauses of what decides, runs and stores; in the long form some are longer than a lease.
    pub(crate) fn pauses() -> Self {
        let paused = [Process::Scheduler, Process::Node, Process::Registry, Process::Nats];
        let pauses = paused
            .iter()
            .flat_map(|process| PAUSES_MS.iter().map(|pause_ms| Blow::Pause(*process, *pause_ms)));
        let long = if is_long() { LONG_PAUSE_MS } else { &[] };
        let long = paused
            .iter()
            .take(2)
            .flat_map(|process| long.iter().map(|pause_ms| Blow::Pause(*process, *pause_ms)));
        Self::of(pauses.chain(long).collect(), if is_long() { 1000 } else { 250 })
    }

    /// No blow of its own: tasks for a test that has a plan of another kind, and lets them go in
    /// portions. The first portion is there at once.
    pub(crate) fn portions(count: usize, size: usize) -> Self {
        Self { kept_back: (count - 1) * size, ..Self::of(Vec::new(), count * size) }
    }

    /// Twenty kills in a thousand tasks; five times as many in the long form.
    pub(crate) fn kills() -> Self {
        let times = if is_long() { 5 } else { 1 };
        let shares = SHARES.map(|(blow, share)| std::iter::repeat_n(blow, share * times));
        Self::of(shares.into_iter().flatten().collect(), 1000 * times)
    }

    fn of(mut blows: Vec<Blow>, tasks: usize) -> Self {
        let seed = seed();
        let mut random = StdRng::seed_from_u64(seed);
        blows.shuffle(&mut random);
        let step = |blow| Step {
            blow,
            after_tasks: random.random_range(TASKS_BETWEEN),
            after: Duration::from_millis(random.random_range(TIME_BETWEEN_MS)),
        };
        Self { seed, tasks, kept_back: KEPT_BACK, steps: blows.into_iter().map(step).collect() }
    }
}

/// Whether the long form was asked for.
pub(crate) fn is_long() -> bool {
    env::var("CORTEX_CHAOS").is_ok_and(|form| form == "long")
}

fn seed() -> u64 {
    match env::var("CORTEX_CHAOS_SEED") {
        Ok(seed) => seed.parse().expect("CORTEX_CHAOS_SEED is a number"),
        Err(_) => rand::random(),
    }
}
