//! Runs what was asked for and says how it ended.
//!
//! **Invariant:** every run comes to an outcome, one that could not begin included.

use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt as _,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use agent_core::{RunKey, RunOrder};
use bytes::Bytes;
use client::Client;
use futures::FutureExt as _;
use sandbox_process::{
    Access, CHUNK_BYTES_MAX, Canceller, Chunk, Exit, LaunchError, Launcher, Leftovers, Mount, Run,
    RunLimits, RunRequest, Status, Stream, StreamTotals,
};
use schemas::{
    ErrorCode, Fault, Sha256Hash, Timestamp,
    task::{CREDENTIALS_VARIABLE, Outcome, OutputSummary, Usage, Verdict, Work},
};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::{
    clock,
    credentials::{Credentials, HandedOver, Masked},
    delegate::{Counter, DELEGATE_VARIABLE, Desk},
    outlet::NatsOutlet,
    output::{Collector, Outlet},
};

/// How long output may wait for the run's end before it is sent as it appears.
const STREAM_AFTER: Duration = Duration::from_millis(20);
/// From SIGTERM to SIGKILL, when a run is ended.
pub(crate) const KILL_GRACE: Duration = Duration::from_secs(5);

/// What runs are made with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Workshop {
    pub(crate) launcher: Launcher,
    pub(crate) client: Client,
    /// Where each run gets a directory of its own.
    pub(crate) runs_dir: PathBuf,
    /// Where runs get the credentials that they ask for.
    pub(crate) credentials: Arc<Credentials>,
    /// Where runs ask for tasks; nowhere on a node that has no key to sign for them.
    pub(crate) desk: Option<Arc<Desk>>,
}

/// Where the output of one run goes.
struct Output<O> {
    collector: Collector<O>,
    /// On the way; none for a run without credentials.
    masked: Option<Masked>,
}

impl Workshop {
    /// Runs it to its end; `stop` ends it early.
    async fn run(&self, order: RunOrder, stop: Arc<Notify>) -> Outcome {
        let collector = Collector::new(order.key.clone(), NatsOutlet::new(self.client.clone()));
        match &order.spec.work {
            Work::Echo { text } => echo(text, order.spec.output_limit_bytes(), collector).await,
            Work::Command { .. } => self.command(&order, &stop, collector).await,
        }
    }

    /// As [`Workshop::run`]; a bug in there costs this run its outcome and no more.
    pub(crate) async fn run_caught(&self, order: RunOrder, stop: Arc<Notify>) -> Outcome {
        let run = AssertUnwindSafe(self.run(order, stop)).catch_unwind();
        run.await.unwrap_or_else(|_| panicked())
    }

    async fn command<O: Outlet>(
        &self,
        order: &RunOrder,
        stop: &Notify,
        collector: Collector<O>,
    ) -> Outcome {
        let scratch = self.runs_dir.join(directory_name(&order.key));
        let began_at = clock::wall();
        let credentials = match self.credentials_of(order, stop).await {
            Ok(credentials) => credentials,
            Err(outcome) => return *outcome,
        };
        if let Err(error) = make_private(&scratch) {
            let message = format!("cannot make the run's directory {scratch:?}: {error}");
            return not_run(Fault::new(ErrorCode::Internal, message), began_at);
        }
        let limit = order.spec.output_limit_bytes();
        let masked = credentials.as_ref().map(|given| Masked::new(&given.mask, limit));
        let counter = match self.counter(order, &scratch) {
            Ok(counter) => counter,
            Err(fault) => return not_run(fault, began_at),
        };
        let mut request = request(order, &scratch, credentials.as_ref());
        if let Some(counter) = &counter {
            let folder = counter.folder().display().to_string();
            request.mounts.push(Mount::same(folder, Access::ReadOnly));
            let path = counter.path().display().to_string();
            request.env.insert(DELEGATE_VARIABLE.to_owned(), path);
        }
        let outcome = match self.launcher.launch(request).await {
            Ok(run) => follow(run, stop, Output { collector, masked }).await,
            Err(error) => not_run(launch_fault(&error), began_at),
        };
        // Whoever hears of the end finds them gone.
        drop((credentials, counter));
        tokio::spawn(async move {
            if let Err(error) = tokio::fs::remove_dir_all(&scratch).await {
                tracing::warn!(%error, ?scratch, "a run's directory stays");
            }
        });
        outcome
    }

    /// Where the run asks for tasks, if its request lets it.
    fn counter(&self, order: &RunOrder, scratch: &Path) -> Result<Option<Counter>, Fault> {
        let Some(desk) = &self.desk else { return Ok(None) };
        desk.open(order, scratch).map_err(|error| {
            let message = format!("cannot let the run ask for tasks in {scratch:?}: {error}");
            Fault::new(ErrorCode::Internal, message)
        })
    }

    /// The credentials that the task asks for, or how it ends without them.
    async fn credentials_of(
        &self,
        order: &RunOrder,
        stop: &Notify,
    ) -> Result<Option<HandedOver>, Box<Outcome>> {
        let (names, began_at) = (&order.spec.credentials, clock::wall());
        if names.is_empty() {
            return Ok(None);
        }
        let run = directory_name(&order.key);
        tokio::select! {
            given = self.credentials.hand_over(names, &run) => match given {
                Ok(given) => Ok(Some(given)),
                Err(fault) => Err(Box::new(not_run(fault, began_at))),
            },
            () = stop.notified() => {
                let cancelled = blank(Verdict::Cancelled, clock::wall());
                Err(Box::new(Outcome { started_at: Some(began_at), ..cancelled }))
            }
        }
    }
}

impl<O: Outlet> Output<O> {
    async fn take(&mut self, chunk: Chunk) {
        let Some(masked) = &mut self.masked else { return self.collector.take(chunk).await };
        for chunk in masked.take(&chunk) {
            self.collector.take(chunk).await;
        }
    }

    async fn finish(mut self, totals: [StreamTotals; 2]) -> [OutputSummary; 2] {
        let Some(masked) = &mut self.masked else { return self.collector.finish(totals).await };
        let (last, totals) = masked.finish(totals);
        for chunk in last {
            self.collector.take(chunk).await;
        }
        let complete = |summary: OutputSummary| {
            // What was dropped was not masked, so it is in no hash either.
            let sha256 = summary.sha256.filter(|_| summary.dropped == 0);
            OutputSummary { sha256, ..summary }
        };
        self.collector.finish(totals).await.map(complete)
    }
}

/// Answers with the text, as a run that writes it to stdout.
async fn echo<O: Outlet>(text: &str, limit: u64, mut collector: Collector<O>) -> Outcome {
    let started_at = clock::wall();
    let bytes = text.as_bytes();
    let kept = usize::try_from(limit).unwrap_or(usize::MAX).min(bytes.len());
    let mut offset = 0;
    for piece in bytes[..kept].chunks(CHUNK_BYTES_MAX) {
        let bytes = Bytes::copy_from_slice(piece);
        collector.take(Chunk { stream: Stream::Stdout, offset, bytes }).await;
        offset += length(piece.len());
    }
    let totals = StreamTotals {
        bytes: length(bytes.len()),
        dropped: length(bytes.len() - kept),
        sha256: Sha256Hash(Sha256::digest(bytes).into()),
    };
    let nothing = StreamTotals { bytes: 0, dropped: 0, sha256: Sha256Hash::ZERO };
    let [stdout, stderr] = collector.finish([totals, nothing]).await;
    let base = blank(Verdict::Succeeded, clock::wall());
    Outcome { exit_code: Some(0), started_at: Some(started_at), stdout, stderr, ..base }
}

fn request(order: &RunOrder, scratch: &Path, credentials: Option<&HandedOver>) -> RunRequest {
    let (argv, cwd, mut env, stdin) = match order.spec.work.clone() {
        Work::Echo { .. } => Default::default(),
        Work::Command { argv, cwd, env, stdin } => (argv, cwd, env, stdin),
    };
    let mut mounts = Vec::new();
    if let Some(credentials) = credentials {
        let path = credentials.folder.text();
        mounts.push(Mount::same(path, Access::ReadOnly));
        env.insert(CREDENTIALS_VARIABLE.to_owned(), path.to_owned());
    }
    RunRequest {
        argv,
        cwd: cwd.map_or_else(|| scratch.to_owned(), PathBuf::from),
        scratch: scratch.to_owned(),
        env,
        stdin: stdin.unwrap_or_default().into_bytes(),
        mounts,
        limits: RunLimits {
            wall_time: Duration::from_millis(order.spec.time_limit_ms()),
            output_bytes: order.spec.output_limit_bytes(),
            grace: KILL_GRACE,
        },
    }
}

/// Takes the run's output until there is no more, then its end.
async fn follow<O: Outlet>(mut run: Run, stop: &Notify, mut output: Output<O>) -> Outcome {
    let started_at = clock::wall();
    let sandbox = Some(Box::new(run.proof().clone()));
    let canceller = run.canceller();
    let work = async {
        pump(&mut run, &mut output).await;
        run.wait().await
    };
    let exit = unless_stopped(work, stop, &canceller).await;
    let [stdout, stderr] = output.finish([exit.stdout, exit.stderr]).await;
    Outcome { sandbox, ..outcome(&exit, started_at, [stdout, stderr]) }
}

async fn unless_stopped(
    work: impl Future<Output = Exit>,
    stop: &Notify,
    canceller: &Canceller,
) -> Exit {
    tokio::pin!(work);
    tokio::select! {
        exit = &mut work => return exit,
        () = stop.notified() => canceller.cancel(),
    }
    work.await
}

async fn pump<O: Outlet>(run: &mut Run, output: &mut Output<O>) {
    let stream_at = Instant::now() + STREAM_AFTER;
    loop {
        tokio::select! {
            chunk = run.next_chunk() => match chunk {
                Some(chunk) => output.take(chunk).await,
                None => return,
            },
            () = sleep_until(stream_at), if !output.collector.is_streaming() => {
                output.collector.stream().await;
            }
        }
    }
}

fn outcome(exit: &Exit, started_at: Timestamp, [stdout, stderr]: [OutputSummary; 2]) -> Outcome {
    let wall_ms = u64::try_from(exit.wall_time().as_millis()).unwrap_or(u64::MAX);
    let (exit_code, signal) = match exit.status {
        Status::Code(code) => (Some(code), None),
        Status::Signal(signal) => (None, Some(signal)),
        Status::Unknown => (None, None),
    };
    let Leftovers { killed, survived } = exit.leftovers;
    Outcome {
        exit_code,
        signal,
        fault: fault(exit),
        started_at: Some(started_at),
        usage: Usage {
            wall_ms,
            cpu_ms: exit.cpu_user_ms.saturating_add(exit.cpu_system_ms),
            memory_peak_bytes: exit.max_rss_bytes,
            leftovers: killed.saturating_add(survived),
        },
        stdout,
        stderr,
        ..blank(verdict(exit), started_at.plus_ms(wall_ms))
    }
}

fn verdict(exit: &Exit) -> Verdict {
    match (exit.verdict, exit.status) {
        (sandbox_process::Verdict::Exited, Status::Code(0)) => Verdict::Succeeded,
        (sandbox_process::Verdict::Exited, Status::Code(_) | Status::Signal(_)) => Verdict::Failed,
        (sandbox_process::Verdict::Exited, Status::Unknown) => Verdict::Lost,
        (sandbox_process::Verdict::TimedOut, _) => Verdict::TimedOut,
        (sandbox_process::Verdict::Cancelled, _) => Verdict::Cancelled,
        (sandbox_process::Verdict::SupervisorLost, _) => Verdict::Lost,
    }
}

fn fault(exit: &Exit) -> Option<Fault> {
    match exit.verdict {
        sandbox_process::Verdict::SupervisorLost => {
            let message = "the run's supervisor was lost; what could be found of it was killed";
            Some(Fault::new(ErrorCode::RunInterrupted, message))
        }
        sandbox_process::Verdict::Exited
        | sandbox_process::Verdict::TimedOut
        | sandbox_process::Verdict::Cancelled => {
            (0 < exit.leftovers.survived).then(|| survivors(exit.leftovers.survived))
        }
    }
}

fn survivors(count: u32) -> Fault {
    let message = format!("{count} processes of the run could not be killed");
    Fault::new(ErrorCode::RunInterrupted, message)
}

fn launch_fault(error: &LaunchError) -> Fault {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    Fault::new(error.code(), message)
}

fn not_run(fault: Fault, at: Timestamp) -> Outcome {
    Outcome { fault: Some(fault), started_at: Some(at), ..blank(Verdict::Failed, clock::wall()) }
}

/// The outcome of a run whose own task panicked: nobody can tell how far it came.
fn panicked() -> Outcome {
    let fault = Fault::new(ErrorCode::Internal, "the node's own code panicked during the run");
    Outcome { fault: Some(fault), ..blank(Verdict::Lost, clock::wall()) }
}

fn blank(verdict: Verdict, ended_at: Timestamp) -> Outcome {
    Outcome {
        verdict,
        exit_code: None,
        signal: None,
        fault: None,
        started_at: None,
        ended_at,
        usage: Usage::default(),
        stdout: OutputSummary::default(),
        stderr: OutputSummary::default(),
        sandbox: None,
    }
}

fn directory_name(key: &RunKey) -> String {
    format!("{}-{}", key.task, key.epoch)
}

fn make_private(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a usize fits 64 bits")
}

#[cfg(test)]
mod tests;
