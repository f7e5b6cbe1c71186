//! Two schedulers and two registries at once: whoever writes goes, and the other goes on.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use client::Client;
use cortex_tests::{Guarded, Installation, Process, Signal, eventually};
use schemas::subject::{self, ServiceName};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

use super::history::Progress;
use super::load::Load;
use super::plan::Plan;
use super::{Expected, check};
use crate::person;

/// A standby waits for 3 to 6 s of silence before it takes over; the rest is for a loaded machine.
const TAKE_OVER_DEADLINE: Duration = Duration::from_secs(60);
/// How long a writer may take to say who it is.
const WRITER_PATIENCE: Duration = Duration::from_secs(2);
/// Tasks that are let go between two take-overs, and how many of them have to end: the new writer
/// works, and there is always some work under way while it is taken over from.
const PORTION: usize = 60;
const TASKS_BETWEEN: usize = 50;
/// How often each service is taken over by each side.
const ROUNDS: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_takes_over_from_a_writer_that_is_killed_or_frozen() -> Result<()> {
    // A portion for before, one for each take-over, and one for after.
    check(&Plan::portions(2 + 2 * ROUNDS, PORTION), async |installation, load, progress| {
        let pairs = Pairs::start(installation).await?;
        pairs.wait_for(Side::Supervised).await?;
        for round in 0..ROUNDS {
            pairs.take_from_supervised(round).await?;
            pairs.work(load, &progress).await?;
            pairs.take_from_standby().await?;
            pairs.work(load, &progress).await?;
        }
        Ok(Expected::Nothing)
    })
    .await
}

/// One of the two that can write a service's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The one that `cortex up` keeps running.
    Supervised,
    /// The one that was started beside it.
    Standby,
}

/// Each service with its process beside the supervised one.
struct Pairs<'a> {
    installation: &'a Installation,
    client: Client,
    standbys: BTreeMap<ServiceName, Standby>,
}

struct Standby {
    /// Before the directory, which goes with it.
    guard: Guarded,
    home: TempDir,
}

impl<'a> Pairs<'a> {
    async fn start(installation: &'a Installation) -> Result<Self> {
        let client = person::client(installation).await?;
        let standbys = ServiceName::ALL
            .into_iter()
            .map(|service| Ok((service, Standby::start(installation, service)?)));
        Ok(Self { installation, client, standbys: standbys.collect::<Result<_>>()? })
    }

    /// Kills, or every other time freezes, what `up` keeps running, until the standbys write.
    async fn take_from_supervised(&self, round: usize) -> Result<()> {
        let supervised = [Process::Registry, Process::Scheduler];
        if round.is_multiple_of(2) {
            // Or it would be back before any standby loses its patience.
            self.installation.signal(Process::Supervisor, Signal::Stop)?;
            for process in supervised {
                ensure!(self.installation.kill9(process).await?, "{process} does not run");
            }
            self.wait_for(Side::Standby).await?;
            return self.installation.signal(Process::Supervisor, Signal::Continue);
        }
        for process in supervised {
            self.installation.signal(process, Signal::Stop)?;
        }
        self.wait_for(Side::Standby).await?;
        supervised.into_iter().try_for_each(|p| self.installation.signal(p, Signal::Continue))
    }

    /// Kills the standbys until what `up` keeps running writes again, and then starts them anew.
    async fn take_from_standby(&self) -> Result<()> {
        for standby in self.standbys.values() {
            standby.guard.kill()?;
        }
        self.wait_for(Side::Supervised).await?;
        self.standbys.values().try_for_each(|standby| standby.guard.start_again())
    }

    /// Waits until both services are written by this side.
    async fn wait_for(&self, side: Side) -> Result<()> {
        for service in ServiceName::ALL {
            eventually(TAKE_OVER_DEADLINE, || async {
                self.writer(service).await.is_ok_and(|writer| self.is_of(&writer, service, side))
            })
            .await
            .with_context(|| format!("the {service} is not written by the {side:?} one"))?;
        }
        Ok(())
    }

    /// The instance that says that it writes.
    async fn writer(&self, service: ServiceName) -> Result<String> {
        let asking = self.client.nats().request(subject::writer(service, 0), Vec::new().into());
        let answer = timeout(WRITER_PATIENCE, asking).await??;
        let beat: Value = serde_json::from_slice(&answer.payload)?;
        Ok(beat["instance"].as_str().context("a beat without an instance")?.to_owned())
    }

    /// Whether an instance is one of this side, as its log tells.
    fn is_of(&self, instance: &str, service: ServiceName, side: Side) -> bool {
        let log = match (side, service) {
            (Side::Supervised, ServiceName::Registry) => {
                self.installation.log_of(Process::Registry)
            }
            (Side::Supervised, ServiceName::Scheduler) => {
                self.installation.log_of(Process::Scheduler)
            }
            (Side::Standby, _) => self.standbys[&service].log(),
        };
        log.contains(instance)
    }

    /// Lets some more tasks go, and waits until most of them have ended.
    async fn work(&self, load: &Load, progress: &watch::Receiver<Progress>) -> Result<()> {
        let mut progress = progress.clone();
        load.release(PORTION);
        let target = progress.borrow().ended + TASKS_BETWEEN;
        let working = progress.wait_for(|progress| target <= progress.ended);
        timeout(TAKE_OVER_DEADLINE, working).await.context("no task ends any more")??;
        Ok(())
    }
}

impl Standby {
    /// Starts `cortex serve` with the supervised one's settings, but a memory of its own.
    fn start(installation: &Installation, service: ServiceName) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("cortex-standby-").tempdir()?;
        let settings = installation.home().join(format!("state/run/{service}.toml"));
        let mut settings: toml::Table = fs::read_to_string(settings)?.parse()?;
        let state = home.path().join("state").display().to_string();
        settings.insert("state_dir".to_owned(), state.into());
        let config = home.path().join("settings.toml");
        fs::write(&config, settings.to_string())?;
        let words = ["serve", service.as_str(), "--config"].map(Into::into).into_iter();
        let words = words.chain([config.into_os_string()]);
        let log = log_file(&home);
        let guard = Guarded::spawn(installation.binary(), words, home.path(), &log)?;
        Ok(Self { guard, home })
    }

    fn log(&self) -> String {
        fs::read_to_string(log_file(&self.home)).unwrap_or_default()
    }
}

fn log_file(home: &TempDir) -> PathBuf {
    home.path().join("log")
}
