//! A TCP proxy that misbehaves on command: put it between a client and a broker.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

/// What is read at once; a delay is per chunk.
const CHUNK_BYTES: usize = 16 * 1024;

/// Which way bytes flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// What the proxy does with all its connections, old and new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Forwards everything.
    Pass,
    /// Withholds what flows one way, as a lossy link does before TCP's retransmission gets through:
    /// the connection stays open, and the bytes arrive late when another fault is set.
    Blackhole(Direction),
    /// Withholds what flows either way.
    BlackholeBoth,
    /// Forwards every chunk this much later.
    Delay(Duration),
    /// Forwards this many more bytes one way, resets the connection in the middle of whatever was
    /// being said, and then passes again.
    CutAfter(Direction, u64),
    /// Resets every new connection at once; old ones go on.
    Refuse,
}

impl Fault {
    fn withholds(self, direction: Direction) -> bool {
        match self {
            Self::Blackhole(held) => held == direction,
            Self::BlackholeBoth => true,
            Self::Pass | Self::Delay(_) | Self::CutAfter(..) | Self::Refuse => false,
        }
    }
}

/// A proxy on a free port in front of one server. Dropping it resets every connection.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    link: Arc<Link>,
    accepting: AbortHandle,
}

/// What all connections of a proxy share.
#[derive(Debug)]
struct Link {
    server: SocketAddr,
    fault: watch::Sender<Fault>,
    /// Counts the calls of `reset_all`; a connection that sees it change resets itself.
    resets: watch::Sender<u64>,
    connections: AtomicU64,
    to_server_bytes: AtomicU64,
    to_client_bytes: AtomicU64,
}

/// Why a connection has to be reset.
#[derive(Debug)]
struct Cut;

impl FaultProxy {
    /// Listens on a free port of the loopback and forwards to `server`.
    pub async fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("starting a proxy")?;
        let address = listener.local_addr().context("reading the proxy's address")?;
        let link = Arc::new(Link {
            server,
            fault: watch::Sender::new(Fault::Pass),
            resets: watch::Sender::new(0),
            connections: AtomicU64::new(0),
            to_server_bytes: AtomicU64::new(0),
            to_client_bytes: AtomicU64::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&link))).abort_handle();
        Ok(Self { address, link, accepting })
    }

    /// `nats://127.0.0.1:PORT` of the proxy. In a cluster the client must be told to
    /// `ignore_discovered_servers`, or it learns the way around the proxy.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Misbehaves in another way from now on.
    pub fn set(&self, fault: Fault) {
        self.link.fault.send_replace(fault);
    }

    /// Resets every open connection (RST); new ones are still taken.
    pub fn reset_all(&self) {
        self.link.resets.send_modify(|resets| *resets += 1);
    }

    /// How many connections were forwarded so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.link.connections.load(Ordering::SeqCst)
    }

    /// How many bytes were forwarded one way so far, so that a test can prove that its fault bit.
    #[must_use]
    pub fn forwarded_bytes(&self, direction: Direction) -> u64 {
        self.link.counter(direction).load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Link {
    fn counter(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::ToServer => &self.to_server_bytes,
            Direction::ToClient => &self.to_client_bytes,
        }
    }

    /// Waits until bytes may flow in `direction`.
    async fn open(&self, direction: Direction) -> Result<(), Cut> {
        let mut fault = self.fault.subscribe();
        let open = fault.wait_for(|fault| !fault.withholds(direction)).await;
        open.map(drop).map_err(|_proxy_gone| Cut)
    }

    /// How much of a chunk of `len` bytes may still be forwarded; less than `len` means cut.
    fn allowance(&self, direction: Direction, len: usize) -> usize {
        let mut allowed = len;
        self.fault.send_if_modified(|fault| {
            let Fault::CutAfter(cut, left) = fault else { return false };
            if *cut != direction {
                return false;
            }
            let len = u64::try_from(len).expect("a chunk fits u64");
            match left.checked_sub(len) {
                Some(rest) => *left = rest,
                None => {
                    allowed = usize::try_from(*left).expect("less than a chunk");
                    *fault = Fault::Pass;
                }
            }
            true
        });
        allowed
    }
}

async fn accept(listener: TcpListener, link: Arc<Link>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An error here is the client's: it went away before it was accepted.
                if let Ok((client, _)) = accepted {
                    connections.spawn(connection(client, Arc::clone(&link)));
                }
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn connection(mut client: TcpStream, link: Arc<Link>) {
    let mut resets = link.resets.subscribe();
    let refused = *link.fault.borrow() == Fault::Refuse;
    let server = if refused { None } else { TcpStream::connect(link.server).await.ok() };
    let Some(mut server) = server else {
        return reset(client);
    };
    link.connections.fetch_add(1, Ordering::SeqCst);
    let cut = {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        let to_server = pump(client_read, server_write, &link, Direction::ToServer);
        let to_client = pump(server_read, client_write, &link, Direction::ToClient);
        tokio::select! {
            ended = both(to_server, to_client) => ended.is_err(),
            _ = resets.changed() => true,
        }
    };
    if cut {
        reset(client);
        reset(server);
    }
}

async fn both(
    one: impl Future<Output = Result<(), Cut>>,
    other: impl Future<Output = Result<(), Cut>>,
) -> Result<(), Cut> {
    tokio::try_join!(one, other).map(drop)
}

/// Forwards until the source ends, and then ends the target: a half-close passes through.
async fn pump(
    mut source: ReadHalf<'_>,
    mut target: WriteHalf<'_>,
    link: &Link,
    direction: Direction,
) -> Result<(), Cut> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let len = source.read(&mut chunk).await.map_err(cut)?;
        link.open(direction).await?;
        let delay = match *link.fault.borrow() {
            Fault::Delay(delay) => Some(delay),
            Fault::Pass | Fault::Blackhole(_) | Fault::BlackholeBoth => None,
            Fault::CutAfter(..) | Fault::Refuse => None,
        };
        if let Some(delay) = delay {
            sleep(delay).await;
        }
        if len == 0 {
            return target.shutdown().await.map_err(cut);
        }
        let allowed = link.allowance(direction, len);
        target.write_all(&chunk[..allowed]).await.map_err(cut)?;
        let forwarded = u64::try_from(allowed).expect("a chunk fits u64");
        link.counter(direction).fetch_add(forwarded, Ordering::SeqCst);
        if allowed < len {
            return Err(Cut);
        }
    }
}

fn cut(_error: io::Error) -> Cut {
    Cut
}

/// Closes with RST instead of FIN.
fn reset(stream: TcpStream) {
    // Fails only on a socket that is gone already.
    drop(stream.set_zero_linger());
}

#[cfg(test)]
mod tests;
