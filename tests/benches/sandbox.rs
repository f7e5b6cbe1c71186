//! How long a program takes to start behind each set of walls, beside a plain start and the
//! system's bubblewrap in the same run.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use cortex_tests::{Better, Measurement, Report, percentile};
use sandbox_process::{Launcher, LauncherConfig, RunLimits, RunRequest, Status, Tier};

/// Programs of each measurement of one run.
const PROGRAMS: usize = 100;
/// Runs of each measurement.
const RUNS: usize = 3;
/// How many are started at once.
const AT_ONCE: usize = 100;
/// Half of the starts behind all walls may take so long, in milliseconds.
const FULL_P50_MS: f64 = 5.0;
/// All but one in a hundred of them.
const FULL_P99_MS: f64 = 20.0;
/// Half of the starts without namespaces.
const T1_P50_MS: f64 = 2.0;
/// All of the starts at once, in milliseconds.
const AT_ONCE_MS: f64 = 1000.0;
/// Where the system's bubblewrap is.
const BUBBLEWRAP: &str = "/usr/bin/bwrap";

fn main() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(measure())
}

async fn measure() -> Result<()> {
    let mut report = Report::new("sandbox");
    let plain = Samples::take(|| plainly(Command::new("/usr/bin/true")))?;
    report.add(plain.p50("plain start and end, p50")?);
    report.add(plain.p99("plain start and end, p99")?);
    let baseline = plain.p50("")?.value();
    if std::path::Path::new(BUBBLEWRAP).exists() {
        let samples = Samples::take(|| {
            let mut command = Command::new(BUBBLEWRAP);
            command.args(["--unshare-all", "--ro-bind", "/", "/", "/usr/bin/true"]);
            plainly(command)
        })?;
        report.add(samples.p50("bubblewrap alone, start and end, p50")?.baseline(baseline));
        report.add(samples.p99("bubblewrap alone, start and end, p99")?);
    }
    for (tier, p50, p99) in [
        (Tier::T0, None, None),
        (Tier::T1, Some(T1_P50_MS), None),
        (Tier::T2, None, None),
        (Tier::T3, Some(FULL_P50_MS), Some(FULL_P99_MS)),
    ] {
        let config = LauncherConfig { tier: Some(tier), ..LauncherConfig::default() };
        match Launcher::new(config) {
            Ok(launcher) => tier_of(&mut report, &launcher, (p50, p99), baseline).await?,
            Err(error) => writeln!(std::io::stderr(), "{tier:?} is not measured: {error}")?,
        }
    }
    report.finish().map(drop)
}

async fn tier_of(
    report: &mut Report,
    launcher: &Launcher,
    (p50, p99): (Option<f64>, Option<f64>),
    baseline: f64,
) -> Result<()> {
    let tier = launcher.report().tier;
    let (mut starts, mut ends) = (Samples::default(), Samples::default());
    for _ in 0..RUNS {
        let (mut started, mut ended) = (Vec::new(), Vec::new());
        for _ in 0..PROGRAMS {
            let (start, end) = behind_walls(launcher).await?;
            started.push(start);
            ended.push(end);
        }
        starts.add(&started);
        ends.add(&ended);
    }
    let name = |what: &str| format!("{tier:?}, {what}");
    let target = |figure: Measurement, target: Option<f64>| match target {
        Some(target) => figure.target(target),
        None => figure,
    };
    report.add(target(starts.p50(&name("until it executes, p50"))?.baseline(baseline), p50));
    report.add(target(starts.p99(&name("until it executes, p99"))?, p99));
    report.add(ends.p50(&name("start and end, p50"))?.baseline(baseline));
    if tier == Tier::T3 {
        let took = at_once(launcher).await?;
        let figure = Measurement::new(&name("100 at once, all ended"), "ms", Better::Lower, &took)?;
        report.add(figure.target(AT_ONCE_MS));
    }
    Ok(())
}

async fn at_once(launcher: &Launcher) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    for _ in 0..RUNS {
        let begin = Instant::now();
        let runs: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let launcher = launcher.clone();
                tokio::spawn(async move { behind_walls(&launcher).await })
            })
            .collect();
        for run in runs {
            run.await.context("a run panicked")??;
        }
        took.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took)
}

fn plainly(mut command: Command) -> Result<Duration> {
    let begin = Instant::now();
    let status = command.stdin(Stdio::null()).status().context("starting a program")?;
    ensure!(status.success(), "{status}");
    Ok(begin.elapsed())
}

/// How long it took until the program was executed, and until nothing of it was left.
async fn behind_walls(launcher: &Launcher) -> Result<(Duration, Duration)> {
    let begin = Instant::now();
    let scratch = std::env::temp_dir();
    let request = RunRequest {
        argv: vec!["true".to_owned()],
        cwd: scratch.clone(),
        scratch,
        env: BTreeMap::new(),
        stdin: Vec::new(),
        mounts: Vec::new(),
        limits: RunLimits {
            wall_time: Duration::from_secs(60),
            output_bytes: 1024,
            grace: Duration::from_secs(1),
        },
    };
    let run = launcher.launch(request).await.context("launching")?;
    let started = begin.elapsed();
    let exit = run.wait().await;
    ensure!(exit.status == Status::Code(0), "{exit:?}");
    Ok((started, begin.elapsed()))
}

/// The figures of several runs, in milliseconds.
#[derive(Default)]
struct Samples {
    p50s: Vec<f64>,
    p99s: Vec<f64>,
}

impl Samples {
    fn take(mut one: impl FnMut() -> Result<Duration>) -> Result<Self> {
        let mut samples = Self::default();
        for _ in 0..RUNS {
            samples.add(&(0..PROGRAMS).map(|_| one()).collect::<Result<Vec<_>>>()?);
        }
        Ok(samples)
    }

    fn add(&mut self, latencies: &[Duration]) {
        self.p50s.push(percentile(latencies, 500).as_secs_f64() * 1e3);
        self.p99s.push(percentile(latencies, 990).as_secs_f64() * 1e3);
    }

    fn p50(&self, metric: &str) -> Result<Measurement> {
        Measurement::new(metric, "ms", Better::Lower, &self.p50s)
    }

    fn p99(&self, metric: &str) -> Result<Measurement> {
        Measurement::new(metric, "ms", Better::Lower, &self.p99s)
    }
}
