//! Follows one task: its output as it appears, and how it ends.
//!
//! Output comes live, from the result when it is short, and from its stream where the live pieces
//! have gaps; whichever comes first is shown.

use std::{
    io,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use client::Client;
use futures::StreamExt;
use schemas::{
    Fault, TaskId,
    agent::{OutputChunk, OutputStream},
    feed::FeedEvent,
    scheduler::{SchedulerEvent, TaskRequest, verb},
    subject::{self, ServiceName::Scheduler},
    task::{OutputSummary, TaskState, TaskView},
};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{
    output_log,
    pieces::{Piece, Pieces},
};
use crate::output::{note, write_all};

/// How often the task is looked at when no event tells of it.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How long the last live pieces may take after the end of the task.
const LAST_PIECES: Duration = Duration::from_millis(500);

/// Which output is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// Both streams.
    Both,
    /// One stream, from an offset on.
    One(OutputStream, u64),
    /// None.
    Nothing,
}

/// A task that is followed. Opened before the task is submitted it misses nothing.
pub(crate) struct Tail<'a, S> {
    client: &'a Client,
    task: TaskId,
    show: Show,
    live: S,
    news: S,
    pieces: Pieces,
    waiting_for: Option<String>,
}

/// What live subjects are subscribed to for a task.
pub(crate) async fn open<'a>(
    client: &'a Client,
    task: &TaskId,
    show: Show,
) -> Result<Tail<'a, impl futures::Stream<Item = Vec<u8>> + Unpin + use<>>, Fault> {
    let subscribe = async |subject: String| {
        let messages = client.nats().subscribe(subject).await.map_err(|error| {
            Fault::new(schemas::ErrorCode::Unreachable, format!("following {task}: {error}"))
        })?;
        Ok::<_, Fault>(messages.map(|message| message.payload.to_vec()))
    };
    Ok(Tail {
        client,
        task: task.clone(),
        show,
        live: subscribe(subject::output_of(task)).await?,
        news: subscribe(subject::feed(Scheduler, "task", task.as_str())).await?,
        pieces: Pieces::default(),
        waiting_for: None,
    })
}

impl<S: futures::Stream<Item = Vec<u8>> + Unpin> Tail<'_, S> {
    /// Shows what is kept of the output so far.
    pub(crate) async fn catch_up(&mut self) -> Result<(), Fault> {
        let (client, task) = (self.client, self.task.clone());
        output_log::read(client, &task, |chunk| self.take(chunk)).await
    }

    /// Shows output until the task has ended or is lost, and says how.
    pub(crate) async fn until_end(&mut self) -> Result<TaskView, Fault> {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once; it is the first look.
        loop {
            let look = tokio::select! {
                Some(bytes) = self.live.next() => {
                    self.take_bytes(&bytes)?;
                    false
                }
                Some(bytes) = self.news.next() => self.hear(&bytes),
                _ = looks.tick() => true,
            };
            if !look {
                continue;
            }
            if self.pieces.has_gap() {
                self.catch_up().await?;
            }
            let view = self.view().await?;
            if view.state.is_final() || view.state == TaskState::Lost {
                self.finish(&view).await?;
                return Ok(view);
            }
            self.tell_waiting(view.waiting_for.as_deref());
        }
    }

    /// The task as it is now.
    pub(crate) async fn view(&self) -> Result<TaskView, Fault> {
        let request = TaskRequest { id: self.task.clone() };
        self.client.request(Scheduler, verb::GET_TASK, &request).await
    }

    /// Says why the task waits, once for each reason.
    pub(crate) fn tell_waiting(&mut self, waiting_for: Option<&str>) {
        if let Some(reason) = waiting_for
            && self.waiting_for.as_deref() != Some(reason)
        {
            note(&format!("waiting: {reason}"));
            self.waiting_for = Some(reason.to_owned());
        }
    }

    /// Whether an event is worth a look at the task.
    fn hear(&mut self, bytes: &[u8]) -> bool {
        let Ok(event) = serde_json::from_slice::<FeedEvent>(bytes) else { return true };
        match serde_json::from_str(event.event.get()) {
            Ok(SchedulerEvent::TaskQueued { waiting_for, .. }) => {
                self.tell_waiting(Some(&waiting_for));
                false
            }
            Ok(
                SchedulerEvent::TaskSubmitted { .. }
                | SchedulerEvent::TaskAssigned { .. }
                | SchedulerEvent::TaskStarted { .. }
                | SchedulerEvent::AssignmentExpired { .. }
                | SchedulerEvent::TaskCancelRequested { .. },
            ) => false,
            Ok(
                SchedulerEvent::TaskRefused { .. }
                | SchedulerEvent::TaskFinished { .. }
                | SchedulerEvent::TaskLost { .. },
            )
            | Err(_) => true,
        }
    }

    fn take_bytes(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match serde_json::from_slice(bytes) {
            Ok(chunk) => self.take(chunk),
            Err(error) => {
                tracing::warn!(%error, "a piece of output does not parse");
                Ok(())
            }
        }
    }

    fn take(&mut self, chunk: OutputChunk) -> Result<(), Fault> {
        let OutputChunk { epoch, stream, offset, data, .. } = chunk;
        let Ok(bytes) = STANDARD.decode(data) else { return Ok(()) };
        self.show(Piece { epoch, stream, offset, bytes })
    }

    fn show(&mut self, piece: Piece) -> Result<(), Fault> {
        let (stream, epoch) = (piece.stream, self.pieces.epoch());
        if 0 < epoch && epoch < piece.epoch {
            note("the task runs again; its output begins anew");
        }
        let bytes = self.pieces.take(piece);
        let begin = self.pieces.shown(stream) - u64::try_from(bytes.len()).unwrap_or(0);
        let bytes = match self.show {
            Show::Both => bytes.as_slice(),
            Show::One(wanted, offset) if wanted == stream => {
                let skipped = usize::try_from(offset.saturating_sub(begin)).unwrap_or(usize::MAX);
                bytes.get(skipped..).unwrap_or_default()
            }
            Show::One(..) | Show::Nothing => &[],
        };
        match stream {
            OutputStream::Stdout => write_all(&mut io::stdout().lock(), bytes),
            OutputStream::Stderr => write_all(&mut io::stderr().lock(), bytes),
        }
    }

    /// Shows what is missing now that the task has ended.
    async fn finish(&mut self, view: &TaskView) -> Result<(), Fault> {
        let Some(outcome) = &view.outcome else { return Ok(()) };
        if self.show == Show::Nothing {
            return Ok(());
        }
        let summaries =
            [(OutputStream::Stdout, &outcome.stdout), (OutputStream::Stderr, &outcome.stderr)];
        for (stream, summary) in summaries {
            if let Some(inline) = &summary.inline
                && let Ok(bytes) = STANDARD.decode(inline)
            {
                self.show(Piece { epoch: view.epoch, stream, offset: 0, bytes })?;
            }
        }
        let missing = |pieces: &Pieces| -> u64 {
            let kept = |summary: &OutputSummary| summary.bytes - summary.dropped.min(summary.bytes);
            let each = summaries
                .map(|(stream, summary)| kept(summary).saturating_sub(pieces.shown(stream)));
            each.iter().sum()
        };
        let patience = Instant::now() + LAST_PIECES;
        while 0 < missing(&self.pieces) {
            let left = patience.saturating_duration_since(Instant::now());
            let Ok(Some(bytes)) = timeout(left, self.live.next()).await else { break };
            self.take_bytes(&bytes)?;
        }
        if 0 < missing(&self.pieces) {
            self.catch_up().await?;
        }
        for (stream, summary) in summaries {
            self.tell_dropped(stream, summary);
        }
        match missing(&self.pieces) {
            0 => Ok(()),
            bytes => {
                note(&format!("{bytes} bytes of output are no longer kept"));
                Ok(())
            }
        }
    }

    fn tell_dropped(&self, stream: OutputStream, summary: &OutputSummary) {
        if 0 < summary.dropped {
            let name = match stream {
                OutputStream::Stdout => "stdout",
                OutputStream::Stderr => "stderr",
            };
            let (dropped, all) = (summary.dropped, summary.bytes);
            note(&format!("{dropped} of {all} bytes of {name} were over the task's limit"));
        }
    }
}
