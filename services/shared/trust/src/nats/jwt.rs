//! JWTs as NATS has them: `ed25519-nkey`, and an id that is the hash of the claims.
//!
//! **Invariant:** a JWT is only ever made from claims and a key of the kind that may vouch for them.

use nkeys::KeyPair;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use sha2::{Digest as _, Sha512_256};

use super::nkey::{Nkey, PublicNkey};
use crate::text::{base32, base64url, from_base64url};

const HEADER: &[u8] = br#"{"typ":"JWT","alg":"ed25519-nkey"}"#;
/// Version of the form of claims.
const VERSION: u8 = 2;

/// A signed statement about an operator, an account or a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt(String);

/// Why a text is no JWT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Its form is another.
    #[error("it is not three parts of base64url with the claims of a NATS JWT")]
    Malformed,
    /// Whoever it names has not signed it.
    #[error("the issuer that it names has not signed it")]
    Signature,
}

/// What every JWT says, whatever it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Public key of whoever signed.
    pub issuer: String,
    /// Public key of whom it is about.
    pub subject: String,
    /// What people call the subject; in a user's JWT the principal.
    pub name: String,
    /// When it was signed, in seconds since the Unix epoch.
    pub issued_at_s: u64,
    /// When it ends, in seconds since the Unix epoch; never when absent.
    pub expires_at_s: Option<u64>,
}

/// What is said about whom, and for how long.
pub(super) struct Statement<'a> {
    pub(super) subject: &'a PublicNkey,
    pub(super) name: &'a str,
    pub(super) issued_at_s: u64,
    pub(super) expires_at_s: Option<u64>,
}

#[derive(Serialize)]
struct Claims<'a, B> {
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    iat: u64,
    iss: &'a str,
    jti: &'a str,
    name: &'a str,
    nats: Body<'a, B>,
    sub: &'a str,
}

#[derive(Serialize)]
struct Body<'a, B> {
    #[serde(flatten)]
    about: &'a B,
    #[serde(rename = "type")]
    kind: &'static str,
    version: u8,
}

#[derive(Deserialize)]
struct Read {
    exp: Option<u64>,
    iat: u64,
    iss: String,
    #[serde(default)]
    name: String,
    sub: String,
    #[serde(rename = "nats")]
    _body: IgnoredAny,
}

impl Jwt {
    /// Signs what `about` says of the statement's subject, which is a `kind`.
    pub(super) fn sign<B: Serialize>(
        signer: &Nkey,
        statement: &Statement<'_>,
        kind: &'static str,
        about: &B,
    ) -> Self {
        let issuer = signer.public();
        let claims = |id: &str| {
            let nats = Body { about, kind, version: VERSION };
            let claims = Claims {
                exp: statement.expires_at_s,
                iat: statement.issued_at_s,
                iss: issuer.as_str(),
                jti: id,
                name: statement.name,
                nats,
                sub: statement.subject.as_str(),
            };
            serde_json::to_vec(&claims).expect("claims are plain structs with text keys")
        };
        let id = base32(&Sha512_256::digest(claims("")));
        let signed = format!("{}.{}", base64url(HEADER), base64url(&claims(&id)));
        let signature = signer.sign(signed.as_bytes());
        Self(format!("{signed}.{}", base64url(&signature)))
    }

    /// Reads a JWT and checks that whoever it names has signed it; whether that one may vouch for
    /// the subject is the broker's to judge.
    ///
    /// # Errors
    ///
    /// See [`JwtError`].
    pub fn parse(text: &str) -> Result<(Self, Summary), JwtError> {
        let (signed, signature) = text.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(JwtError::Malformed)?;
        let bytes = |part| from_base64url(part).ok_or(JwtError::Malformed);
        if bytes(header)? != HEADER {
            return Err(JwtError::Malformed);
        }
        let Read { exp, iat, iss, name, sub, .. } =
            serde_json::from_slice(&bytes(claims)?).map_err(|_| JwtError::Malformed)?;
        let issuer = KeyPair::from_public_key(&iss).map_err(|_| JwtError::Malformed)?;
        let verified = issuer.verify(signed.as_bytes(), &bytes(signature)?);
        verified.map_err(|_| JwtError::Signature)?;
        let summary =
            Summary { issuer: iss, subject: sub, name, issued_at_s: iat, expires_at_s: exp };
        Ok((Self(text.to_owned()), summary))
    }

    /// The JWT as it is sent; it holds no secret.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
