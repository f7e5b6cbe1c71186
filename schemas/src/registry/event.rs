//! What the registry records.
//!
//! **Invariant:** no secret is in any event; of a secret there is its hash or what is sealed under it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AgentStatus, DeniedAction, StatusSet};
use crate::{
    Capability, CommandId, Manifest, PrincipalId, Timestamp,
    agent::NodeReport,
    enrolment::{Invite, TokenView},
    key::{KeyId, KeyOffer},
    manifest::PrincipalPattern,
    principal::{PrincipalKind, UserRole},
};

/// A key of a principal, and when it may sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertifiedKey {
    /// Its name.
    pub id: KeyId,
    /// What it is for, and its bytes.
    pub offer: KeyOffer,
    /// When its certificate was made, and first second in which it may sign; since the Unix epoch.
    pub not_before_s: u64,
    /// First second in which it may sign no more, since the Unix epoch.
    pub not_after_s: u64,
}

/// A principal that was there before anybody could be invited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seat {
    /// Who.
    pub id: PrincipalId,
    /// What.
    pub kind: PrincipalKind,
    /// What a person may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<UserRole>,
    /// Whose; itself for people and services.
    pub owner: PrincipalId,
    /// What an agent may advertise; anything when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<Capability>>,
    /// NATS public key that it logs in with.
    pub login: String,
    /// Its keys.
    pub keys: Vec<CertifiedKey>,
}

/// What the registry records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RegistryEvent {
    /// An agent was announced for the first time, or announced itself differently.
    AgentRegistered {
        /// What it says about itself.
        manifest: Box<Manifest>,
        /// What its node measured.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<Box<NodeReport>>,
        /// Who announced it; only they may do so again.
        registrant: PrincipalId,
        /// Whose it is.
        owner: PrincipalId,
    },
    /// Presence changed what is shown.
    AgentStatusChanged {
        /// Whose.
        agent: PrincipalId,
        /// What it was.
        from: AgentStatus,
        /// What it is.
        to: AgentStatus,
        /// Why.
        reason: String,
    },
    /// A person set the status.
    AgentStatusSet {
        /// Whose.
        agent: PrincipalId,
        /// Who set it and to what.
        set: StatusSet,
    },
    /// The status follows presence again.
    AgentStatusReleased {
        /// Whose.
        agent: PrincipalId,
        /// Who gave it back.
        by: PrincipalId,
    },
    /// Left out of lists, for it was offline too long.
    AgentArchived {
        /// Who.
        agent: PrincipalId,
    },
    /// Taken off the lists by its registrant or owner.
    AgentDeregistered {
        /// Who.
        agent: PrincipalId,
        /// By whom.
        by: PrincipalId,
    },
    /// Others may see and task an agent.
    AgentShared {
        /// Which.
        agent: PrincipalId,
        /// With whom.
        with: PrincipalPattern,
        /// By whom.
        by: PrincipalId,
    },
    /// They may no more.
    AgentUnshared {
        /// Which.
        agent: PrincipalId,
        /// With whom no more.
        with: PrincipalPattern,
        /// By whom.
        by: PrincipalId,
    },
    /// A principal is there that nobody had to invite, or is there differently: `cortex up` and
    /// `cortex init` make it together with the keys of the cluster.
    PrincipalSeated {
        /// Who.
        seat: Box<Seat>,
    },
    /// A signed order was carried out; the same one is not carried out again.
    OrderTaken {
        /// Its name: a hash of signer and nonce.
        order: CommandId,
        /// Who signed.
        by: PrincipalId,
        /// Until when it must be remembered.
        until: Timestamp,
    },
    /// Somebody may come in.
    InviteMade {
        /// The invite, without its secret.
        invite: Box<Invite>,
        /// Whose the agent will be.
        owner: PrincipalId,
        /// Who invited.
        by: PrincipalId,
        /// Until when.
        expires_at: Timestamp,
    },
    /// An invite was redeemed: its keys are certified, and no other keys may redeem it.
    InviteRedeemed {
        /// Which.
        invite: String,
        /// Who comes in.
        principal: PrincipalId,
        /// NATS public key that it logs in with.
        login: String,
        /// Its keys.
        keys: Vec<CertifiedKey>,
    },
    /// Who redeemed an invite was heard under its own name: it has kept what it was given.
    EnrolmentConfirmed {
        /// Who.
        principal: PrincipalId,
    },
    /// An alarm: somebody who knows its secret tried to redeem a used invite with other keys.
    InviteAbused {
        /// Which.
        invite: String,
        /// Who it was for.
        principal: PrincipalId,
        /// The NATS public key that was offered.
        login: String,
    },
    /// A principal replaced its keys. The old ones end with this, and stay good for what they signed;
    /// the old login is not renewed any more.
    KeysRotated {
        /// Whose.
        principal: PrincipalId,
        /// NATS public key that it logs in with from now on.
        login: String,
        /// Its new keys.
        keys: Vec<CertifiedKey>,
    },
    /// Keys of a principal run out soon and got new certificates.
    KeysRenewed {
        /// Whose.
        principal: PrincipalId,
        /// The same keys with their new validity.
        keys: Vec<CertifiedKey>,
    },
    /// A key was taken out of use; nothing that it signed counts any more.
    KeyRevoked {
        /// Whose.
        principal: PrincipalId,
        /// Which.
        key: KeyId,
        /// By whom.
        by: PrincipalId,
        /// Why.
        reason: String,
    },
    /// A principal was put out; it may come back with a new invite.
    PrincipalEvicted {
        /// Who.
        principal: PrincipalId,
        /// By whom.
        by: PrincipalId,
        /// Why.
        reason: String,
    },
    /// A principal was put out for good.
    PrincipalBanned {
        /// Who.
        principal: PrincipalId,
        /// By whom.
        by: PrincipalId,
        /// Why.
        reason: String,
    },
    /// A person got another role.
    RoleSet {
        /// Who.
        person: PrincipalId,
        /// What they may do from now on.
        role: UserRole,
        /// By whom.
        by: PrincipalId,
    },
    /// A token was made.
    TokenCreated {
        /// Which, and what may be done with it.
        token: Box<TokenView>,
        /// The key of its owner that vouches for the token's own.
        voucher: KeyId,
        /// The certificate of its key, in base64.
        certificate: String,
        /// Its secret key, sealed under a secret that only its holder has, in base64.
        sealed: String,
    },
    /// A token was ended.
    TokenRevoked {
        /// Which.
        token: String,
        /// Whose it was.
        owner: PrincipalId,
        /// By whom.
        by: PrincipalId,
    },
    /// The broker forbade something; what is forbidden again and again is told in one event.
    AccessDenied {
        /// Who tried it: whoever has or had the key; nobody when it is nobody's or not proven.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        principal: Option<PrincipalId>,
        /// NATS public key of whoever tried it; empty when the broker did not say.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        login: String,
        /// What was tried.
        action: DeniedAction,
        /// On which subject; of a login, the address that it came from.
        subject: String,
        /// How often.
        count: u32,
        /// When it was first seen.
        since: Timestamp,
        /// Who told of it.
        by: PrincipalId,
    },
    /// The broker forbade more than was told of: so often, nobody knows what.
    DenialsSuppressed {
        /// How often.
        count: u64,
        /// Who told of it.
        by: PrincipalId,
    },
}

impl RegistryEvent {
    /// The principal that the event is about; whoever told of it, when it is about nobody known.
    #[must_use]
    pub fn principal(&self) -> &PrincipalId {
        match self {
            Self::AgentRegistered { manifest, .. } => &manifest.id,
            Self::AgentStatusChanged { agent, .. }
            | Self::AgentStatusSet { agent, .. }
            | Self::AgentStatusReleased { agent, .. }
            | Self::AgentArchived { agent }
            | Self::AgentDeregistered { agent, .. }
            | Self::AgentShared { agent, .. }
            | Self::AgentUnshared { agent, .. } => agent,
            Self::PrincipalSeated { seat } => &seat.id,
            Self::OrderTaken { by, .. } => by,
            Self::InviteMade { invite, .. } => &invite.principal,
            Self::InviteRedeemed { principal, .. }
            | Self::EnrolmentConfirmed { principal }
            | Self::InviteAbused { principal, .. }
            | Self::KeysRotated { principal, .. }
            | Self::KeysRenewed { principal, .. }
            | Self::KeyRevoked { principal, .. }
            | Self::PrincipalEvicted { principal, .. }
            | Self::PrincipalBanned { principal, .. } => principal,
            Self::RoleSet { person, .. } => person,
            Self::TokenCreated { token, .. } => &token.owner,
            Self::TokenRevoked { owner, .. } => owner,
            Self::AccessDenied { principal, by, .. } => principal.as_ref().unwrap_or(by),
            Self::DenialsSuppressed { by, .. } => by,
        }
    }

    /// The agent that the event is about, when it is about what an agent is and says.
    #[must_use]
    pub fn agent(&self) -> Option<&PrincipalId> {
        match self {
            Self::AgentRegistered { .. }
            | Self::AgentStatusChanged { .. }
            | Self::AgentStatusSet { .. }
            | Self::AgentStatusReleased { .. }
            | Self::AgentArchived { .. }
            | Self::AgentDeregistered { .. }
            | Self::AgentShared { .. }
            | Self::AgentUnshared { .. } => Some(self.principal()),
            Self::PrincipalSeated { .. }
            | Self::OrderTaken { .. }
            | Self::InviteMade { .. }
            | Self::InviteRedeemed { .. }
            | Self::EnrolmentConfirmed { .. }
            | Self::InviteAbused { .. }
            | Self::KeysRotated { .. }
            | Self::KeysRenewed { .. }
            | Self::KeyRevoked { .. }
            | Self::PrincipalEvicted { .. }
            | Self::PrincipalBanned { .. }
            | Self::RoleSet { .. }
            | Self::TokenCreated { .. }
            | Self::TokenRevoked { .. }
            | Self::AccessDenied { .. }
            | Self::DenialsSuppressed { .. } => None,
        }
    }
}
