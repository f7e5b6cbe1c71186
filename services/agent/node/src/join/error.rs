//! Why a machine did not come in, and what to do about it.
//!
//! **Invariant:** no error shows a secret, a seed or a part of the invite line.

use std::{io, path::PathBuf};

use client::ConnectError;
use schemas::{ErrorCode, Fault, PrincipalId};

use super::line::InvalidLine;
use crate::ConfigError;

/// Why a machine did not come in.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The line is none.
    #[error("the invite line cannot be used")]
    Line(#[source] InvalidLine),
    /// The line is for somebody else than an agent.
    #[error("the line invites {principal}, who is no agent")]
    NotAnAgent {
        /// Who is invited.
        principal: PrincipalId,
    },
    /// The line is for somebody else than a person.
    #[error("the line invites {principal}, who is no person")]
    NotAPerson {
        /// Who is invited.
        principal: PrincipalId,
    },
    /// The folder belongs to another invite.
    #[error("{home:?} is {principal}'s by another invite")]
    OtherLine {
        /// The folder.
        home: PathBuf,
        /// Whose it is.
        principal: PrincipalId,
    },
    /// Another process joins there.
    #[error("another process joins in {home:?} right now")]
    InUse {
        /// The folder.
        home: PathBuf,
    },
    /// A file or folder cannot be used.
    #[error("cannot {attempt} {path:?}")]
    File {
        /// What was attempted.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file that an earlier attempt left is not what it wrote.
    #[error("{path:?} is damaged: {problem}")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong, without any of its content.
        problem: String,
    },
    /// What the agent would say about itself makes no sense.
    #[error("the agent's settings cannot be used")]
    Settings(#[source] ConfigError),
    /// There is no connection.
    #[error("cannot reach the cluster")]
    Connect(#[source] ConnectError),
    /// The broker does not let the invite in.
    #[error("the broker does not accept the invite: it has ended, or was redeemed with other keys")]
    Ended(#[source] ConnectError),
    /// The registry says no, or nothing.
    #[error("the registry does not let {principal} in: {fault}")]
    Refused {
        /// Who asked.
        principal: PrincipalId,
        /// What it said.
        fault: Fault,
    },
    /// What the registry gave does not fit the line or the keys, so nothing of it is believed.
    #[error("what the registry gave is not believed: {problem}")]
    Untrusted {
        /// What does not fit.
        problem: String,
        /// The code of the step that failed.
        code: ErrorCode,
    },
}

impl JoinError {
    /// The stable name of the cause.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Line(_) => ErrorCode::InvalidValue,
            Self::NotAnAgent { .. } | Self::NotAPerson { .. } | Self::OtherLine { .. } => {
                ErrorCode::PrincipalTaken
            }
            Self::InUse { .. } => ErrorCode::AlreadyRunning,
            Self::File { .. } | Self::Damaged { .. } | Self::Settings(_) => {
                ErrorCode::ConfigInvalid
            }
            Self::Connect(error) => error.code(),
            Self::Ended(_) => ErrorCode::InviteExpired,
            Self::Refused { fault, .. } => fault.code,
            Self::Untrusted { code, .. } => *code,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Line(_) => {
                "paste the whole line that `cortex invite` printed, in quotes".to_owned()
            }
            Self::NotAnAgent { .. } => {
                "ask for a line for this machine with `cortex invite --name NODE`".to_owned()
            }
            Self::NotAPerson { .. } => {
                "run `cortex agent join` with it on the machine that it is for".to_owned()
            }
            Self::OtherLine { .. } => {
                "join in another folder, or remove this one to give its keys up".to_owned()
            }
            Self::InUse { .. } => "wait until it is done".to_owned(),
            Self::File { .. } => "correct what is said about the file, and run it again".to_owned(),
            Self::Damaged { .. } => {
                "remove the folder, and ask for a new line with `cortex invite`".to_owned()
            }
            Self::Settings(_) => "correct the named setting".to_owned(),
            Self::Connect(_) => {
                "check that this machine can reach the address, and run it again".to_owned()
            }
            Self::Ended(_) => "ask for a new line with `cortex invite`".to_owned(),
            Self::Refused { fault, .. } => fault.hint.clone(),
            Self::Untrusted { .. } => {
                "compare the line with what `cortex invite` printed; somebody may stand in between"
                    .to_owned()
            }
        }
    }

    /// The error as users see it.
    #[must_use]
    pub fn to_fault(&self) -> Fault {
        let mut message = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        Fault::new(self.code(), message).with_hint(self.hint())
    }
}
