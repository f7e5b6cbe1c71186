//! What the registry may be asked, and everything that it says in return.

use schemas::{
    PrincipalId,
    registry::{
        AgentView, CanTaskAnswer, CanTaskRequest, CapabilitiesAnswer, DeregisterAnswer,
        GetAgentsAnswer, GetAgentsRequest, HeartbeatAnswer, RegisterAnswer, RelationshipsAnswer,
        WhoCanAnswer, WhoCanRequest,
    },
};
use serde::Serialize;

/// Agents on a page when the request names no limit.
pub const PAGE_DEFAULT: u32 = 100;
/// Most agents on one page.
pub const PAGE_MAX: u32 = 1000;
/// Most agents in each list of a relationships answer.
pub const RELATIONS_MAX: usize = 1000;

/// Requests that change nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Was the heartbeat that came with this query taken?
    Heartbeat {
        /// Who sent it.
        caller: PrincipalId,
        /// Whose heartbeat it was.
        agent: PrincipalId,
    },
    /// Which agents are there?
    GetAgents(GetAgentsRequest),
    /// What is known of one agent?
    GetAgent(PrincipalId),
    /// Who can do something?
    WhoCan(WhoCanRequest),
    /// What can one agent do?
    GetCapabilities(PrincipalId),
    /// May one task another?
    CanTask(CanTaskRequest),
    /// Who may task whom, seen from one agent?
    Relationships(PrincipalId),
}

/// What is said to a command or a query, in the form in which it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To `register`.
    Registered(Box<RegisterAnswer>),
    /// To `heartbeat`.
    Heartbeat(HeartbeatAnswer),
    /// To `get-agents`. Its cursor is the default one: a core knows no places in the log, so the
    /// server must fill it in.
    Agents(GetAgentsAnswer),
    /// To `get-agent` and `update-status`.
    Agent(Box<AgentView>),
    /// To `who-can`.
    WhoCan(WhoCanAnswer),
    /// To `get-capabilities`.
    Capabilities(CapabilitiesAnswer),
    /// To `can-task`.
    CanTask(CanTaskAnswer),
    /// To `relationships`.
    Relationships(RelationshipsAnswer),
    /// To `deregister`.
    Deregistered(DeregisterAnswer),
    /// To what time called for: nobody listens.
    Nothing,
}
