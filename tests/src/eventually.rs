//! Waits for a condition with a deadline, and says where the wait stands when it fails.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{sleep, timeout};

/// How long to leave a condition alone between two looks at it.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Waits until `condition` is true. Fails with the caller's place when `deadline` passes first,
/// also when one look at the condition hangs.
#[track_caller]
pub fn eventually<C, F>(deadline: Duration, mut condition: C) -> impl Future<Output = Result<()>>
where
    C: FnMut() -> F,
    F: Future<Output = bool>,
{
    eventually_some(deadline, move || {
        let holds = condition();
        async move { holds.await.then_some(()) }
    })
}

/// Waits until `find` returns something, and returns it. Fails as [`eventually`] does.
#[track_caller]
pub fn eventually_some<T, C, F>(deadline: Duration, mut find: C) -> impl Future<Output = Result<T>>
where
    C: FnMut() -> F,
    F: Future<Output = Option<T>>,
{
    let place = Location::caller();
    async move {
        timeout(deadline, async move {
            loop {
                if let Some(found) = find().await {
                    return found;
                }
                sleep(POLL_INTERVAL).await;
            }
        })
        .await
        .map_err(|_| anyhow!("{place}: what was waited for did not happen within {deadline:?}"))
    }
}
