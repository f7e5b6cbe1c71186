//! An invite becomes a principal: UNUSED, then PENDING with one set of keys, and no other.
//!
//! **Invariant:** until the invite ends the same keys get the same membership again, however often
//! they ask, so an interrupted join can always go on.

use decider::Decided;
use schemas::{Fault, PrincipalId, Sha256Hash, Timestamp, registry::RegistryEvent};

use super::{
    Grant, Invitation, Offer, Principal, Refusal,
    admission::{ENROLLER_PREFIX, check_standing},
    keys::{OfferFor, certified},
};
use crate::{Answer, Facts, Registry, Rejection, State};

/// Most attempts with other keys that are recorded of one invite.
pub const ABUSES_RECORDED_MAX: usize = 8;

/// Somebody shows the secret of an invite, and keys that they proved to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redemption {
    /// As whom they logged in.
    pub caller: PrincipalId,
    /// Which invite.
    pub invite: String,
    /// SHA-256 of the secret that they showed.
    pub secret_hash: Sha256Hash,
    /// The keys.
    pub offer: Offer,
}

/// Decides on a redemption.
pub(crate) fn redeem(
    state: &State,
    redemption: &Redemption,
    facts: &Facts,
) -> Result<Decided<Registry>, Rejection> {
    let Redemption { caller, invite, secret_hash, offer } = redemption;
    let (principals, now) = (state.principals(), Timestamp(facts.now_ms));
    if caller.as_str() != format!("{ENROLLER_PREFIX}{invite}") {
        let what = format!("redeem invite {invite}: log in with what the invite came with");
        return Err(Refusal::Forbidden { who: caller.clone(), what }.into());
    }
    let known = principals.invite(invite).filter(|it| it.has_secret(secret_hash));
    let known = known.ok_or_else(|| Refusal::InviteUnknown { invite: invite.clone() })?;
    check_standing_of_returning(state, known)?;
    if !known.is_open(now) {
        let (invite, ended_at) = (invite.clone(), known.expires_at);
        return Err(Refusal::InviteExpired { invite, ended_at }.into());
    }
    match &known.redeemed {
        None => first(state, known, offer, now),
        Some(redeemed) if redeemed.is(offer) => again(state, known, now),
        Some(_) => Ok(abused(known, offer)),
    }
}

/// An evicted principal comes back with a new invite; with a used one nobody does.
fn check_standing_of_returning(state: &State, invitation: &Invitation) -> Result<(), Refusal> {
    match invitation.redeemed {
        Some(_) => check_standing(state.principals(), &invitation.invite.principal),
        None => Ok(()),
    }
}

fn first(
    state: &State,
    invitation: &Invitation,
    offer: &Offer,
    now: Timestamp,
) -> Result<Decided<Registry>, Rejection> {
    let (id, kind) = (&invitation.invite.principal, invitation.invite.kind);
    let before = state.principals().get(id);
    if before.is_some_and(|before| !before.is_out()) {
        return Err(Refusal::PrincipalTaken { principal: id.clone() }.into());
    }
    let wanted = OfferFor { principal: id, kind, present: None, now };
    wanted.check(state.principals(), offer)?;
    let keys = certified(offer, now);
    let principal = Principal::invited(invitation, &offer.login, &keys);
    let event = RegistryEvent::InviteRedeemed {
        invite: invitation.invite.invite.clone(),
        principal: id.clone(),
        login: offer.login.clone(),
        keys,
    };
    let answer = Answer::Granted(Box::new(Grant::of(&principal, now)));
    Ok(Decided { events: vec![event], answer })
}

/// The answer was lost, or the process that waited for it was.
fn again(
    state: &State,
    invitation: &Invitation,
    now: Timestamp,
) -> Result<Decided<Registry>, Rejection> {
    let invite = &invitation.invite;
    let present = state.principals().get(&invite.principal);
    let redeemed = invitation.redeemed.as_ref().map(|redeemed| &redeemed.login);
    // Whoever has other keys since then is no longer who redeemed it.
    let present = present.filter(|it| Some(&it.login) == redeemed);
    let present = present.ok_or_else(|| Refusal::InviteUsed { invite: invite.invite.clone() })?;
    let answer = Answer::Granted(Box::new(Grant::of(present, now)));
    Ok(Decided { events: Vec::new(), answer })
}

/// Refused and recorded: somebody else knows the secret.
fn abused(invitation: &Invitation, offer: &Offer) -> Decided<Registry> {
    let invite = &invitation.invite;
    let known = &invitation.abused;
    let mut events = Vec::new();
    if known.len() < ABUSES_RECORDED_MAX && !known.contains(&offer.login) {
        events.push(RegistryEvent::InviteAbused {
            invite: invite.invite.clone(),
            principal: invite.principal.clone(),
            login: offer.login.clone(),
        });
    }
    let refusal = Refusal::InviteUsed { invite: invite.invite.clone() };
    Decided { events, answer: Answer::Refused(Box::new(Fault::from(refusal))) }
}
