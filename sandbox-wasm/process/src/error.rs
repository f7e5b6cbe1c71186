//! Why a run did not start.

use std::{io, path::PathBuf};

use sandbox_policy::EnvironmentError;
use schemas::ErrorCode;

/// Why a run did not start. Nothing of it is running.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// There is no program to run.
    #[error("argv names no program")]
    EmptyCommand,
    /// No argument can hold a NUL.
    #[error("an argument holds NUL")]
    InvalidArgument,
    /// A variable cannot be set.
    #[error("cannot set the environment")]
    Environment(#[source] EnvironmentError),
    /// A path that cannot be handed on.
    #[error("the path {path:?} is not UTF-8")]
    PathNotText {
        /// The path.
        path: PathBuf,
    },
    /// No such program.
    #[error("no program {command:?}")]
    CommandNotFound {
        /// As the task names it.
        command: String,
    },
    /// The file is there, but no program.
    #[error("cannot execute {path:?}")]
    CommandNotExecutable {
        /// What was found.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no such directory.
    #[error("cannot enter the working directory {cwd:?}")]
    CwdMissing {
        /// Where the run was to happen.
        cwd: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Arguments and environment are more than the kernel takes.
    #[error("argv and env together are too long for the kernel")]
    TooLong,
    /// The node could not do its part.
    #[error("cannot {attempt}")]
    Host {
        /// What was attempted.
        attempt: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The supervisor did not answer as it should.
    #[error("the supervisor of the run {problem}")]
    Supervisor {
        /// What it did instead.
        problem: &'static str,
    },
}

impl LaunchError {
    /// The stable code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::EmptyCommand
            | Self::InvalidArgument
            | Self::Environment(_)
            | Self::PathNotText { .. } => ErrorCode::SpecInvalid,
            Self::CommandNotFound { .. } => ErrorCode::CommandNotFound,
            Self::CommandNotExecutable { .. } => ErrorCode::CommandNotExecutable,
            Self::CwdMissing { .. } => ErrorCode::CwdMissing,
            Self::TooLong => ErrorCode::TooLarge,
            Self::Host { .. } | Self::Supervisor { .. } => ErrorCode::Internal,
        }
    }
}
