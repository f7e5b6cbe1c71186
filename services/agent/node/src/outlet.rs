//! Sends pieces of output over core NATS into the output stream, no faster than the broker takes
//! them.
//!
//! **Invariant:** a run never waits for the broker longer than [`PATIENCE`]; then pieces are
//! dropped until the broker answers again.

use std::time::Duration;

use client::{Client, LinkState};
use schemas::{agent::OutputChunk, subject};
use tokio::time::timeout;

use crate::output::Outlet;

/// How long a piece of output may wait for the broker.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes that may be under way before the broker has to answer.
const UNANSWERED_BYTES_MAX: usize = 256 * 1024;

/// One run's way into the output stream.
pub(crate) struct NatsOutlet {
    client: Client,
    unanswered: usize,
    /// Whether the broker was waited for in vain; it is not waited for again until it is back.
    gave_up: bool,
}

impl NatsOutlet {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, unanswered: 0, gave_up: false }
    }

    async fn connected(&mut self) -> bool {
        if self.client.connected() {
            self.gave_up = false;
            return true;
        }
        if self.gave_up {
            return false;
        }
        let mut changes = self.client.on_change();
        let back = changes.wait_for(|state| *state == LinkState::Connected);
        self.gave_up = !matches!(timeout(PATIENCE, back).await, Ok(Ok(_)));
        !self.gave_up
    }

    /// Waits until the broker has taken everything that is under way.
    async fn settle(&mut self) -> bool {
        self.unanswered = 0;
        matches!(timeout(PATIENCE, self.client.nats().flush()).await, Ok(Ok(())))
    }
}

impl Outlet for NatsOutlet {
    async fn publish(&mut self, chunk: OutputChunk) -> bool {
        if !self.connected().await {
            return false;
        }
        let is_end = chunk.end;
        let subject = subject::output(self.client.principal(), &chunk.task);
        let body = serde_json::to_vec(&chunk).expect("a chunk is a plain struct");
        self.unanswered += body.len();
        let sent = self.client.nats().publish(subject, body.into());
        if !matches!(timeout(PATIENCE, sent).await, Ok(Ok(()))) {
            return false;
        }
        if is_end || UNANSWERED_BYTES_MAX <= self.unanswered {
            return self.settle().await;
        }
        true
    }
}
