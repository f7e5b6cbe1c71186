//! Names of what an agent can do, and the patterns that cover them.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Longest capability or pattern, in bytes.
pub const CAPABILITY_BYTES_MAX: usize = 128;

/// The text names no capability.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a capability: write words joined by dots, optionally with @version")]
pub struct InvalidCapability(String);

/// Words joined by dots, optionally with a version: `proxmox.create_vm`, `shell.exec@v1`.
///
/// As a pattern it may end in `.*` (`proxmox.*` covers `proxmox.create_vm` and
/// `proxmox.vm.create`) or be `*` alone. A name without version covers and is covered by any.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Capability(String);

impl Capability {
    /// Accepts a name or a pattern.
    ///
    /// # Errors
    ///
    /// Returns the text when it is neither.
    pub fn parse(raw: &str) -> Result<Self, InvalidCapability> {
        let invalid = || InvalidCapability(raw.chars().take(CAPABILITY_BYTES_MAX).collect());
        let (name, version) = split_version(raw);
        let stem = match name.strip_suffix(".*") {
            Some(stem) => stem,
            None if name == "*" => {
                return if version.is_none() { Ok(Self(raw.to_owned())) } else { Err(invalid()) };
            }
            None => name,
        };
        let fits = raw.len() <= CAPABILITY_BYTES_MAX;
        let words = stem.split('.').all(is_word);
        if fits && words && version.is_none_or(is_word) {
            return Ok(Self(raw.to_owned()));
        }
        Err(invalid())
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its version.
    #[must_use]
    pub fn name(&self) -> &str {
        split_version(&self.0).0
    }

    /// The version, where one is named.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        split_version(&self.0).1
    }

    /// Whether it stands for more than one capability.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.name() == "*" || self.name().ends_with(".*")
    }

    /// The part before the wildcard with its dot, or nothing for `*`; the whole name otherwise.
    #[must_use]
    pub fn stem(&self) -> &str {
        let name = self.name();
        if self.is_pattern() { name.trim_end_matches('*') } else { name }
    }

    /// Whether everything that `other` stands for is also meant by this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let versions = match (self.version(), other.version()) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (None, _) | (_, None) => true,
        };
        let names = if self.is_pattern() {
            other.name().starts_with(self.stem())
        } else {
            self.name() == other.name()
        };
        versions && names
    }

    /// Whether the two have any capability in common: a search with a wildcard finds both ways.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }
}

fn split_version(raw: &str) -> (&str, Option<&str>) {
    raw.split_once('@').map_or((raw, None), |(name, version)| (name, Some(version)))
}

fn is_word(word: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !word.is_empty() && word.bytes().all(allowed)
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Capability {
    type Error = InvalidCapability;
    fn try_from(raw: String) -> Result<Self, InvalidCapability> {
        Self::parse(&raw)
    }
}

impl From<Capability> for String {
    fn from(capability: Capability) -> Self {
        capability.0
    }
}

impl JsonSchema for Capability {
    fn schema_name() -> Cow<'static, str> {
        "Capability".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^(\*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?(@[A-Za-z0-9_-]+)?)$"
        })
    }
}

#[cfg(test)]
mod tests;
