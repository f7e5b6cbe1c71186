//! What is said to the registry, and what it records.

mod denial;
mod event;

pub use denial::{
    DENIALS_REPORTED_MAX, DENIED_SUBJECT_BYTES_MAX, DeniedAccess, DeniedAction,
    ReportDenialsAnswer, ReportDenialsRequest, SUBJECT_CUT, is_login,
};
pub use event::{CertifiedKey, RegistryEvent, Seat};

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Capability, Cursor, Manifest, PrincipalId, Timestamp,
    agent::{Heartbeat, NodeReport},
    manifest::PrincipalPattern,
    permission::Denial,
};

/// Verbs of the registry, as they stand in subjects.
pub mod verb {
    /// [`super::RegisterRequest`] to [`super::RegisterAnswer`].
    pub const REGISTER: &str = "register";
    /// [`crate::agent::Heartbeat`] to [`super::HeartbeatAnswer`], for agents without broker access.
    pub const HEARTBEAT: &str = "heartbeat";
    /// [`super::GetAgentsRequest`] to [`super::GetAgentsAnswer`].
    pub const GET_AGENTS: &str = "get-agents";
    /// [`super::AgentRequest`] to [`super::AgentView`].
    pub const GET_AGENT: &str = "get-agent";
    /// [`super::WhoCanRequest`] to [`super::WhoCanAnswer`].
    pub const WHO_CAN: &str = "who-can";
    /// [`super::AgentRequest`] to [`super::CapabilitiesAnswer`].
    pub const GET_CAPABILITIES: &str = "get-capabilities";
    /// [`super::CanTaskRequest`] to [`super::CanTaskAnswer`].
    pub const CAN_TASK: &str = "can-task";
    /// [`super::UpdateStatusRequest`] to [`super::AgentView`].
    pub const UPDATE_STATUS: &str = "update-status";
    /// [`super::AgentRequest`] to [`super::RelationshipsAnswer`].
    pub const RELATIONSHIPS: &str = "relationships";
    /// [`super::AgentRequest`] to [`super::DeregisterAnswer`].
    pub const DEREGISTER: &str = "deregister";
    /// [`crate::enrolment::OrderRequest`] to [`crate::enrolment::OrderAnswer`].
    pub const ORDER: &str = "order";
    /// [`crate::enrolment::RedeemRequest`] to [`crate::enrolment::Membership`]; with an invite only.
    pub const REDEEM: &str = "redeem";
    /// [`crate::enrolment::RenewRequest`] to [`crate::enrolment::Membership`].
    pub const RENEW: &str = "renew";
    /// [`crate::enrolment::GetRosterRequest`] to [`crate::enrolment::SignedRoster`].
    pub const GET_ROSTER: &str = "get-roster";
    /// [`crate::enrolment::GetPrincipalsRequest`] to [`crate::enrolment::GetPrincipalsAnswer`].
    pub const GET_PRINCIPALS: &str = "get-principals";
    /// [`crate::enrolment::GetInvitesRequest`] to [`crate::enrolment::GetInvitesAnswer`].
    pub const GET_INVITES: &str = "get-invites";
    /// [`crate::enrolment::GetTokensRequest`] to [`crate::enrolment::GetTokensAnswer`].
    pub const GET_TOKENS: &str = "get-tokens";
    /// [`crate::enrolment::UnsealRequest`] to [`crate::enrolment::UnsealAnswer`]; gateways only.
    pub const UNSEAL: &str = "unseal";
    /// [`super::ReportDenialsRequest`] to [`super::ReportDenialsAnswer`].
    pub const REPORT_DENIALS: &str = "report-denials";
    /// [`crate::feed::EventsRequest`] to [`crate::feed::EventsAnswer`].
    pub const EVENTS: &str = crate::feed::EVENTS_VERB;
    /// [`crate::projection::RebuildRequest`] to [`crate::projection::RebuildAnswer`].
    pub const REBUILD: &str = crate::projection::REBUILD_VERB;
    /// All of them.
    pub const ALL: [&str; 21] = [
        REGISTER,
        HEARTBEAT,
        GET_AGENTS,
        GET_AGENT,
        WHO_CAN,
        GET_CAPABILITIES,
        CAN_TASK,
        UPDATE_STATUS,
        RELATIONSHIPS,
        DEREGISTER,
        ORDER,
        REDEEM,
        RENEW,
        GET_ROSTER,
        GET_PRINCIPALS,
        GET_INVITES,
        GET_TOKENS,
        UNSEAL,
        REPORT_DENIALS,
        EVENTS,
        REBUILD,
    ];
}

/// Announces an agent, or changes what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// What the agent says about itself.
    pub manifest: Manifest,
    /// Whose agent it is; the registrant when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PrincipalId>,
    /// What its node measured; absent for an agent without a node (`unenrolled`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeReport>,
}

/// Answer to [`RegisterRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterAnswer {
    /// The agent as it is known from here on.
    pub agent: AgentView,
    /// Version of the messages that the control plane speaks.
    pub protocol: u32,
}

/// Answer to a heartbeat by request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatAnswer {
    /// Who beat.
    pub agent: PrincipalId,
    /// When the registry heard it.
    pub at: Timestamp,
    /// Seconds until the next one is expected.
    pub next_within: u32,
}

/// Selects agents. Absent fields select all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetAgentsRequest {
    /// Exactly this role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Exactly this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<AgentStatus>,
    /// `key=value`, or `key` alone for any value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Able to do this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<Capability>,
    /// Whether archived agents are listed too.
    #[serde(default)]
    pub archived: bool,
    /// Go on after this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<PrincipalId>,
    /// How many at most; 100 when absent, 1000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Answer to [`GetAgentsRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetAgentsAnswer {
    /// By id.
    pub agents: Vec<AgentView>,
    /// Where to go on, when there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<PrincipalId>,
    /// The list includes every event up to here.
    pub cursor: Cursor,
}

/// Names one agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentRequest {
    /// Which.
    pub id: PrincipalId,
}

/// Asks who can do something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhoCanRequest {
    /// A capability or a pattern.
    pub capability: Capability,
    /// Only agents that this principal may task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PrincipalId>,
    /// How many at most; 100 when absent, 1000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Answer to [`WhoCanRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhoCanAnswer {
    /// What was asked for.
    pub capability: Capability,
    /// By id.
    pub agents: Vec<AbleAgent>,
}

/// An agent that can do what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AbleAgent {
    /// Who.
    pub id: PrincipalId,
    /// Whether it is there.
    pub status: AgentStatus,
    /// The entry of its manifest that says so.
    pub granted_by: Capability,
}

/// Answer to `get-capabilities`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CapabilitiesAnswer {
    /// Whose.
    pub id: PrincipalId,
    /// All sorts together, in the order of the manifest.
    pub capabilities: Vec<Capability>,
}

/// Asks whether one may task another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CanTaskRequest {
    /// Who would ask.
    pub from: PrincipalId,
    /// Who would do it.
    pub to: PrincipalId,
}

/// Answer to [`CanTaskRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CanTaskAnswer {
    /// Whether it may.
    pub allowed: bool,
    /// What stands against it.
    pub denials: Vec<Denial>,
    /// The same in sentences.
    pub reasons: Vec<String>,
}

/// Sets an agent's status by hand, which outranks presence, or gives it back to presence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateStatusRequest {
    /// Whose.
    pub id: PrincipalId,
    /// The status to show; `online` gives it back to presence.
    pub status: AgentStatus,
    /// Why, and whatever else is worth knowing.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::strict::unique_keys"
    )]
    pub details: BTreeMap<String, String>,
}

/// Answer to `relationships`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RelationshipsAnswer {
    /// Whose.
    pub id: PrincipalId,
    /// Whom it may task, as its manifest says.
    pub can_task: Vec<PrincipalPattern>,
    /// Whom it accepts, as its manifest says.
    pub accepts_tasks_from: Vec<PrincipalPattern>,
    /// Whom it answers to.
    pub reports_to: Vec<PrincipalId>,
    /// Agents that both sides let it task.
    pub tasks: Vec<PrincipalId>,
    /// Agents that both sides let task it.
    pub tasked_by: Vec<PrincipalId>,
    /// Agents that answer to it.
    pub reports: Vec<PrincipalId>,
    /// Whether one of the three lists was cut after 1000.
    #[serde(default)]
    pub more: bool,
}

/// Answer to `deregister`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeregisterAnswer {
    /// Who is no longer listed.
    pub id: PrincipalId,
}

/// Whether an agent is there.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum AgentStatus {
    /// It beats.
    Online,
    /// It beats late, or says itself that something is wrong.
    Degraded,
    /// It does not beat.
    Offline,
    /// A person took it out of rotation.
    Maintenance,
}

impl AgentStatus {
    /// The word that names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Degraded => "degraded",
            Self::Offline => "offline",
            Self::Maintenance => "maintenance",
        }
    }
}

/// An agent as others see it; also a row of `cortex_agents` (there without `presence`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentView {
    /// What it says about itself.
    pub manifest: Manifest,
    /// What its node measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeReport>,
    /// Whose it is.
    pub owner: PrincipalId,
    /// With whom it is shared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_with: Vec<PrincipalPattern>,
    /// Whether it has a node of its own on the broker; otherwise only its endpoint reaches it.
    pub enrolled: bool,
    /// Whether it is there.
    pub status: AgentStatus,
    /// Why it has that status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// Who set the status by hand, and what they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_set: Option<StatusSet>,
    /// When it was first registered.
    pub registered_at: Timestamp,
    /// When its manifest or status last changed.
    pub updated_at: Timestamp,
    /// Whether it is left out of lists.
    pub archived: bool,
    /// Its last heartbeat; absent until one was heard since the registry started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<Presence>,
}

/// A status that a person set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusSet {
    /// Who.
    pub by: PrincipalId,
    /// To what.
    pub status: AgentStatus,
    /// Why, and whatever else is worth knowing.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::strict::unique_keys"
    )]
    pub details: BTreeMap<String, String>,
}

/// A heartbeat with the time it was heard; also a row of `cortex_presence`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// When the registry heard it.
    pub heard_at: Timestamp,
    /// What it said.
    pub heartbeat: Heartbeat,
}
