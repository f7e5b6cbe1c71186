//! Names of principals, tasks and processes, safe to be one part of a subject.
//!
//! **Invariant:** no value of these types holds a dot, a wildcard, a space or a control character,
//! so none can reach beyond its own place in a subject.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Longest name, in bytes.
pub const ID_BYTES_MAX: usize = 63;

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown} is not an id: {problem}")]
pub struct InvalidId {
    shown: String,
    problem: &'static str,
}

fn check(raw: &str) -> Result<(), InvalidId> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let problem = if raw.is_empty() {
        "it is empty"
    } else if ID_BYTES_MAX < raw.len() {
        "it is longer than 63 bytes"
    } else if !raw.bytes().all(|byte| allowed(byte) || byte == b'-') {
        "only a-z, 0-9 and - may occur"
    } else if raw.starts_with('-') {
        "it starts with -"
    } else {
        return Ok(());
    };
    let shown: String = raw.chars().take(ID_BYTES_MAX).collect();
    Err(InvalidId { shown: format!("{shown:?}"), problem })
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Accepts `[a-z0-9][a-z0-9-]{0,62}`.
            ///
            /// # Errors
            ///
            /// Says what is wrong with anything else.
            pub fn parse(raw: &str) -> Result<Self, InvalidId> {
                check(raw).map(|()| Self(raw.to_owned()))
            }

            /// The id as it stands in subjects and messages.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(raw: String) -> Result<Self, InvalidId> {
                check(&raw).map(|()| Self(raw))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(raw: &str) -> Result<Self, InvalidId> {
                Self::parse(raw)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$" })
            }
        }
    };
}

id_type! {
    /// A person, an agent with its node, or a service: whoever can ask for something.
    PrincipalId
}
id_type! {
    /// A task: 32 hexadecimal digits, made from the issuer and the request's nonce.
    TaskId
}
id_type! {
    /// One start of one process; never reused.
    InstanceId
}
id_type! {
    /// A command, as its sender names it; unique per principal while it can be repeated.
    CommandId
}

impl PrincipalId {
    /// The instance that `entropy` names, for example `registry-9f86d081884c7d65`.
    #[must_use]
    pub fn instance(&self, entropy: u64) -> InstanceId {
        let name: String = self.0.chars().take(ID_BYTES_MAX - 17).collect();
        InstanceId(format!("{name}-{entropy:016x}"))
    }
}

#[cfg(test)]
mod tests;
