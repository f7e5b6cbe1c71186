//! What `up` runs: the configuration files, and the programs in start order.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use agent_node::NodeConfig;
use jetstream_config::{
    server_config::{ServerConfig, render},
    streams::{self, Replicas},
};
use schemas::{ErrorCode, Fault, enrolment::RENEWAL_LIFETIME_S, subject::ServiceName};

use super::{child::Program, stale::broker_pid_file};
use crate::{
    commands::serve::{ServiceSettings, settings_path},
    context::Context,
    files::{self, FileError, write_private},
    home::Home,
    material::{LOCAL_NODE, Material, Member},
};

/// The broker's name among the processes.
pub(crate) const BROKER: &str = "nats";
/// How long runs may go on when everything is stopped, in milliseconds.
const DRAIN_GRACE_MS: u64 = 10_000;
/// How long the node may take to stop: the runs, then their reports.
const NODE_STOP_WITHIN: Duration = Duration::from_secs(20);
/// How long a service may take to stop.
const SERVICE_STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long the broker may take to stop; its guard kills it a little before.
const BROKER_STOP_WITHIN: Duration = Duration::from_secs(12);
/// Room for streams of the user's own beside ours, as a part of ours.
const STORE_HEADROOM_DIVISOR: u64 = 4;

/// From what the programs are made.
pub(crate) struct Ground<'a> {
    pub(crate) home: &'a Home,
    pub(crate) material: &'a Material,
    pub(crate) broker: PathBuf,
    pub(crate) port: u16,
    /// Runs at once on the local node, if that was said.
    pub(crate) slots: Option<u32>,
    /// Folders that runs on the local node may read and write.
    pub(crate) share: &'a [PathBuf],
    /// How long logins count, in seconds.
    pub(crate) login_lifetime_s: u64,
}

impl Ground<'_> {
    /// Where the broker will listen.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// How the person reaches it.
    pub(crate) fn context(&self) -> Context {
        let mut context = self.login(Member::Owner);
        context.cluster = Some(self.material.identities.cluster.clone());
        context.key = Some(self.material.keys.owner.path.clone());
        context.certificates = Some(self.material.keys.owner.certificates.clone());
        context
    }

    /// How whoever looks after the broker reaches it.
    pub(crate) fn admin(&self) -> Context {
        self.login(Member::Admin)
    }

    fn login(&self, member: Member) -> Context {
        let mut context = Context::new(self.url(), self.material.identities.principal(member));
        context.creds = Some(self.home.creds(context.principal.as_str()));
        context
    }

    /// The broker under its guard.
    pub(crate) fn broker(&self) -> Result<Program, Fault> {
        let config = self.home.run().join("nats.conf");
        let wanted = streams::storage_bytes(&streams::all(Replicas::One));
        let text = render(&ServerConfig {
            name: "cortex".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: i32::from(self.port),
            store_dir: self.home.broker_store(),
            max_file_store_bytes: wanted + wanted / STORE_HEADROOM_DIVISOR,
            operator: self.material.authority.operator()?,
        })
        .map_err(|error| Fault::new(ErrorCode::ConfigInvalid, error.to_string()))?;
        write_private(&config, text.as_bytes())?;
        files::make_private_dir(&self.home.broker_store())?;
        files::make_private_dir(&self.home.broker_accounts())?;
        let pid_file = broker_pid_file(self.home);
        let server = [self.broker.as_os_str(), "-c".as_ref(), config.as_os_str()];
        let server = server.into_iter().chain(["-P".as_ref(), pid_file.as_os_str()]);
        let argv = ourselves(["guard", "--"])?.into_iter().chain(server.map(OsString::from));
        Ok(self.program(BROKER, argv.collect(), &config, BROKER_STOP_WITHIN))
    }

    /// One service.
    pub(crate) fn service(&self, service: ServiceName) -> Result<Program, Fault> {
        let name = service.as_str();
        let mut settings = ServiceSettings {
            state_dir: self.home.state_of(name),
            replicas: Replicas::One.count(),
            waive_durability_proof: false,
            anchors: Some(self.material.anchors.clone()),
            key: None,
            certificates: None,
            issuing: None,
            broker: self.login(Member::Service(service)),
        };
        match service {
            ServiceName::Registry => {
                let issuing =
                    self.material.write_issuing(self.home, &self.url(), self.login_lifetime_s)?;
                settings.issuing = Some(issuing);
            }
            ServiceName::Scheduler => {
                let key = &self.material.keys.scheduler;
                settings.key = Some(key.path.clone());
                settings.certificates = Some(key.certificates.clone());
            }
        }
        let path = settings_path(self.home, name);
        write_private(&path, files::toml_text(&settings).as_bytes())?;
        let mut argv = ourselves(["serve", name])?;
        argv.extend(["--supervised".into(), "--config".into(), path.clone().into()]);
        Ok(self.program(name, argv, &path, SERVICE_STOP_WITHIN))
    }

    /// The local node.
    pub(crate) fn node(&self) -> Result<Program, Fault> {
        let identities = &self.material.identities;
        let id = identities.principal(Member::Node);
        let creds = self.home.creds(id.as_str());
        let state_dir = self.home.state_of("node");
        let mut config =
            NodeConfig::new(id.clone(), self.url(), state_dir, self.material.anchors.clone());
        let renewal = self.home.creds(&format!("{id}-renewal"));
        self.material.authority.let_renew(&creds, &renewal, RENEWAL_LIFETIME_S)?;
        config.creds = Some(creds);
        config.renewal_credentials = Some(renewal);
        config.issuer_key = Some(self.material.keys.node.path.clone());
        config.certificates = Some(self.material.keys.node.certificates.clone());
        config.owner = Some(identities.owner.clone());
        config.slots = self.slots;
        for folder in self.share {
            let found = std::fs::canonicalize(folder);
            let found = found.map_err(|error| FileError::new("finding", folder, error))?;
            config.share(found.display().to_string());
        }
        config.drain_grace_ms = Some(DRAIN_GRACE_MS);
        let path = settings_path(self.home, LOCAL_NODE);
        write_private(&path, files::toml_text(&config).as_bytes())?;
        let mut argv = ourselves(["agent", "run"])?;
        argv.extend(["--supervised".into(), "--config".into(), path.clone().into()]);
        Ok(self.program("node", argv, &path, NODE_STOP_WITHIN))
    }

    fn program(
        &self,
        name: &'static str,
        argv: Vec<OsString>,
        marker: &Path,
        stop_within: Duration,
    ) -> Program {
        let log = self.home.logs().join(format!("{name}.log"));
        Program { name, argv, log, marker: marker.display().to_string(), stop_within }
    }
}

/// This very program with other arguments.
pub(crate) fn ourselves<const N: usize>(arguments: [&str; N]) -> Result<Vec<OsString>, Fault> {
    let program = env::current_exe()
        .map_err(|error| FileError::new("finding", Path::new("this program"), error))?;
    Ok(std::iter::once(program.into()).chain(arguments.map(OsString::from)).collect())
}
