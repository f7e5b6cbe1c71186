//! What no client library would send: bytes on the wire of the broker.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cortex_tests::eventually_some;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::anybody;
use crate::stage::{DEADLINE, Stage};

/// Where what is asked here is answered.
const INBOX: &str = "_INBOX.mallory.wire";

/// A connection that speaks the protocol by hand.
struct Wire(BufReader<TcpStream>);

impl Wire {
    async fn open(stage: &Stage) -> Result<Self> {
        let address = stage.login.url.trim_start_matches("nats://");
        let mut wire = Self(BufReader::new(TcpStream::connect(address).await?));
        let mut hello = String::new();
        timeout(DEADLINE, wire.0.read_line(&mut hello)).await??;
        let hello: Value = serde_json::from_str(hello.trim_start_matches("INFO "))?;
        let nonce = hello["nonce"].as_str().context("nothing to sign")?;
        let creds = anybody::creds(&stage.cortex)?;
        let signature = URL_SAFE_NO_PAD.encode(creds.sign_nonce(nonce.as_bytes())?);
        let login = json!({
            "jwt": creds.jwt().as_str(), "sig": signature, "verbose": false,
            "headers": true, "lang": "hand", "version": "0", "protocol": 1,
        });
        wire.write(format!("CONNECT {login}\r\nSUB {INBOX} 1\r\nPING\r\n").as_bytes()).await?;
        ensure!(wire.line().await?.starts_with("PONG"), "the login was refused");
        Ok(wire)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.0.write_all(bytes).await?)
    }

    /// Sends `{}` to `subject`, with headers as they are given.
    async fn ask(&mut self, subject: &[u8], headers: &[u8]) -> Result<()> {
        let begin = if headers.is_empty() { b"PUB ".to_vec() } else { b"HPUB ".to_vec() };
        let sizes = match headers.len() {
            0 => "2".to_owned(),
            bytes => format!("{bytes} {}", bytes + 2),
        };
        let to = format!(" {INBOX} {sizes}\r\n");
        self.write(&[&begin, subject, to.as_bytes(), headers, b"{}\r\n"].concat()).await
    }

    /// What the broker says, beside telling about itself and looking whether we live.
    async fn line(&mut self) -> Result<String> {
        loop {
            let mut line = Vec::new();
            let read = timeout(DEADLINE, self.0.read_until(b'\n', &mut line)).await;
            read.context("the broker says nothing")??;
            let line = String::from_utf8_lossy(&line).into_owned();
            if !line.starts_with("INFO") && !line.starts_with("PING") {
                return Ok(line);
            }
        }
    }
}

/// The process starts that serve, and whether each has written one term only.
async fn writers(stage: &Stage) -> Result<Vec<String>> {
    let mut writers = Vec::new();
    for service in ["registry", "scheduler"] {
        let subject = format!("cortex.writer.{service}.0");
        // One that is just connecting does not hear.
        let ask = || async {
            let asked = stage.nats.request(subject.clone(), "".into());
            timeout(Duration::from_millis(500), asked).await.ok()?.ok()
        };
        let answer = eventually_some(DEADLINE, ask).await?;
        let beat: Value = serde_json::from_slice(&answer.payload)?;
        writers.push(format!("{} {}", beat["instance"], beat["term"]));
    }
    Ok(writers)
}

/// The client library gives a connection up that delivers such bytes, so a service is away until it
/// is connected again; a request of that moment is sent again.
#[tokio::test]
async fn bytes_that_are_no_text_cost_a_service_its_connection_at_most() -> Result<()> {
    let stage = Stage::enter().await?;
    let before = writers(&stage).await?;
    let mut wire = Wire::open(&stage).await?;
    let verb = &b"cortex.cmd.mallory.registry.get-agents"[..];
    for (subject, headers) in [
        (&b"cortex.cmd.mall\xffory.registry.get-agents"[..], &b""[..]),
        (b"cortex.cmd.mallory.scheduler.\xc3\x28", b""),
        (b"cortex.hb.\xff", b""),
        (b"cortex.node.local.\xff", b""),
        (verb, b"NATS/1.0\r\nCortex-Command-Id: \xff\r\n\r\n"),
        (verb, b"NATS/1.0\r\n\xff: x\r\n\r\n"),
        (verb, b"NATS/1.0\r\nno colon\r\n\r\n"),
        (verb, b"NATS/1.0\r\n: nameless\r\n\r\n"),
        (verb, b"NATS/1.0\r\n\r\n"),
        (verb, b"garbage"),
        (verb, b"NATS/1.0 999 garbage\r\n\r\n"),
    ] {
        wire.ask(subject, headers).await?;
        let asked = stage.run(&["run", "--on", "local", "--", "true"]).await?;
        let shown = String::from_utf8_lossy(subject).into_owned();
        assert_eq!(asked.code, 0, "after {shown} {headers:?}: {asked:?}");
    }
    assert_eq!(writers(&stage).await?, before, "a service began anew");
    Ok(())
}

/// The broker ends such a connection itself, and nobody else's.
#[tokio::test]
async fn what_breaks_the_brokers_limits_ends_the_senders_connection_alone() -> Result<()> {
    let stage = Stage::enter().await?;
    let before = writers(&stage).await?;
    let long = [b"cortex.cmd.mallory.registry.".to_vec(), vec![b'v'; 5000]].concat();
    for (bytes, says) in [
        (b"PUB cortex.cmd.mallory.registry.register 2000000\r\n".to_vec(), "Maximum Payload"),
        ([b"PUB ".to_vec(), long, b" 0\r\n\r\n".to_vec()].concat(), "maximum control line"),
        (b"EXPLODE\r\n".to_vec(), "Unknown Protocol"),
    ] {
        let mut wire = Wire::open(&stage).await?;
        wire.write(&bytes).await?;
        let answer = wire.line().await?.to_lowercase();
        assert!(answer.contains(&says.to_lowercase()), "{answer}");
        stage.still_serves().await?;
    }
    assert_eq!(writers(&stage).await?, before, "a service began anew");
    Ok(())
}
