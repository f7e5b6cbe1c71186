//! The node's end: what it signs with, and one counter for each run that may ask.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use agent_core::{Asking, Budget, Delegation, RunOrder};
use client::Client;
use schemas::PrincipalId;
use tokio::{net::UnixListener, sync::Semaphore, task::JoinHandle};
use trust::{ClusterName, SecretKey};

use super::{caller::through, session::Session};
use crate::private;

/// Connections of one run at the same time; more wait.
const CONNECTIONS_MAX: usize = 16;
/// The folder in the run's own directory that is shown to the run: only folders can be.
const FOLDER: &str = ".delegate";
/// The socket in it.
const SOCKET: &str = "node";

/// What the node signs the requests of its runs with.
pub(crate) struct Desk {
    pub(crate) client: Client,
    pub(crate) cluster: ClusterName,
    pub(crate) key: SecretKey,
    /// The file with the key's certificates; read for each request, for it may be renewed.
    pub(crate) certificates: Option<PathBuf>,
}

/// Where one run is served. Dropping it ends that.
pub(crate) struct Counter {
    folder: PathBuf,
    serving: JoinHandle<()>,
}

impl Desk {
    /// As whom requests are signed.
    pub(super) fn principal(&self) -> &PrincipalId {
        self.client.principal()
    }

    /// Opens a counter in the directory of a run that may ask for something.
    ///
    /// # Errors
    ///
    /// When there can be no socket in it.
    pub(crate) fn open(
        self: &Arc<Self>,
        order: &RunOrder,
        scratch: &Path,
    ) -> io::Result<Option<Counter>> {
        let Some(delegation) = order.delegation.clone() else { return Ok(None) };
        let folder = scratch.join(FOLDER);
        private::make_folder(&folder)?;
        let listener = UnixListener::bind(through(&File::open(&folder)?, Path::new(SOCKET)))?;
        let session = Session::new(Arc::clone(self), self.budget(order, delegation));
        let serving = tokio::spawn(serve(listener, Arc::new(session)));
        Ok(Some(Counter { folder, serving }))
    }

    fn budget(&self, order: &RunOrder, delegation: Delegation) -> Budget {
        let asking = Asking {
            issuer: self.principal().clone(),
            subject: order.subject.clone(),
            parent: order.key.task.clone(),
            partition: order.partition,
            trace: order.trace.clone(),
        };
        Budget::new(asking, delegation)
    }
}

/// Serves whoever connects; all of it ends with the task that does this.
async fn serve(listener: UnixListener, session: Arc<Session>) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&free).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let session = Arc::clone(&session);
                connections.spawn(async move {
                    session.serve(stream).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a run's requests are served no more");
                return;
            }
        }
    }
}

impl Counter {
    /// What has to be shown to the run.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the run finds it.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(SOCKET)
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
