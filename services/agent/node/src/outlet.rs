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
}

impl NatsOutlet {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, unanswered: 0 }
    }

    async fn connected(&self) -> bool {
        if self.client.connected() {
            return true;
        }
        let mut changes = self.client.on_change();
        let back = changes.wait_for(|state| *state == LinkState::Connected);
        matches!(timeout(PATIENCE, back).await, Ok(Ok(_)))
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
