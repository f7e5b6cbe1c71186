//! Broker, control plane and node of one case.

use std::{collections::BTreeSet, path::Path};

use agent_node::{NodeConfig, NodeError};
use anyhow::{Context as _, Result};
use cortex_tests::{Guarded, NatsServer};
use sandbox_policy::{Access, Mount};
use schemas::task::{TaskSpec, Work};
use tokio::{sync::oneshot, task::JoinHandle};
use trust::{Anchor, Purpose, TrustAnchors};

use crate::{
    CHILD_CONFIG,
    plane::{ISSUER, NODE, Plane, cluster, id, key, now_s},
};

/// What every case has.
pub(crate) struct Stage {
    pub(crate) broker: NatsServer,
    pub(crate) plane: Plane,
    pub(crate) folder: tempfile::TempDir,
}

/// A node in this process.
pub(crate) struct Running {
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) ended: JoinHandle<Result<(), NodeError>>,
}

impl Stage {
    pub(crate) async fn set() -> Result<Self> {
        let broker = NatsServer::start().await?;
        let plane = Plane::start(&broker.url()).await?;
        Ok(Self { broker, plane, folder: folder()? })
    }

    pub(crate) fn config(&self) -> NodeConfig {
        config(&self.broker, self.folder.path())
    }

    /// Starts a node and waits until it has registered.
    pub(crate) async fn node(&self) -> Result<Running> {
        self.node_with(self.config()).await
    }

    pub(crate) async fn node_with(&self, config: NodeConfig) -> Result<Running> {
        let before = self.plane.registered().len();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { drop(stopped.await) };
        let ended = tokio::spawn(agent_node::run(config, shutdown));
        self.registered(before).await?;
        Ok(Running { stop, ended })
    }

    /// Starts a node as a process of its own and waits until it has registered.
    pub(crate) async fn node_process(&self) -> Result<Guarded> {
        self.node_process_in(&[]).await
    }

    /// The same, by a program that takes a program and its arguments as its last ones.
    pub(crate) async fn node_process_in(&self, surroundings: &[&str]) -> Result<Guarded> {
        let path = self.folder.path().join("node.toml");
        let mut config = self.config();
        config.slots = Some(4);
        std::fs::write(&path, toml::to_string(&config)?)?;
        let before = self.plane.registered().len();
        let log = self.folder.path().join("node.log");
        let variable = format!("{CHILD_CONFIG}={}", path.display());
        let exe = std::env::current_exe()?;
        let exe = exe.to_str().context("the path of the test is text")?;
        let node = [exe, "--exact", "child_that_is_a_node", "--nocapture"];
        let args = [&[variable.as_str()], surroundings, &node].concat();
        let guard_dir = self.folder.path().join("guard");
        std::fs::create_dir_all(&guard_dir)?;
        let node = Guarded::spawn(Path::new("/usr/bin/env"), args, &guard_dir, &log)?;
        self.registered(before).await?;
        Ok(node)
    }

    pub(crate) async fn registered(&self, before: usize) -> Result<()> {
        let more = || async { before < self.plane.registered().len() };
        cortex_tests::eventually(crate::SOON, more).await
    }
}

impl Running {
    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(self) -> Result<()> {
        drop(self.stop);
        self.ended.await??;
        Ok(())
    }

    /// Asks it to stop and does not wait.
    pub(crate) fn begin_to_stop(self) -> JoinHandle<Result<(), NodeError>> {
        drop(self.stop);
        self.ended
    }
}

/// A new folder with the keys that the plane signs with.
pub(crate) fn folder() -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("anchors.json"), anchors()?.to_file())?;
    Ok(folder)
}

/// Lets runs tell what they did by files in a folder, and execute this very program.
pub(crate) fn share(config: &mut NodeConfig, folder: &Path) {
    let program = std::env::current_exe().expect("a process has its executable");
    config.sandbox.mounts = vec![
        Mount::same(folder.display().to_string(), Access::ReadWrite),
        Mount::same(program.display().to_string(), Access::ReadOnly),
    ];
}

/// The settings of the one node.
pub(crate) fn config(broker: &NatsServer, folder: &Path) -> NodeConfig {
    let (state, anchors) = (folder.join("state"), folder.join("anchors.json"));
    let mut config = NodeConfig::new(id(NODE), broker.url(), state, anchors);
    share(&mut config, folder);
    config.owner = Some(id(ISSUER));
    config.slots = Some(8);
    config.drain_grace_ms = Some(20_000);
    config
}

fn anchors() -> Result<TrustAnchors> {
    let mut anchors = TrustAnchors::new(cluster());
    for (purpose, principal) in [(Purpose::TaskIssuer, ISSUER), (Purpose::Scheduler, "scheduler")] {
        anchors.add(Anchor {
            key: key(purpose).public().clone(),
            principal: id(principal),
            not_before_s: now_s() - 1000,
            not_after_s: now_s() + 100_000,
            revoked_at_s: None,
            acts_for: BTreeSet::new(),
        })?;
    }
    Ok(anchors)
}

pub(crate) fn echo(text: &str) -> TaskSpec {
    TaskSpec::new(Work::Echo { text: text.to_owned() })
}

/// A line for `sh -c`.
pub(crate) fn shell(line: &str) -> TaskSpec {
    let argv = ["sh", "-c", line].map(str::to_owned).to_vec();
    let env = std::collections::BTreeMap::new();
    TaskSpec::new(Work::Command { argv, cwd: None, env, stdin: None })
}
