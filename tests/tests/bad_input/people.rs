//! People who are enrolled, for nobody else has agents or is let see any: two users and an auditor.
//!
//! Whoever ran `cortex up` may task and end everything, so most of what is refused is refused to
//! these.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use cortex_tests::{CommandOutput, Installation, Login};
use serde_json::Value;
use tempfile::TempDir;

use crate::stage::ASKER;

/// A user who does not ask for anything that is theirs.
pub(crate) const ALICE: &str = "alice";
/// An auditor: sees everything, and may do nothing about it.
pub(crate) const TRENT: &str = "trent";
const PEOPLE: [(&str, &str); 3] = [(ASKER, "user"), (ALICE, "user"), (TRENT, "auditor")];
/// What everybody calls the context that they come in with.
const CONTEXT: &str = "own";

/// All of them, each with a home of their own.
pub(crate) struct People {
    homes: TempDir,
}

impl People {
    /// Invites all of them, and has each come in.
    pub(crate) async fn enrol(cortex: &Installation) -> Result<Self> {
        let people = Self { homes: tempfile::tempdir()? };
        for (name, role) in PEOPLE {
            let invite = ["invite", "--name", name, "--role", role, "-o", "json"];
            let invited = cortex.cortex(&invite).await?;
            ensure!(invited.code == 0, "{name} is not invited: {invited:?}");
            let line = invited.json::<Value>()?["line"].as_str().unwrap_or_default().to_owned();
            let words = ["login", "--name", CONTEXT, &line];
            let mut login = cortex.command::<&OsStr>(&words.map(OsStr::new));
            login.env("CORTEX_HOME", people.home(name));
            let came: CommandOutput = login.output().await?.into();
            ensure!(came.code == 0, "{name} does not come in: {came:?}");
        }
        Ok(people)
    }

    fn home(&self, name: &str) -> PathBuf {
        self.homes.path().join(name)
    }

    /// As whom one of them speaks, and with what they sign.
    pub(crate) fn login(&self, name: &str) -> Result<Login> {
        let path = self.home(name).join(format!("config/contexts/{CONTEXT}.toml"));
        let text = fs::read_to_string(&path).with_context(|| format!("reading {path:?}"))?;
        let context: toml::Table = text.parse()?;
        let text = |key: &str| {
            let value = context[key].as_str().with_context(|| format!("no {key} in {path:?}"));
            value.map(str::to_owned)
        };
        Ok(Login {
            url: text("url")?,
            principal: text("principal")?,
            creds: text("creds")?.into(),
            cluster: text("cluster")?,
            key: text("key")?.into(),
            certificates: text("certificates")?.into(),
        })
    }
}
