//! Runs a service in this process: connects, checks what it stands on, and takes part until told
//! to stop.
//!
//! **Invariant:** nothing is written to a broker that is too old, does not sync, or has drifted.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use client::{Client, ConnectError, ConnectOptions};
use jetstream_config::{
    ApplyError, BlobStore, Destructive, JetStreamLog, KvBucket, apply,
    broker::{BrokerError, DurabilityProof, check_broker},
    streams::{self, Replicas, Wanted},
};
use schemas::{ErrorCode, Fault, InstanceId, PrincipalId, subject::LogName};
use tokio::{sync::watch, time::Instant};

use crate::{
    Partition, PartitionError, PositionFile, Projector, Role, RowReader, Service, Snapshots,
    admin::Admin, chain::chain, nats_stage::NatsStage,
};

/// How long answers that are under way may keep a service that stops.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

/// JetStream's code when it cannot set enough disk aside for a stream.
const NO_ROOM: u64 = 10_047;
/// How long others that start at the same time may take up that room.
const ROOM_WITHIN: Duration = Duration::from_secs(10);
/// How long to wait before looking for room again.
const ROOM_PAUSE: Duration = Duration::from_millis(200);

/// What a service needs to know to run.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// How to reach the broker, and as whom.
    pub connect: ConnectOptions,
    /// Where the position in the log is remembered outside the broker.
    pub state_dir: PathBuf,
    /// Copies of every stream.
    pub replicas: Replicas,
    /// Whether the broker must prove that it syncs every write.
    pub durability: DurabilityProof,
}

/// What a service is built with.
#[derive(Clone)]
pub struct HostContext {
    /// The connection.
    pub client: Client,
    /// Reads the service's buckets.
    pub rows: RowReader,
    /// This process start.
    pub instance: InstanceId,
}

/// Why a service does not run.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// There is no connection.
    #[error("connecting to the broker failed")]
    Connect(#[source] ConnectError),
    /// The broker is not fit.
    #[error("the broker is not fit to hold the log")]
    Broker(#[source] BrokerError),
    /// The streams are not as they must be.
    #[error("preparing streams and buckets failed")]
    Streams(#[source] ApplyError),
    /// A stream is not as it must be, and the service may not change it.
    #[error("preparing streams and buckets is not allowed")]
    Denied(#[source] Fault),
    /// The state directory cannot be used.
    #[error("making {path} failed")]
    StateDir {
        /// Which directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The service itself could not be built.
    #[error("building the service failed")]
    Build(#[source] Fault),
    /// The stage could not be opened.
    #[error("subscribing failed")]
    Stage(#[source] Fault),
    /// It had to stop.
    #[error("taking part in the log failed")]
    Partition(#[source] PartitionError),
}

impl HostError {
    /// The error as users see it, with its chain of causes.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let code = match self {
            Self::Connect(error) => error.code(),
            Self::Broker(error) => return error.fault(),
            Self::Streams(error) => return error.fault(),
            Self::StateDir { .. } => ErrorCode::ConfigInvalid,
            Self::Build(fault) | Self::Stage(fault) | Self::Denied(fault) => {
                return fault.clone();
            }
            Self::Partition(error) => error.code(),
        };
        Fault::new(code, chain(self))
    }
}

/// Runs the service that `build` makes, until `stop`.
///
/// # Errors
///
/// What only a person can mend; see [`HostError`].
pub async fn host<S: Service>(
    config: HostConfig,
    build: impl FnOnce(HostContext) -> Result<S, Fault>,
    stop: watch::Receiver<bool>,
) -> Result<(), HostError> {
    let HostConfig { connect, state_dir, replicas, durability } = config;
    std::fs::create_dir_all(&state_dir)
        .map_err(|cause| HostError::StateDir { path: state_dir.clone(), cause })?;
    let client = Client::connect(connect).await.map_err(HostError::Connect)?;
    let nats = client.nats().clone();
    check_broker(&nats, durability).await.map_err(HostError::Broker)?;
    let wanted = streams::of(S::NAME, replicas);
    tokio::select! {
        made = make_streams(&nats, &wanted) => made.map_err(HostError::Streams)?,
        denied = about_streams(client.denials()) => return Err(HostError::Denied(denied)),
    }
    let name = LogName::first(S::NAME);
    let own_name = PrincipalId::parse(S::NAME.as_str()).expect("service names are ids");
    let instance = own_name.instance(rand::random());
    let buckets = {
        let nats = nats.clone();
        move |bucket| KvBucket::new(nats.clone(), bucket)
    };
    let context = HostContext {
        client: client.clone(),
        rows: RowReader::new(buckets.clone()),
        instance: instance.clone(),
    };
    let service = Arc::new(build(context).map_err(HostError::Build)?);
    let log = JetStreamLog::new(nats.clone(), name);
    let snapshots = Snapshots::new(BlobStore::new(nats));
    let (projector, rebuilds) =
        Projector::<S, _>::new(log.clone(), name, snapshots.clone(), buckets);
    let admin = Admin::new(log.clone(), name, rebuilds);
    let about = (name, instance.clone());
    let stage = NatsStage::open(client.clone(), Arc::clone(&service), admin, about).await;
    let (stage, mut all_answered) = stage.map_err(HostError::Stage)?;
    let partition = Partition {
        service,
        name,
        log,
        stage,
        instance,
        position: PositionFile::in_directory(&state_dir, name),
        snapshots: Some(snapshots),
        companion: Some(Box::new(projector)),
        role: watch::channel(Role::Standby).0,
    };
    let ended = partition.run(stop).await.map_err(HostError::Partition);
    drop(tokio::time::timeout(ANSWERED_WITHIN, all_answered.recv()).await);
    client.close().await;
    ended
}

/// The first denial of something about a stream: where only admins make streams, one is missing or is
/// not as it should be.
async fn about_streams(mut denials: client::Denials) -> Fault {
    loop {
        let fault = denials.next().await;
        if fault.details["subject"].as_str().is_some_and(|subject| subject.contains(".STREAM.")) {
            return fault
                .with_hint("an admin makes and changes streams; `cortex up` does it first");
        }
    }
}

/// Makes streams and buckets as they should be. When services start at the same time, each sets
/// disk aside for what both make, and the broker may find too little of it until one is done.
async fn make_streams(nats: &async_nats::Client, wanted: &[Wanted]) -> Result<(), ApplyError> {
    let until = Instant::now() + ROOM_WITHIN;
    loop {
        match apply(nats, wanted, Destructive::Withheld).await {
            Ok(applied) => {
                if !applied.created.is_empty() {
                    tracing::info!(created = ?applied.created, "made streams and buckets");
                }
                return Ok(());
            }
            Err(ApplyError::Refused { code: NO_ROOM, .. }) if Instant::now() < until => {
                tokio::time::sleep(ROOM_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}
