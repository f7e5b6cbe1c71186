//! How to reach the broker and as whom, and why that may fail.

use std::{fmt, path::PathBuf, time::Duration};

use schemas::{ErrorCode, Fault, PrincipalId, subject::inbox_prefix};
use trust::nats::Creds;

use crate::login::LoginError;

/// How long the first connection may take when nothing else is said.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Where the broker is, who connects, and how patiently.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// One address or several with commas, for example `nats://127.0.0.1:4222`.
    pub url: String,
    /// As whom requests are made; stands in their subjects.
    pub principal: PrincipalId,
    /// How the broker's lists show this connection.
    pub name: String,
    /// What proves the principal to the broker.
    pub credentials: Credentials,
    /// A PEM file with the authority that the broker's certificate must come from.
    pub ca: Option<PathBuf>,
    /// How often to try a lost connection again before giving up; endlessly when absent.
    pub max_reconnects: Option<usize>,
    /// How long the first connection may take; endlessly when absent, even when refused.
    pub connect_within: Option<Duration>,
    /// Prefix of the subjects that answers come on; `_INBOX.<principal>` unless set.
    pub inbox_prefix: String,
}

impl ConnectOptions {
    /// Connects without credentials, gives the first connection 5 s and reconnects endlessly.
    #[must_use]
    pub fn new(url: impl Into<String>, principal: PrincipalId) -> Self {
        Self {
            url: url.into(),
            name: principal.to_string(),
            credentials: Credentials::None,
            ca: None,
            max_reconnects: None,
            connect_within: Some(CONNECT_WITHIN),
            inbox_prefix: inbox_prefix(&principal),
            principal,
        }
    }

    /// The addresses, one by one.
    pub(crate) fn addresses(&self) -> Vec<&str> {
        self.url.split(',').map(str::trim).filter(|address| !address.is_empty()).collect()
    }
}

/// What proves a principal to the broker. Secrets are never printed.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Nothing: the broker asks for none.
    #[default]
    None,
    /// A file with JWT and seed, as the NATS tools write it; read anew for each connection, so that
    /// it can be renewed.
    CredsFile(PathBuf),
    /// JWT and seed.
    Creds(Box<Creds>),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::CredsFile(path) => write!(f, "CredsFile({path:?})"),
            Self::Creds(creds) => write!(f, "{creds:?}"),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address does not parse.
    #[error("{url:?} is no address of a broker; write for example nats://127.0.0.1:4222")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// What is to be shown to the broker cannot be used.
    #[error("the credentials of {principal} cannot be used")]
    Login {
        /// Who.
        principal: PrincipalId,
        /// Why not.
        #[source]
        source: LoginError,
    },
    /// The broker does not let the principal in.
    #[error("the broker at {url} does not accept the credentials of {principal}")]
    Refused {
        /// Where.
        url: String,
        /// Who.
        principal: PrincipalId,
        /// What it said.
        #[source]
        source: async_nats::ConnectError,
    },
    /// Nobody answers there.
    #[error("no broker answers at {url}")]
    Unreachable {
        /// Where.
        url: String,
        /// What happened.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The connection is there, and answers cannot be received on it.
    #[error("subscribing to {subject} for answers")]
    Inbox {
        /// Where answers would come.
        subject: String,
        /// Why not.
        #[source]
        source: async_nats::SubscribeError,
    },
}

impl ConnectError {
    /// The stable name of the cause.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Url { .. } | Self::Login { .. } => ErrorCode::ConfigInvalid,
            Self::Refused { .. } => ErrorCode::PermissionDenied,
            Self::Unreachable { .. } | Self::Inbox { .. } => ErrorCode::Unreachable,
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
        Fault::new(self.code(), message)
    }
}
