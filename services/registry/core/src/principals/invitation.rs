//! An invite and how far it is.

use std::collections::BTreeSet;

use schemas::{
    PrincipalId, Sha256Hash, Timestamp,
    enrolment::{Invite, InviteState, InviteView},
    key::KeyOffer,
    principal::Standing,
};
use serde::{Deserialize, Serialize};

use super::{Offer, Principal};

/// Most invites of one principal that can be open at a time.
pub const INVITES_OPEN_MAX: usize = 256;
/// Most agents of somebody who is a user and no more that they can let in, those that are out
/// included: whoever was in is remembered for ever, with a login and keys that others are told of.
pub(crate) const AGENTS_OF_USER_MAX: usize = 256;
/// How long an invite that has run out is told from one that never was, in milliseconds (a day).
pub(super) const INVITE_KEPT_MS: u64 = 24 * 3600 * 1000;

/// An invite, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// What was ordered.
    pub invite: Invite,
    /// Whose the agent will be; the person themself.
    pub owner: PrincipalId,
    /// Who invited.
    pub by: PrincipalId,
    /// Until when it may be redeemed.
    pub expires_at: Timestamp,
    /// Who redeemed it.
    pub redeemed: Option<Redeemed>,
    /// NATS keys with which others tried to.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub abused: BTreeSet<String>,
}

/// The keys with which an invite was redeemed; no others may do so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redeemed {
    /// NATS public key to log in with.
    pub login: String,
    /// The others, in their order.
    pub keys: Vec<KeyOffer>,
}

impl Redeemed {
    /// Whether these are the same keys.
    #[must_use]
    pub fn is(&self, offer: &Offer) -> bool {
        let mut offered: Vec<KeyOffer> = offer.keys.iter().map(|key| key.offer).collect();
        offered.sort_unstable();
        self.login == offer.login && self.keys == offered
    }
}

impl Invitation {
    /// Whether it may still be redeemed for the first time or again.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// Whether nobody has redeemed it, and somebody may.
    pub(super) fn is_unused(&self, now: Timestamp) -> bool {
        self.redeemed.is_none() && self.is_open(now)
    }

    /// Compares in a time that does not depend on where the two differ.
    pub(super) fn has_secret(&self, hash: &Sha256Hash) -> bool {
        let pairs = self.invite.secret_hash.0.iter().zip(&hash.0);
        let difference = pairs.fold(0, |difference, (ours, theirs)| difference | (ours ^ theirs));
        std::hint::black_box(difference) == 0
    }

    /// The invite as others see it.
    pub(super) fn view(&self, principal: Option<&Principal>) -> InviteView {
        let Invite { invite, principal: id, kind, .. } = &self.invite;
        let came_in = principal.is_some_and(|it| it.standing != Standing::Pending);
        let state = match (&self.redeemed, came_in) {
            (None, _) => InviteState::Unused,
            (Some(_), false) => InviteState::Pending,
            (Some(_), true) => InviteState::Used,
        };
        InviteView {
            invite: invite.clone(),
            principal: id.clone(),
            kind: *kind,
            owner: self.owner.clone(),
            by: self.by.clone(),
            state,
            expires_at: self.expires_at,
        }
    }
}
