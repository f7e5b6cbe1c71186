//! One agent as the log makes it.

use schemas::{
    Capability, Manifest, PrincipalId, Timestamp,
    agent::NodeReport,
    manifest::PrincipalPattern,
    permission::Target,
    protocol::HEARTBEAT_INTERVAL,
    registry::{AgentStatus, AgentView, Presence, StatusSet},
};
use serde::{Deserialize, Serialize};

/// Whether an agent is on the lists. An id never becomes free again, so none is ever forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listing {
    /// It is.
    Listed,
    /// It was offline too long; a heartbeat or a registration lists it again.
    Archived,
    /// Somebody took it off; only a registration lists it again.
    Deregistered,
}

/// Everything that is remembered of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// What it says about itself.
    pub manifest: Manifest,
    /// What its node measured, where it has one.
    pub node: Option<NodeReport>,
    /// The only principal that may announce it again.
    pub registrant: PrincipalId,
    /// Whose it is.
    pub owner: PrincipalId,
    /// With whom it is shared.
    #[serde(default)]
    pub shared_with: Vec<PrincipalPattern>,
    /// What presence says; shown unless a person says otherwise.
    pub present: AgentStatus,
    /// Why presence says so; nothing while it is online.
    pub reason: Option<String>,
    /// What a person says, which outranks presence.
    pub set: Option<StatusSet>,
    /// When it was first announced.
    pub registered_at: Timestamp,
    /// When it last announced itself: a sign of life. Absent while only others announced it.
    pub announced_at: Option<Timestamp>,
    /// Since when it does not beat.
    pub offline_since: Option<Timestamp>,
    /// When anything of this last changed.
    pub updated_at: Timestamp,
    /// Whether it is on the lists.
    pub listing: Listing,
}

impl Agent {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &PrincipalId {
        &self.manifest.id
    }

    /// The status that is shown.
    #[must_use]
    pub fn status(&self) -> AgentStatus {
        self.set.as_ref().map_or(self.present, |set| set.status)
    }

    /// Whether it announced itself together with a node of its own.
    #[must_use]
    pub fn enrolled(&self) -> bool {
        self.node.is_some() && self.registrant == self.manifest.id
    }

    /// The agent as somebody whom others want to see or task.
    #[must_use]
    pub fn as_target(&self) -> Target<'_> {
        let Self { manifest, owner, shared_with, .. } = self;
        Target { manifest, owner: Some(owner), shared_with }
    }

    /// Whether it is on the lists.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.listing == Listing::Listed
    }

    /// Whether `principal` may set its status.
    #[must_use]
    pub fn is_managed_by(&self, principal: &PrincipalId) -> bool {
        self.is_held_by(principal) || *principal == self.manifest.id
    }

    /// Whether `principal` may take it off the lists.
    #[must_use]
    pub fn is_held_by(&self, principal: &PrincipalId) -> bool {
        *principal == self.registrant || *principal == self.owner
    }

    /// Seconds between its heartbeats.
    #[must_use]
    pub fn interval_s(&self) -> u32 {
        let standard = u32::try_from(HEARTBEAT_INTERVAL.as_secs()).unwrap_or(u32::MAX);
        self.manifest.heartbeat_interval.unwrap_or(standard).max(1)
    }

    /// The entries that [`Manifest::grants`] looks at, in its order: all of them by name, then the
    /// servers for what they stand for.
    pub(crate) fn grants(manifest: &Manifest) -> impl Iterator<Item = &Capability> {
        manifest.capabilities.all().chain(&manifest.capabilities.mcp_servers)
    }

    /// The agent as others see it.
    #[must_use]
    pub fn view(&self, presence: Option<Presence>) -> AgentView {
        let reason = match &self.set {
            Some(set) => Some(format!("{} set it to {}", set.by, set.status.as_str())),
            None => self.reason.clone(),
        };
        AgentView {
            manifest: self.manifest.clone(),
            node: self.node.clone(),
            owner: self.owner.clone(),
            shared_with: self.shared_with.clone(),
            enrolled: self.enrolled(),
            status: self.status(),
            status_reason: reason,
            status_set: self.set.clone(),
            registered_at: self.registered_at,
            updated_at: self.updated_at,
            archived: !self.is_listed(),
            presence,
        }
    }
}
