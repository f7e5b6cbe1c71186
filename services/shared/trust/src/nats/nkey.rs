//! Ed25519 keys as NATS writes them: `S` and a kind for a seed, the kind for a public key.
//!
//! **Invariant:** a key is of the kind that its place asks for, so no user's key signs for an account.
//! **Invariant:** no seed is ever printed; texts of seeds are wiped when dropped.

use std::fmt;

use nkeys::{KeyPair, KeyPairType};
use serde::Serialize;
use zeroize::Zeroizing;

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NkeyKind {
    /// Vouches for accounts.
    Operator,
    /// Vouches for users.
    Account,
    /// Logs in.
    User,
}

impl NkeyKind {
    fn pair_type(self) -> KeyPairType {
        match self {
            Self::Operator => KeyPairType::Operator,
            Self::Account => KeyPairType::Account,
            Self::User => KeyPairType::User,
        }
    }

    /// The letter that public keys of the kind begin with.
    fn letter(self) -> char {
        match self {
            Self::Operator => 'O',
            Self::Account => 'A',
            Self::User => 'U',
        }
    }
}

impl fmt::Display for NkeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operator => "operator",
            Self::Account => "account",
            Self::User => "user",
        })
    }
}

/// The text is no key of the kind. It is not repeated: it may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no {what} of {kind} keys in NATS")]
pub struct InvalidNkey {
    what: &'static str,
    kind: NkeyKind,
}

/// The half of a key that others may know, as NATS writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct PublicNkey(String);

impl PublicNkey {
    /// Reads the public half of a key of that kind.
    ///
    /// # Errors
    ///
    /// Refuses another kind, and a text whose check sum is wrong.
    pub fn parse(kind: NkeyKind, text: &str) -> Result<Self, InvalidNkey> {
        let sound = text.starts_with(kind.letter()) && KeyPair::from_public_key(text).is_ok();
        let invalid = InvalidNkey { what: "public half", kind };
        if sound { Ok(Self(text.to_owned())) } else { Err(invalid) }
    }

    /// The 32 bytes of RFC 8032.
    pub(crate) fn bytes(&self) -> [u8; 32] {
        nkeys::from_public_key(&self.0).expect("the check sum was checked").1
    }

    /// The text, 56 letters and digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublicNkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key that signs JWTs or logs in.
#[derive(Clone)]
pub struct Nkey {
    kind: NkeyKind,
    pair: KeyPair,
}

impl Nkey {
    /// The key that 32 random bytes determine.
    #[must_use]
    pub fn from_entropy(kind: NkeyKind, entropy: &Zeroizing<[u8; 32]>) -> Self {
        let pair = KeyPair::new_from_raw(kind.pair_type(), **entropy);
        Self { kind, pair: pair.expect("any 32 bytes are a key") }
    }

    /// Reads the seed of a key of that kind.
    ///
    /// # Errors
    ///
    /// Refuses another kind, and a text whose check sum is wrong.
    pub fn from_seed(kind: NkeyKind, seed: &str) -> Result<Self, InvalidNkey> {
        let invalid = InvalidNkey { what: "seed", kind };
        let pair = KeyPair::from_seed(seed).map_err(|_| invalid)?;
        if pair.key_pair_type() != kind.pair_type() {
            return Err(invalid);
        }
        Ok(Self { kind, pair })
    }

    /// What it stands for.
    #[must_use]
    pub fn kind(&self) -> NkeyKind {
        self.kind
    }

    /// The half that others may know.
    #[must_use]
    pub fn public(&self) -> PublicNkey {
        PublicNkey(self.pair.public_key())
    }

    /// The seed's text; to be written where only the owner can read.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<String> {
        Zeroizing::new(self.pair.seed().expect("the pair was made from its seed"))
    }

    /// Refuses to be used as a key of another kind.
    pub(super) fn expect_kind(&self, kind: NkeyKind) -> Result<(), InvalidNkey> {
        let other = InvalidNkey { what: "seed", kind };
        if self.kind == kind { Ok(()) } else { Err(other) }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).expect("the pair was made from its seed")
    }
}

impl fmt::Debug for Nkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret {} key {}", self.kind, self.public())
    }
}
