//! What an agent says about itself, and what follows from it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Capability, CredentialReference, ErrorCode, Fault, PrincipalId, credential};

/// Most capabilities of all three sorts together.
pub const CAPABILITIES_MAX: usize = 512;
/// Most labels, relations or credentials of one agent.
pub const MANIFEST_ENTRIES_MAX: usize = 128;
/// Longest free text in a manifest, in bytes.
pub const TEXT_BYTES_MAX: usize = 256;
/// Shortest and longest heartbeat interval, in seconds.
pub const HEARTBEAT_INTERVAL_S: std::ops::RangeInclusive<u32> = 1..=3600;

/// An agent's description of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The agent, and the principal it acts as.
    pub id: PrincipalId,
    /// For people.
    pub name: String,
    /// Any word, such as `orchestrator` or `worker`.
    pub role: String,
    /// Where it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// An HTTP address, for agents that are reached that way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// Whom it may task: ids, `prefix-*`, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub can_task: Vec<PrincipalPattern>,
    /// Who may task it: ids, `prefix-*`, or `*`. Nobody by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepts_tasks_from: Vec<PrincipalPattern>,
    /// Whom it answers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports_to: Vec<PrincipalId>,
    /// References to secrets, such as `k8s-secret:cortex/proxmox-creds#token`; never the secrets.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::strict::unique_keys"
    )]
    pub credentials: BTreeMap<String, String>,
    /// Words that tasks can select by.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::strict::unique_keys"
    )]
    pub labels: BTreeMap<String, String>,
    /// How much it takes on.
    #[serde(default)]
    pub limits: Limits,
    /// Seconds between heartbeats; 10 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_interval: Option<u32>,
}

/// The three sorts of things an agent can do; all of them answer who-can.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// Servers it speaks to; each stands for `SERVER.*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mcp_servers: Vec<Capability>,
    /// Properties of the machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub system: Vec<Capability>,
    /// Tools by name or pattern.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Capability>,
}

impl Capabilities {
    /// All of them, in the order of the manifest.
    pub fn all(&self) -> impl Iterator<Item = &Capability> {
        self.mcp_servers.iter().chain(&self.system).chain(&self.tools)
    }
}

/// How much an agent takes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Runs at the same time; the node's own setting when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tasks: Option<u32>,
    /// Share of the machine's processors, 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u8>,
    /// Share of the machine's memory, 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_percent: Option<u8>,
}

/// A principal, `prefix-*`, or `*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct PrincipalPattern(String);

/// The text is no pattern of principals.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an id or a pattern: write an id, prefix-* or *")]
pub struct InvalidPattern(String);

impl PrincipalPattern {
    /// Accepts an id, an id's beginning followed by `*`, or `*`.
    ///
    /// # Errors
    ///
    /// Returns the text when it is none of them.
    pub fn parse(raw: &str) -> Result<Self, InvalidPattern> {
        let stem = raw.strip_suffix('*').unwrap_or(raw);
        let anybody = raw == "*";
        if anybody || PrincipalId::parse(stem).is_ok() {
            return Ok(Self(raw.to_owned()));
        }
        Err(InvalidPattern(raw.chars().take(64).collect()))
    }

    /// Whether `principal` is meant.
    #[must_use]
    pub fn covers(&self, principal: &PrincipalId) -> bool {
        match self.0.strip_suffix('*') {
            Some(stem) => principal.as_str().starts_with(stem),
            None => principal.as_str() == self.0,
        }
    }

    /// Whether everybody that `inner` means is meant here too.
    #[must_use]
    pub fn contains(&self, inner: &Self) -> bool {
        match self.0.strip_suffix('*') {
            Some(stem) => inner.0.strip_suffix('*').unwrap_or(&inner.0).starts_with(stem),
            None => self.0 == inner.0,
        }
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PrincipalPattern {
    type Error = InvalidPattern;
    fn try_from(raw: String) -> Result<Self, InvalidPattern> {
        Self::parse(&raw)
    }
}

impl From<PrincipalPattern> for String {
    fn from(pattern: PrincipalPattern) -> Self {
        pattern.0
    }
}

impl Manifest {
    /// Checks what the types alone do not say.
    ///
    /// # Errors
    ///
    /// `INVALID_MANIFEST`, naming the field.
    pub fn validate(&self) -> Result<(), Fault> {
        let texts = [
            ("name", Some(&self.name)),
            ("role", Some(&self.role)),
            ("location", self.location.as_ref()),
            ("endpoint", self.endpoint.as_ref()),
        ];
        for (field, text) in texts {
            if let Some(text) = text {
                check_text(field, text)?;
            }
        }
        check_word("role", &self.role)?;
        check_count("capabilities", self.capabilities.all().count(), CAPABILITIES_MAX)?;
        let relations = self.can_task.len() + self.accepts_tasks_from.len() + self.reports_to.len();
        check_count(
            "can_task, accepts_tasks_from and reports_to",
            relations,
            MANIFEST_ENTRIES_MAX,
        )?;
        check_table("labels", &self.labels)?;
        check_table("credentials", &self.credentials)?;
        for (name, reference) in &self.credentials {
            check_credential(name, reference)?;
        }
        self.limits.validate()?;
        match self.heartbeat_interval {
            Some(seconds) if !HEARTBEAT_INTERVAL_S.contains(&seconds) => {
                Err(invalid("heartbeat_interval", "must be 1 to 3600 seconds"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether this agent lets `principal` task it.
    #[must_use]
    pub fn accepts(&self, principal: &PrincipalId) -> bool {
        self.accepts_tasks_from.iter().any(|pattern| pattern.covers(principal))
    }

    /// Whether this agent may task `principal`, as far as it says itself.
    #[must_use]
    pub fn may_task(&self, principal: &PrincipalId) -> bool {
        self.can_task.iter().any(|pattern| pattern.covers(principal))
    }

    /// The entry that makes this agent able to do `wanted`, if any does.
    #[must_use]
    pub fn grants(&self, wanted: &Capability) -> Option<&Capability> {
        let direct = self.capabilities.all().find(|held| held.overlaps(wanted));
        direct.or_else(|| {
            // An MCP server named `proxmox` offers all of `proxmox.*`.
            let offers = |server: &&Capability| {
                let stem = format!("{}.", server.name());
                wanted.name().starts_with(&stem)
            };
            self.capabilities.mcp_servers.iter().find(offers)
        })
    }
}

impl Limits {
    fn validate(&self) -> Result<(), Fault> {
        let percents = [
            ("limits.cpu_percent", self.cpu_percent),
            ("limits.memory_percent", self.memory_percent),
        ];
        for (field, percent) in percents {
            if percent.is_some_and(|value| !(1..=100).contains(&value)) {
                return Err(invalid(field, "must be 1 to 100"));
            }
        }
        if self.max_tasks == Some(0) {
            return Err(invalid("limits.max_tasks", "must be at least 1"));
        }
        Ok(())
    }
}

fn invalid(field: &str, problem: &str) -> Fault {
    Fault::new(ErrorCode::InvalidManifest, format!("{field} {problem}"))
}

fn check_text(field: &str, text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(invalid(field, "is empty"));
    }
    if TEXT_BYTES_MAX < text.len() {
        return Err(invalid(field, "is longer than 256 bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(field, "holds a control character"));
    }
    Ok(())
}

fn check_word(field: &str, word: &str) -> Result<(), Fault> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    if word.chars().all(allowed) { Ok(()) } else { Err(invalid(field, "must be one word")) }
}

fn check_count(field: &str, count: usize, max: usize) -> Result<(), Fault> {
    if count <= max {
        return Ok(());
    }
    Err(invalid(field, &format!("has {count} entries, the limit is {max}")))
}

fn check_table(field: &str, table: &BTreeMap<String, String>) -> Result<(), Fault> {
    check_count(field, table.len(), MANIFEST_ENTRIES_MAX)?;
    for (key, value) in table {
        check_text(field, key)?;
        check_text(&format!("{field}.{key}"), value)?;
    }
    Ok(())
}

fn check_credential(name: &str, reference: &str) -> Result<(), Fault> {
    if let Some(problem) = credential::name_problem(name) {
        return Err(invalid("credentials", &format!("has a name that {problem}")));
    }
    let field = format!("credentials.{name}");
    CredentialReference::parse(reference)
        .map(drop)
        .map_err(|error| invalid(&field, &error.to_string()))
}

#[cfg(test)]
mod tests;
