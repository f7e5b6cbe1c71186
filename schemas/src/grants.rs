//! What a run or a certified key may itself ask for, and when one set of grants contains another.
//!
//! **Invariant:** what is not granted is not allowed; no grant widens another.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Audience, Capability, manifest::PrincipalPattern};

/// Most entries of one list of grants.
pub const GRANT_ENTRIES_MAX: usize = 64;
/// Longest chain of requests that ask for one another, the first included.
pub const CHAIN_LENGTH_MAX: usize = 8;

/// What may be asked for in somebody's name. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// Capabilities that tasks may be addressed to, by name or pattern.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// Agents that tasks may be addressed to: ids, `prefix-*`, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<PrincipalPattern>,
    /// Credentials that tasks may name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<String>,
    /// Directories of nodes that tasks may be given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathGrant>,
    /// Addresses that tasks may connect to, as `host:port`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network: Vec<String>,
    /// How many tasks may be asked for, those that these ask for included.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tasks_max: u32,
    /// When it all ends, in seconds since the Unix epoch; with the request itself when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_s: Option<u64>,
}

/// A directory, and what may be done in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathGrant {
    /// Absolute, without `.`, `..` or empty parts.
    pub path: String,
    /// Whether it may be changed.
    pub access: PathAccess,
}

/// What may be done in a directory.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum PathAccess {
    /// Read.
    Read,
    /// Read and change.
    Write,
}

/// Why grants are not contained in others: which kind, and which entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {entry} is not granted")]
pub struct Excess {
    /// The kind of grant, as its field is called.
    pub kind: &'static str,
    /// The entry that goes too far.
    pub entry: String,
}

impl Excess {
    fn of(kind: &'static str, entry: impl ToString) -> Self {
        Self { kind, entry: entry.to_string() }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Grants {
    /// Whether nothing is granted.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Whether tasks may be addressed to `audience`.
    ///
    /// # Errors
    ///
    /// Names what is not granted.
    pub fn permit_audience(&self, audience: &Audience) -> Result<(), Excess> {
        let (kind, granted) = match audience {
            Audience::Node(node) => ("agent", self.agents.iter().any(|it| it.covers(node))),
            Audience::Can(wanted) => {
                ("capability", self.capabilities.iter().any(|it| it.covers(wanted)))
            }
        };
        if granted { Ok(()) } else { Err(Excess::of(kind, audience)) }
    }

    /// Whether tasks may name these credentials.
    ///
    /// # Errors
    ///
    /// Names the first that is not granted.
    pub fn permit_credentials(&self, wanted: &[String]) -> Result<(), Excess> {
        let missing = wanted.iter().find(|name| !self.credentials.contains(name));
        missing.map_or(Ok(()), |name| Err(Excess::of("credential", name)))
    }

    /// Whether everything that `inner` grants is granted here too. How many tasks are left is for
    /// whoever counts them.
    ///
    /// # Errors
    ///
    /// Names the first entry that goes too far.
    pub fn permit_grants(&self, inner: &Self) -> Result<(), Excess> {
        let Self { capabilities, agents, credentials, paths, network, tasks_max, until_s } = inner;
        let capability = capabilities
            .iter()
            .find(|wanted| !self.capabilities.iter().any(|granted| granted.covers(wanted)));
        if let Some(capability) = capability {
            return Err(Excess::of("capability", capability));
        }
        let agent = agents
            .iter()
            .find(|wanted| !self.agents.iter().any(|granted| granted.contains(wanted)));
        if let Some(agent) = agent {
            return Err(Excess::of("agent", agent.as_str()));
        }
        self.permit_credentials(credentials)?;
        let path = paths.iter().find(|wanted| !self.paths.iter().any(|it| it.contains(wanted)));
        if let Some(path) = path {
            return Err(Excess::of("path", &path.path));
        }
        if let Some(address) = network.iter().find(|wanted| !self.network.contains(wanted)) {
            return Err(Excess::of("network", address));
        }
        if self.tasks_max < *tasks_max {
            return Err(Excess::of("tasks_max", tasks_max));
        }
        match (self.until_s, *until_s) {
            (Some(end), Some(wanted)) if end < wanted => Err(Excess::of("until_s", wanted)),
            (_, _) => Ok(()),
        }
    }
}

impl PathGrant {
    /// Whether the path is absolute and plain.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let Some(rest) = self.path.strip_prefix('/') else { return false };
        let odd = |part: &str| part.is_empty() || part == "." || part == "..";
        !self.path.contains('\0') && (rest.is_empty() || !rest.split('/').any(odd))
    }

    /// Whether `inner` lies within, and may do no more.
    #[must_use]
    pub fn contains(&self, inner: &Self) -> bool {
        let stem = self.path.strip_suffix('/').unwrap_or(&self.path);
        let below = inner.path.strip_prefix(stem);
        let within = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.is_plain() && inner.is_plain() && within && inner.access <= self.access
    }
}

#[cfg(test)]
mod tests;
