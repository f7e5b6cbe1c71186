//! Contexts: how to reach which Cortex as whom, kept by name as natscli keeps them.
//!
//! **Invariant:** a context holds no secret, only the names of files that do.

use std::{fs, path::PathBuf};

use client::{ConnectOptions, Credentials};
use schemas::{ErrorCode, Fault, PrincipalId};
use serde::{Deserialize, Serialize};

use crate::{
    files::{self, FileError},
    home::Home,
    natscli,
};

/// What a context's file for the `nats` command ends in.
const NATSCLI_EXTENSION: &str = "nats.json";
/// The context that `cortex up` makes for the person.
pub const LOCAL: &str = "local";
/// The context that `cortex up` makes for looking after the broker.
pub const ADMIN: &str = "admin";

/// How to reach one Cortex as one principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// Address of the broker.
    pub url: String,
    /// As whom.
    pub principal: PrincipalId,
    /// File with what the principal logs in with, as the NATS tools write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creds: Option<PathBuf>,
    /// File with what the principal gets new ones with; where absent, somebody else renews them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<PathBuf>,
    /// File with the authority that the broker's certificate comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Name of the cluster, which every signature is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// File with the key that signs the principal's requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// File with the certificates of that key, one in base64 a line; they go with what it signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<PathBuf>,
    /// File with the keys that are pinned: whom the principal believes. The home's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchors: Option<PathBuf>,
}

impl Context {
    /// Reaches `url` as `principal`, with nothing to prove it by.
    #[must_use]
    pub fn new(url: impl Into<String>, principal: PrincipalId) -> Self {
        Self {
            url: url.into(),
            principal,
            creds: None,
            renewal: None,
            ca: None,
            cluster: None,
            key: None,
            certificates: None,
            anchors: None,
        }
    }

    /// The file with the keys that are pinned.
    #[must_use]
    pub fn anchors_in(&self, home: &Home) -> PathBuf {
        self.anchors.clone().unwrap_or_else(|| home.anchors())
    }

    /// What the connection needs.
    #[must_use]
    pub fn connect_options(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new(self.url.clone(), self.principal.clone());
        options.credentials = self.creds.clone().map_or(Credentials::None, Credentials::CredsFile);
        options.ca = self.ca.clone();
        options
    }
}

/// The contexts of one home.
#[derive(Debug)]
pub struct Contexts<'a> {
    home: &'a Home,
}

impl<'a> Contexts<'a> {
    /// Those that `home` keeps.
    #[must_use]
    pub fn new(home: &'a Home) -> Self {
        Self { home }
    }

    fn path(&self, name: &str) -> Result<PathBuf, Fault> {
        // The same words as ids: nothing that could name another directory.
        PrincipalId::parse(name).map_err(|error| {
            Fault::new(ErrorCode::InvalidId, format!("the name of a context: {error}"))
        })?;
        Ok(self.home.contexts().join(format!("{name}.toml")))
    }

    /// Where the `nats` command finds a context.
    ///
    /// # Errors
    ///
    /// `INVALID_ID` for the name.
    pub(crate) fn natscli_path(&self, name: &str) -> Result<PathBuf, Fault> {
        Ok(self.path(name)?.with_extension(NATSCLI_EXTENSION))
    }

    /// Names of all contexts, sorted.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID` when the directory cannot be read.
    pub fn names(&self) -> Result<Vec<String>, Fault> {
        let directory = self.home.contexts();
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(FileError::new("reading", &directory, error).into()),
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|file| file.strip_suffix(".toml").map(str::to_owned))
            .collect();
        names.sort();
        Ok(names)
    }

    /// The context of that name.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID` when there is none, or it does not parse.
    pub fn read(&self, name: &str) -> Result<Context, Fault> {
        let path = self.path(name)?;
        let text = files::read_if_there(&path)?.ok_or_else(|| {
            Fault::new(ErrorCode::ConfigInvalid, format!("there is no context {name}"))
                .with_hint("`cortex ctx ls` shows them; `cortex up` makes one named local")
        })?;
        toml::from_str(&text).map_err(|error| {
            // The message of the error alone: its long form quotes the line, maybe somebody's secret.
            let message = format!("{} does not parse: {}", path.display(), error.message());
            Fault::new(ErrorCode::ConfigInvalid, message)
        })
    }

    /// Keeps a context under a name, for `cortex` and for `nats`.
    ///
    /// # Errors
    ///
    /// `INVALID_ID` for the name, `CONFIG_INVALID` when it cannot be written.
    pub fn write(&self, name: &str, context: &Context) -> Result<(), Fault> {
        let text = files::toml_text(context);
        files::write_private(&self.path(name)?, text.as_bytes())?;
        Ok(natscli::write(&self.natscli_path(name)?, context)?)
    }

    /// Name of the selected context.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID` when the selection cannot be read.
    pub fn selected(&self) -> Result<Option<String>, Fault> {
        let text = files::read_if_there(&self.home.selected_context())?;
        Ok(text.map(|text| text.trim().to_owned()).filter(|name| !name.is_empty()))
    }

    /// Selects a context that exists.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID` when it does not, or the selection cannot be written.
    pub fn select(&self, name: &str) -> Result<(), Fault> {
        self.read(name)?;
        Ok(files::write_private(&self.home.selected_context(), format!("{name}\n").as_bytes())?)
    }

    /// Forgets a context.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID` when there is none.
    pub fn remove(&self, name: &str) -> Result<(), Fault> {
        let path = self.path(name)?;
        fs::remove_file(&path).map_err(|error| FileError::new("removing", &path, error))?;
        let natscli = self.natscli_path(name)?;
        if natscli.exists() {
            fs::remove_file(&natscli)
                .map_err(|error| FileError::new("removing", &natscli, error))?;
        }
        if self.selected()?.as_deref() == Some(name) {
            let selection = self.home.selected_context();
            fs::remove_file(&selection)
                .map_err(|error| FileError::new("removing", &selection, error))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
