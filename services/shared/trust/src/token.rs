//! Tokens: a bounded issuer key, sealed under a secret that only the token's holder has.
//!
//! Whoever stores the sealed key cannot sign with it; whoever presents the token lets the one who
//! stores it sign one request.
//!
//! **Invariant:** a sealed key opens for its own token, under its own secret and as an issuer key, or
//! not at all.
//! **Invariant:** no secret is ever printed, and texts of secrets are wiped when dropped.

use std::fmt;

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use schemas::{ErrorCode, hex, unhex};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{
    keys::{Purpose, SecretKey},
    text::{base64, base64url, from_base64, from_base64url},
};

/// What the text of every token begins with, so that scanners for leaked secrets find it.
const PREFIX: &str = "cortex_";
/// Bytes of a token's id.
const ID_BYTES: usize = 16;
/// Bytes of a token's secret.
const SECRET_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const SEAL_DOMAIN: &[u8] = b"cortex/token-seal/v1";
const NONCE_DOMAIN: &[u8] = b"cortex/token-nonce/v1";
const DATA_DOMAIN: &[u8] = b"cortex/token/v1";

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("a token is {PREFIX}, 32 hexadecimal digits, _ and a secret in base64url")]
    Malformed,
    #[error("what is stored is no sealed key")]
    Sealed,
    #[error("the secret is not that of this token, or what is stored was changed")]
    Refused,
}

impl TokenError {
    /// The code that users see.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Malformed | Self::Sealed | Self::Refused => ErrorCode::TokenInvalid,
        }
    }
}

/// A token as its holder has it: `cortex_<32 hexadecimal digits>_<secret in base64url>`.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText {
    id: String,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

impl TokenText {
    /// The token that these random bytes determine.
    #[must_use]
    pub fn from_entropy(id: &[u8; ID_BYTES], secret: &Zeroizing<[u8; SECRET_BYTES]>) -> Self {
        Self { id: hex(id), secret: secret.clone() }
    }

    /// Reads what [`TokenText::to_text`] wrote.
    ///
    /// # Errors
    ///
    /// Refuses every other text, and repeats nothing of it.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let rest = text.strip_prefix(PREFIX).ok_or(TokenError::Malformed)?;
        let (id, secret) = rest.split_once('_').ok_or(TokenError::Malformed)?;
        unhex::<ID_BYTES>(id).ok_or(TokenError::Malformed)?;
        let bytes = from_base64url(secret).map(Zeroizing::new).ok_or(TokenError::Malformed)?;
        let secret = <[u8; SECRET_BYTES]>::try_from(bytes.as_slice());
        let secret = secret.map(Zeroizing::new).map_err(|_| TokenError::Malformed)?;
        Ok(Self { id: id.to_owned(), secret })
    }

    /// The token's id: 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What its key is sealed under.
    #[must_use]
    pub fn secret(&self) -> &[u8; SECRET_BYTES] {
        &self.secret
    }

    /// The text for its holder.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(base64url(&*self.secret));
        Zeroizing::new([PREFIX, &self.id, "_", &secret].concat())
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "token {}", self.id)
    }
}

/// Seals an issuer key under a token's secret: XChaCha20-Poly1305 with the id as associated data,
/// the nonce in front, in base64. The same arguments always give the same text.
///
/// # Panics
///
/// Never: 32 bytes are not too many for the cipher.
#[must_use]
pub fn seal_token(token_id: &str, secret: &[u8; SECRET_BYTES], key: &SecretKey) -> String {
    let entropy = key.entropy();
    // Derived from all that is sealed: the same nonce means the same text.
    let digest = Sha256::new()
        .chain_update(NONCE_DOMAIN)
        .chain_update(secret)
        .chain_update(entropy.as_slice())
        .chain_update(key.public().purpose().as_str())
        .chain_update(token_id)
        .finalize();
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&digest[..NONCE_BYTES]);
    let aad = associated_data(token_id, key.public().purpose());
    let payload = Payload { msg: &*entropy, aad: &aad };
    let sealed = cipher(secret).encrypt(&XNonce::from(nonce), payload);
    base64(&[&nonce[..], &sealed.expect("32 bytes are within the cipher's limit")].concat())
}

/// Opens what [`seal_token`] sealed.
///
/// # Errors
///
/// `TOKEN_INVALID` for another secret, another token, another purpose, or changed bytes.
pub fn unseal_token(
    token_id: &str,
    secret: &[u8; SECRET_BYTES],
    sealed: &str,
) -> Result<SecretKey, TokenError> {
    let bytes = from_base64(sealed).ok_or(TokenError::Sealed)?;
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(TokenError::Sealed)?;
    let aad = associated_data(token_id, Purpose::TaskIssuer);
    let payload = Payload { msg: sealed, aad: &aad };
    let opened = cipher(secret).decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new);
    let opened = opened.map_err(|_| TokenError::Refused)?;
    let entropy = <[u8; 32]>::try_from(opened.as_slice()).map(Zeroizing::new);
    let entropy = entropy.map_err(|_| TokenError::Sealed)?;
    Ok(SecretKey::from_entropy(Purpose::TaskIssuer, &entropy))
}

fn cipher(secret: &[u8; SECRET_BYTES]) -> XChaCha20Poly1305 {
    let key = Sha256::new().chain_update(SEAL_DOMAIN).chain_update(secret).finalize();
    let key = Zeroizing::new(<[u8; 32]>::from(key));
    XChaCha20Poly1305::new(&(*key).into())
}

fn associated_data(token_id: &str, purpose: Purpose) -> Vec<u8> {
    [DATA_DOMAIN, purpose.as_str().as_bytes(), b"/", token_id.as_bytes()].concat()
}

#[cfg(test)]
mod tests;
