//! Reading the log: from its beginning, from a snapshot, and along with somebody who writes it.
//!
//! **Invariant:** a standby folds what is committed and nothing else, and causes nothing.

use std::time::Duration;

use jetstream_config::{EventLog, LogError};
use schemas::ErrorCode;

use crate::{
    FoldError, Service,
    replica::{Folded, Replica},
    stage::Stage,
};

/// How much is read at once, in bytes.
const READ_BYTES: usize = 4 * 1024 * 1024;
/// Shortest and longest silence after which a standby tries to take over, in milliseconds.
const SILENCE_MS: std::ops::RangeInclusive<u64> = 3_000..=6_000;
/// Longest pause between two attempts to reach a broker that does not answer, in milliseconds.
const RETRY_MS: u64 = 250;
/// Pause before a replica that lagged is read again, in milliseconds.
const LAG_MS: u64 = 25;

/// Why the log could not be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// It could not be read.
    #[error("reading the log failed")]
    Log(#[source] LogError),
    /// It could not be folded.
    #[error("folding the log failed")]
    Fold(#[source] FoldError),
}

impl FollowError {
    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Log(error) => error.code(),
            Self::Fold(error) => error.code(),
        }
    }
}

/// Folds everything that the leader of the log has, showing each event to `each`.
pub(crate) async fn catch_up<S: Service, L: EventLog>(
    replica: &mut Replica<S>,
    log: &L,
    each: impl FnMut(Folded<'_, S>) + Send,
) -> Result<(), FollowError> {
    let target = patiently(|| log.last_sequence()).await?;
    catch_up_to(replica, log, target, each).await
}

/// Folds everything up to the frame at `target`, showing each event to `each`.
pub(crate) async fn catch_up_to<S: Service, L: EventLog>(
    replica: &mut Replica<S>,
    log: &L,
    target: u64,
    mut each: impl FnMut(Folded<'_, S>) + Send,
) -> Result<(), FollowError> {
    while replica.head.sequence < target {
        let after = replica.head.sequence;
        let frames = patiently(|| log.read(after, READ_BYTES)).await?;
        if frames.is_empty() {
            wait_for_a_replica().await;
        }
        for stored in frames.iter().take_while(|stored| stored.sequence <= target) {
            replica.fold(stored, &mut each).map_err(FollowError::Fold)?;
        }
    }
    Ok(())
}

/// Leaves a replica that lags behind the leader the time to catch up; bulk reads may reach one.
pub(crate) async fn wait_for_a_replica() {
    tokio::time::sleep(Duration::from_millis(LAG_MS)).await;
}

/// Asks again for as long as asking again may help.
pub(crate) async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, FollowError>
where
    F: Future<Output = Result<T, LogError>>,
{
    loop {
        match ask().await {
            Err(error) if error.is_transient() => {
                tracing::debug!(%error, "the broker does not answer, asking again");
                tokio::time::sleep(Duration::from_millis(RETRY_MS)).await;
            }
            certain => return certain.map_err(FollowError::Log),
        }
    }
}

/// How a standby comes to believe that nobody writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Just started: if certainly nobody writes, at once.
    Fresh,
    /// Was replaced: only after a random silence.
    Replaced,
}

/// Follows whoever writes until there is silence.
pub(crate) async fn follow_until_silence<S: Service, L: EventLog, T: Stage<S>>(
    replica: &mut Replica<S>,
    log: &L,
    stage: &T,
    patience: Patience,
) -> Result<(), FollowError> {
    catch_up(replica, log, |_| ()).await?;
    if patience == Patience::Fresh && !stage.somebody_writes().await {
        return Ok(());
    }
    loop {
        let silence = Duration::from_millis(rand::random_range(SILENCE_MS));
        let could_hear = stage.connected();
        let heard = stage.next_beat(silence).await;
        let before = replica.head.sequence;
        catch_up(replica, log, |_| ()).await?;
        // A frame that was followed is as good a sign of life as a beat, and silence on a lost
        // connection is none of the writer's.
        let moved = before < replica.head.sequence;
        if heard.is_none() && !moved && could_hear && stage.connected() {
            return Ok(());
        }
    }
}
