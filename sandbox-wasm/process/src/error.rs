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
    /// The supervisor could not do its part, or the process inside could not.
    #[error("cannot {attempt}")]
    Inside {
        /// What was attempted.
        attempt: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A wall could not be put up, so nothing was run.
    #[error("cannot confine the run: {attempt}")]
    NotConfined {
        /// What was attempted.
        attempt: String,
        /// Why it failed.
        source: io::Error,
    },
    /// What was read back is less than what was promised, so nothing was run.
    #[error("the sandbox does not hold: {missing}")]
    NotAsPromised {
        /// What is missing.
        missing: &'static str,
    },
    /// No set of mechanisms works on this host, and doing without was not asked for by name.
    #[error("no sandbox works on this host: {reasons}")]
    NoSandbox {
        /// Why not, for each set of mechanisms.
        reasons: String,
    },
    /// A mount that cannot be given to a run.
    #[error("cannot give {mount} to a run: {problem}")]
    Mount {
        /// Which.
        mount: String,
        /// Why not.
        problem: &'static str,
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
            Self::NotConfined { .. } | Self::NotAsPromised { .. } | Self::NoSandbox { .. } => {
                ErrorCode::PropertyNotEnforced
            }
            Self::Mount { .. } => ErrorCode::ConfigInvalid,
            Self::Host { .. } | Self::Inside { .. } | Self::Supervisor { .. } => {
                ErrorCode::Internal
            }
        }
    }
}
