//! The node's settings: one file, every key known, checked before anything is done.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use client::Credentials;
use sandbox_policy::{Access, Mount, SandboxSettings};
use schemas::{
    Capability, InvalidId, Manifest, PrincipalId,
    manifest::{Capabilities, Limits, PrincipalPattern},
};
use serde::{Deserialize, Serialize};

use crate::CredentialSources;

/// How long runs may go on after the node was told to stop, in milliseconds, unless set.
const DRAIN_GRACE_MS_DEFAULT: u64 = 30_000;
/// Longest grace that can be set, in milliseconds.
const DRAIN_GRACE_MS_MAX: u64 = 24 * 3600 * 1000;
/// Most runs at the same time that can be set.
const SLOTS_MAX: u32 = 4096;

/// The settings of one node. Paths are relative to the file that names them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// The node's id; must be the manifest's where there is one.
    pub id: PrincipalId,
    /// One address of the broker or several with commas.
    pub url: String,
    /// The cluster whose signatures count; the anchors' own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Where journal, crash reports and the runs' own directories are kept.
    pub state_dir: PathBuf,
    /// The file with the public keys that the node trusts.
    pub anchors: PathBuf,
    /// Whose node it is: may always task it. Whoever registers it when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PrincipalId>,
    /// Who may task it beside the owner, added to what the manifest says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepts_tasks_from: Vec<PrincipalPattern>,
    /// Runs at the same time; the number of processors when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// How often a lost connection is tried again before the node gives up; endlessly when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_reconnects: Option<usize>,
    /// How long runs may go on after the node was told to stop, in milliseconds; 30 s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_grace_ms: Option<u64>,
    /// A PEM file with the authority that the broker's certificate must come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The file with what the node logs in with, as the NATS tools write it.
    #[serde(
        default,
        rename = "credentials",
        alias = "creds",
        skip_serializing_if = "Option::is_none"
    )]
    pub creds: Option<PathBuf>,
    /// The file with what the node gets new credentials with; then it writes both files itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_credentials: Option<PathBuf>,
    /// The file with the key that signs what runs ask for; without it runs may ask for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_key: Option<PathBuf>,
    /// The file with the certificates of that key, one a line, each after the one that vouches for
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<PathBuf>,
    /// Where the credentials that the manifest names are found, where the defaults do not fit.
    #[serde(default, skip_serializing_if = "CredentialSources::is_default")]
    pub credential_sources: CredentialSources,
    /// What surrounds the runs: the strongest walls that work, and nothing of the host's files,
    /// when absent.
    #[serde(default)]
    pub sandbox: SandboxSettings,
    /// What the agent says about itself, here or in a JSON file; something plain when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ManifestSource>,
}

/// Where the manifest is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ManifestSource {
    /// In a JSON file.
    File(PathBuf),
    /// In the settings.
    Inline(Box<Manifest>),
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {path:?}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A file does not parse.
    #[error("{path:?} is not valid: {problem}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A setting makes no sense.
    #[error("{setting} {problem}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// What is wrong.
        problem: String,
    },
}

fn setting<T>(setting: &'static str, problem: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Setting { setting, problem: problem.into() })
}

impl NodeConfig {
    /// Settings with nothing but what every node needs.
    #[must_use]
    pub fn new(id: PrincipalId, url: String, state_dir: PathBuf, anchors: PathBuf) -> Self {
        Self {
            id,
            url,
            cluster: None,
            state_dir,
            anchors,
            owner: None,
            accepts_tasks_from: Vec::new(),
            slots: None,
            max_reconnects: None,
            drain_grace_ms: None,
            ca: None,
            creds: None,
            renewal_credentials: None,
            issuer_key: None,
            certificates: None,
            credential_sources: CredentialSources::default(),
            sandbox: SandboxSettings::default(),
            manifest: None,
        }
    }

    /// Gives every run a folder of the host, at the same path, to read and write in.
    pub fn share(&mut self, folder: impl Into<String>) {
        self.sandbox.mounts.push(Mount::same(folder, Access::ReadWrite));
    }

    /// Reads and checks a TOML file.
    ///
    /// # Errors
    ///
    /// Names the file and what is wrong in it, an unknown key included.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        let malformed = |error: toml::de::Error| ConfigError::Malformed {
            path: path.to_owned(),
            problem: toml_problem(&text, &error),
        };
        let mut config: Self = toml::from_str(&text).map_err(malformed)?;
        // Runs are given paths, and have another working directory.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        config.resolve_paths(path.parent().unwrap_or(Path::new(".")));
        config.check()?;
        Ok(config)
    }

    /// Checks what the types alone do not say.
    ///
    /// # Errors
    ///
    /// Names the setting.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.url.is_empty() {
            return setting("url", "is empty");
        }
        if self.slots.is_some_and(|slots| !(1..=SLOTS_MAX).contains(&slots)) {
            return setting("slots", format!("must be 1 to {SLOTS_MAX}"));
        }
        if self.drain_grace_ms.is_some_and(|grace_ms| DRAIN_GRACE_MS_MAX < grace_ms) {
            return setting("drain_grace_ms", format!("must be at most {DRAIN_GRACE_MS_MAX}"));
        }
        if self.renewal_credentials.is_some() && self.creds.is_none() {
            return setting("renewal_credentials", "renew nothing without credentials");
        }
        if let Some(problem) = self.credential_sources.problem() {
            return setting("credential_sources", problem);
        }
        self.cluster().map(drop)
    }

    /// The cluster that is named, if one is.
    pub(crate) fn cluster(&self) -> Result<Option<trust::ClusterName>, ConfigError> {
        let parse = |name: &String| trust::ClusterName::parse(name);
        let invalid = |error: InvalidId| ConfigError::Setting {
            setting: "cluster",
            problem: error.to_string(),
        };
        self.cluster.as_ref().map(parse).transpose().map_err(invalid)
    }

    /// How long runs may go on after the node was told to stop.
    pub(crate) fn drain_grace(&self) -> Duration {
        Duration::from_millis(self.drain_grace_ms.unwrap_or(DRAIN_GRACE_MS_DEFAULT))
    }

    pub(crate) fn credentials(&self) -> Credentials {
        self.creds.clone().map_or(Credentials::None, Credentials::CredsFile)
    }

    /// What the agent says about itself.
    pub(crate) fn manifest(&self) -> Result<Manifest, ConfigError> {
        let mut manifest = match &self.manifest {
            None => plain_manifest(self.id.clone()),
            Some(ManifestSource::Inline(manifest)) => (**manifest).clone(),
            Some(ManifestSource::File(path)) => {
                serde_json::from_str(&read(path)?).map_err(|error| ConfigError::Malformed {
                    path: path.clone(),
                    problem: error.to_string(),
                })?
            }
        };
        if manifest.id != self.id {
            return setting("id", format!("is {}, the manifest's is {}", self.id, manifest.id));
        }
        let missing = |pattern: &&PrincipalPattern| !manifest.accepts_tasks_from.contains(pattern);
        let added: Vec<_> = self.accepts_tasks_from.iter().filter(missing).cloned().collect();
        manifest.accepts_tasks_from.extend(added);
        let invalid = |fault: schemas::Fault| ConfigError::Setting {
            setting: "manifest",
            problem: fault.message,
        };
        manifest.validate().map_err(invalid)?;
        Ok(manifest)
    }

    fn resolve_paths(&mut self, base: &Path) {
        for path in [&mut self.state_dir, &mut self.anchors] {
            *path = base.join(&path);
        }
        let optional = [
            &mut self.ca,
            &mut self.creds,
            &mut self.renewal_credentials,
            &mut self.issuer_key,
            &mut self.certificates,
        ];
        for path in optional.into_iter().flatten() {
            *path = base.join(&path);
        }
        self.credential_sources.resolve_paths(base);
        if let Some(ManifestSource::File(path)) = &mut self.manifest {
            *path = base.join(&path);
        }
    }
}

/// A node that can run commands, for nobody but its owner.
pub(crate) fn plain_manifest(id: PrincipalId) -> Manifest {
    let shell = Capability::parse("shell.exec").expect("it is words joined by dots");
    Manifest {
        name: id.to_string(),
        id,
        role: "worker".to_owned(),
        location: None,
        endpoint: None,
        capabilities: Capabilities { tools: vec![shell], ..Capabilities::default() },
        can_task: Vec::new(),
        accepts_tasks_from: Vec::new(),
        reports_to: Vec::new(),
        credentials: std::collections::BTreeMap::new(),
        labels: std::collections::BTreeMap::new(),
        limits: Limits::default(),
        heartbeat_interval: None,
    }
}

/// What is wrong, and in which line; the long form quotes the line, maybe with somebody's secret.
fn toml_problem(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!("line {}: {}", before.matches('\n').count() + 1, error.message())
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    fs::read_to_string(path).map_err(unreadable)
}

#[cfg(test)]
mod tests;
