//! How the person who ran `cortex up` reaches it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

/// The context that `cortex up` writes, as text that any client can be made from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Address of the broker.
    pub url: String,
    /// As whom.
    pub principal: String,
    /// File with what they log in to the broker with.
    pub creds: PathBuf,
    /// What every signature is bound to.
    pub cluster: String,
    /// File with the key that signs the person's requests.
    pub key: PathBuf,
    /// File with that key's certificates, one in base64 a line.
    pub certificates: PathBuf,
}

impl Login {
    /// What goes with whatever the person signs.
    pub fn chain(&self) -> Result<Vec<String>> {
        let path = &self.certificates;
        let text =
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    pub(super) fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("reading {}", path.display()))
    }
}
