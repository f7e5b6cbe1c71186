//! Why a command or a query is refused, and what users are told.
//!
//! **Invariant:** every rule has a code of its own, and its message names whom and what it is about.

use schemas::{ErrorCode, Fault, PrincipalId, TaskId, key::KeyId};

/// Why a command or a query was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The id belongs to another request.
    #[error("task {0} was already asked for by another request with the same issuer and nonce")]
    IdTaken(TaskId),
    /// The request is too old.
    #[error("the request for task {0} has expired")]
    RequestExpired(TaskId),
    /// The issuer holds as many long-lived requests as it may.
    #[error("{issuer} has {limit} requests alive that live longer than 1 h, which is the limit")]
    TooManyLongLives {
        /// Who signed.
        issuer: PrincipalId,
        /// How many there may be.
        limit: usize,
    },
    /// Another key took the place of the one that signed, or its time is over.
    #[error("key {key} of {issuer} has ended; sign with the present one")]
    KeyEnded {
        /// Whose.
        issuer: PrincipalId,
        /// Which.
        key: KeyId,
    },
    /// The key that signed was taken out of use.
    #[error("key {key} of {issuer} is revoked")]
    KeyRevoked {
        /// Whose.
        issuer: PrincipalId,
        /// Which.
        key: KeyId,
    },
    /// Whoever signed was put out.
    #[error("{0} was evicted or banned")]
    PrincipalOut(PrincipalId),
    /// The task that is said to have asked for it could not have.
    #[error("task {parent} cannot have asked for that: {problem}")]
    ChainBroken {
        /// Which task is said to have asked.
        parent: TaskId,
        /// What is wrong with that.
        problem: String,
    },
    /// The task that asked for it may not ask for so much.
    #[error("task {parent} may not ask for that: {problem}")]
    GrantsExceeded {
        /// Which task asked.
        parent: TaskId,
        /// What it was not granted.
        problem: String,
    },
    /// It is not known yet who may see what.
    #[error("the registry has not been read yet, so it is not known who may see what")]
    DirectoryUnread,
    /// The request names a node that nobody knows.
    #[error("there is no node {0}")]
    NoSuchNode(PrincipalId),
    /// No node that could run it lets the issuer ask.
    #[error("{issuer} may not task {audience}: {reasons}")]
    NotPermitted {
        /// Who signed.
        issuer: PrincipalId,
        /// Whom they asked for.
        audience: String,
        /// What stands against it.
        reasons: String,
    },
    /// Nothing is known of the task.
    #[error("there is no task {0}")]
    NoSuchTask(TaskId),
    /// Somebody else has the task, or nobody was told to run it.
    #[error("{who} does not run task {task} at epoch {epoch}: {problem}")]
    NotTheRunner {
        /// Who spoke.
        who: PrincipalId,
        /// Of which task.
        task: TaskId,
        /// Of which assignment.
        epoch: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Whoever asks has nothing to do with the task.
    #[error("{by} is neither issuer nor subject of task {task}, nor owner of its node")]
    NotAllowed {
        /// Who asked.
        by: PrincipalId,
        /// For which task.
        task: TaskId,
    },
    /// It has ended.
    #[error("task {task} has ended: {state}")]
    Finished {
        /// Which.
        task: TaskId,
        /// How.
        state: &'static str,
    },
    /// Only lost tasks are settled by hand.
    #[error("task {task} is {state}, not lost")]
    NotLost {
        /// Which.
        task: TaskId,
        /// What it is.
        state: &'static str,
    },
}

impl Rejection {
    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::IdTaken(_) => ErrorCode::CommandIdReused,
            Self::RequestExpired(_) => ErrorCode::Expired,
            Self::TooManyLongLives { .. } => ErrorCode::LifetimeTooLong,
            Self::KeyEnded { .. } => ErrorCode::KeyNotValid,
            Self::KeyRevoked { .. } => ErrorCode::KeyRevoked,
            Self::PrincipalOut(_) => ErrorCode::PrincipalOut,
            Self::ChainBroken { .. } => ErrorCode::ChainInvalid,
            Self::GrantsExceeded { .. } => ErrorCode::GrantsExceeded,
            Self::DirectoryUnread => ErrorCode::Unreachable,
            Self::NoSuchNode(_) => ErrorCode::NoSuchNode,
            Self::NotPermitted { .. } => ErrorCode::TaskNotPermitted,
            Self::NoSuchTask(_) => ErrorCode::TaskNotFound,
            Self::NotTheRunner { .. } => ErrorCode::NotTheRunner,
            Self::NotAllowed { .. } => ErrorCode::NotAllowed,
            Self::Finished { .. } => ErrorCode::TaskFinished,
            Self::NotLost { .. } => ErrorCode::TaskNotLost,
        }
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        let fault = Self::new(rejection.code(), rejection.to_string());
        match rejection {
            Rejection::IdTaken(_) => fault.with_hint("sign the request anew, with a fresh nonce"),
            Rejection::TooManyLongLives { .. } => {
                fault.with_hint("sign for at most 1 h, or wait until older requests expire")
            }
            Rejection::DirectoryUnread => {
                fault.with_hint("ask again in a moment; `cortex doctor` tells whether it is there")
            }
            Rejection::RequestExpired(_)
            | Rejection::KeyEnded { .. }
            | Rejection::KeyRevoked { .. }
            | Rejection::PrincipalOut(_)
            | Rejection::ChainBroken { .. }
            | Rejection::GrantsExceeded { .. }
            | Rejection::NoSuchNode(_)
            | Rejection::NotPermitted { .. }
            | Rejection::NoSuchTask(_)
            | Rejection::NotTheRunner { .. }
            | Rejection::NotAllowed { .. }
            | Rejection::Finished { .. }
            | Rejection::NotLost { .. } => fault,
        }
    }
}
