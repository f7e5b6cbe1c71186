//! Asks every server of the broker which version it is and whether it syncs what it acknowledges.
//!
//! **Invariant:** the answer is each server's own: its monitoring page, imported from the system
//! account under [`BROKER_STATUS`].

use std::{collections::BTreeMap, time::Duration};

use async_nats::{Client, StatusCode, Subscriber};
use futures::StreamExt;
use schemas::{ErrorCode, Fault, subject::BROKER_STATUS};
use serde::Deserialize;
use tokio::time::timeout;

use super::version::Version;

/// How long the first server may take to answer, in milliseconds.
const FIRST_ANSWER_MS: u64 = 3_000;
/// How long the others may take after that, in milliseconds. One that is down never answers.
const FURTHER_ANSWER_MS: u64 = 1_000;

/// Servers that one which names a cluster is assumed to stand for, when it does not tell.
const CLUSTER_SIZE_ASSUMED: u32 = 3;

/// Whether a broker must prove that it syncs every write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DurabilityProof {
    /// It must; one that does not tell is refused.
    #[default]
    Required,
    /// It need not: the operator answers for it.
    Waived,
}

/// What one server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerReport {
    /// Its name.
    pub name: String,
    /// Its version, as it writes it.
    pub version: String,
    /// Whether it syncs every write before it acknowledges it; `None` if it does not tell.
    pub sync_always: Option<bool>,
}

/// What was learnt about a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerReport {
    /// Every server that answered, by name.
    pub servers: Vec<ServerReport>,
    /// How many servers there are, as they themselves count.
    pub cluster_size: u32,
}

/// Why a broker is not used.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// A server is older than what was shown to keep the log's promises.
    #[error("{server} is nats-server {version}, which is older than {minimum}")]
    TooOld {
        /// Its name.
        server: String,
        /// Its version.
        version: String,
        /// The oldest that is let in.
        minimum: Version,
    },
    /// A server acknowledges what is not on disk.
    #[error("{server} acknowledges writes before they are on disk")]
    NotDurable {
        /// Its name.
        server: String,
    },
    /// No server tells whether it syncs.
    #[error("the broker does not tell whether it syncs: nobody answers on {BROKER_STATUS}")]
    DurabilityUnknown,
    /// The question could not be asked.
    #[error("asking the broker what it is failed")]
    Unavailable {
        /// What the client said.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl BrokerError {
    /// The error as users see it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let fault = |code| Fault::new(code, self.to_string());
        match self {
            Self::TooOld { minimum, .. } => fault(ErrorCode::BrokerTooOld).with_hint(format!(
                "install nats-server {minimum} or newer from https://github.com/nats-io/nats-server/releases, \
                 or let `cortex up` fetch one; distributions often carry older ones"
            )),
            Self::NotDurable { .. } => fault(ErrorCode::BrokerNotDurable),
            Self::DurabilityUnknown => fault(ErrorCode::BrokerNotDurable).with_hint(format!(
                "in nats-server's configuration, have the system account export the service \
                 $SYS.REQ.SERVER.PING.JSZ with response_type stream, and Cortex's account import it \
                 to {BROKER_STATUS}"
            )),
            Self::Unavailable { .. } => fault(ErrorCode::Unreachable),
        }
    }
}

#[derive(Deserialize)]
struct Status {
    server: StatusServer,
    #[serde(default)]
    data: Option<StatusData>,
}

#[derive(Deserialize)]
struct StatusServer {
    name: String,
    ver: String,
}

#[derive(Deserialize)]
struct StatusData {
    #[serde(default)]
    config: StatusConfig,
    meta_cluster: Option<StatusCluster>,
}

#[derive(Default, Deserialize)]
struct StatusConfig {
    #[serde(default)]
    sync_always: bool,
}

#[derive(Deserialize)]
struct StatusCluster {
    cluster_size: u32,
}

/// Learns what the broker is, and refuses one that is too old or does not sync.
///
/// # Errors
///
/// See [`BrokerError`].
pub async fn check_broker(
    client: &Client,
    proof: DurabilityProof,
) -> Result<BrokerReport, BrokerError> {
    let report = match ask(client).await? {
        Some(report) => report,
        None => unproven(client),
    };
    judge(&report, proof)?;
    Ok(report)
}

pub(super) fn judge(report: &BrokerReport, proof: DurabilityProof) -> Result<(), BrokerError> {
    let minimum = if 1 < report.cluster_size { Version::CLUSTER_MIN } else { Version::SINGLE_MIN };
    for ServerReport { name, version, sync_always } in &report.servers {
        if Version::parse(version).is_none_or(|version| version < minimum) {
            let (server, version) = (name.clone(), version.clone());
            return Err(BrokerError::TooOld { server, version, minimum });
        }
        match (proof, sync_always) {
            (DurabilityProof::Waived, _) | (DurabilityProof::Required, Some(true)) => {}
            (DurabilityProof::Required, Some(false)) => {
                return Err(BrokerError::NotDurable { server: name.clone() });
            }
            (DurabilityProof::Required, None) => return Err(BrokerError::DurabilityUnknown),
        }
    }
    Ok(())
}

/// What the greeting of the one server that we are connected to tells.
fn unproven(client: &Client) -> BrokerReport {
    let info = client.server_info();
    let cluster_size = if info.cluster.is_some() { CLUSTER_SIZE_ASSUMED } else { 1 };
    let server = ServerReport { name: info.server_name, version: info.version, sync_always: None };
    BrokerReport { servers: vec![server], cluster_size }
}

/// Asks all servers; `None` if none answers.
async fn ask(client: &Client) -> Result<Option<BrokerReport>, BrokerError> {
    let unavailable = |cause| BrokerError::Unavailable { cause };
    let inbox = client.new_inbox();
    let mut answers =
        client.subscribe(inbox.clone()).await.map_err(|error| unavailable(Box::new(error)))?;
    client
        .publish_with_reply(BROKER_STATUS, inbox, r#"{"config":true}"#.into())
        .await
        .map_err(|error| unavailable(Box::new(error)))?;
    let mut servers = BTreeMap::new();
    let mut cluster_size = 1;
    let mut patience = Duration::from_millis(FIRST_ANSWER_MS);
    while let Some(status) = next_status(&mut answers, patience).await {
        patience = Duration::from_millis(FURTHER_ANSWER_MS);
        let StatusServer { name, ver: version } = status.server;
        let cluster = status.data.as_ref().and_then(|data| data.meta_cluster.as_ref());
        cluster_size = cluster_size.max(cluster.map_or(1, |cluster| cluster.cluster_size));
        let sync_always = status.data.map(|data| data.config.sync_always);
        servers.insert(name.clone(), ServerReport { name, version, sync_always });
        if usize::try_from(cluster_size).is_ok_and(|size| size <= servers.len()) {
            break;
        }
    }
    let servers: Vec<_> = servers.into_values().collect();
    Ok((!servers.is_empty()).then_some(BrokerReport { servers, cluster_size }))
}

async fn next_status(answers: &mut Subscriber, patience: Duration) -> Option<Status> {
    let message = timeout(patience, answers.next()).await.ok()??;
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return None;
    }
    serde_json::from_slice(&message.payload).ok()
}
