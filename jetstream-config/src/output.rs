//! What tasks print, as the output stream keeps it.
//!
//! **Invariant:** what a node printed is told from what another one printed under the same task's id.

use async_nats::Client;
use bytes::Bytes;
use schemas::{
    PrincipalId, TaskId,
    subject::{self, OUTPUT_STREAM},
};

use crate::{
    bulk::{self, Source},
    store::StoreError,
};

/// The output stream on the broker.
#[derive(Clone, Debug)]
pub struct OutputLog {
    client: Client,
}

/// One piece of output, still to be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// Its place in the stream.
    pub sequence: u64,
    /// What the node sent.
    pub bytes: Bytes,
}

impl OutputLog {
    /// The output stream, over `client`. It must exist, see [`crate::apply`].
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// What `node` printed for `task` after the place `after`, about `bytes_max` bytes of it, but at
    /// least one piece if there is one. The newest may be missing.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn read(
        &self,
        (node, task): (&PrincipalId, &TaskId),
        after: u64,
        bytes_max: usize,
    ) -> Result<Vec<Printed>, StoreError> {
        let source = Source { stream: OUTPUT_STREAM, filter: &subject::output(node, task) };
        let found = bulk::read(&self.client, source, after, bytes_max).await;
        let found = found.map_err(|error| StoreError::of(OUTPUT_STREAM, "reading", error))?;
        let printed = found
            .into_iter()
            .map(|stored| Printed { sequence: stored.sequence, bytes: stored.payload });
        Ok(printed.collect())
    }
}
