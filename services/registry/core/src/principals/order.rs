//! Signed orders: who may change whom others trust, and what follows.
//!
//! **Invariant:** an order is carried out once: handed in again it gets the same answer and changes
//! nothing, whatever has happened since.

mod agents;
mod invite;
mod keys;
mod people;
mod tokens;

use decider::Decided;
use schemas::{
    CommandId, ErrorCode, Fault, PrincipalId, Timestamp,
    enrolment::{Invite, OrderAnswer},
    key::KeyId,
    manifest::{PrincipalPattern, TEXT_BYTES_MAX},
    principal::UserRole,
    registry::RegistryEvent,
};

use super::{Offer, Principal, Refusal, admission};
use crate::{Answer, Facts, Registry, Rejection, State};

pub use tokens::TokenTerms;

/// How long after an order's end a repeat that was read before it can still be decided, in
/// milliseconds.
const REPEAT_WITHIN_MS: u64 = 5 * 60 * 1000;

/// An order, after its signature and everything in it that needs cryptography was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedOrder {
    /// Its name: a hash of signer and nonce.
    pub id: CommandId,
    /// Who signed.
    pub signer: PrincipalId,
    /// With which key.
    pub key: KeyId,
    /// When the signature ends.
    pub expires_at: Timestamp,
    /// What shall be done.
    pub deed: Deed,
}

/// What an order calls for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Let somebody new in.
    Invite(Box<Invite>),
    /// Put a principal out.
    PutOut {
        /// Who.
        principal: PrincipalId,
        /// Why.
        reason: String,
        /// For how long.
        how: PutOut,
    },
    /// Give a person another role.
    SetRole {
        /// Who.
        person: PrincipalId,
        /// What they may do from now on.
        role: UserRole,
    },
    /// Let others see and task an agent.
    Share {
        /// Which.
        agent: PrincipalId,
        /// With whom.
        with: PrincipalPattern,
    },
    /// End that.
    Unshare {
        /// Which.
        agent: PrincipalId,
        /// With whom no more.
        with: PrincipalPattern,
    },
    /// Take a key out of use.
    RevokeKey {
        /// Which.
        key: KeyId,
        /// Why.
        reason: String,
    },
    /// Replace the keys of whoever signed.
    RotateKeys(Offer),
    /// Record a token of whoever signed.
    CreateToken(Box<TokenTerms>),
    /// End a token.
    RevokeToken {
        /// Its id.
        token: String,
    },
}

/// For how long somebody is put out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOut {
    /// Until they are invited again.
    Evict,
    /// For good.
    Ban,
}

/// What an order is judged by.
#[derive(Clone, Copy)]
struct Bench<'a> {
    state: &'a State,
    signer: &'a Principal,
    key: KeyId,
    now: Timestamp,
}

/// What follows from an order, beside the note that it was taken.
struct Verdict {
    events: Vec<RegistryEvent>,
    answer: Answer,
}

impl Verdict {
    fn done(events: Vec<RegistryEvent>) -> Self {
        Self { events, answer: Answer::Ordered(Box::new(OrderAnswer::Done {})) }
    }
}

/// Decides on an order.
pub(crate) fn order(
    state: &State,
    order: &SignedOrder,
    facts: &Facts,
) -> Result<Decided<Registry>, Rejection> {
    let now = Timestamp(facts.now_ms);
    let principals = state.principals();
    let SignedOrder { id, signer, key, expires_at, deed } = order;
    let signer = admission::active(principals, signer)?;
    let bench = Bench { state, signer, key: *key, now };
    let signed_with = signer.key(*key).ok_or_else(|| bench.not_current())?;
    if signed_with.revoked_at.is_some() {
        return Err(Refusal::KeyRevoked { key: *key }.into());
    }
    if principals.has_taken(id) {
        let answer = bench.repeated(deed)?;
        return Ok(Decided { events: Vec::new(), answer });
    }
    if !signed_with.is_current(now) {
        // Whoever lost the answer to a rotation can only sign with a key that has ended by it.
        return match deed {
            Deed::RotateKeys(offer) => {
                Ok(Decided { events: Vec::new(), answer: bench.rotated(offer)? })
            }
            Deed::Invite(_)
            | Deed::PutOut { .. }
            | Deed::SetRole { .. }
            | Deed::Share { .. }
            | Deed::Unshare { .. }
            | Deed::RevokeKey { .. }
            | Deed::CreateToken(_)
            | Deed::RevokeToken { .. } => Err(bench.not_current().into()),
        };
    }
    let Verdict { mut events, answer } = bench.judge(deed)?;
    let (order, by) = (id.clone(), signer.id.clone());
    let until = expires_at.plus_ms(REPEAT_WITHIN_MS).max(now);
    events.push(RegistryEvent::OrderTaken { order, by, until });
    Ok(Decided { events, answer })
}

impl<'a> Bench<'a> {
    fn judge(&self, deed: &Deed) -> Result<Verdict, Rejection> {
        match deed {
            Deed::Invite(invite) => self.invite(invite),
            Deed::PutOut { principal, reason, how } => self.put_out(principal, reason, *how),
            Deed::SetRole { person, role } => self.set_role(person, *role),
            Deed::Share { agent, with } => self.share(agent, with),
            Deed::Unshare { agent, with } => self.unshare(agent, with),
            Deed::RevokeKey { key, reason } => self.revoke_key(*key, reason),
            Deed::RotateKeys(offer) => self.rotate_keys(offer),
            Deed::CreateToken(terms) => self.create_token(terms),
            Deed::RevokeToken { token } => self.revoke_token(token),
        }
    }

    /// What was said the first time, as far as it is still true.
    fn repeated(&self, deed: &Deed) -> Result<Answer, Refusal> {
        match deed {
            Deed::Invite(invite) => self.invited(&invite.invite),
            Deed::RotateKeys(offer) => self.rotated(offer),
            Deed::PutOut { .. }
            | Deed::SetRole { .. }
            | Deed::Share { .. }
            | Deed::Unshare { .. }
            | Deed::RevokeKey { .. }
            | Deed::CreateToken(_)
            | Deed::RevokeToken { .. } => Ok(Verdict::done(Vec::new()).answer),
        }
    }

    fn role(&self) -> Option<UserRole> {
        self.signer.role
    }

    fn is_admin(&self) -> bool {
        self.role() == Some(UserRole::Admin)
    }

    fn forbidden(&self, what: impl Into<String>) -> Refusal {
        Refusal::Forbidden { who: self.signer.id.clone(), what: what.into() }
    }

    fn not_current(&self) -> Refusal {
        Refusal::KeyNotCurrent { key: self.key, principal: self.signer.id.clone() }
    }

    /// A principal that came in.
    fn principal(&self, id: &PrincipalId) -> Result<&'a Principal, Refusal> {
        let unknown = || Refusal::PrincipalNotFound { principal: id.clone() };
        self.state.principals().get(id).ok_or_else(unknown)
    }
}

/// Checks what somebody gives as a reason or a name, which the log keeps for ever.
fn check_text(field: &str, text: &str) -> Result<(), Fault> {
    if text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!("{field} must be at most {TEXT_BYTES_MAX} bytes in one line");
    Err(Fault::new(ErrorCode::InvalidValue, message))
}

/// Checks a name of 128 bits: 32 lowercase hexadecimal digits.
fn check_hex_id(field: &str, text: &str) -> Result<(), Fault> {
    if schemas::unhex::<16>(text).is_some() {
        return Ok(());
    }
    let message = format!("{field} must be 32 lowercase hexadecimal digits");
    Err(Fault::new(ErrorCode::InvalidValue, message))
}
