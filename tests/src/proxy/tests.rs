//! Each fault of the proxy, on a server that sends back what it hears.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{Direction, Fault, FaultProxy};
use crate::eventually;

const DEADLINE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(200);

async fn echo_server() -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await.ok()
            });
        }
    });
    Ok(address)
}

async fn connected() -> Result<(FaultProxy, TcpStream)> {
    let proxy = FaultProxy::start(echo_server().await?).await?;
    let stream = connect(&proxy).await?;
    Ok((proxy, stream))
}

async fn connect(proxy: &FaultProxy) -> Result<TcpStream> {
    let stream = TcpStream::connect(proxy.url().trim_start_matches("nats://")).await?;
    Ok(stream)
}

async fn say(stream: &mut TcpStream, text: &str) -> Result<()> {
    Ok(stream.write_all(text.as_bytes()).await?)
}

async fn hears(stream: &mut TcpStream, text: &str) -> Result<()> {
    let mut heard = vec![0; text.len()];
    timeout(DEADLINE, stream.read_exact(&mut heard)).await??;
    assert_eq!(String::from_utf8_lossy(&heard), text);
    Ok(())
}

async fn hears_nothing(stream: &mut TcpStream) {
    let read = timeout(SHORT, stream.read_u8()).await;
    assert!(read.is_err(), "something came through: {read:?}");
}

async fn is_reset(stream: &mut TcpStream) -> Result<()> {
    let error = timeout(DEADLINE, stream.read_u8()).await?.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    Ok(())
}

#[tokio::test]
async fn a_passing_proxy_forwards_both_ways_and_counts() -> Result<()> {
    let (proxy, mut stream) = connected().await?;
    say(&mut stream, "hello").await?;
    hears(&mut stream, "hello").await?;
    assert_eq!(proxy.connections(), 1);
    assert_eq!(proxy.forwarded_bytes(Direction::ToServer), 5);
    eventually(DEADLINE, || async { proxy.forwarded_bytes(Direction::ToClient) == 5 }).await
}

async fn check_withheld(fault: Fault, reaches_server: bool) -> Result<()> {
    let (proxy, mut stream) = connected().await?;
    proxy.set(fault);
    say(&mut stream, "late").await?;
    hears_nothing(&mut stream).await;
    assert_eq!(proxy.forwarded_bytes(Direction::ToServer) == 4, reaches_server);
    proxy.set(Fault::Pass);
    hears(&mut stream, "late").await
}

#[tokio::test]
async fn a_blackhole_to_the_server_withholds_requests_until_it_heals() -> Result<()> {
    check_withheld(Fault::Blackhole(Direction::ToServer), false).await
}

#[tokio::test]
async fn a_blackhole_to_the_client_lets_requests_land_and_withholds_answers() -> Result<()> {
    check_withheld(Fault::Blackhole(Direction::ToClient), true).await
}

#[tokio::test]
async fn a_blackhole_both_ways_withholds_everything() -> Result<()> {
    check_withheld(Fault::BlackholeBoth, false).await
}

#[tokio::test]
async fn a_delay_holds_every_chunk_back() -> Result<()> {
    let (proxy, mut stream) = connected().await?;
    proxy.set(Fault::Delay(SHORT));
    let begin = Instant::now();
    say(&mut stream, "slow").await?;
    hears(&mut stream, "slow").await?;
    assert!(begin.elapsed() >= SHORT * 2, "{:?}", begin.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_cut_resets_the_connection_after_exactly_so_many_bytes_and_then_passes() -> Result<()> {
    let (proxy, mut stream) = connected().await?;
    proxy.set(Fault::CutAfter(Direction::ToServer, 6));
    say(&mut stream, "abcd").await?;
    hears(&mut stream, "abcd").await?;
    say(&mut stream, "efgh").await?;
    is_reset(&mut stream).await?;
    assert_eq!(proxy.forwarded_bytes(Direction::ToServer), 6);
    let mut second = connect(&proxy).await?;
    say(&mut second, "again").await?;
    hears(&mut second, "again").await
}

#[tokio::test]
async fn a_reset_hits_open_connections_and_takes_new_ones() -> Result<()> {
    let (proxy, mut stream) = connected().await?;
    say(&mut stream, "hello").await?;
    hears(&mut stream, "hello").await?;
    proxy.reset_all();
    is_reset(&mut stream).await?;
    let mut second = connect(&proxy).await?;
    say(&mut second, "again").await?;
    hears(&mut second, "again").await
}

#[tokio::test]
async fn a_refusing_proxy_resets_new_connections_and_keeps_old_ones() -> Result<()> {
    let (proxy, mut stream) = connected().await?;
    say(&mut stream, "hello").await?;
    hears(&mut stream, "hello").await?;
    proxy.set(Fault::Refuse);
    is_reset(&mut connect(&proxy).await?).await?;
    say(&mut stream, "still").await?;
    hears(&mut stream, "still").await
}
