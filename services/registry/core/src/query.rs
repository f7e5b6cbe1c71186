//! What the registry may be asked, and everything that it says in return.

use schemas::{
    Fault, PrincipalId,
    enrolment::{
        GetInvitesAnswer, GetPrincipalsAnswer, GetPrincipalsRequest, GetTokensAnswer, Membership,
        OrderAnswer, SignedRoster, UnsealAnswer,
    },
    registry::{
        AgentView, CanTaskAnswer, CanTaskRequest, CapabilitiesAnswer, DeregisterAnswer,
        GetAgentsAnswer, GetAgentsRequest, HeartbeatAnswer, RegisterAnswer, RelationshipsAnswer,
        ReportDenialsAnswer, WhoCanAnswer, WhoCanRequest,
    },
};
use serde::Serialize;

use crate::principals::{Grant, InviteGrant, RosterContent, SealedToken};

/// Entries on a page when the request names no limit.
pub const PAGE_DEFAULT: u32 = 100;
/// Most entries on one page.
pub const PAGE_MAX: u32 = 1000;
/// Most agents in each list of a relationships answer.
pub const RELATIONS_MAX: usize = 1000;

/// A request that changes nothing, and who makes it: everybody is answered with what they may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Who asks.
    pub asker: PrincipalId,
    /// What.
    pub question: Question,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Was the heartbeat of this agent taken, that came with the question?
    Heartbeat(PrincipalId),
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
    /// Who may take part?
    Membership(MembershipQuestion),
}

/// What can be asked about who may take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipQuestion {
    /// Who ever came in?
    Principals(GetPrincipalsRequest),
    /// Who may come in?
    Invites,
    /// Which tokens are there, behind the one of that id?
    Tokens(Option<String>),
    /// Who is out, and who may act everywhere?
    Roster,
    /// What is sealed under a token?
    Unseal(String),
}

/// What is said to a command or a query, in the form in which it is sent; but what the core cannot
/// sign, the server completes before it is sent.
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
    /// To `report-denials`.
    DenialsReported(ReportDenialsAnswer),
    /// To `get-principals`.
    Principals(GetPrincipalsAnswer),
    /// To `get-invites`.
    Invites(GetInvitesAnswer),
    /// To `get-tokens`.
    Tokens(GetTokensAnswer),
    /// To `redeem` and `renew`; to be completed to [`Answer::Membership`].
    Granted(Box<Grant>),
    /// To an order that rotates keys; to be completed to [`Answer::Ordered`].
    Rotated(Box<Grant>),
    /// To an order that invites; to be completed to [`Answer::Ordered`].
    Invited(Box<InviteGrant>),
    /// To `get-roster`; to be completed to [`Answer::SignedRoster`].
    Roster(Box<RosterContent>),
    /// To `unseal`; to be completed to [`Answer::Unsealed`].
    Sealed(Box<SealedToken>),
    /// To `redeem` and `renew`.
    Membership(Box<Membership>),
    /// To `order`.
    Ordered(Box<OrderAnswer>),
    /// To `get-roster`.
    SignedRoster(Box<SignedRoster>),
    /// To `unseal`.
    Unsealed(Box<UnsealAnswer>),
    /// A refusal that is recorded; the server makes it an error.
    Refused(Box<Fault>),
    /// To what time called for: nobody listens.
    Nothing,
}
