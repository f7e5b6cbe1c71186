//! Three real nats-servers as one cluster.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use async_nats::{Client, ConnectOptions, jetstream};

use super::config::{Seat, ServerOptions};
use super::monitor::{JetStream, Routes, page};
use super::server::NatsServer;
use crate::{eventually, eventually_some};

/// The smallest cluster that survives the loss of a node.
const SIZE: usize = 3;
/// Forming takes 2-5 s: routes, then an election with a random time-out.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How often a cluster is set up anew when something took one of its route ports.
const START_ATTEMPTS: u32 = 3;

/// Three nodes `n0`, `n1`, `n2`, each a [`NatsServer`] to kill, pause, resume and restart.
#[derive(Debug)]
pub struct NatsCluster {
    nodes: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts three nodes without logins and waits until they can hold replicated streams.
    pub async fn start() -> Result<Self> {
        Self::start_with(ServerOptions::default()).await
    }

    /// Starts three nodes with the same `options`.
    pub async fn start_with(options: ServerOptions) -> Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::try_start(&options).await {
                Ok(cluster) => return Ok(cluster),
                Err(error) if attempt == START_ATTEMPTS => return Err(error),
                Err(_route_port_taken) => attempt += 1,
            }
        }
    }

    async fn try_start(options: &ServerOptions) -> Result<Self> {
        let all_ports = free_ports()?;
        let mut nodes = Vec::new();
        for (index, port) in all_ports.iter().copied().enumerate() {
            let seat = Seat { name: format!("n{index}"), port, all_ports: all_ports.clone() };
            let node = NatsServer::prepare(options.clone(), Some(seat))?;
            node.spawn_and_listen().await?;
            nodes.push(node);
        }
        let cluster = Self { nodes };
        cluster.wait_ready().await?;
        Ok(cluster)
    }

    /// The three nodes, dead ones too.
    #[must_use]
    pub fn nodes(&self) -> &[NatsServer] {
        &self.nodes
    }

    /// The URLs of all nodes, separated by commas.
    #[must_use]
    pub fn urls(&self) -> String {
        self.nodes.iter().map(NatsServer::url).collect::<Vec<_>>().join(",")
    }

    /// Connects to any node, moving on to another when it goes away.
    pub async fn connect(&self) -> Result<Client> {
        let login = self.nodes.first().context("the cluster has nodes")?;
        let urls: Vec<_> = self.nodes.iter().map(NatsServer::url).collect();
        login.login(ConnectOptions::new()).connect(urls).await.context("connecting to the cluster")
    }

    /// Waits until every node runs, sees both others and follows the same JetStream leader.
    pub async fn wait_ready(&self) -> Result<()> {
        eventually(READY_DEADLINE, || async {
            let mut leaders = BTreeSet::new();
            for node in &self.nodes {
                match self.leader_as_seen_by(node).await {
                    Ok(Some(leader)) => leaders.insert(leader),
                    Ok(None) | Err(_) => return false,
                };
            }
            leaders.len() == 1
        })
        .await
        .with_context(|| format!("the cluster did not form; its nodes logged:\n{}", self.logs()))?;
        for node in &self.nodes {
            node.wait_healthy().await?;
        }
        Ok(())
    }

    /// The name of the JetStream leader if `node` sees everybody and knows one.
    async fn leader_as_seen_by(&self, node: &NatsServer) -> Result<Option<String>> {
        let monitor = node.monitor()?;
        let routes: Routes = page(monitor, "/routez").await?;
        let neighbours: BTreeSet<_> =
            routes.routes.iter().map(|route| &route.remote_name).collect();
        let jetstream: JetStream = page(monitor, "/jsz").await?;
        Ok(jetstream
            .meta_cluster
            .filter(|meta| meta.cluster_size == SIZE && neighbours.len() == SIZE - 1)
            .map(|meta| meta.leader)
            .filter(|leader| !leader.is_empty()))
    }

    /// The node that leads `stream` now; waits for an election that is under way.
    pub async fn leader_of(&self, stream: &str) -> Result<&NatsServer> {
        let context = jetstream::new(self.connect().await?);
        let name = eventually_some(READY_DEADLINE, || async {
            let stream = context.get_stream(stream).await.ok()?;
            stream.cached_info().cluster.as_ref()?.leader.clone()
        })
        .await
        .with_context(|| format!("stream {stream} has no leader"))?;
        let leads = |node: &&NatsServer| node.name() == name;
        self.nodes.iter().find(leads).ok_or_else(|| anyhow!("no node is called {name}"))
    }

    /// Kills the node that leads `stream`, and returns it to be restarted.
    pub async fn kill_leader_of(&self, stream: &str) -> Result<&NatsServer> {
        let leader = self.leader_of(stream).await?;
        leader.kill()?;
        Ok(leader)
    }

    /// Freezes the node that leads `stream`, and returns it to be resumed.
    pub async fn pause_leader_of(&self, stream: &str) -> Result<&NatsServer> {
        let leader = self.leader_of(stream).await?;
        leader.pause()?;
        Ok(leader)
    }

    fn logs(&self) -> String {
        let logs = self.nodes.iter().map(|node| format!("{}:\n{}", node.name(), node.log()));
        logs.collect::<Vec<_>>().join("\n")
    }
}

/// As many different free ports as there are nodes: they must know each other's before they start.
fn free_ports() -> Result<Vec<u16>> {
    let listeners: Vec<_> = (0..SIZE)
        .map(|_| TcpListener::bind(("127.0.0.1", 0)))
        .collect::<std::io::Result<_>>()
        .context("finding free ports")?;
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    listeners.iter().map(port).collect::<std::io::Result<_>>().context("reading free ports")
}
