//! Who may take part: principals with their keys, invites, tokens, and the orders that change them.
//!
//! **Invariant:** an id belongs to one set of living keys at a time, and a key is certified once.
//! **Invariant:** no secret is here: of an invite's there is its hash, of a token's what is sealed.

mod admission;
mod answer;
mod denials;
mod evolve;
mod grant;
mod invitation;
mod keys;
mod order;
mod principal;
mod redeem;
mod refusal;
mod renew;
mod roster;
mod seat;
mod sight;
mod token;

pub use denials::BROKER_ADMIN;
pub use grant::{Grant, InviteGrant, RosterContent, SealedToken};
pub(crate) use invitation::AGENTS_OF_USER_MAX;
pub use invitation::{INVITES_OPEN_MAX, Invitation, Redeemed};
#[cfg(test)]
pub(crate) use keys::KEYS_MAX;
pub(crate) use keys::KeyChange;
pub use keys::{Key, Offer, OfferedKey};
pub use order::{Deed, PutOut, SignedOrder, TokenTerms};
pub use principal::Principal;
pub use redeem::{ABUSES_RECORDED_MAX, Redemption};
pub use refusal::Refusal;
pub use roster::{OVERSEERS_MAX, ROSTER_KEYS_MAX};
pub use sight::{GATEWAY, sees_event};
pub use token::{TOKENS_LIVING_MAX, Token};

pub(crate) use admission::{admit_agent, check_standing, heard};
pub(crate) use answer::answer;
pub(crate) use denials::report_denials;
pub(crate) use evolve::evolve;
pub(crate) use order::order;
pub(crate) use redeem::redeem;
pub(crate) use renew::renew;
pub(crate) use roster::changes_roster;
pub(crate) use seat::{is_due, seat};
pub(crate) use sight::Sight;
#[cfg(test)]
pub(crate) use token::TOKENS_KEPT_MAX;

use std::collections::BTreeMap;

use schemas::{
    CommandId, PrincipalId, Timestamp,
    key::{KeyId, PublicKeyBytes},
    principal::{PrincipalKind, UserRole},
};
use serde::{Deserialize, Serialize};

/// Everybody who ever came in, and what is on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principals {
    by_id: BTreeMap<PrincipalId, Principal>,
    /// By the id of the invite.
    invites: BTreeMap<String, Invitation>,
    /// By the id of the token.
    tokens: BTreeMap<String, Token>,
    /// Orders that were carried out, and until when a repeat of each can come.
    orders: BTreeMap<CommandId, Timestamp>,
    /// Every key that was ever certified, and whose it is; never forgotten.
    certified: BTreeMap<PublicKeyBytes, PrincipalId>,
    /// NATS keys that anybody ever logged in with; never forgotten.
    logins: BTreeMap<String, PrincipalId>,
    /// NATS keys that are out: what was signed for them up to that second is void.
    retired: BTreeMap<String, u64>,
    /// Ascends with every change of what the roster says.
    version: u64,
}

impl Principals {
    /// Somebody who ever came in.
    #[must_use]
    pub fn get(&self, id: &PrincipalId) -> Option<&Principal> {
        self.by_id.get(id)
    }

    /// Everybody who ever came in, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Principal> {
        self.by_id.values()
    }

    /// Those after `id`, by id.
    pub(crate) fn after(&self, id: Option<&PrincipalId>) -> impl Iterator<Item = &Principal> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = id.map_or(Unbounded, Excluded);
        self.by_id.range::<PrincipalId, _>((from, Unbounded)).map(|(_, principal)| principal)
    }

    /// An invite that was made.
    #[must_use]
    pub fn invite(&self, id: &str) -> Option<&Invitation> {
        self.invites.get(id)
    }

    /// Invites that are remembered, by their ids.
    pub(crate) fn invites(&self) -> impl Iterator<Item = &Invitation> {
        self.invites.values()
    }

    /// The invite that promises the name to somebody who has not come in yet.
    pub(crate) fn open_invite(&self, name: &PrincipalId, now: Timestamp) -> Option<&Invitation> {
        self.invites().find(|it| it.invite.principal == *name && it.is_unused(now))
    }

    /// A token that was made.
    #[must_use]
    pub fn token(&self, id: &str) -> Option<&Token> {
        self.tokens.get(id)
    }

    /// Those behind `id`, by id.
    pub(crate) fn tokens_after(&self, id: Option<&str>) -> impl Iterator<Item = &Token> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = id.map_or(Unbounded, Excluded);
        self.tokens.range::<str, _>((from, Unbounded)).map(|(_, token)| token)
    }

    /// Every token, by id.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.values()
    }

    /// Whose a key is; also one that has ended.
    pub(crate) fn holder(&self, key: KeyId) -> Option<(&Principal, &Key)> {
        self.iter().find_map(|principal| Some((principal, principal.key(key)?)))
    }

    /// NATS keys that are out: what was signed for them up to that second is void.
    #[must_use]
    pub fn retired(&self) -> &BTreeMap<String, u64> {
        &self.retired
    }

    /// Version of the roster.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether an order was carried out.
    pub(crate) fn has_taken(&self, order: &CommandId) -> bool {
        self.orders.contains_key(order)
    }

    /// What a person may do; nothing for others, and while they may not take part.
    #[must_use]
    pub fn role(&self, id: &PrincipalId) -> Option<UserRole> {
        self.get(id).filter(|it| it.is_active()).and_then(|it| it.role)
    }

    /// The principal, if it may take part.
    #[must_use]
    pub fn active(&self, id: &PrincipalId) -> Option<&Principal> {
        self.get(id).filter(|it| it.is_active())
    }

    /// Whether somebody else than `person` is an admin who may take part and has a key to sign with.
    pub(crate) fn has_admin_besides(&self, person: &PrincipalId) -> bool {
        let admin = |it: &Principal| it.is_active() && it.role == Some(UserRole::Admin);
        let can_sign = |it: &Principal| !it.living_keys().is_empty();
        self.iter().any(|it| it.id != *person && admin(it) && can_sign(it))
    }

    /// The principal, if it is an agent with keys of its own.
    pub(crate) fn agent(&self, id: &PrincipalId) -> Option<&Principal> {
        self.get(id).filter(|it| it.kind == PrincipalKind::Agent)
    }
}
