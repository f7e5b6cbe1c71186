//! Starts runs for tests and looks for what they leave behind.

use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use sandbox_process::{
    Chunk, Exit, Launcher, LauncherConfig, Run, RunLimits, RunRequest, Stream, Tier,
};

/// No run of these tests needs as long; one that does is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(2);
/// Names a run in the environment of all its processes.
const MARK: &str = "LAUNCHER_TEST_MARK";

/// A run to be, with a directory of its own.
pub(crate) struct Case {
    pub(crate) request: RunRequest,
    pub(crate) config: LauncherConfig,
    /// Stands in the environment of every process of the run.
    pub(crate) mark: String,
    _scratch: tempfile::TempDir,
}

/// A script for `sh`.
pub(crate) fn script(text: &str) -> Case {
    command(&["sh", "-c", text])
}

/// A program with arguments.
pub(crate) fn command(argv: &[&str]) -> Case {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mark = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let scratch = tempfile::tempdir().unwrap();
    let request = RunRequest {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        cwd: scratch.path().to_owned(),
        scratch: scratch.path().to_owned(),
        env: BTreeMap::from([(MARK.to_owned(), mark.clone())]),
        stdin: Vec::new(),
        mounts: Vec::new(),
        limits: RunLimits {
            wall_time: PATIENCE,
            output_bytes: 1024 * 1024,
            grace: Duration::from_secs(5),
        },
    };
    let config = LauncherConfig { tier: Some(Tier::T0), ..LauncherConfig::default() };
    Case { request, config, mark, _scratch: scratch }
}

impl Case {
    /// Starts it; the case must outlive the run, for it holds its directory.
    pub(crate) async fn start(&self) -> Run {
        self.try_start().await.unwrap()
    }

    pub(crate) async fn try_start(&self) -> Result<Run, sandbox_process::LaunchError> {
        Launcher::new(self.config.clone()).unwrap().launch(self.request.clone()).await
    }

    /// Starts it, takes all its output and waits for its end.
    pub(crate) async fn finish(&self) -> (Exit, Vec<u8>, Vec<u8>) {
        within(async {
            let mut run = self.start().await;
            let (stdout, stderr) = read_all(&mut run).await;
            (run.wait().await, stdout, stderr)
        })
        .await
    }

    /// Waits until no process of the run is left, but not longer than `limit`.
    pub(crate) async fn assert_gone_within(&self, limit: Duration) {
        let started = Instant::now();
        loop {
            let left = marked(&self.mark);
            if left.is_empty() {
                return;
            }
            assert!(started.elapsed() < limit, "left after {limit:?}: {left:?}");
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Collects both streams and checks that neither has a gap.
pub(crate) async fn read_all(run: &mut Run) -> (Vec<u8>, Vec<u8>) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(Chunk { stream, offset, bytes }) = run.next_chunk().await {
        let target = match stream {
            Stream::Stdout => &mut stdout,
            Stream::Stderr => &mut stderr,
        };
        assert_eq!(offset, u64::try_from(target.len()).unwrap());
        target.extend_from_slice(&bytes);
    }
    (stdout, stderr)
}

/// Reads until so many lines have come on stdout.
pub(crate) async fn read_lines(run: &mut Run, count: usize) {
    let mut seen = 0;
    while seen < count {
        let chunk = within(run.next_chunk()).await.expect("the run ended before it was ready");
        seen += chunk.bytes.iter().filter(|byte| **byte == b'\n').count();
    }
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("took too long")
}

/// Living processes that carry the mark.
pub(crate) fn marked(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    })
    .collect()
}

/// Whether the process exists and has not ended.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
