//! `cortex serve SERVICE` and `cortex agent run`: one process in the foreground.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use agent_node::NodeConfig;
use clap::Args;
use jetstream_config::{broker::DurabilityProof, streams::Replicas};
use registry_server::{Issuing, RegistryConfig};
use runtime::HostConfig;
use scheduler_server::{SchedulerConfig, SchedulerTrust};
use schemas::{ErrorCode, Fault, subject::ServiceName};
use serde::{Deserialize, Serialize};
use trust::TrustAnchors;

use super::{Outcome, agent::RunNodeArgs, parse};
use crate::{
    clock::now,
    context::Context,
    files,
    home::Home,
    logging::{self, SERVICE_FILTER},
    material::{Chain, load_key},
    signals::{self, Supervision},
};

/// How long a service waits for its broker when it starts.
const BROKER_PATIENCE: Duration = Duration::from_secs(60);

/// Which service.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// registry or scheduler.
    #[arg(value_parser = parse::service)]
    service: ServiceName,
    /// Its settings, in TOML; those that `cortex up` wrote when absent.
    #[arg(long, value_name = "FILE", env = "CORTEX_SERVICE_CONFIG")]
    config: Option<PathBuf>,
    /// Stop when standard input ends, as it does when whoever started the service dies.
    #[arg(long, hide = true)]
    supervised: bool,
}

/// The settings of one service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceSettings {
    /// Where it remembers its position in the log outside the broker.
    pub(crate) state_dir: PathBuf,
    /// Copies of every stream: 1, 3 or 5.
    #[serde(default = "one")]
    pub(crate) replicas: u8,
    /// Set when the broker cannot prove that it syncs every write, and the operator answers for it.
    #[serde(default)]
    pub(crate) waive_durability_proof: bool,
    /// The public keys that it trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) anchors: Option<PathBuf>,
    /// The key that it signs with; the scheduler needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
    /// The certificates of that key, in base64, one a line; the scheduler needs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificates: Option<PathBuf>,
    /// What others are let in with; the registry needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) issuing: Option<PathBuf>,
    /// How to reach the broker, and as whom.
    pub(crate) broker: Context,
}

fn one() -> u8 {
    1
}

/// Where `up` writes the settings of one of its processes.
pub(crate) fn settings_path(home: &Home, name: &str) -> PathBuf {
    home.run().join(format!("{name}.toml"))
}

pub(super) async fn serve(args: ServeArgs) -> Outcome {
    logging::start(SERVICE_FILTER);
    let ServeArgs { service, config, supervised } = args;
    let path = match config {
        Some(path) => path,
        None => settings_path(&Home::from_environment()?, service.as_str()),
    };
    let settings = read_settings(&path)?;
    let stop = signals::stop(Supervision::of(supervised))?;
    let host = host_config(&settings)?;
    let ended = match service {
        ServiceName::Registry => {
            let config = RegistryConfig { host, issuing: issuing(&settings)? };
            registry_server::serve(config, stop).await
        }
        ServiceName::Scheduler => {
            let config = SchedulerConfig { host, trust: scheduler_trust(&settings)? };
            scheduler_server::serve(config, stop).await
        }
    };
    ended.map_err(|error| error.fault())?;
    Ok(ExitCode::SUCCESS)
}

fn read_settings(path: &Path) -> Result<ServiceSettings, Fault> {
    toml::from_str(&files::read(path)?).map_err(|error| {
        // The message alone: the long form quotes the line, maybe somebody's secret.
        let message = format!("{} does not parse: {}", path.display(), error.message());
        Fault::new(ErrorCode::ConfigInvalid, message)
    })
}

fn host_config(settings: &ServiceSettings) -> Result<HostConfig, Fault> {
    let replicas = Replicas::of(settings.replicas)
        .ok_or_else(|| Fault::new(ErrorCode::ConfigInvalid, "replicas must be 1, 3 or 5"))?;
    let durability = if settings.waive_durability_proof {
        DurabilityProof::Waived
    } else {
        DurabilityProof::Required
    };
    let mut connect = settings.broker.connect_options();
    connect.connect_within = Some(BROKER_PATIENCE);
    Ok(HostConfig { connect, state_dir: settings.state_dir.clone(), replicas, durability })
}

pub(super) async fn node(args: RunNodeArgs) -> Outcome {
    logging::start(SERVICE_FILTER);
    let config = NodeConfig::load(&args.config)
        .map_err(|error| Fault::new(ErrorCode::ConfigInvalid, chain(&error)))?;
    let mut stop = signals::stop(Supervision::of(args.supervised))?;
    let shutdown = async move { signals::wait(&mut stop).await };
    let ended = Box::pin(agent_node::run(config, shutdown)).await;
    ended.map_err(|error| Fault::new(error.code(), chain(&error)))?;
    Ok(ExitCode::SUCCESS)
}

/// The error with all its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What the registry lets others in with, if it lets anybody in.
fn issuing(settings: &ServiceSettings) -> Result<Option<Issuing>, Fault> {
    let Some(path) = &settings.issuing else { return Ok(None) };
    let issuing = Issuing::load(path, anchors(settings)?, now());
    issuing.map(Some).map_err(|error| error.to_fault())
}

fn scheduler_trust(settings: &ServiceSettings) -> Result<SchedulerTrust, Fault> {
    let mut anchors = anchors(settings)?;
    let path = settings.certificates.as_deref();
    let chain = path.map(Chain::read).transpose()?.unwrap_or_default();
    anchors.admit(chain.certificates(), now()).map_err(|error| error.to_fault())?;
    let key = settings.key.as_deref().ok_or_else(|| missing(settings, "key"))?;
    let trust = SchedulerTrust::new(anchors, load_key(key)?).map_err(|error| error.to_fault())?;
    Ok(trust.with_certificates(chain.to_texts()))
}

fn anchors(settings: &ServiceSettings) -> Result<TrustAnchors, Fault> {
    let path = settings.anchors.as_deref().ok_or_else(|| missing(settings, "anchors"))?;
    TrustAnchors::from_file(&files::read(path)?)
        .map_err(|error| Fault::new(error.code(), chain(&error)))
}

fn missing(settings: &ServiceSettings, what: &str) -> Fault {
    let who = &settings.broker.principal;
    Fault::new(ErrorCode::ConfigInvalid, format!("the settings of {who} name no {what}"))
}
