//! What every suite here starts from: a broker, the ledger on it, and somebody who asks.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use client::{Client, ConnectOptions};
use cortex_tests::{Guarded, NatsServer, ServerOptions, eventually, eventually_some};
use jetstream_config::{
    EventLog as _, JetStreamLog, KvBucket, Row, RowKind,
    broker::DurabilityProof,
    streams::{self, Replicas, storage_bytes},
};
use runtime::{HostConfig, HostError};
use schemas::{
    Fault, PrincipalId,
    frame::Frame,
    projection::{CHECKPOINT_KEY, RebuildAnswer, RebuildRequest},
    subject::{LogName, ServiceName},
};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};

use crate::ledger::{Add, BUCKET, Event, Ledger, Name, Sum};

/// Nothing here should take nearly as long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The log of the ledger.
pub(crate) fn name() -> LogName {
    LogName::first(ServiceName::Registry)
}

/// A broker's options with room for all streams: it is reserved, not used.
pub(crate) fn roomy(replicas: Replicas) -> ServerOptions {
    let room = storage_bytes(&streams::all(replicas));
    ServerOptions { jetstream_extra: format!("max_file_store: {room}"), ..ServerOptions::default() }
}

/// A single broker with room for everything.
pub(crate) async fn broker() -> Result<NatsServer> {
    NatsServer::start_with(roomy(Replicas::One)).await
}

/// How to host the ledger at `url`.
pub(crate) fn config(url: &str, state_dir: &Path, replicas: Replicas) -> HostConfig {
    HostConfig {
        connect: ConnectOptions::new(url, id("registry")),
        state_dir: state_dir.to_owned(),
        replicas,
        // These brokers sync every write, but show their settings to nobody.
        durability: DurabilityProof::Waived,
    }
}

/// The ledger in this process.
pub(crate) struct Hosted {
    stop: watch::Sender<bool>,
    built: watch::Receiver<bool>,
    serving: JoinHandle<Result<(), HostError>>,
}

impl Hosted {
    /// Hosts it, without waiting for anything.
    pub(crate) fn begin(config: HostConfig) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (building, built) = watch::channel(false);
        let build = move |_| {
            building.send_replace(true);
            Ok(Ledger)
        };
        Self { stop, built, serving: tokio::spawn(runtime::host(config, build, stopped)) }
    }

    /// Waits until it has prepared all streams and takes part.
    pub(crate) async fn takes_part(&mut self) -> Result<()> {
        tokio::time::timeout(DEADLINE, self.built.wait_for(|built| *built)).await??;
        Ok(())
    }

    /// Hosts it at `url` and waits until it answers.
    pub(crate) async fn start(url: &str, state: &TempDir) -> Result<Self> {
        let hosted = Self::begin(config(url, state.path(), Replicas::One));
        wait_until_served(url).await?;
        Ok(hosted)
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.send_replace(true);
        Ok(self.serving.await??)
    }

    /// Ends it at once: nothing is said to anybody, nothing is written down.
    pub(crate) async fn abort(self) {
        self.serving.abort();
        drop(self.serving.await);
    }

    /// Why it ended by itself.
    pub(crate) async fn failure(self) -> Result<Fault> {
        let ended = tokio::time::timeout(DEADLINE, self.serving).await.context("it goes on")??;
        Ok(ended.err().context("it ended well")?.fault())
    }
}

/// Waits until somebody answers for the ledger.
pub(crate) async fn wait_until_served(url: &str) -> Result<()> {
    let asker = Asker::connect(url).await?;
    eventually(DEADLINE, || async { asker.total().await.is_ok() }).await
}

/// The ledger in a process of its own: this test binary, executed anew for one test alone.
pub(crate) struct Child {
    pub(crate) guard: Guarded,
    log: PathBuf,
}

const URL_VARIABLE: &str = "LEDGER_URL";
const STATE_VARIABLE: &str = "LEDGER_STATE";

impl Child {
    /// Starts it, without waiting for anything.
    pub(crate) fn start(url: &str) -> Result<Self> {
        let dir = TempDir::new()?.keep();
        let log = dir.join("log");
        let this = std::env::current_exe()?.to_string_lossy().into_owned();
        let args = [
            format!("{URL_VARIABLE}={url}"),
            format!("{STATE_VARIABLE}={}", dir.display()),
            this,
            "--exact".to_owned(),
            "hosted::the_ledger_in_a_process_of_its_own".to_owned(),
            "--nocapture".to_owned(),
        ];
        let guard = Guarded::spawn(Path::new("env"), args, &dir, &log)?;
        Ok(Self { guard, log })
    }

    /// What it printed.
    pub(crate) fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Not a test by itself: what [`Child`] executes. Passes at once in any other process.
#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_in_a_process_of_its_own() -> Result<()> {
    let (Ok(url), Ok(state)) = (std::env::var(URL_VARIABLE), std::env::var(STATE_VARIABLE)) else {
        return Ok(());
    };
    let hosted = Hosted::begin(config(&url, Path::new(&state), Replicas::One));
    Ok(hosted.serving.await??)
}

/// Somebody who asks.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) client: Client,
}

impl Asker {
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        Self::connect_as(url, "alice").await
    }

    pub(crate) async fn connect_as(url: &str, principal: &str) -> Result<Self> {
        Ok(Self { client: Client::connect(ConnectOptions::new(url, id(principal))).await? })
    }

    /// Adds to an account; repeats itself for as long as the deadline of all tests.
    pub(crate) async fn add(&self, account: &str, amount: u64) -> Result<Sum, Fault> {
        self.add_noted(account, amount, 0).await
    }

    /// The same with a note of that many bytes.
    pub(crate) async fn add_noted(
        &self,
        account: &str,
        amount: u64,
        note: usize,
    ) -> Result<Sum, Fault> {
        let add = Add { account: account.to_owned(), amount, note: "x".repeat(note) };
        self.client.call(ServiceName::Registry, "add").deadline(DEADLINE).send(&add).await
    }

    pub(crate) async fn close(&self, account: &str) -> Result<Sum, Fault> {
        let name = Name { account: account.to_owned() };
        self.client.request(ServiceName::Registry, "close", &name).await
    }

    pub(crate) async fn total(&self) -> Result<Sum, Fault> {
        self.client.request(ServiceName::Registry, "total", &serde_json::json!({})).await
    }

    pub(crate) async fn rebuild(&self, check_only: bool) -> Result<RebuildAnswer, Fault> {
        let request = RebuildRequest { bucket: BUCKET.as_str().to_owned(), check_only };
        let call = self.client.call(ServiceName::Registry, "rebuild");
        call.deadline(DEADLINE).send(&request).await
    }

    /// The rows as they are, tombstones and checkpoint too; waits for a broker that starts.
    pub(crate) async fn rows(&self) -> Result<Vec<Row>> {
        eventually_some(DEADLINE, || async { self.bucket().rows().await.ok() }).await
    }

    pub(crate) fn bucket(&self) -> KvBucket {
        KvBucket::new(self.client.nats().clone(), BUCKET)
    }

    /// The live rows' keys, sorted, without the checkpoint.
    pub(crate) async fn keys(&self) -> Result<Vec<String>> {
        let live = |row: &Row| row.kind == RowKind::Value && row.key != CHECKPOINT_KEY;
        let mut keys: Vec<_> =
            self.rows().await?.into_iter().filter(live).map(|row| row.key).collect();
        keys.sort();
        Ok(keys)
    }

    /// Every frame of the log; waits for a broker that starts.
    pub(crate) async fn frames(&self) -> Result<Vec<Frame>> {
        eventually_some(DEADLINE, || async { self.try_frames().await.ok() }).await
    }

    async fn try_frames(&self) -> Result<Vec<Frame>> {
        let log = JetStreamLog::new(self.client.nats().clone(), name());
        let last = log.last_sequence().await?;
        let (mut frames, mut after) = (Vec::new(), 0);
        while after < last {
            for stored in log.read(after, 1024 * 1024).await? {
                after = stored.sequence;
                frames.push(serde_json::from_slice(&stored.bytes)?);
            }
        }
        Ok(frames)
    }

    /// The amounts in the log, in order.
    pub(crate) async fn amounts(&self) -> Result<Vec<u64>> {
        let frames = self.frames().await?;
        let decisions = frames.iter().flat_map(|frame| &frame.decisions);
        let events = decisions.flat_map(|decision| &decision.events);
        let amount = |raw: &str| match serde_json::from_str(raw) {
            Ok(Event::Added { amount, .. }) => Some(amount),
            Ok(Event::Closed { .. }) | Err(_) => None,
        };
        Ok(events.filter_map(|raw| amount(raw.get())).collect())
    }
}

pub(crate) fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).expect("tests name their principals well")
}
