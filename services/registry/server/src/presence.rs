//! Heartbeats in `cortex_presence`, where plain tools can read them.
//!
//! **Invariant:** soft state: nothing is made from these rows, and a row that could not be written
//! is written with the agent's next heartbeat.

use std::collections::BTreeMap;

use bytes::Bytes;
use jetstream_config::{KvBucket, Put, RowKind, StoreError, Written};
use schemas::{PrincipalId, registry::Presence};
use tokio::sync::Mutex;

/// The rows of `cortex_presence` as this process writes them.
pub struct PresenceRows {
    bucket: KvBucket,
    /// The revision of each row that this process knows of.
    revisions: Mutex<BTreeMap<String, u64>>,
}

impl PresenceRows {
    /// Writes to `bucket`, which must be [`schemas::subject::Bucket::Presence`].
    #[must_use]
    pub fn new(bucket: KvBucket) -> Self {
        Self { bucket, revisions: Mutex::default() }
    }

    /// Lets others see these heartbeats.
    pub(crate) async fn show(&self, heard: &[Presence]) {
        self.put(heard.iter().map(shown).collect()).await;
    }

    /// Lets nobody see a heartbeat of `agent` any more.
    pub(crate) async fn hide(&self, agent: &PrincipalId) {
        self.put(vec![hidden(agent)]).await;
    }

    async fn put(&self, rows: Vec<Put>) {
        if let Err(error) = self.write(rows).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "writing heartbeats failed; the next ones are tried anew");
        }
    }

    async fn write(&self, mut rows: Vec<Put>) -> Result<(), StoreError> {
        let mut revisions = self.revisions.lock().await;
        for row in &mut rows {
            row.expected = revisions.get(&row.key).copied().unwrap_or(0);
        }
        // Twice: a row of which another process was the last writer tells its revision.
        for _ in 0..2 {
            let written = self.bucket.put_all(rows.clone()).await;
            let mut again = Vec::new();
            for (mut row, written) in rows.into_iter().zip(written) {
                match written? {
                    Written::Stored { revision } => {
                        revisions.insert(row.key, revision);
                    }
                    Written::Occupied { by } => {
                        row.expected = by.map_or(0, |by| by.revision);
                        again.push(row);
                    }
                    Written::Full => {
                        let stream = "cortex_presence".to_owned();
                        return Err(StoreError::Full { stream });
                    }
                }
            }
            rows = again;
        }
        Ok(())
    }
}

fn shown(presence: &Presence) -> Put {
    let bytes = serde_json::to_vec(presence).expect("heartbeats are plain structs with text keys");
    let key = presence.heartbeat.node.to_string();
    Put { key, expected: 0, kind: RowKind::Value, bytes: bytes.into() }
}

fn hidden(agent: &PrincipalId) -> Put {
    Put { key: agent.to_string(), expected: 0, kind: RowKind::Tombstone, bytes: Bytes::new() }
}
