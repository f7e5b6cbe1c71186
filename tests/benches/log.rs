//! How fast a partition decides durably, beside plain guarded publishing on the same broker.
//!
//! Everything is real but the requests' way to the loop: they come from tasks of this process, so
//! that the log is measured and not the request-reply in front of it.

#[path = "log/journal.rs"]
mod journal;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use cortex_tests::{Better, Measurement, NatsServer, Report, percentile};
use jetstream_config::{Append, Destructive, EventLog as _, JetStreamLog, apply, streams};
use journal::{Door, journal_process};
use schemas::subject::{LogName, ServiceName};

/// How long each run lasts.
const RUN: Duration = Duration::from_secs(3);
/// Runs of each measurement.
const RUNS: usize = 3;
/// How many commands are under way at once.
const CONCURRENCIES: [usize; 3] = [1, 16, 256];
/// Size of an event, in bytes; about that of a task's.
const EVENT_BYTES: usize = 400;
/// Decisions/s to reach with 256 at once.
const DECISIONS_PER_SECOND: f64 = 100_000.0;
/// How much longer than one raw publish half of the decisions may take.
const LATENCY_RATIO: f64 = 1.5;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(measure())
}

async fn measure() -> Result<()> {
    let server = NatsServer::start().await?;
    let client = server.connect().await?;
    let wanted = streams::all(streams::Replicas::One);
    apply(&client, &wanted, Destructive::Withheld).await.context("making the streams")?;
    let raw_log = JetStreamLog::new(client.clone(), LogName::first(ServiceName::Scheduler));
    let mut raw = Samples::default();
    for _ in 0..RUNS {
        raw.add(&raw_publishing(&raw_log).await?);
    }
    let mut report = Report::new("log");
    report.add(raw.rate("raw guarded publish, one at a time", "publishes/s")?);
    report.add(raw.p50("raw guarded publish, p50")?);
    let raw_p50 = raw.p50("")?.value();
    let raw_rate = raw.rate("", "")?.value();
    let door = journal_process(client, server.store_dir()).await?;
    for concurrency in CONCURRENCIES {
        let mut samples = Samples::default();
        for _ in 0..RUNS {
            samples.add(&deciding(&door, concurrency).await?);
        }
        let name = |what: &str| format!("{concurrency} at once, {what}");
        let rate = samples.rate(&name("decisions"), "decisions/s")?.baseline(raw_rate);
        let last = concurrency == CONCURRENCIES[CONCURRENCIES.len() - 1];
        report.add(if last { rate.target(DECISIONS_PER_SECOND) } else { rate });
        let p50 = samples.p50(&name("p50"))?.baseline(raw_p50);
        report.add(p50.target(raw_p50 * LATENCY_RATIO));
        report.add(samples.p99(&name("p99"))?);
    }
    report.finish().map(drop)
}

/// What one run saw.
struct Run {
    latencies: Vec<Duration>,
    took: Duration,
}

/// The figures of several runs.
#[derive(Default)]
struct Samples {
    rates: Vec<f64>,
    p50s: Vec<f64>,
    p99s: Vec<f64>,
}

impl Samples {
    fn add(&mut self, run: &Run) {
        #[expect(clippy::cast_precision_loss, reason = "counts of some seconds fit")]
        self.rates.push(run.latencies.len() as f64 / run.took.as_secs_f64());
        self.p50s.push(percentile(&run.latencies, 500).as_secs_f64() * 1e3);
        self.p99s.push(percentile(&run.latencies, 990).as_secs_f64() * 1e3);
    }

    fn rate(&self, metric: &str, unit: &str) -> Result<Measurement> {
        Measurement::new(metric, unit, Better::Higher, &self.rates)
    }

    fn p50(&self, metric: &str) -> Result<Measurement> {
        Measurement::new(metric, "ms", Better::Lower, &self.p50s)
    }

    fn p99(&self, metric: &str) -> Result<Measurement> {
        Measurement::new(metric, "ms", Better::Lower, &self.p99s)
    }
}

/// One publish after another, each behind the fence of the last.
async fn raw_publishing(log: &JetStreamLog) -> Result<Run> {
    let payload = Bytes::from(vec![b'x'; EVENT_BYTES]);
    let mut fence = log.last_sequence().await?;
    let mut latencies = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < RUN {
        let sent = Instant::now();
        let outcome = log.append(fence, payload.clone()).await;
        anyhow::ensure!(outcome == Append::Committed { sequence: fence + 1 }, "{outcome:?}");
        latencies.push(sent.elapsed());
        fence += 1;
    }
    Ok(Run { latencies, took: begin.elapsed() })
}

/// `concurrency` tasks that each ask again as soon as they are answered.
async fn deciding(door: &Arc<Door>, concurrency: usize) -> Result<Run> {
    let begin = Instant::now();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..concurrency {
        let door = Arc::clone(door);
        asking.spawn(async move {
            let mut latencies = Vec::new();
            while begin.elapsed() < RUN {
                let sent = Instant::now();
                door.note(EVENT_BYTES).await?;
                latencies.push(sent.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(asked) = asking.join_next().await {
        latencies.extend(asked??);
    }
    Ok(Run { latencies, took: begin.elapsed() })
}
