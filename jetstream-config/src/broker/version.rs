//! Versions of nats-server.

use std::fmt;

/// A version such as `2.15.1`; what follows the numbers, as in `2.15.0-dev`, does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number.
    pub patch: u32,
}

impl Version {
    /// Oldest single server that is let in, and that was measured.
    pub const SINGLE_MIN: Self = Self { major: 2, minor: 12, patch: 15 };
    /// Oldest cluster: older ones do not bind a proposal to its leader's term, so a deposed leader
    /// could still have a frame stored.
    pub const CLUSTER_MIN: Self = Self { major: 2, minor: 14, patch: 5 };

    /// The version that `text` names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let numbers = text.split(['-', '+']).next()?;
        let mut parts = numbers.split('.').map(str::parse::<u32>);
        let mut next = || parts.next()?.ok();
        let version = Self { major: next()?, minor: next()?, patch: next()? };
        parts.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
