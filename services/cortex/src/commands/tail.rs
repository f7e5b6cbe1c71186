//! Follows one task: its output as it appears, and how it ends.
//!
//! The scheduler reads the output for whoever may see the task: whoever follows has no part in
//! JetStream. Short output comes with the result as well; whichever comes first is shown.

use std::{
    io,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use client::Client;
use schemas::{
    Fault, TaskId,
    agent::{OutputChunk, OutputStream},
    protocol::OUTPUT_WAIT_MAX,
    scheduler::{OutputAnswer, OutputRequest, TaskRequest, verb},
    subject::ServiceName::Scheduler,
    task::{OutputSummary, TaskState, TaskView},
};

use super::pieces::{Piece, Pieces};
use crate::output::{note, write_all};

/// How long the scheduler may be away while a task is followed.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the last pieces may take after the end of the task.
const LAST_PIECES: Duration = Duration::from_millis(500);
/// How long to wait for one of them.
const LAST_PIECE_WAIT: Duration = Duration::from_millis(100);

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

/// A task that is followed.
pub(crate) struct Tail<'a> {
    client: &'a Client,
    task: TaskId,
    show: Show,
    /// Up to where its output was read.
    after: u64,
    /// Where it was when it was last heard of.
    known: Option<TaskState>,
    pieces: Pieces,
    waiting_for: Option<String>,
}

impl<'a> Tail<'a> {
    /// Follows a task from its first piece of output.
    pub(crate) fn new(client: &'a Client, task: &TaskId, show: Show) -> Self {
        Self {
            client,
            task: task.clone(),
            show,
            after: 0,
            known: None,
            pieces: Pieces::default(),
            waiting_for: None,
        }
    }

    /// Shows what is kept of the output so far.
    pub(crate) async fn catch_up(&mut self) -> Result<(), Fault> {
        while self.read(Duration::ZERO).await? {}
        Ok(())
    }

    /// Shows output until the task has ended or is lost, and says how.
    pub(crate) async fn until_end(&mut self) -> Result<TaskView, Fault> {
        loop {
            self.read(OUTPUT_WAIT_MAX).await?;
            if self.known.is_some_and(|state| state.is_final() || state == TaskState::Lost) {
                let view = self.view().await?;
                self.finish(&view).await?;
                return Ok(view);
            }
        }
    }

    /// Shows what came since the last time, or waits for it; says whether there was output.
    async fn read(&mut self, wait: Duration) -> Result<bool, Fault> {
        let request = OutputRequest {
            id: self.task.clone(),
            after: (self.show != Show::Nothing).then_some(self.after),
            known: self.known,
            wait_ms: Some(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)),
        };
        let call = self.client.call(Scheduler, verb::OUTPUT).deadline(PATIENCE);
        let OutputAnswer { chunks, next, state, waiting_for } = call.send(&request).await?;
        let progress = !chunks.is_empty();
        for chunk in chunks {
            self.take(chunk)?;
        }
        (self.after, self.known) = (next, Some(state));
        self.tell_waiting(waiting_for.as_deref());
        Ok(progress)
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
        self.catch_up().await?;
        while 0 < missing(&self.pieces) && Instant::now() < patience {
            tokio::time::sleep(LAST_PIECE_WAIT).await;
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
