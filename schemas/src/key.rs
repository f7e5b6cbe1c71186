//! Names of keys and what each may sign; the keys themselves are the business of others.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::hex;

/// What a key may sign.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum KeyPurpose {
    /// Requests and orders of a person, an agent or a service.
    TaskIssuer,
    /// Assignments of requests to nodes.
    Scheduler,
    /// A node's record of what it ran.
    NodeLog,
    /// Checkpoints of the audit log.
    Checkpoint,
    /// Confirmations of somebody else's checkpoints.
    Cosigner,
    /// Certificates for keys of principals, and the roster.
    Enrolment,
    /// Certificates for enrolment keys.
    Root,
}

impl KeyPurpose {
    /// The purpose as it stands in files and key ids.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TaskIssuer => "task-issuer",
            Self::Scheduler => "scheduler",
            Self::NodeLog => "node-log",
            Self::Checkpoint => "checkpoint",
            Self::Cosigner => "cosigner",
            Self::Enrolment => "enrolment",
            Self::Root => "root",
        }
    }

    /// The purpose that a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        const ALL: [KeyPurpose; 7] = [
            KeyPurpose::TaskIssuer,
            KeyPurpose::Scheduler,
            KeyPurpose::NodeLog,
            KeyPurpose::Checkpoint,
            KeyPurpose::Cosigner,
            KeyPurpose::Enrolment,
            KeyPurpose::Root,
        ];
        ALL.into_iter().find(|purpose| purpose.as_str() == word)
    }
}

impl fmt::Display for KeyPurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Name of a key: the first 16 bytes of SHA-256 over a domain, its purpose and its public bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(pub [u8; 16]);

/// The text is not 32 lowercase hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id is 32 lowercase hexadecimal digits")]
pub struct InvalidKeyId;

/// A public key, in the 32 bytes of RFC 8032.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKeyBytes(pub [u8; 32]);

/// The text is not 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public key is 64 lowercase hexadecimal digits")]
pub struct InvalidPublicKey;

/// A public key and what it is for; not yet shown to be a good one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct KeyOffer {
    /// What it is for.
    pub purpose: KeyPurpose,
    /// Its bytes.
    pub key: PublicKeyBytes,
}

macro_rules! hexadecimal {
    ($name:ident, $error:ident, $pattern:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = $error;
            fn from_str(text: &str) -> Result<Self, $error> {
                crate::hash::unhex(text).map(Self).ok_or($error)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;
            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

hexadecimal!(KeyId, InvalidKeyId, "^[0-9a-f]{32}$");
hexadecimal!(PublicKeyBytes, InvalidPublicKey, "^[0-9a-f]{64}$");
