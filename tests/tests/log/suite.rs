//! The suite, run against every holder of logs.

use std::sync::atomic::{AtomicU32, Ordering};

use async_nats::Client;
use cortex_tests::{NatsCluster, NatsServer};
use jetstream_config::streams::Replicas;
use jetstream_config::twin::TwinLog;
use jetstream_config::{Destructive, EventLog, JetStreamLog, apply};

use crate::promises::{Bed, keep_all};
use crate::support::{connect, log_name, make_log, wanted_log};

/// Room for four frames of 200,000 bytes.
const SMALL_LOG_BYTES: u32 = 1_000_000;

struct Memory;

impl Bed for Memory {
    type Log = TwinLog;

    async fn empty_log(&self) -> TwinLog {
        TwinLog::new()
    }

    async fn small_log(&self) -> TwinLog {
        let log = TwinLog::new();
        log.limit_bytes(Some(SMALL_LOG_BYTES as usize));
        log
    }

    async fn reopen(&self, log: &TwinLog) -> TwinLog {
        log.another_connection()
    }
}

struct Brokers {
    urls: Vec<String>,
    replicas: Replicas,
    client: Client,
    partitions: AtomicU32,
    connections: AtomicU32,
}

impl Brokers {
    async fn new(urls: Vec<String>, replicas: Replicas) -> Self {
        let client = connect(&urls.join(",")).await;
        let (partitions, connections) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { urls, replicas, client, partitions, connections }
    }
}

impl Bed for Brokers {
    type Log = JetStreamLog;

    async fn empty_log(&self) -> JetStreamLog {
        let partition = self.partitions.fetch_add(1, Ordering::Relaxed);
        make_log(&self.client, log_name(partition), self.replicas).await
    }

    async fn small_log(&self) -> JetStreamLog {
        let name = log_name(self.partitions.fetch_add(1, Ordering::Relaxed));
        let wanted = wanted_log(name, self.replicas).with_max_bytes(SMALL_LOG_BYTES.into());
        apply(&self.client, &[wanted], Destructive::Withheld).await.unwrap();
        JetStreamLog::new(self.client.clone(), name)
    }

    /// Each handle is connected to the next server, so that rivals sit on all of them.
    async fn reopen(&self, log: &JetStreamLog) -> JetStreamLog {
        let turn = self.connections.fetch_add(1, Ordering::Relaxed) as usize;
        let client = connect(&self.urls[turn % self.urls.len()]).await;
        let handle = JetStreamLog::new(client, log.name());
        assert!(handle.connected());
        handle
    }
}

#[tokio::test]
async fn the_log_in_memory_keeps_every_promise() {
    keep_all(&Memory).await;
}

#[tokio::test]
async fn one_server_keeps_every_promise() {
    let server = NatsServer::start().await.unwrap();
    keep_all(&Brokers::new(vec![server.url()], Replicas::One).await).await;
}

#[tokio::test]
async fn three_servers_keep_every_promise() {
    let cluster = NatsCluster::start().await.unwrap();
    let urls = cluster.nodes().iter().map(NatsServer::url).collect();
    keep_all(&Brokers::new(urls, Replicas::Three).await).await;
}
