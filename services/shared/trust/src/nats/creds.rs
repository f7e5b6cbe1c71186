//! The file that holds a user's JWT and seed, in the form of the NATS tools.
//!
//! **Invariant:** a nonce is signed only if it looks like one that nats-server makes, so that a
//! hostile server cannot have anything else signed.
//! **Invariant:** no error and no debugging text shows the seed.

use std::fmt;

use schemas::ErrorCode;
use zeroize::Zeroizing;

use super::{
    jwt::{Jwt, JwtError, Summary},
    nkey::{InvalidNkey, Nkey, NkeyKind},
};
use crate::text::is_base64url;

const JWT_BEGIN: &str = "-----BEGIN NATS USER JWT-----";
const JWT_END: &str = "------END NATS USER JWT------";
const SEED_BEGIN: &str = "-----BEGIN USER NKEY SEED-----";
const SEED_END: &str = "------END USER NKEY SEED------";
const WARNING: &str = "************************* IMPORTANT *************************\n\
                       Whoever has the seed is you; keep this file where only you can read it.\n";
/// Length of the nonce that nats-server makes: eleven random bytes in base64url.
const NONCE_BYTES: usize = 15;

/// What a user logs in with.
#[derive(Clone)]
pub struct Creds {
    jwt: Jwt,
    summary: Summary,
    key: Nkey,
}

/// Why a text is no credentials file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredsError {
    /// A part is missing or occurs twice.
    #[error("it has not exactly one {part} between its lines of dashes")]
    Part {
        /// Which.
        part: &'static str,
    },
    /// The JWT is none.
    #[error("its JWT cannot be used")]
    Jwt(#[source] JwtError),
    /// The seed is none of a user's.
    #[error("its seed cannot be used")]
    Seed(#[source] InvalidNkey),
    /// The two parts are of different users.
    #[error("its seed is not that of the user whom its JWT is about")]
    Mismatch,
}

impl CredsError {
    /// The code that users see.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Part { .. } | Self::Jwt(_) | Self::Seed(_) | Self::Mismatch => {
                ErrorCode::ConfigInvalid
            }
        }
    }
}

/// What was to be signed is no nonce of a nats-server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the broker asks to sign {bytes} bytes that are no nonce of nats-server; nothing is signed"
)]
pub struct NonceError {
    bytes: usize,
}

impl Creds {
    /// A JWT with the key that it is about.
    ///
    /// # Errors
    ///
    /// Refuses a key of somebody else.
    pub fn new(jwt: &Jwt, key: Nkey) -> Result<Self, CredsError> {
        let (jwt, summary) = Jwt::parse(jwt.as_str()).map_err(CredsError::Jwt)?;
        if key.kind() != NkeyKind::User || key.public().as_str() != summary.subject {
            return Err(CredsError::Mismatch);
        }
        Ok(Self { jwt, summary, key })
    }

    /// Reads a credentials file; what stands outside of its two parts is ignored.
    ///
    /// # Errors
    ///
    /// See [`CredsError`].
    pub fn from_file(text: &str) -> Result<Self, CredsError> {
        let jwt = part(text, "JWT", (JWT_BEGIN, JWT_END))?;
        let seed = part(text, "seed", (SEED_BEGIN, SEED_END))?;
        let (jwt, _) = Jwt::parse(jwt).map_err(CredsError::Jwt)?;
        let key = Nkey::from_seed(NkeyKind::User, seed).map_err(CredsError::Seed)?;
        Self::new(&jwt, key)
    }

    /// The file's text; to be written where only the owner can read.
    #[must_use]
    pub fn to_file(&self) -> Zeroizing<String> {
        let (jwt, seed) = (self.jwt.as_str(), self.key.seed());
        let parts = [
            JWT_BEGIN, "\n", jwt, "\n", JWT_END, "\n\n", WARNING, "\n", SEED_BEGIN, "\n", &seed,
            "\n", SEED_END, "\n",
        ];
        // Room for all of it, so that writing never moves the seed and leaves a copy behind.
        let bytes = parts.iter().map(|part| part.len()).sum();
        let mut text = Zeroizing::new(String::with_capacity(bytes));
        for part in parts {
            text.push_str(part);
        }
        text
    }

    /// What the JWT says.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The JWT, to be sent to the broker.
    #[must_use]
    pub fn jwt(&self) -> &Jwt {
        &self.jwt
    }

    /// Signs what the broker sent to be signed.
    ///
    /// # Errors
    ///
    /// Refuses whatever no nats-server would send.
    pub fn sign_nonce(&self, nonce: &[u8]) -> Result<Vec<u8>, NonceError> {
        if nonce.len() != NONCE_BYTES || !is_base64url(nonce) {
            return Err(NonceError { bytes: nonce.len() });
        }
        Ok(self.key.sign(nonce))
    }
}

impl fmt::Debug for Creds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "credentials of {}", self.summary.name)
    }
}

/// The one line between two others, each of which occurs once.
fn part<'a>(
    text: &'a str,
    part: &'static str,
    (begin, end): (&str, &str),
) -> Result<&'a str, CredsError> {
    let missing = CredsError::Part { part };
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != begin).skip(1);
    let value = lines.next().filter(|line| !line.is_empty()).ok_or(missing)?;
    let closed = lines.next() == Some(end);
    let again = lines.any(|line| line == begin);
    if closed && !again { Ok(value) } else { Err(missing) }
}
