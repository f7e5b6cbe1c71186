//! Brings one guarded message on a subject of its own to a certain end, as `commit` does it for
//! frames.
//!
//! **Invariant:** a message is called stored only where the leader shows it, or acknowledged it.

use std::time::Duration;

use async_nats::Client;

use crate::{
    backoff::Backoff,
    log::Append,
    publish::{Destination, Outgoing, publish},
    store::StoreError,
    stored::{Stored, last_on},
    wire,
};

/// How often a lost connection is looked at, in milliseconds.
const CONNECTION_POLL_MS: u64 = 10;
/// After how many fruitless attempts, some 4 s, a subject that is behind the expectation is
/// believed to have gone back; earlier, the answer may be a deposed leader's.
const REGRESSION_ATTEMPTS: u32 = 16;

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Settled {
    Stored { sequence: u64 },
    Occupied(Option<Stored>),
    Full,
}

/// Stores `message` as the successor of sequence `expected` on its subject; 0 is an empty subject.
pub(crate) async fn settle(
    client: &Client,
    to: Destination<'_>,
    expected: u64,
    message: &Outgoing,
) -> Result<Settled, StoreError> {
    let mut backoff = Backoff::new();
    let mut attempts: u32 = 0;
    let mut copy_may_be_on_its_way = false;
    loop {
        wait_until_connected(client).await;
        attempts = attempts.saturating_add(1);
        match publish(client, to, expected, message).await {
            Append::Committed { sequence } => return Ok(Settled::Stored { sequence }),
            Append::Full if !copy_may_be_on_its_way => return Ok(Settled::Full),
            Append::Full => {}
            Append::Refused | Append::Unknown => copy_may_be_on_its_way = true,
            Append::Rejected { code, description } => {
                let stream = to.stream.to_owned();
                return Err(StoreError::Rejected { stream, code, description });
            }
        }
        match last_on(client, to.stream, to.subject).await {
            Ok(found) => {
                let sequence = found.as_ref().map_or(0, |found| found.sequence);
                if expected < sequence || sequence < expected && REGRESSION_ATTEMPTS <= attempts {
                    return Ok(judge(found, expected, message));
                }
            }
            Err(error) => transient(StoreError::of(to.stream, "settling a write to", error))?,
        }
        backoff.wait().await;
    }
}

fn judge(found: Option<Stored>, expected: u64, message: &Outgoing) -> Settled {
    match found {
        Some(found) if expected < found.sequence && message.is(&found) => {
            Settled::Stored { sequence: found.sequence }
        }
        found => Settled::Occupied(found),
    }
}

fn transient(error: StoreError) -> Result<(), StoreError> {
    if error.is_transient() { Ok(()) } else { Err(error) }
}

async fn wait_until_connected(client: &Client) {
    while !wire::is_connected(client) {
        tokio::time::sleep(Duration::from_millis(CONNECTION_POLL_MS)).await;
    }
}
