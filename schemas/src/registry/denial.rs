//! What the broker forbade, as whoever reads its log tells the registry.
//!
//! **Invariant:** what a stranger wrote into a subject is bounded and holds no control character.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ErrorCode, Fault, Timestamp};

/// Most entries of one [`ReportDenialsRequest`]; all of them fit into one command.
pub const DENIALS_REPORTED_MAX: usize = 64;
/// Longest subject of an entry, in bytes; what is longer is cut and ends in [`SUBJECT_CUT`].
pub const DENIED_SUBJECT_BYTES_MAX: usize = 256;
/// The end of a subject that was cut.
pub const SUBJECT_CUT: &str = "...";
/// Characters of a NATS public key.
const LOGIN_CHARS: usize = 56;

/// What somebody tried on the broker.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum DeniedAction {
    /// To say something.
    Publish,
    /// To hear something.
    Subscribe,
    /// To come in at all.
    Login,
}

impl fmt::Display for DeniedAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Login => "login",
        })
    }
}

/// Something that the broker forbade, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeniedAccess {
    /// NATS public key of whoever tried it; empty when the broker does not say. Of a login it is
    /// what was claimed, and proves nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub login: String,
    /// What was tried.
    pub action: DeniedAction,
    /// On which subject; of a login, the address that it came from.
    pub subject: String,
    /// How often.
    pub count: u32,
    /// When it was first seen.
    pub since: Timestamp,
}

impl DeniedAccess {
    /// Refuses what no reader of a broker's log would say.
    ///
    /// # Errors
    ///
    /// `INVALID_VALUE` names the field.
    pub fn validate(&self) -> Result<(), Fault> {
        let invalid = |message: String| Err(Fault::new(ErrorCode::InvalidValue, message));
        if !self.login.is_empty() && !is_login(&self.login) {
            return invalid("login: must be the NATS public key of a user, or empty".to_owned());
        }
        if self.subject.is_empty() || DENIED_SUBJECT_BYTES_MAX < self.subject.len() {
            return invalid(format!("subject: must have 1 to {DENIED_SUBJECT_BYTES_MAX} bytes"));
        }
        if self.subject.chars().any(char::is_control) {
            return invalid("subject: has a control character".to_owned());
        }
        if self.count == 0 {
            return invalid("count: must be at least 1".to_owned());
        }
        Ok(())
    }
}

/// Whether a text has the form of a user's NATS public key.
#[must_use]
pub fn is_login(text: &str) -> bool {
    let base32 = |byte: u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte);
    text.len() == LOGIN_CHARS && text.starts_with('U') && text.bytes().all(base32)
}

/// Tells what the broker forbade; for services and whoever looks after the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportDenialsRequest {
    /// What was forbidden, at most [`DENIALS_REPORTED_MAX`] entries.
    #[serde(default)]
    pub denials: Vec<DeniedAccess>,
    /// How many more there were of which nothing else is told, because there were too many.
    #[serde(default)]
    pub suppressed: u64,
}

/// Answer to [`ReportDenialsRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportDenialsAnswer {
    /// How many events were recorded.
    pub recorded: u32,
}

#[cfg(test)]
mod tests;
