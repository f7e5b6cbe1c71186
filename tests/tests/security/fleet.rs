//! What tests of a whole installation with several members share.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use client::{Client, ConnectOptions, Credentials};
use cortex_tests::{CommandOutput, Installation, eventually_some};
use schemas::enrolment::PrincipalView;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::stage::id;

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// An installation that is started by the first test that needs it, and ended by the last.
pub(crate) struct Shared(Mutex<Weak<Installation>>);

impl Shared {
    pub(crate) const fn new() -> Self {
        Self(Mutex::const_new(Weak::new()))
    }

    /// One without a node of its own.
    pub(crate) async fn get(&self) -> Result<Arc<Installation>> {
        let mut slot = self.0.lock().await;
        let cortex = match slot.upgrade() {
            Some(cortex) => cortex,
            None => Arc::new(Installation::start_with(&["--no-node"]).await?),
        };
        *slot = Arc::downgrade(&cortex);
        Ok(cortex)
    }
}

/// What a command prints, which must end well.
pub(crate) fn good(output: CommandOutput) -> Result<String> {
    ensure!(output.code == 0, "{output:?}");
    Ok(output.stdout)
}

/// A command must have been refused with this code.
pub(crate) fn check_refused(output: &CommandOutput, code: &str) -> Result<()> {
    let said = [&output.stdout, &output.stderr].iter().any(|text| text.contains(code));
    ensure!(output.code != 0 && said, "it should say {code}: {output:?}");
    Ok(())
}

/// What is known of a principal.
pub(crate) async fn principal(cortex: &Installation, name: &str) -> Result<PrincipalView> {
    let listed = cortex.cortex(&["key", "ls", name, "--all", "-o", "json"]).await?;
    let found: Vec<PrincipalView> = listed.json()?;
    found.into_iter().next().with_context(|| format!("there is no {name}: {listed:?}"))
}

/// The registry's events, as whoever runs the command reads them.
pub(crate) fn events(output: &CommandOutput) -> Vec<Value> {
    output.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

pub(crate) fn creds_file(cortex: &Installation, name: &str) -> PathBuf {
    cortex.home().join(format!("config/creds/{name}.creds"))
}

/// Connects with a file of credentials.
pub(crate) async fn connect(cortex: &Installation, name: &str, creds: PathBuf) -> Result<Client> {
    let credentials = Credentials::CredsFile(creds);
    let options = ConnectOptions { credentials, ..ConnectOptions::new(cortex.url()?, id(name)) };
    Ok(Client::connect(options).await?)
}

/// Sees who is connected, as whoever looks after the broker's servers does.
pub(crate) struct Watcher(async_nats::Client);

impl Watcher {
    pub(crate) async fn of(cortex: &Installation) -> Result<Self> {
        let creds = creds_file(cortex, "system");
        let options = async_nats::ConnectOptions::with_credentials_file(creds).await?;
        Ok(Self(options.connect(cortex.url()?).await?))
    }

    /// Ids of the connections that logged in with a key.
    pub(crate) async fn connections(&self, login: &str) -> Result<BTreeSet<u64>> {
        let query = json!({ "auth": true, "limit": 1024 }).to_string();
        let answer = self.0.request("$SYS.REQ.SERVER.PING.CONNZ", query.into()).await?;
        let answer: Value = serde_json::from_slice(&answer.payload)?;
        let all = answer["data"]["connections"].as_array().context("no connections")?;
        let of = all.iter().filter(|it| it["authorized_user"] == login);
        Ok(of.filter_map(|it| it["cid"].as_u64()).collect())
    }

    /// Waits until nobody is connected with a key; how long it took since `start`.
    pub(crate) async fn until_none(&self, login: &str, start: Instant) -> Result<Duration> {
        let none = || async {
            let connected = self.connections(login).await.ok()?;
            connected.is_empty().then_some(start.elapsed())
        };
        eventually_some(DEADLINE, none).await
    }
}
