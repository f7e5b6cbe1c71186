//! Who runs `up` on a home, and which processes it has.

use std::{
    fs::{File, TryLockError},
    path::PathBuf,
};

use schemas::Fault;
use serde::{Deserialize, Serialize};

use crate::{
    files::{FileError, make_private_dir, read_if_there, write_private},
    home::Home,
};

/// Held by the one supervisor of a home; the kernel gives it back when its process dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it, unless somebody has it.
    pub(crate) fn take(home: &Home) -> Result<Option<Self>, Fault> {
        make_private_dir(&home.run())?;
        let path = home.run().join("up.lock");
        let file = File::create(&path).map_err(|e| FileError::new("opening", &path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(FileError::new("locking", &path, error).into()),
        }
    }
}

/// Whether a supervisor works on `home`.
pub(crate) fn is_running(home: &Home) -> bool {
    home.run().exists() && matches!(Lock::take(home), Ok(None))
}

/// What a supervisor tells others; means nothing without the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// The supervisor.
    pub(crate) pid: u32,
    /// Where the broker listens.
    pub(crate) url: String,
    /// Context that reaches it.
    pub(crate) context: String,
    /// Whether everything has been ready once.
    pub(crate) ready: bool,
    /// In start order.
    pub(crate) processes: Vec<ProcessRecord>,
}

/// One child process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProcessRecord {
    /// Its name.
    pub(crate) name: String,
    /// Its process id, while it runs.
    pub(crate) pid: Option<u32>,
    /// Starts after the first.
    pub(crate) restarts: u32,
    /// Where it writes about itself.
    pub(crate) log: PathBuf,
    /// A part of its command line that no other process has.
    pub(crate) marker: String,
}

impl Record {
    /// The last that was written.
    pub(crate) fn read(home: &Home) -> Result<Option<Self>, Fault> {
        let text = read_if_there(&home.run().join("up.json"))?;
        // One that was left by another version says nothing about processes that may still run.
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    pub(crate) fn write(&self, home: &Home) -> Result<(), Fault> {
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        Ok(write_private(&home.run().join("up.json"), &text)?)
    }
}
