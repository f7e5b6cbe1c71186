//! What a member has of its cluster, as files: two credentials and the certificates of its key.
//!
//! **Invariant:** credentials are replaced whole, and only by such as are for the very key that they
//! hold.

use std::{
    io,
    path::{Path, PathBuf},
};

use schemas::enrolment::Membership;
use trust::nats::{Creds, CredsError, Jwt, JwtError, Summary};
use zeroize::Zeroizing;

use crate::private;

/// Where the files are.
#[derive(Clone, Debug)]
pub struct Papers {
    /// What the member logs in with.
    pub login: PathBuf,
    /// What it gets new ones with when that has run out.
    pub renewal: PathBuf,
    /// Certificates of its key, one a line.
    pub certificates: Option<PathBuf>,
}

/// Why a file cannot be used, or what came not be kept.
#[derive(Debug, thiserror::Error)]
pub enum PapersError {
    /// A file cannot be read or written.
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
    /// A file is not what it should be.
    #[error("{path:?} is no credentials file")]
    Credentials {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: CredsError,
    },
    /// What came is none.
    #[error("the registry gave a JWT that is none")]
    Jwt(#[source] JwtError),
    /// What came is somebody else's.
    #[error("the registry gave a JWT that is not for this member's key")]
    OtherKey(#[source] CredsError),
}

impl Papers {
    /// What is said of the member by what it logs in with now.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn login(&self) -> Result<Summary, PapersError> {
        self.read().map(|(_, creds)| creds.summary().clone())
    }

    fn read(&self) -> Result<(Zeroizing<String>, Creds), PapersError> {
        let path = &self.login;
        let text = private::read(path).and_then(|text| text.ok_or(io::ErrorKind::NotFound.into()));
        let text = text.map_err(failed("read", path))?;
        let malformed = |source| PapersError::Credentials { path: path.clone(), source };
        let creds = Creds::from_file(&text).map_err(malformed)?;
        Ok((text, creds))
    }

    /// Replaces all of it by what the registry gave.
    ///
    /// # Errors
    ///
    /// When it is for another key, or cannot be written; what is there stays then.
    pub fn keep(&self, membership: &Membership) -> Result<(), PapersError> {
        let (text, old) = self.read()?;
        let renew = |jwt: &str| {
            let (jwt, _) = Jwt::parse(jwt).map_err(PapersError::Jwt)?;
            let text = Zeroizing::new(text.replace(old.jwt().as_str(), jwt.as_str()));
            Creds::from_file(&text).map_err(PapersError::OtherKey)
        };
        let (login, renewal) = (renew(&membership.jwt)?, renew(&membership.renewal_jwt)?);
        let write = |path: &Path, text: &str| {
            private::write(path, text.as_bytes()).map_err(failed("write", path))
        };
        if let Some(path) = &self.certificates {
            write(path, &lines(&membership.certificates))?;
        }
        // The one that lives longer first: with it alone a member can still come back.
        write(&self.renewal, &renewal.to_file())?;
        write(&self.login, &login.to_file())
    }
}

/// Certificates as a file has them.
pub(crate) fn lines(certificates: &[String]) -> String {
    certificates.iter().map(|certificate| format!("{certificate}\n")).collect()
}

/// The certificates that a file has.
///
/// # Errors
///
/// When it cannot be read.
pub(crate) fn read_lines(path: &Path) -> io::Result<Vec<String>> {
    let text = std::fs::read_to_string(path)?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn failed(attempt: &'static str, path: &Path) -> impl Fn(io::Error) -> PapersError {
    move |source| PapersError::File { attempt, path: path.to_owned(), source }
}
