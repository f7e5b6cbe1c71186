//! How long a task takes from submit to result on one machine, and where that time goes, beside a
//! bare JetStream work queue on a broker that syncs every write as well.
//!
//! Real processes throughout: `cortex up` with its broker, registry, scheduler and one node.

#[path = "dispatch/asker.rs"]
mod asker;
#[path = "dispatch/work_queue.rs"]
mod work_queue;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use asker::{Asker, Stages};
use cortex_tests::{Better, Installation, Measurement, Report, percentile};
use schemas::task::Work;

/// Runs of each measurement.
const RUNS: usize = 3;
/// Tasks one after another in a run.
const TASKS: usize = 300;
/// Tasks before anything is measured.
const WARM_UP: usize = 50;
/// How long a run under load lasts.
const LOAD_RUN: Duration = Duration::from_secs(5);
/// Tasks under way at once under load.
const LOAD: usize = 32;
/// Half of the echoes must be back within this, in milliseconds.
const ECHO_P50_MS: f64 = 3.0;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(measure())
}

async fn measure() -> Result<()> {
    let mut report = Report::new("dispatch");
    let queue: Vec<_> = work_queue::round_trips(RUNS, TASKS).await?;
    let baseline = add_latency(&mut report, "bare work queue", &queue, None)?;
    let installation = Installation::start_with(&["--slots", "64"]).await?;
    let asker = Arc::new(Asker::open(&installation).await?);
    let echo = || Work::Echo { text: String::new() };
    let command = || Work::Command {
        argv: vec!["true".to_owned()],
        cwd: None,
        env: std::collections::BTreeMap::new(),
        stdin: None,
    };
    for (name, work) in [("echo", echo()), ("true", command())] {
        one_by_one(&asker, &work, WARM_UP).await?;
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            runs.push(one_by_one(&asker, &work, TASKS).await?);
        }
        let whole =
            runs.iter().map(|run| run.iter().map(Stages::whole).collect()).collect::<Vec<_>>();
        add_latency(&mut report, name, &whole, Some(baseline))?;
        add_stages(&mut report, name, &runs)?;
    }
    let mut rates = Vec::new();
    for _ in 0..RUNS {
        rates.push(under_load(&asker, echo()).await?);
    }
    let rate = format!("echo, {LOAD} under way");
    report.add(Measurement::new(&rate, "tasks/s", Better::Higher, &rates)?);
    installation.down().await?;
    report.finish().map(drop)
}

async fn one_by_one(asker: &Asker, work: &Work, tasks: usize) -> Result<Vec<Stages>> {
    let mut stages = Vec::with_capacity(tasks);
    for _ in 0..tasks {
        stages.push(asker.ask(work.clone()).await?);
    }
    Ok(stages)
}

async fn under_load(asker: &Arc<Asker>, work: Work) -> Result<f64> {
    let begin = Instant::now();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..LOAD {
        let (asker, work) = (Arc::clone(asker), work.clone());
        asking.spawn(async move {
            let mut done = 0_u32;
            while begin.elapsed() < LOAD_RUN {
                asker.ask(work.clone()).await?;
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    let mut done = 0_u32;
    while let Some(asked) = asking.join_next().await {
        done += asked??;
    }
    Ok(f64::from(done) / begin.elapsed().as_secs_f64())
}

/// Adds p50 and p99 over the runs, and returns the p50.
fn add_latency(
    report: &mut Report,
    name: &str,
    runs: &[Vec<Duration>],
    baseline: Option<f64>,
) -> Result<f64> {
    let quantile = |permille| -> Vec<f64> {
        runs.iter().map(|run| percentile(run, permille).as_secs_f64() * 1e3).collect()
    };
    let p50 = Measurement::new(&format!("{name}, p50"), "ms", Better::Lower, &quantile(500))?;
    let value = p50.value();
    let p50 = if name == "echo" { p50.target(ECHO_P50_MS) } else { p50 };
    report.add(match baseline {
        Some(baseline) => p50.baseline(baseline),
        None => p50,
    });
    let p99 = Measurement::new(&format!("{name}, p99"), "ms", Better::Lower, &quantile(990))?;
    report.add(p99);
    Ok(value)
}

/// Takes one stage out of all.
type Stage = fn(&Stages) -> Duration;

fn add_stages(report: &mut Report, name: &str, runs: &[Vec<Stages>]) -> Result<()> {
    let stages: [(&str, Stage); 4] = [
        ("sign", |stages| stages.signed),
        ("submit to answer (commit 1)", |stages| stages.submitted),
        ("answer to started (verify, record, commit 2)", |stages| stages.started),
        ("started to finished (run, record, commit 3)", |stages| stages.finished),
    ];
    for (stage, of) in stages {
        let p50s: Vec<f64> = runs
            .iter()
            .map(|run| {
                let samples: Vec<Duration> = run.iter().map(of).collect();
                percentile(&samples, 500).as_secs_f64() * 1e3
            })
            .collect();
        let metric = format!("{name}, of that {stage}");
        report.add(Measurement::new(&metric, "ms", Better::Lower, &p50s)?);
    }
    Ok(())
}
