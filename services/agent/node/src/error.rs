//! Why a node does not start, or stops by itself.

use std::{io, path::PathBuf};

use client::ConnectError;
use sandbox_process::LaunchError;
use schemas::ErrorCode;
use trust::{AnchorsError, ClusterName};

use crate::{ConfigError, JournalError};

/// Why a node does not start, or stops by itself.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The settings cannot be used.
    #[error("the node's settings cannot be used")]
    Config(#[from] ConfigError),
    /// The state folder cannot be used.
    #[error("cannot {attempt} {path:?}")]
    State {
        /// What was attempted.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The trust anchors cannot be used.
    #[error("the trust anchors in {path:?} cannot be used")]
    Anchors {
        /// Where they are.
        path: PathBuf,
        /// Why not.
        #[source]
        source: AnchorsError,
    },
    /// The key that signs what runs ask for cannot be used.
    #[error("the issuer key in {path:?} cannot be used: {problem}")]
    IssuerKey {
        /// Where it is.
        path: PathBuf,
        /// What is wrong, without any of its content.
        problem: String,
    },
    /// The trust anchors are of another cluster than the settings name.
    #[error("the settings name the cluster {wanted}, the trust anchors are of {found}")]
    OtherCluster {
        /// As the settings say.
        wanted: ClusterName,
        /// As the anchors say.
        found: ClusterName,
    },
    /// The journal cannot be used.
    #[error("the node's journal cannot be used")]
    Journal(#[from] JournalError),
    /// Nothing can be run here.
    #[error("cannot prepare to run anything")]
    Launcher(#[from] LaunchError),
    /// There is no connection.
    #[error("cannot connect")]
    Connect(#[from] ConnectError),
    /// The control plane cannot be heard.
    #[error("cannot listen on {subject}")]
    Listen {
        /// Where.
        subject: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection was given up.
    #[error("the connection to the broker is lost and was tried as often as the settings allow")]
    Disconnected,
    /// The journal's thread is gone.
    #[error("the journal's thread is gone")]
    JournalThread,
}

impl NodeError {
    /// The stable name of the cause.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Config(_) | Self::IssuerKey { .. } | Self::OtherCluster { .. } => {
                ErrorCode::ConfigInvalid
            }
            Self::Anchors { source, .. } => source.code(),
            Self::Journal(JournalError::InUse { .. }) => ErrorCode::AlreadyRunning,
            Self::Journal(_) | Self::State { .. } | Self::JournalThread => ErrorCode::JournalFailed,
            Self::Launcher(error) => error.code(),
            Self::Connect(error) => error.code(),
            Self::Listen { .. } | Self::Disconnected => ErrorCode::Unreachable,
        }
    }
}
