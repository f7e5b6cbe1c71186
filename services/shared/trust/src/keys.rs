//! Ed25519 keys, each for one purpose.
//!
//! **Invariant:** a key is never used, found or named without its purpose, so a signature made for
//! one is worth nothing for another.
//! **Invariant:** no secret byte is ever printed, and all are wiped when dropped.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use schemas::ErrorCode;
pub use schemas::key::{InvalidKeyId, KeyId, KeyPurpose as Purpose};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Length of a signature, in bytes.
pub(crate) const SIGNATURE_BYTES: usize = 64;

const KEY_ID_DOMAIN: &[u8] = b"cortex/kid/v1";

fn id_of(purpose: Purpose, public: &[u8; 32]) -> KeyId {
    let digest = Sha256::new()
        .chain_update(KEY_ID_DOMAIN)
        .chain_update(purpose.as_str())
        .chain_update(public)
        .finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    KeyId(id)
}

/// Why bytes are no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the public key is no point of the curve")]
    NotOnCurve,
    #[error("the public key is not written in its canonical form")]
    NotCanonical,
    #[error("the public key is of small order: anybody can sign for it")]
    Weak,
    #[error("the public key has a part of small order, which no honest key has")]
    MixedOrder,
}

impl KeyError {
    /// The code that users see.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::NotOnCurve | Self::NotCanonical | Self::Weak | Self::MixedOrder => {
                ErrorCode::KeyWeak
            }
        }
    }
}

/// Verifies what its owner signed.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    purpose: Purpose,
    id: KeyId,
    point: VerifyingKey,
}

impl PublicKey {
    /// Accepts the 32 bytes of RFC 8032.
    ///
    /// # Errors
    ///
    /// Refuses what is no point, not canonical, or not of the large prime order alone.
    pub fn from_bytes(purpose: Purpose, bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let point = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotOnCurve)?;
        if point.is_weak() {
            return Err(KeyError::Weak);
        }
        if point.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::NotCanonical);
        }
        if !point.to_edwards().is_torsion_free() {
            return Err(KeyError::MixedOrder);
        }
        Ok(Self { purpose, id: id_of(purpose, bytes), point })
    }

    /// What it may verify.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.point.as_bytes()
    }

    /// Whether the owner signed exactly these bytes, in the only form a signature can have.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        self.point.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

/// The same for a key that has no purpose of ours: a login. Refuses weak ones.
pub(crate) fn verify_strict(
    public: &[u8; 32],
    message: &[u8],
    signature: &[u8; SIGNATURE_BYTES],
) -> bool {
    let point = VerifyingKey::from_bytes(public);
    let signature = Signature::from_bytes(signature);
    point.is_ok_and(|point| point.verify_strict(message, &signature).is_ok())
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} key {}", self.purpose, self.id)
    }
}

/// Signs for one purpose.
#[derive(Clone)]
pub struct SecretKey {
    signing: SigningKey,
    public: PublicKey,
}

impl SecretKey {
    /// Makes the key that 32 random bytes determine.
    #[must_use]
    pub fn from_entropy(purpose: Purpose, entropy: &Zeroizing<[u8; 32]>) -> Self {
        let signing = SigningKey::from_bytes(entropy);
        let public = PublicKey::from_bytes(purpose, signing.verifying_key().as_bytes())
            .expect("a clamped scalar times the base point is a canonical point of large order");
        Self { signing, public }
    }

    /// The half that others may know.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn entropy(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing.to_bytes())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.signing.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret {:?}", self.public)
    }
}

#[cfg(test)]
mod tests;
