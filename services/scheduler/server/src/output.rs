//! What a task prints, for whoever may see the task: people have no part in JetStream, so it is read
//! for them.
//!
//! **Invariant:** only what the task's own node printed counts, for any node may print under any id.
//! **Invariant:** what happens while somebody waits is not missed: the task is looked at again after
//! its subjects are subscribed to.

use std::time::Duration;

use client::{Client, Subscription};
use jetstream_config::{OutputLog, StoreError};
use scheduler_core::{Answer, OutputSource};
use schemas::{
    Fault,
    agent::OutputChunk,
    scheduler::{OutputAnswer, OutputRequest, TaskRequest, verb},
    strict,
    subject::{self, ServiceName},
    task::{TaskState, TaskView},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until, timeout_at},
};

/// Output in one answer, in bytes; with one more piece it stays below the broker's 1 MiB a message.
const ANSWER_BYTES_MAX: usize = 512 * 1024;

/// Requests that may wait with subscriptions of their own; more of them look only at the end.
pub(crate) const WAITING_MAX: usize = 1_024;

/// Reads what there is, or waits for it.
pub(crate) async fn read(
    client: &Client,
    waiting: &Semaphore,
    source: OutputSource,
) -> Result<Answer, Fault> {
    let wait = Duration::from_millis(u64::from(source.request.wait_ms.unwrap_or_default()));
    let mut reading = Reading { client, source, until: Instant::now() + wait };
    let chunks = reading.chunks().await?;
    if !chunks.is_empty() || !reading.may_wait() {
        return Ok(reading.answer(chunks));
    }
    match waiting.try_acquire() {
        Ok(_permit) => reading.wait().await,
        Err(_) => {
            sleep_until(reading.until).await;
            reading.look_and_answer().await
        }
    }
}

struct Reading<'a> {
    client: &'a Client,
    source: OutputSource,
    until: Instant,
}

impl Reading<'_> {
    fn may_wait(&self) -> bool {
        let OutputSource { request, state, .. } = &self.source;
        let elsewhere = request.known.is_some_and(|known| known != *state);
        let ended = state.is_final() || *state == TaskState::Lost;
        Instant::now() < self.until && !elsewhere && !ended
    }

    async fn wait(mut self) -> Result<Answer, Fault> {
        let id = &self.source.request.id;
        let event = subject::feed(ServiceName::Scheduler, "task", id.as_str());
        let mut events = self.client.subscribe(event).await?;
        let mut printed = self.client.subscribe(subject::output_of(id)).await?;
        self.look().await?;
        loop {
            let chunks = self.chunks().await?;
            if !chunks.is_empty() || !self.may_wait() {
                return Ok(self.answer(chunks));
            }
            tokio::select! {
                () = heard(&mut printed, self.until) => (),
                () = heard(&mut events, self.until) => return self.look_and_answer().await,
            }
        }
    }

    async fn look_and_answer(mut self) -> Result<Answer, Fault> {
        self.look().await?;
        let chunks = self.chunks().await?;
        Ok(self.answer(chunks))
    }

    /// Sees where the task is by now, through the same door as everybody.
    async fn look(&mut self) -> Result<(), Fault> {
        let request = TaskRequest { id: self.source.request.id.clone() };
        let asked = self.client.request(ServiceName::Scheduler, verb::GET_TASK, &request).await;
        let TaskView { node, state, waiting_for, .. } = asked?;
        let source = &mut self.source;
        (source.node, source.state, source.waiting_for) = (node, state, waiting_for);
        Ok(())
    }

    /// What was printed after the place that the caller has; from now on after what is returned.
    async fn chunks(&mut self) -> Result<Vec<OutputChunk>, Fault> {
        let OutputSource { request: OutputRequest { id, after, .. }, node, .. } = &mut self.source;
        let (Some(after), Some(node)) = (after, node) else { return Ok(Vec::new()) };
        let log = OutputLog::new(self.client.nats().clone());
        let found = log.read((node, id), *after, ANSWER_BYTES_MAX).await;
        let fault = |error: StoreError| Fault::new(error.code(), error.to_string());
        let mut chunks = Vec::new();
        for printed in found.map_err(fault)? {
            *after = printed.sequence;
            match strict::parse::<OutputChunk>(&printed.bytes) {
                Ok(chunk) if chunk.task == *id => chunks.push(chunk),
                Ok(_) => tracing::warn!(%node, task = %id, "a piece of output names another task"),
                Err(fault) => tracing::warn!(%node, task = %id, %fault, "output does not parse"),
            }
        }
        Ok(chunks)
    }

    fn answer(&self, chunks: Vec<OutputChunk>) -> Answer {
        let OutputSource { request, state, waiting_for, .. } = &self.source;
        Answer::OutputRead(OutputAnswer {
            chunks,
            next: request.after.unwrap_or_default(),
            state: *state,
            waiting_for: waiting_for.clone(),
        })
    }
}

/// Waits for a message, at most until then.
async fn heard(messages: &mut Subscription, until: Instant) {
    match timeout_at(until, messages.next()).await {
        Ok(Some(Ok(_))) | Err(_) => (),
        // Without the subscription the time is waited for.
        Ok(Some(Err(_)) | None) => sleep_until(until).await,
    }
}
