//! What is signed: a request by whoever wants a task done, an assignment by the scheduler.
//!
//! **Invariant:** these are plain values; only the trust crate turns signed bytes into them.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    Capability, PrincipalId, Sha256Hash, TaskId,
    enrolment::AgentAccess,
    grants::Grants,
    key::{KeyId, KeyOffer},
};

/// Type of a signed request.
pub const REQUEST_TYPE: &str = "application/vnd.cortex.task+cbor";
/// Type of a signed assignment.
pub const ASSIGNMENT_TYPE: &str = "application/vnd.cortex.assignment+cbor";
/// Type of a signed order.
pub const ORDER_TYPE: &str = "application/vnd.cortex.order+cbor";
/// Type of a certificate.
pub const CERTIFICATE_TYPE: &str = "application/vnd.cortex.certificate+cbor";
/// Type of a signed roster.
pub const ROSTER_TYPE: &str = "application/vnd.cortex.roster+cbor";

/// Who may carry a request out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Audience {
    /// `node:ID`: that node and no other.
    Node(PrincipalId),
    /// `can:CAPABILITY`: any node that has it.
    Can(Capability),
}

/// The text is no audience.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an audience: write node:ID or can:CAPABILITY")]
pub struct InvalidAudience(String);

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "node:{node}"),
            Self::Can(capability) => write!(f, "can:{capability}"),
        }
    }
}

impl FromStr for Audience {
    type Err = InvalidAudience;
    fn from_str(text: &str) -> Result<Self, InvalidAudience> {
        let invalid = || InvalidAudience(text.chars().take(160).collect());
        match text.split_once(':').ok_or_else(invalid)? {
            ("node", id) => PrincipalId::parse(id).map(Self::Node).map_err(|_| invalid()),
            ("can", name) => Capability::parse(name).map(Self::Can).map_err(|_| invalid()),
            (_, _) => Err(invalid()),
        }
    }
}

impl TryFrom<String> for Audience {
    type Error = InvalidAudience;
    fn try_from(text: String) -> Result<Self, InvalidAudience> {
        text.parse()
    }
}

impl From<Audience> for String {
    fn from(audience: Audience) -> Self {
        audience.to_string()
    }
}

impl JsonSchema for Audience {
    fn schema_name() -> Cow<'static, str> {
        "Audience".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(node|can):.+$" })
    }
}

/// Claims of a signed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestClaims {
    /// Whose key signed.
    pub issuer: PrincipalId,
    /// The user it is for.
    pub subject: PrincipalId,
    /// Who may carry it out.
    pub audience: Audience,
    /// Seconds since the Unix epoch.
    pub expires_at_s: u64,
    /// Seconds since the Unix epoch.
    pub not_before_s: u64,
    /// Seconds since the Unix epoch.
    pub issued_at_s: u64,
    /// Random; with the issuer it names the task, so submitting twice is the same task.
    pub nonce: [u8; 16],
    /// The task's specification, as the JSON text that was signed.
    pub spec_json: String,
    /// What the task may itself ask for.
    pub grants: Grants,
    /// The task that asked for this one, where there is one.
    pub parent: Option<TaskId>,
    /// W3C `traceparent`.
    pub trace: Option<String>,
    /// Partition of the scheduler that may take it, so that a replay cannot move.
    pub partition: u32,
}

/// Claims of a signed assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignmentClaims {
    /// The scheduler that signed.
    pub issuer: PrincipalId,
    /// Seconds since the Unix epoch.
    pub issued_at_s: u64,
    /// Seconds since the Unix epoch.
    pub expires_at_s: u64,
    /// Which task.
    pub task: TaskId,
    /// SHA-256 of the request's envelope.
    pub request_hash: Sha256Hash,
    /// Who shall run it.
    pub node: PrincipalId,
    /// Counts the assignments of the task.
    pub epoch: u64,
    /// Counts its runs.
    pub attempt: u32,
    /// Term of the scheduler's log in which it was decided.
    pub term: u64,
}

/// Claims of a signed order: somebody changes whom others trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderClaims {
    /// Whose key signed.
    pub issuer: PrincipalId,
    /// The service that shall carry it out.
    pub service: PrincipalId,
    /// Seconds since the Unix epoch.
    pub issued_at_s: u64,
    /// Seconds since the Unix epoch.
    pub expires_at_s: u64,
    /// Random; with the issuer it names the order, so handing it in twice is the same order.
    pub nonce: [u8; 16],
    /// The [`crate::enrolment::Order`], as the JSON text that was signed.
    pub order_json: String,
}

/// Claims of a certificate: a key vouches for another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateClaims {
    /// Whose key vouches.
    pub issuer: PrincipalId,
    /// Whose key it vouches for.
    pub subject: PrincipalId,
    /// That key, and what it may sign.
    pub key: KeyOffer,
    /// When this was signed, in seconds since the Unix epoch.
    pub issued_at_s: u64,
    /// First second in which the key may sign, since the Unix epoch.
    pub not_before_s: u64,
    /// First second in which it may sign no more, since the Unix epoch.
    pub not_after_s: u64,
    /// What may be asked for with it at all; anything when absent. A key that is bounded vouches for
    /// no other.
    pub bounds: Option<Grants>,
}

/// Claims of a roster: who is out, and who may act everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterClaims {
    /// The registry.
    pub issuer: PrincipalId,
    /// When it was signed, in seconds since the Unix epoch.
    pub issued_at_s: u64,
    /// Ascends with every change; a lower one than seen before is not believed.
    pub version: u64,
    /// Keys that are out of use, in order. Nothing that they signed counts, whenever that was.
    pub revoked: Vec<KeyId>,
    /// People who may task every agent, in order.
    pub overseers: Vec<PrincipalId>,
    /// Who may task the agent that asked; absent for everybody else who asks.
    pub access: Option<AgentAccess>,
}

#[cfg(test)]
mod tests;
