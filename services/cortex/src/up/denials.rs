//! What the broker forbids stands in its log alone: read there as it is written, and told to the
//! registry.
//!
//! **Invariant:** whoever writes the broker's log down never waits for the registry, and what is
//! kept until it hears of it is bounded; what is more is counted.

mod gather;
mod line;
mod report;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use schemas::registry::ReportDenialsRequest;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::timeout,
};

use gather::Gathered;
pub(crate) use gather::Heard;

use crate::{clock::now, context::Context, output::note};

/// How long what was gathered last may take to be told of when everything is stopped.
const FINISH_WITHIN: Duration = Duration::from_secs(3);

/// What was read in the broker's log and not told of yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Denials {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    gathered: Mutex<Gathered>,
    /// There is something to tell.
    something: Notify,
}

impl Denials {
    /// Takes a line of the broker's log; nothing when it tells of no denial.
    pub(crate) fn hear(&self, line: &str) -> Option<Heard> {
        let heard = self.gathered().take(line::read(line)?, now());
        self.inner.something.notify_one();
        Some(heard)
    }

    /// What was heard since this was last asked.
    fn drain(&self) -> Option<ReportDenialsRequest> {
        self.gathered().drain()
    }

    /// What could not be told becomes a part of what is only counted.
    fn lose(&self, request: &ReportDenialsRequest) {
        self.gathered().lose(request);
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.inner.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the registry from now on, as whom the context says.
    pub(crate) fn report(&self, admin: Context) -> Reporter {
        let (closing, closed) = watch::channel(false);
        Reporter { closing, task: tokio::spawn(report::keep(self.clone(), admin, closed)) }
    }
}

/// Tells the registry what was gathered.
pub(crate) struct Reporter {
    closing: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Reporter {
    /// Tells what is left, while the registry is still there.
    pub(crate) async fn finish(mut self) {
        self.closing.send_replace(true);
        if timeout(FINISH_WITHIN, &mut self.task).await.is_err() {
            self.task.abort();
            note("what the broker forbade last is not recorded: it stands in its log alone");
        }
    }
}
