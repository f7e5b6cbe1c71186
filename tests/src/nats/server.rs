//! One real nats-server with a store of its own.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use async_nats::{Client, ConnectOptions};
use serde::Deserialize;
use tempfile::TempDir;

use super::config::{Seat, ServerOptions, User, render};
use super::monitor;
use crate::guard::{Guarded, Signal};
use crate::{broker, eventually, eventually_some};

/// A loaded machine starts a server in well under a second; replaying a big store takes longer.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// A real nats-server: JetStream on disk, `sync_interval: always`, on a free port.
///
/// Dropping it kills the process and removes its store.
#[derive(Debug)]
pub struct NatsServer {
    options: ServerOptions,
    seat: Option<Seat>,
    dir: TempDir,
    life: Mutex<Life>,
}

#[derive(Debug, Default)]
struct Life {
    guard: Option<Guarded>,
    /// Known after the first start, kept for all later ones.
    client_port: Option<u16>,
    monitor: Option<SocketAddr>,
}

impl NatsServer {
    /// Starts a server without logins.
    pub async fn start() -> Result<Self> {
        Self::start_with(ServerOptions::default()).await
    }

    /// Starts a server with `options`.
    pub async fn start_with(options: ServerOptions) -> Result<Self> {
        let server = Self::prepare(options, None)?;
        server.spawn_and_listen().await?;
        server.wait_healthy().await?;
        Ok(server)
    }

    /// A server that has a directory and does not run yet.
    pub(super) fn prepare(options: ServerOptions, seat: Option<Seat>) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("cortex-nats-")
            .tempdir()
            .context("making a directory for nats-server")?;
        Ok(Self { options, seat, dir, life: Mutex::default() })
    }

    /// `nats://127.0.0.1:PORT`; the same through every restart.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// Where clients connect; the same through every restart.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        let port = self.life().client_port.expect("a server is handed out after its first start");
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// The server's name in a cluster, empty outside of one.
    #[must_use]
    pub fn name(&self) -> &str {
        self.seat.as_ref().map_or("", |seat| &seat.name)
    }

    /// The process id; `None` while it is killed.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.life().guard.as_ref().and_then(Guarded::pid)
    }

    /// JetStream's directory, for tests that copy or damage it while the server is killed.
    #[must_use]
    pub fn store_dir(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// What the server has logged in all its lives.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Connects as the first user of the options, or without a login if there is none.
    pub async fn connect(&self) -> Result<Client> {
        self.connect_with(self.login(ConnectOptions::new())).await
    }

    /// Connects with a name and a password.
    pub async fn connect_as(&self, name: &str, password: &str) -> Result<Client> {
        let options = ConnectOptions::with_user_and_password(name.to_owned(), password.to_owned());
        self.connect_with(options).await
    }

    /// Connects with any options; they must hold the login.
    pub async fn connect_with(&self, options: ConnectOptions) -> Result<Client> {
        let url = self.url();
        options.connect(&url).await.with_context(|| format!("connecting to {url}"))
    }

    /// `options` with the login of the first user, if there are users.
    #[must_use]
    pub fn login(&self, options: ConnectOptions) -> ConnectOptions {
        match self.options.users.first() {
            Some(User { name, password, .. }) => {
                options.user_and_password(name.clone(), password.clone())
            }
            None => options,
        }
    }

    /// Kills the process with SIGKILL and waits until it is gone. The store stays.
    pub fn kill(&self) -> Result<()> {
        self.life().guard.as_ref().context("nats-server never ran")?.kill()
    }

    /// Freezes the process: connections stay open, nothing is answered.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::Stop)
    }

    /// Lets a frozen process go on.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::Continue)
    }

    /// Starts it again on the same port and store; kills it first if it runs.
    pub async fn restart(&self) -> Result<()> {
        if self.pid().is_some() {
            self.kill()?;
        }
        self.spawn_and_listen().await?;
        self.wait_healthy().await
    }

    /// Copies the store of a killed server, for a test in which the log goes back in time.
    pub fn save_store(&self) -> Result<SavedStore> {
        ensure!(self.pid().is_none(), "kill nats-server before its store is copied");
        // Inside, so that it goes with the server however the test ends.
        let copy = tempfile::tempdir_in(self.dir.path()).context("making a directory")?;
        copy_dir(&self.store_dir(), &copy.path().join("store"))?;
        Ok(SavedStore(copy))
    }

    /// Puts a saved store in the place of a killed server's.
    pub fn restore_store(&self, saved: &SavedStore) -> Result<()> {
        ensure!(self.pid().is_none(), "kill nats-server before its store is replaced");
        fs::remove_dir_all(self.store_dir()).context("removing the newer store")?;
        copy_dir(&saved.0.path().join("store"), &self.store_dir())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.life().guard.as_ref().context("nats-server is killed")?.signal(signal)
    }

    /// Starts the process and waits until it listens, but not until JetStream is ready: the first
    /// nodes of a cluster cannot be before the others run.
    pub(super) async fn spawn_and_listen(&self) -> Result<()> {
        let binary =
            &tokio::task::spawn_blocking(binary).await.context("finding nats-server")??;
        let keeps_port = self.life().client_port.is_some();
        eventually_some(START_DEADLINE, || async move {
            let started = self.try_start(binary).await;
            // Between two lives something else may hold the port, as the near end of a connection.
            let again = keeps_port && started.is_err();
            (!again).then_some(started)
        })
        .await
        .flatten()
        .with_context(|| format!("nats-server did not start; it logged:\n{}", self.log()))
    }

    async fn try_start(&self, binary: &Path) -> Result<()> {
        self.spawn(binary)?;
        let listens = self.wait_listening().await;
        if listens.is_err() {
            self.kill()?;
        }
        listens
    }

    /// Waits until the server calls itself healthy: its streams are recovered and, in a cluster,
    /// it follows a leader.
    pub(super) async fn wait_healthy(&self) -> Result<()> {
        let monitor = self.monitor()?;
        eventually(START_DEADLINE, || async move {
            let health = monitor::page::<monitor::Health>(monitor, "/healthz").await;
            health.is_ok_and(|health| health.status == "ok")
        })
        .await
        .with_context(|| format!("nats-server is not healthy; it logged:\n{}", self.log()))
    }

    pub(super) fn monitor(&self) -> Result<SocketAddr> {
        self.life().monitor.context("nats-server does not run")
    }

    fn spawn(&self, binary: &Path) -> Result<()> {
        let mut life = self.life();
        let config = self.dir.path().join("nats.conf");
        let text = render(&self.options, &self.store_dir(), life.client_port, self.seat.as_ref());
        fs::write(&config, text).context("writing nats-server's configuration")?;
        let args: [OsString; 4] =
            ["-c".into(), config.into(), "--ports_file_dir".into(), self.dir.path().into()];
        match &life.guard {
            Some(guard) => {
                self.forget_ports()?;
                guard.start_again()
            }
            None => {
                let guard = Guarded::spawn(binary, args, self.dir.path(), &self.log_file())?;
                life.guard = Some(guard);
                Ok(())
            }
        }
    }

    async fn wait_listening(&self) -> Result<()> {
        let suffix = format!("_{}.ports", self.pid().context("nats-server does not run")?);
        let ports = eventually_some(START_DEADLINE, || async {
            let ended = self.life().guard.as_ref().is_none_or(Guarded::has_ended);
            if ended {
                Some(Err(anyhow!("nats-server ended")))
            } else {
                self.ports(&suffix).map(Ok)
            }
        })
        .await??;
        let mut life = self.life();
        life.client_port = Some(address(&ports.nats)?.port());
        life.monitor = Some(address(&ports.monitoring)?);
        Ok(())
    }

    /// The ports file of the process, once it is there and whole.
    fn ports(&self, suffix: &str) -> Option<Ports> {
        let files = self.files_ending(suffix).ok()?;
        serde_json::from_str(&fs::read_to_string(files.first()?).ok()?).ok()
    }

    /// Removes the ports files of killed processes: a process id may come again.
    fn forget_ports(&self) -> Result<()> {
        for file in self.files_ending(".ports")? {
            fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
        }
        Ok(())
    }

    fn files_ending(&self, suffix: &str) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.dir.path()).context("reading the server's directory")?;
        let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        Ok(paths.filter(|path| path.to_string_lossy().ends_with(suffix)).collect())
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("nats.log")
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A copy of a server's store; removed when dropped.
#[derive(Debug)]
pub struct SavedStore(TempDir);

fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry.with_context(|| format!("reading {}", from.display()))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_dir(&source, &target)?;
        } else {
            fs::copy(&source, &target).with_context(|| format!("copying {}", source.display()))?;
        }
    }
    Ok(())
}

#[derive(Debug, Deserialize)]
struct Ports {
    nats: Vec<String>,
    monitoring: Vec<String>,
}

/// The address in the first of `urls`.
fn address(urls: &[String]) -> Result<SocketAddr> {
    let url = urls.first().context("nats-server listens nowhere")?;
    let host_and_port = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    host_and_port.parse().with_context(|| format!("reading the address {url:?}"))
}

/// The broker to test with, looked for once a test process.
fn binary() -> Result<PathBuf> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        broker::find().map_err(|error| {
            let hint = error.hint();
            format!("{:#}. {hint}", anyhow::Error::new(error))
        })
    });
    found.clone().map_err(|text| anyhow!(text))
}
