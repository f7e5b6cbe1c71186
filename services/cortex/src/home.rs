//! Where everything of this user's Cortex is kept on disk.
//!
//! `CORTEX_HOME` moves all of it below one directory; otherwise it lies where XDG says.

use std::{
    env,
    path::{Path, PathBuf},
};

use schemas::{ErrorCode, Fault};

/// Moves all state below one directory.
pub const HOME_VARIABLE: &str = "CORTEX_HOME";

/// Directories of one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    config: PathBuf,
    data: PathBuf,
    state: PathBuf,
}

impl Home {
    /// Everything below `root`.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { config: root.join("config"), data: root.join("data"), state: root.join("state") }
    }

    /// Reads `CORTEX_HOME`, `XDG_CONFIG_HOME`, `XDG_DATA_HOME`, `XDG_STATE_HOME` and `HOME`.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID` when none of them says where to keep things.
    pub fn from_environment() -> Result<Self, Fault> {
        Self::from_variables(|name| env::var_os(name).map(PathBuf::from))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, Fault> {
        let set = |name: &str| variable(name).filter(|path| !path.as_os_str().is_empty());
        if let Some(root) = set(HOME_VARIABLE) {
            let root = std::path::absolute(&root).unwrap_or(root);
            return Ok(Self::at(&root));
        }
        // XDG says that relative paths do not count.
        let absolute = |name: &str| set(name).filter(|path| path.is_absolute());
        let below_home = |rest: &str| {
            absolute("HOME").map(|home| home.join(rest)).ok_or_else(|| {
                Fault::new(ErrorCode::ConfigInvalid, "neither CORTEX_HOME nor HOME is set")
                    .with_hint("set CORTEX_HOME to a directory that Cortex may use")
            })
        };
        let place = |name: &str, rest: &str| match absolute(name) {
            Some(base) => Ok(base.join("cortex")),
            None => below_home(rest).map(|base| base.join("cortex")),
        };
        Ok(Self {
            config: place("XDG_CONFIG_HOME", ".config")?,
            data: place("XDG_DATA_HOME", ".local/share")?,
            state: place("XDG_STATE_HOME", ".local/state")?,
        })
    }

    /// Contexts: how to reach which Cortex as whom.
    #[must_use]
    pub fn contexts(&self) -> PathBuf {
        self.config.join("contexts")
    }

    /// Holds the name of the selected context.
    #[must_use]
    pub fn selected_context(&self) -> PathBuf {
        self.config.join("context")
    }

    /// Secret keys and what `up` made on its first run.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.config.join("keys")
    }

    /// What vouches for everybody who logs in to the broker of `up`.
    #[must_use]
    pub fn broker_keys(&self) -> PathBuf {
        self.keys().join("broker.toml")
    }

    /// What the registry lets others in with.
    #[must_use]
    pub fn issuing(&self) -> PathBuf {
        self.keys().join("issuing.toml")
    }

    /// What a principal logs in to the broker with.
    #[must_use]
    pub fn creds(&self, principal: &str) -> PathBuf {
        self.creds_dir().join(format!("{principal}.creds"))
    }

    /// What everybody logs in to the broker with.
    #[must_use]
    pub fn creds_dir(&self) -> PathBuf {
        self.config.join("creds")
    }

    /// Folders of members that came in with an invite line: one for each machine or person.
    #[must_use]
    pub fn members(&self) -> PathBuf {
        self.config.join("members")
    }

    /// The public keys that scheduler and node trust.
    #[must_use]
    pub fn anchors(&self) -> PathBuf {
        self.config.join("anchors.json")
    }

    /// JetStream's directory.
    #[must_use]
    pub fn broker_store(&self) -> PathBuf {
        self.data.join("nats")
    }

    /// Where the broker keeps its accounts.
    #[must_use]
    pub fn broker_accounts(&self) -> PathBuf {
        self.data.join("nats-accounts")
    }

    /// What a process of `up` keeps for itself.
    #[must_use]
    pub fn state_of(&self, process: &str) -> PathBuf {
        self.state.join(process)
    }

    /// Logs of the processes of `up`.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    /// What only counts while `up` runs.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.state.join("run")
    }
}

#[cfg(test)]
mod tests;
