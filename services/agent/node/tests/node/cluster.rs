//! A cluster that lets machines in: a broker in operator mode, its authority and its control plane.

use std::{path::PathBuf, sync::Arc};

use agent_node::{InviteLine, JoinError, JoinOptions, JoinStep, Joined, NodeConfig};
use anyhow::Result;
use client::{Client, ConnectOptions, Credentials};
use cortex_tests::{NatsServer, ServerOptions};
use schemas::subject::ServiceName;
use tokio::sync::oneshot;
use trust::nats::Role;

use crate::{
    authority::Authority,
    plane::{Plane, id},
    stage::Running,
};

pub(crate) struct Cluster {
    pub(crate) broker: NatsServer,
    pub(crate) authority: Arc<Authority>,
    pub(crate) plane: Plane,
    pub(crate) folder: tempfile::TempDir,
}

impl Cluster {
    pub(crate) async fn found() -> Result<Self> {
        Self::found_with("").await
    }

    /// With more lines in the broker's configuration.
    pub(crate) async fn found_with(extra: &str) -> Result<Self> {
        let (authority, folder) = (Arc::new(Authority::invent()?), tempfile::tempdir()?);
        let accounts = folder.path().join("accounts");
        std::fs::create_dir(&accounts)?;
        let extra = authority.server_config(&accounts)? + extra;
        let broker = NatsServer::start_with(ServerOptions { extra, ..Default::default() }).await?;
        let connect = async |service: ServiceName| {
            let creds = authority.creds(Role::Service(service), service.as_str())?;
            let mut options = ConnectOptions::new(broker.url(), id(service.as_str()));
            options.credentials = Credentials::Creds(Box::new(creds));
            anyhow::Ok(Client::connect(options).await?)
        };
        let clients =
            [connect(ServiceName::Registry).await?, connect(ServiceName::Scheduler).await?];
        let plane = Plane::over(clients, Some(Arc::clone(&authority))).await?;
        Ok(Self { broker, authority, plane, folder })
    }

    pub(crate) fn invite(&self) -> Result<InviteLine> {
        self.authority.invite(&self.broker.url())
    }

    pub(crate) fn options(&self) -> JoinOptions {
        JoinOptions { home: self.home(), slots: Some(4), ..JoinOptions::default() }
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("member")
    }

    /// Joins from the beginning to the end.
    pub(crate) async fn join(&self) -> Result<NodeConfig> {
        let joined = join(&self.invite()?, &self.options()).await?;
        let mut config = NodeConfig::load(&joined.settings)?;
        crate::stage::share(&mut config, self.folder.path());
        Ok(config)
    }

    /// Starts a node and waits until it has registered.
    pub(crate) async fn start(&self, config: NodeConfig) -> Result<Running> {
        let before = self.plane.registered().len();
        let running = Self::begin(config);
        let more = || async { before < self.plane.registered().len() };
        cortex_tests::eventually(crate::SOON, more).await?;
        Ok(running)
    }

    /// Starts a node and waits for nothing.
    pub(crate) fn begin(config: NodeConfig) -> Running {
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { drop(stopped.await) };
        Running { stop, ended: tokio::spawn(agent_node::run(config, shutdown)) }
    }
}

/// Joins without looking at the steps.
pub(crate) async fn join(line: &InviteLine, options: &JoinOptions) -> Result<Joined, JoinError> {
    agent_node::join(&line.to_text(), options, &mut |_: JoinStep| ()).await
}
