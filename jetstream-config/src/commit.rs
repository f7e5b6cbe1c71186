//! Brings one frame to one of two certain ends, whatever the network and the broker do meanwhile.
//!
//! **Invariant:** a frame is called committed only where it stands at fence + 1 of the leader's log.
//! **Invariant:** once a copy may be on its way, only finding this frame or another's in that place
//! ends the endeavour: a refusal, a time-out or a full stream proves nothing.
//! **Invariant:** nothing is handed to the client while it is disconnected, because it would queue it.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use schemas::frame::FRAME_BYTES_MAX;
use serde::Deserialize;
use tracing::warn;

use crate::{
    backoff::Backoff,
    log::{Append, EventLog, LogError, StoredFrame},
};

/// How often a lost connection is looked at, in milliseconds.
const CONNECTION_POLL_MS: u64 = 10;
/// After how many fruitless attempts each further one is worth a warning.
const QUIET_ATTEMPTS: u32 = 5;
/// After how many fruitless attempts, some 4 s, a log that ends before the fence is believed to
/// have gone back; earlier, the answer may be that of a leader that does not know it was deposed.
const REGRESSION_ATTEMPTS: u32 = 16;

/// What became of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It is in the log, on disk.
    Committed {
        /// Where: fence + 1.
        sequence: u64,
    },
    /// It never will be: another writer's frame has its place.
    Replaced {
        /// The frame that is there instead.
        by: StoredFrame,
    },
    /// The log is full and no copy of the frame is on its way; the writer keeps its place.
    Full,
}

/// Commits the frame `bytes`, whose `id` is `frame_id`, right after sequence `fence`.
///
/// Tries for as long as it takes. Dropping the future gives up, and then nothing is known of the
/// frame: whoever does so must not write on, but read the log anew.
///
/// # Errors
///
/// Only what no further attempt can mend; the writer must stop, and the frame may be in the log.
pub async fn commit<L: EventLog>(
    log: &L,
    fence: u64,
    frame_id: &str,
    bytes: Bytes,
) -> Result<Commit, LogError> {
    if FRAME_BYTES_MAX < bytes.len() {
        return Err(LogError::TooLarge { bytes: bytes.len(), limit: FRAME_BYTES_MAX });
    }
    let mut backoff = Backoff::new();
    let mut attempts: u32 = 0;
    let mut copy_may_be_on_its_way = false;
    loop {
        wait_until_connected(log).await;
        let outcome = log.append(fence, bytes.clone()).await;
        attempts = attempts.saturating_add(1);
        if QUIET_ATTEMPTS < attempts {
            warn!(fence, attempts, ?outcome, "a frame is neither committed nor replaced yet");
        }
        match outcome {
            Append::Committed { sequence } => return committed_at(fence, sequence),
            Append::Rejected { code, description } => {
                return Err(LogError::Rejected { fence, code, description });
            }
            Append::Full if !copy_may_be_on_its_way => return Ok(Commit::Full),
            Append::Full => {}
            Append::Refused | Append::Unknown => copy_may_be_on_its_way = true,
        }
        if let Some(next) = look_after(log, fence).await? {
            return judge(fence, frame_id, &bytes, next);
        }
        if REGRESSION_ATTEMPTS <= attempts {
            check_regression(log, fence).await?;
        }
        backoff.wait().await;
    }
}

/// Who stands right after the fence, if that can be learnt now.
async fn look_after<L: EventLog>(log: &L, fence: u64) -> Result<Option<StoredFrame>, LogError> {
    wait_until_connected(log).await;
    match log.next_after(fence).await {
        Err(error) if error.is_transient() => Ok(None),
        certain => certain,
    }
}

async fn check_regression<L: EventLog>(log: &L, fence: u64) -> Result<(), LogError> {
    match log.last_sequence().await {
        Ok(last) if last < fence => Err(LogError::Regressed { fence, last }),
        Ok(_) => Ok(()),
        Err(error) if error.is_transient() => Ok(()),
        Err(error) => Err(error),
    }
}

fn committed_at(fence: u64, sequence: u64) -> Result<Commit, LogError> {
    if Some(sequence) == fence.checked_add(1) {
        Ok(Commit::Committed { sequence })
    } else {
        Err(LogError::AckedElsewhere { fence, sequence })
    }
}

fn judge(fence: u64, frame_id: &str, bytes: &Bytes, next: StoredFrame) -> Result<Commit, LogError> {
    if next.bytes == bytes {
        return committed_at(fence, next.sequence);
    }
    if id_of(&next.bytes).as_deref() == Some(frame_id) {
        return Err(LogError::Damaged {
            stream: "the log".to_owned(),
            sequence: next.sequence,
            problem: format!("frame {frame_id} is not what was written"),
        });
    }
    Ok(Commit::Replaced { by: next })
}

/// The `id` of a frame. What is not a frame has none, so it is another's; its reader will halt.
fn id_of(bytes: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
    }
    serde_json::from_slice::<Id<'_>>(bytes).ok().map(|frame| frame.id)
}

async fn wait_until_connected<L: EventLog>(log: &L) {
    while !log.connected() {
        tokio::time::sleep(Duration::from_millis(CONNECTION_POLL_MS)).await;
    }
}

#[cfg(test)]
mod tests;
