//! Asks a nats-server binary for its version, and compares versions.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::BrokerError;

/// A broker's version. A pre-release sorts before its release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u16,
    minor: u16,
    patch: u16,
    released: bool,
}

impl Version {
    /// The released version `major.minor.patch`.
    #[must_use]
    pub const fn released(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch, released: true }
    }

    /// Reads `2.15.1` or `v2.15.0-RC.1`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (numbers, suffix) = match text.split_once('-') {
            Some((numbers, suffix)) => (numbers, Some(suffix)),
            None => (text, None),
        };
        let mut parts = numbers.split('.').map(str::parse::<u16>);
        let mut next = || parts.next()?.ok();
        let (major, minor, patch) = (next()?, next()?, next()?);
        parts.next().is_none().then_some(Self { major, minor, patch, released: suffix.is_none() })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { major, minor, patch, released } = self;
        let suffix = if *released { "" } else { "-pre" };
        write!(f, "{major}.{minor}.{patch}{suffix}")
    }
}

/// Runs `path --version` and reads its answer. Blocks for some ten milliseconds.
///
/// # Errors
/// [`BrokerError::NotRunnable`] when it does not start, [`BrokerError::NotABroker`] when it answers otherwise.
pub fn version(path: &Path) -> Result<Version, BrokerError> {
    let output = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| BrokerError::NotRunnable { path: path.to_owned(), source })?;
    let answer = String::from_utf8_lossy(&output.stdout);
    answer
        .trim()
        .strip_prefix("nats-server: ")
        .filter(|_| output.status.success())
        .and_then(Version::parse)
        .ok_or_else(|| BrokerError::NotABroker {
            path: path.to_owned(),
            answer: answer.trim().chars().take(ANSWER_SHOWN_CHARS).collect(),
        })
}

const ANSWER_SHOWN_CHARS: usize = 80;
