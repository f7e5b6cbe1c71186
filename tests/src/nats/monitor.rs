//! Reads a broker's monitoring pages.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The part of `/healthz` that matters.
#[derive(Debug, Deserialize)]
pub(super) struct Health {
    pub(super) status: String,
}

/// The part of `/jsz` that matters.
#[derive(Debug, Deserialize)]
pub(super) struct JetStream {
    pub(super) meta_cluster: Option<MetaCluster>,
}

/// Who leads the cluster's own log.
#[derive(Debug, Deserialize)]
pub(super) struct MetaCluster {
    #[serde(default)]
    pub(super) leader: String,
    pub(super) cluster_size: usize,
}

/// The part of `/routez` that matters: one entry a connection, several to each neighbour.
#[derive(Debug, Deserialize)]
pub(super) struct Routes {
    #[serde(default)]
    pub(super) routes: Vec<Route>,
}

/// One connection to a neighbour.
#[derive(Debug, Deserialize)]
pub(super) struct Route {
    #[serde(default)]
    pub(super) remote_name: String,
}

/// Fetches `path` from the monitoring port and parses its JSON, whatever the status line says:
/// an unhealthy server answers 503 with a page that tells why.
pub(super) async fn page<T: DeserializeOwned>(monitor: SocketAddr, path: &str) -> Result<T> {
    let mut stream = TcpStream::connect(monitor).await.context("connecting to the monitor")?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {monitor}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.context("asking the monitor")?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.context("reading from the monitor")?;
    let body = response.windows(4).position(|four| four == b"\r\n\r\n");
    ensure!(body.is_some(), "the monitor sent no whole answer to {path}");
    let body = &response[body.map_or(0, |end| end + 4)..];
    serde_json::from_slice(body).with_context(|| format!("parsing the monitor's {path}"))
}
