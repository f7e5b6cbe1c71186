//! Shows a JWT to the broker, and proves by a signature that it is ours.
//!
//! **Invariant:** nothing is signed but a nonce as nats-server makes it.
//! **Invariant:** a credentials file is read anew for each connection, so a renewed one counts at once.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use async_nats::{Auth, AuthError};
use trust::nats::{Creds, CredsError, NonceError};
use zeroize::Zeroizing;

/// Why credentials cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The file cannot be read.
    #[error("reading {path:?}")]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is of no use.
    #[error("{path:?} is no credentials file")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: CredsError,
    },
    /// The broker asks for a signature that it must not have.
    #[error("logging in")]
    Nonce(#[source] NonceError),
}

/// What a connection logs in with, and why that did not work.
#[derive(Clone)]
pub(crate) struct Login {
    place: Place,
    failed: Arc<Mutex<Option<LoginError>>>,
}

/// Where the credentials are.
#[derive(Clone)]
enum Place {
    File(PathBuf),
    Given(Box<Creds>),
}

impl Login {
    pub(crate) fn from_file(path: PathBuf) -> Self {
        Self { place: Place::File(path), failed: Arc::default() }
    }

    pub(crate) fn given(creds: Box<Creds>) -> Self {
        Self { place: Place::Given(creds), failed: Arc::default() }
    }

    /// Options that log in with it, now and at each reconnect.
    pub(crate) fn options(&self) -> async_nats::ConnectOptions {
        let login = self.clone();
        async_nats::ConnectOptions::with_auth_callback(move |nonce| {
            let login = login.clone();
            async move {
                login.show(&nonce).await.map_err(|error| {
                    let told = AuthError::new(&error);
                    login.failed.lock().unwrap_or_else(PoisonError::into_inner).replace(error);
                    told
                })
            }
        })
    }

    /// Why the last attempt to log in ended before the broker was asked.
    pub(crate) fn take_error(&self) -> Option<LoginError> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn show(&self, nonce: &[u8]) -> Result<Auth, LoginError> {
        let mut auth = Auth::new();
        // A broker that asks for no proof lets anybody in, and needs to know nothing.
        if nonce.is_empty() {
            return Ok(auth);
        }
        let creds = self.creds().await?;
        auth.signature = Some(creds.sign_nonce(nonce).map_err(LoginError::Nonce)?);
        auth.jwt = Some(creds.jwt().as_str().to_owned());
        Ok(auth)
    }

    async fn creds(&self) -> Result<Creds, LoginError> {
        let path = match &self.place {
            Place::File(path) => path,
            Place::Given(creds) => return Ok(Creds::clone(creds)),
        };
        let unreadable = |source| LoginError::Unreadable { path: path.clone(), source };
        let text = Zeroizing::new(tokio::fs::read_to_string(path).await.map_err(unreadable)?);
        let malformed = |source| LoginError::Malformed { path: path.clone(), source };
        Creds::from_file(&text).map_err(malformed)
    }
}
