//! The file that holds one secret key, as JSON.
//!
//! **Invariant:** no error shows any part of the file, and every buffer of ours that held the
//! secret is wiped; wiping the text that was read is up to whoever read it.

use std::fmt::Write as _;

use schemas::{ErrorCode, hex, unhex};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::keys::{Purpose, SecretKey};

const FORMAT: &str = "cortex-secret-key-v1";
/// Room for a whole file, so that writing never moves the secret and leaves a copy behind.
const FILE_BYTES_MAX: usize = 1024;

/// Why a text is no secret key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    #[error("not a {FORMAT} file: line {line}, column {column} is not as expected")]
    Unreadable { line: usize, column: usize },
    #[error("the file does not say that it is {FORMAT}")]
    WrongFormat,
    #[error("the secret key is not 64 lowercase hexadecimal digits")]
    SecretDigits,
    #[error("public key or key id do not belong to the secret key")]
    Mismatch,
}

impl KeyFileError {
    /// The code that users see.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Unreadable { .. } | Self::WrongFormat | Self::SecretDigits | Self::Mismatch => {
                ErrorCode::ConfigInvalid
            }
        }
    }
}

/// Borrowed from the text, so that reading makes no copies of the secret.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile<'a> {
    format: &'a str,
    purpose: Purpose,
    key_id: &'a str,
    public_key: &'a str,
    secret_key: &'a str,
}

impl SecretKey {
    /// Reads what [`SecretKey::to_file`] wrote.
    ///
    /// # Errors
    ///
    /// Refuses unknown fields, and a secret that does not belong to the named public key.
    pub fn from_file(text: &str) -> Result<Self, KeyFileError> {
        // serde's own message would quote the text.
        let file: KeyFile<'_> = serde_json::from_str(text).map_err(|error| {
            KeyFileError::Unreadable { line: error.line(), column: error.column() }
        })?;
        if file.format != FORMAT {
            return Err(KeyFileError::WrongFormat);
        }
        let entropy = unhex(file.secret_key).map(Zeroizing::new);
        let entropy = entropy.ok_or(KeyFileError::SecretDigits)?;
        let key = Self::from_entropy(file.purpose, &entropy);
        let public = key.public();
        if unhex(file.public_key) != Some(*public.as_bytes())
            || file.key_id.parse() != Ok(public.id())
        {
            return Err(KeyFileError::Mismatch);
        }
        Ok(key)
    }

    /// The file's text; to be written where only the owner can read.
    #[must_use]
    pub fn to_file(&self) -> Zeroizing<String> {
        let public = self.public();
        let secret = Zeroizing::new(hex(&*self.entropy()));
        let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX));
        write!(
            text,
            "{{\n  \"format\": \"{FORMAT}\",\n  \"purpose\": \"{}\",\n  \"key_id\": \"{}\",\n  \
             \"public_key\": \"{}\",\n  \"secret_key\": \"{}\"\n}}\n",
            public.purpose(),
            public.id(),
            hex(public.as_bytes()),
            *secret,
        )
        .expect("writing to a string cannot fail");
        text
    }
}

#[cfg(test)]
mod tests;
