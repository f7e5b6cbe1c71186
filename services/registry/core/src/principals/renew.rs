//! A principal gets a new login and current certificates, and shows by asking that it is there.

use decider::Decided;
use schemas::{PrincipalId, Timestamp, registry::RegistryEvent};

use super::{
    Grant, KeyChange, Refusal,
    admission::{check_standing, heard},
};
use crate::{Answer, Facts, Registry, Rejection, State};

/// Decides on a renewal.
pub(crate) fn renew(
    state: &State,
    caller: &PrincipalId,
    facts: &Facts,
) -> Result<Decided<Registry>, Rejection> {
    let (principals, now) = (state.principals(), Timestamp(facts.now_ms));
    check_standing(principals, caller)?;
    let unknown = || Refusal::PrincipalNotFound { principal: caller.clone() };
    let mut principal = principals.get(caller).ok_or_else(unknown)?.clone();
    let mut events: Vec<_> = heard(principals, caller).into_iter().collect();
    let keys = principal.renewed_keys(now);
    if !keys.is_empty() {
        principal.change_keys(KeyChange::Renewed(&keys), now);
        events.push(RegistryEvent::KeysRenewed { principal: caller.clone(), keys });
    }
    Ok(Decided { events, answer: Answer::Granted(Box::new(Grant::of(&principal, now))) })
}
