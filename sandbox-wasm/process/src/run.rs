//! A run as its node sees it, and the task that follows it to its end.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use rustix::{io::Errno, process::Pid};
use schemas::{Sha256Hash, sandbox::RunProof};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Interest, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Notify, mpsc, oneshot, watch},
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    Chunk, Exit, LaunchError, Launcher, Leftovers, RunLimits, Status, Stream, StreamTotals,
    Verdict,
    gate::receive_bytes,
    handshake::{Handover, Supervisor, host},
    output::{Copier, copy},
    supervisor::KILL_LIMIT,
    tree,
    wire::{self, CANCEL, Ended, GO, KILL, Order, Refusal, Report, Stage, Usage},
};

/// How long a supervisor may take to start its program.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How many bytes of a report are read at once.
const READ_BYTES: usize = 16 * 1024;
/// How much longer than agreed a supervisor may take before it counts as lost.
const SUPERVISOR_SLACK: Duration = Duration::from_secs(3);
/// What stands for *never* where a time limit is too long for the clock: 100 years.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A running program. Dropping it kills the program and all that it started.
#[derive(Debug)]
pub struct Run {
    pid: u32,
    started_at: Duration,
    proof: RunProof,
    chunks: mpsc::Receiver<Chunk>,
    exit: oneshot::Receiver<Exit>,
    cancel: Arc<Notify>,
}

/// Cancels a run from elsewhere. Cheap to clone; does not keep the run alive.
#[derive(Clone, Debug)]
pub struct Canceller(Arc<Notify>);

impl Canceller {
    /// Sends SIGTERM to the whole tree and, after the grace period, SIGKILL to what is left.
    /// Asking again, or after the end, changes nothing.
    pub fn cancel(&self) {
        self.0.notify_one();
    }
}

impl Run {
    /// The first process, which is also its group and session.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// When the program was started, on the monotonic clock (`CLOCK_MONOTONIC`, since boot).
    #[must_use]
    pub fn started_at(&self) -> Duration {
        self.started_at
    }

    /// What surrounded the program just before it was executed, read from outside.
    #[must_use]
    pub fn proof(&self) -> &RunProof {
        &self.proof
    }

    /// The next piece of output as it appears; `None` when there will be no more.
    ///
    /// Each stream is in order; between the two streams there is no order. Cancel-safe.
    pub async fn next_chunk(&mut self) -> Option<Chunk> {
        self.chunks.recv().await
    }

    /// What can cancel this run from elsewhere.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller(Arc::clone(&self.cancel))
    }

    /// As [`Canceller::cancel`].
    pub fn cancel(&self) {
        self.cancel.notify_one();
    }

    /// Waits until nothing of the run is left. Output that was not taken before is thrown away.
    pub async fn wait(mut self) -> Exit {
        while self.next_chunk().await.is_some() {}
        let started_at = self.started_at;
        // The task that follows a run is lost only when the whole runtime goes down.
        self.exit.await.unwrap_or_else(|_| exit(started_at, lost(0), [nothing(), nothing()]))
    }
}

/// What a stream is that nobody could read.
fn nothing() -> StreamTotals {
    StreamTotals { bytes: 0, dropped: 0, sha256: Sha256Hash(Sha256::digest([]).into()) }
}

/// Waits until the program is ready behind its walls, lets it run, and follows it in a task.
pub(crate) async fn start(
    launcher: &Launcher,
    limits: RunLimits,
    order: Order,
    handover: Handover,
) -> Result<Run, LaunchError> {
    let Handover { supervisor, control, stdout, stderr } = handover;
    let config = &launcher.config;
    let connect = host("speak to the supervisor");
    control.set_nonblocking(true).map_err(&connect)?;
    let control = UnixStream::from_std(control).map_err(&connect)?;
    let proof = ready(launcher, &control, &order).await?;
    let (reader, mut orders) = control.into_split();
    orders.write_all(&[GO]).await.map_err(&connect)?;
    let mut reports = BufReader::new(reader).lines();
    let (pid, started_at) = started(&mut reports, &order).await?;

    let (to_reader, chunks) = mpsc::channel(config.queue_chunks.max(1));
    let (gone, _) = watch::channel(false);
    let copier = |stream| Copier {
        stream,
        allowance: limits.output_bytes,
        chunks: to_reader.clone(),
        patience: config.reader_patience,
        gone: gone.subscribe(),
    };
    let streams = [
        tokio::spawn(copy(copier(Stream::Stdout), stdout)),
        tokio::spawn(copy(copier(Stream::Stderr), stderr)),
    ];
    let cancel = Arc::new(Notify::new());
    let (to_owner, exit) = oneshot::channel();
    let watchdog = deadline(limits.wall_time.saturating_add(limits.grace));
    let follower = Follower {
        supervisor,
        leader: pid,
        reports,
        orders,
        cancel: Arc::clone(&cancel),
        to_owner,
        watchdog,
        grace: limits.grace,
    };
    tokio::spawn(follower.follow(started_at, gone, streams));
    Ok(Run { pid: pid.as_raw_pid().unsigned_abs(), started_at, proof, chunks, exit, cancel })
}

/// What surrounds the waiting program, checked against what was promised and with the hash of what
/// will be executed.
async fn ready(
    launcher: &Launcher,
    control: &UnixStream,
    order: &Order,
) -> Result<RunProof, LaunchError> {
    let (line, file) = timeout(START_LIMIT, first_line(control))
        .await
        .map_err(|_| problem("did not prepare the program in time"))?
        .map_err(host("hear the supervisor"))?;
    let proof = match serde_json::from_slice(&line) {
        Ok(Report::Ready(proof)) => *proof,
        Ok(Report::Refused(refusal)) => return Err(refused(refusal, &order.argv)),
        Ok(Report::Started { .. } | Report::Ended(_)) => {
            return Err(problem("said something else than it should"));
        }
        Err(_) => return Err(problem("ended before the program was started")),
    };
    launcher.check(&proof)?;
    let file = file.ok_or_else(|| problem("did not show the program"))?;
    let hashes = Arc::clone(&launcher.hashes);
    let program_sha256 = spawn_blocking(move || hashes.of(&file)).await.unwrap_or_default();
    Ok(RunProof { program_sha256, ..proof })
}

/// The supervisor says one line and waits, so nothing of what follows is taken.
async fn first_line(control: &UnixStream) -> std::io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let (mut line, mut file) = (Vec::new(), None);
    let mut buffer = vec![0; READ_BYTES];
    while line.last() != Some(&b'\n') {
        control.readable().await?;
        let receive = || receive_bytes(control.as_fd(), &mut buffer);
        match control.try_io(Interest::READABLE, receive) {
            Ok((0, _)) => break,
            Ok((length, descriptor)) => {
                line.extend_from_slice(buffer.get(..length).unwrap_or_default());
                file = descriptor.or(file);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => (),
            Err(error) => return Err(error),
        }
    }
    Ok((line, file))
}

/// For errors of the supervisor.
pub(crate) fn problem(problem: &'static str) -> LaunchError {
    LaunchError::Supervisor { problem }
}

async fn started(
    reports: &mut Lines<BufReader<OwnedReadHalf>>,
    order: &Order,
) -> Result<(Pid, Duration), LaunchError> {
    let line = timeout(START_LIMIT, reports.next_line())
        .await
        .map_err(|_| problem("did not start the program in time"))?
        .map_err(host("hear the supervisor"))?
        .ok_or_else(|| problem("ended before the program was started"))?;
    match serde_json::from_str(&line) {
        Ok(Report::Started { pid, at }) => {
            let pid = Pid::from_raw(pid).ok_or_else(|| problem("named no process"))?;
            Ok((pid, at))
        }
        Ok(Report::Refused(refusal)) => Err(refused(refusal, &order.argv)),
        Ok(Report::Ready(_) | Report::Ended(_)) | Err(_) => {
            Err(problem("said something else than it should"))
        }
    }
}

/// A refusal in the words of whoever asked for the run.
pub(crate) fn refused(refusal: Refusal, argv: &[String]) -> LaunchError {
    let Refusal { stage, errno, attempt } = refusal;
    let source = std::io::Error::from_raw_os_error(errno);
    let known = Errno::from_raw_os_error(errno);
    let command = || argv.first().cloned().unwrap_or_default();
    match stage {
        Stage::Prepare => LaunchError::Inside { attempt, source },
        Stage::Confine => LaunchError::NotConfined { attempt, source },
        Stage::Enter => LaunchError::CwdMissing { cwd: PathBuf::from(attempt), source },
        Stage::Resolve => LaunchError::CommandNotFound { command: command() },
        Stage::Execute if known == Errno::TOOBIG => LaunchError::TooLong,
        Stage::Execute
            if [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE].contains(&known) =>
        {
            LaunchError::Host { attempt: "execute the program", source }
        }
        Stage::Execute => {
            LaunchError::CommandNotExecutable { path: PathBuf::from(attempt), source }
        }
    }
}

/// Follows one run to its end, whoever still listens.
struct Follower {
    supervisor: Supervisor,
    leader: Pid,
    reports: Lines<BufReader<OwnedReadHalf>>,
    orders: OwnedWriteHalf,
    cancel: Arc<Notify>,
    to_owner: oneshot::Sender<Exit>,
    watchdog: Instant,
    grace: Duration,
}

impl Follower {
    async fn follow(
        mut self,
        started_at: Duration,
        gone: watch::Sender<bool>,
        streams: [JoinHandle<StreamTotals>; 2],
    ) {
        let ended = self.until_ended().await;
        gone.send_replace(true);
        let mut totals = [nothing(), nothing()];
        for (total, stream) in totals.iter_mut().zip(streams) {
            *total = stream.await.unwrap_or_else(|_| nothing());
        }
        if self.to_owner.send(exit(started_at, ended, totals)).is_err() {
            tracing::debug!(leader = %self.leader, "nobody waited for the end of a run");
        }
    }

    async fn until_ended(&mut self) -> Ended {
        let (mut cancelled, mut abandoned) = (false, false);
        loop {
            tokio::select! {
                line = self.reports.next_line() => match line.map(|line| line.as_deref().map(parse)) {
                    Ok(Some(Some(ended))) => return ended,
                    Ok(Some(None) | None) | Err(_) => return self.rescue().await,
                },
                () = self.cancel.notified(), if !cancelled => {
                    cancelled = true;
                    self.watchdog = self.watchdog.min(deadline(self.grace));
                    self.order(CANCEL).await;
                }
                () = self.to_owner.closed(), if !abandoned => {
                    abandoned = true;
                    self.watchdog = self.watchdog.min(deadline(Duration::ZERO));
                    self.order(KILL).await;
                }
                () = sleep_until(self.watchdog) => return self.rescue().await,
            }
        }
    }

    /// A supervisor that is gone hears nothing, and the missing report tells that.
    async fn order(&mut self, word: u8) {
        if let Err(error) = self.orders.write_all(&[word]).await {
            tracing::debug!(%error, leader = %self.leader, "a supervisor cannot be reached");
        }
    }

    /// Kills what can be found of a run whose supervisor is dead, stopped or silent.
    async fn rescue(&mut self) -> Ended {
        let leader = self.leader;
        tracing::error!(%leader, "the supervisor of a run was lost; killing what is left of it");
        let supervisor = self.supervisor.pid();
        let killed = spawn_blocking(move || {
            // While a stopped supervisor exists, the whole tree still hangs below it.
            let below = supervisor.map(tree::descendants).unwrap_or_default();
            tree::signal_all(&below, rustix::process::Signal::KILL);
            tree::kill_session(leader)
        });
        let killed = killed.await.unwrap_or(0);
        if let Err(error) = self.supervisor.kill() {
            tracing::debug!(%error, "the lost supervisor is gone already");
        }
        lost(killed)
    }
}

fn parse(line: &str) -> Option<Ended> {
    match serde_json::from_str(line) {
        Ok(Report::Ended(ended)) => Some(ended),
        Ok(Report::Ready(_) | Report::Started { .. } | Report::Refused(_)) | Err(_) => None,
    }
}

fn lost(killed: u32) -> Ended {
    Ended {
        status: Status::Unknown,
        verdict: Verdict::SupervisorLost,
        at: wire::now(),
        usage: Usage::default(),
        leftovers: Leftovers { killed, survived: 0 },
    }
}

fn exit(started_at: Duration, ended: Ended, [stdout, stderr]: [StreamTotals; 2]) -> Exit {
    Exit {
        status: ended.status,
        verdict: ended.verdict,
        started_at,
        ended_at: ended.at,
        cpu_user_ms: ended.usage.cpu_user_ms,
        cpu_system_ms: ended.usage.cpu_system_ms,
        max_rss_bytes: ended.usage.max_rss_bytes,
        stdout,
        stderr,
        leftovers: ended.leftovers,
    }
}

/// When a supervisor that was to be done in `time` counts as lost.
fn deadline(time: Duration) -> Instant {
    let patience = time.saturating_add(KILL_LIMIT).saturating_add(SUPERVISOR_SLACK).min(NEVER);
    Instant::now() + patience
}
