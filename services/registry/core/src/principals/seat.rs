//! Principals that are there before anybody could be invited.
//!
//! **Invariant:** a seat brings nobody back who was put out, no key that has ended or was revoked,
//! and no role that an order took away.

use decider::Decided;
use schemas::{
    PrincipalId,
    key::KeyOffer,
    registry::{CertifiedKey, RegistryEvent, Seat},
};

use super::Refusal;
use crate::{Answer, Registry, Rejection, State};

/// Decides on a seat: nothing happens when what it says is known.
pub(crate) fn seat(state: &State, seat: &Seat) -> Result<Decided<Registry>, Rejection> {
    let event = seating(state, seat)?;
    Ok(Decided { events: event.into_iter().collect(), answer: Answer::Nothing })
}

/// Whether the seat says something new that can be taken.
pub(crate) fn is_due(state: &State, seat: &Seat) -> bool {
    matches!(seating(state, seat), Ok(Some(_)))
}

fn seating(state: &State, seat: &Seat) -> Result<Option<RegistryEvent>, Refusal> {
    let principals = state.principals();
    let taken = || Refusal::PrincipalTaken { principal: seat.id.clone() };
    for key in &seat.keys {
        check_holder(principals.certified.get(&key.offer.key), &seat.id, &key.offer)?;
    }
    // A seat may say who is there without saying how they log in.
    let login = Some(&seat.login).filter(|login| !login.is_empty());
    if login.and_then(|login| principals.logins.get(login)).is_some_and(|holder| *holder != seat.id)
    {
        return Err(Refusal::LoginUsedBefore { login: seat.login.clone() });
    }
    let Some(present) = principals.get(&seat.id) else {
        return Ok(Some(RegistryEvent::PrincipalSeated { seat: Box::new(seat.clone()) }));
    };
    if present.is_out() {
        let (principal, standing) = (seat.id.clone(), present.standing);
        return Err(Refusal::PrincipalOut { principal, standing });
    }
    if !present.seated || present.kind != seat.kind {
        return Err(taken());
    }
    let is_new = |key: &CertifiedKey| !principals.certified.contains_key(&key.offer.key);
    let new_login = login.filter(|login| !principals.logins.contains_key(*login));
    let login = new_login.unwrap_or(&present.login);
    let keys = if seat.keys.iter().any(is_new) {
        let living = |key: &&CertifiedKey| is_new(key) || present.has_living_key(key.id);
        seat.keys.iter().filter(living).cloned().collect()
    } else {
        present.living_keys().into_iter().map(|key| prolonged(key, seat)).collect()
    };
    let merged = Seat { role: present.role, login: login.clone(), keys, ..seat.clone() };
    let changed = merged != present.as_seat();
    Ok(changed.then(|| RegistryEvent::PrincipalSeated { seat: Box::new(merged) }))
}

/// The key as long as the seat's certificate says, for whoever makes the seat renews that; none is
/// shortened.
fn prolonged(key: CertifiedKey, seat: &Seat) -> CertifiedKey {
    let named = seat.keys.iter().find(|named| named.id == key.id);
    let not_after_s = named.map_or(0, |named| named.not_after_s).max(key.not_after_s);
    CertifiedKey { not_after_s, ..key }
}

/// One key has one holder, whatever it is for.
fn check_holder(
    holder: Option<&PrincipalId>,
    wanted: &PrincipalId,
    offer: &KeyOffer,
) -> Result<(), Refusal> {
    match holder {
        Some(holder) if holder != wanted => {
            let (purpose, principal) = (offer.purpose, wanted.clone());
            Err(Refusal::KeyPurpose { purpose, principal })
        }
        Some(_) | None => Ok(()),
    }
}
