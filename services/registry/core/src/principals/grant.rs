//! What is to be given, before the server adds what only it can sign.

use schemas::{
    PrincipalId, Timestamp,
    enrolment::{AgentAccess, TokenView},
    key::KeyId,
    principal::{PrincipalKind, UserRole},
    registry::CertifiedKey,
};
use serde::Serialize;

use super::{Principal, keys::is_ours};

/// What a principal is given: whoever redeems, renews or rotates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// Who.
    pub principal: PrincipalId,
    /// What.
    pub kind: PrincipalKind,
    /// What a person may do.
    pub role: Option<UserRole>,
    /// Whose.
    pub owner: PrincipalId,
    /// NATS public key to log in with.
    pub login: String,
    /// Keys to be certified as they are here.
    pub keys: Vec<CertifiedKey>,
    /// When this was decided.
    pub at: Timestamp,
}

impl Grant {
    pub(super) fn of(principal: &Principal, at: Timestamp) -> Self {
        let ours = |key: &&CertifiedKey| is_ours(key.offer.purpose);
        Self {
            principal: principal.id.clone(),
            kind: principal.kind,
            role: principal.role,
            owner: principal.owner.clone(),
            login: principal.login.clone(),
            keys: principal.current(at).filter(ours).cloned().collect(),
            at,
        }
    }
}

/// What an invited one is to log in with, to redeem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InviteGrant {
    /// The invite.
    pub invite: String,
    /// NATS public key that may redeem it.
    pub redeemer: String,
    /// Until when.
    pub expires_at: Timestamp,
    /// When this was decided.
    pub at: Timestamp,
}

/// What the roster says, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RosterContent {
    /// Ascends with every change.
    pub version: u64,
    /// Keys that are out of use, in order.
    pub revoked: Vec<KeyId>,
    /// People who may task every agent, in order.
    pub overseers: Vec<PrincipalId>,
    /// What is known of the one who asks.
    pub access: Option<AgentAccess>,
    /// When this was decided.
    pub at: Timestamp,
}

/// What is sealed under a token, before the certificates are added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SealedToken {
    /// Which token.
    pub token: TokenView,
    /// Its secret key, sealed, in base64.
    pub sealed: String,
    /// The key of its owner that vouches for it, to be certified as it is here.
    pub voucher: CertifiedKey,
    /// The certificate of the token's key, in base64.
    pub certificate: String,
}
