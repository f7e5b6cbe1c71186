//! Envelopes that change or tell whom to trust: orders to a service, and the registry's roster.
//!
//! **Invariant:** a roster never counts against a newer one that was seen before.

use schemas::{
    CommandId, ErrorCode, Fault, PrincipalId, Timestamp,
    claims::{ORDER_TYPE, OrderClaims, ROSTER_TYPE, RosterClaims},
    enrolment::{self, ROSTER_AGE_S_MAX},
    hex, strict,
};
use sha2::{Digest as _, Sha256};

use super::{Kind, Payload};
use crate::{
    cbor::ENVELOPE_BYTES_MAX,
    claims::{self, ClaimsError},
    error::EnvelopeError,
    keys::Purpose,
    times::Times,
    unambiguous::Unambiguous,
    verify::Verified,
};

/// Largest roster, in bytes: some 25,000 keys, and in base64 still one message of the broker.
pub const ROSTER_BYTES_MAX: usize = 512 * 1024;
/// Longest life of an order, from issue to expiry, in seconds.
pub const ORDER_LIFETIME_MAX_S: u64 = 600;

const ORDER_ID_DOMAIN: &[u8] = b"cortex/order/v1";

/// An order: its issuer wants a service to change whom others trust.
#[derive(Debug)]
pub enum Order {}

/// What a verified order means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderMeaning {
    id: CommandId,
    order: enrolment::Order,
}

impl Kind for Order {
    type Claims = OrderClaims;
    /// The service that is to carry it out.
    type Facts<'a> = &'a PrincipalId;
    type Derived = OrderMeaning;

    const TYPE: &'static str = ORDER_TYPE;
    const PURPOSE: Purpose = Purpose::TaskIssuer;
    const LIFETIME_MAX_S: u64 = ORDER_LIFETIME_MAX_S;

    fn encode(claims: &OrderClaims) -> Vec<u8> {
        claims::encode_order(claims)
    }

    fn decode(payload: Payload<'_>) -> Result<OrderClaims, ClaimsError> {
        claims::decode_order(payload.0)
    }

    fn issuer(claims: &OrderClaims) -> &PrincipalId {
        &claims.issuer
    }

    /// Orders are given in one's own name.
    fn subject(claims: &OrderClaims) -> &PrincipalId {
        &claims.issuer
    }

    fn times(claims: &OrderClaims) -> Times {
        let OrderClaims { issued_at_s, expires_at_s, .. } = *claims;
        Times { issued_at_s, not_before_s: issued_at_s, expires_at_s }
    }

    fn check_recipient(claims: &OrderClaims, service: &&PrincipalId) -> Result<(), EnvelopeError> {
        if claims.service == **service {
            return Ok(());
        }
        let (audience, recipient) = (claims.service.to_string(), service.to_string());
        Err(EnvelopeError::Audience { audience, recipient })
    }

    fn derive(claims: &OrderClaims) -> Result<OrderMeaning, EnvelopeError> {
        let order = parse_order(&claims.order_json).map_err(EnvelopeError::Order)?;
        Ok(OrderMeaning { id: order_id(&claims.issuer, &claims.nonce), order })
    }
}

fn parse_order(text: &str) -> Result<enrolment::Order, Fault> {
    let order = strict::parse_within(text.as_bytes(), ENVELOPE_BYTES_MAX)?;
    serde_json::from_str::<Unambiguous>(text)
        .map_err(|error| Fault::new(ErrorCode::InvalidValue, error.to_string()))?;
    Ok(order)
}

/// The first 16 bytes of SHA-256 over a domain, the issuer with its length, and the nonce.
fn order_id(issuer: &PrincipalId, nonce: &[u8; 16]) -> CommandId {
    let length = u8::try_from(issuer.as_str().len()).expect("an id has at most 63 bytes");
    let digest = Sha256::new()
        .chain_update(ORDER_ID_DOMAIN)
        .chain_update([length])
        .chain_update(issuer.as_str())
        .chain_update(nonce)
        .finalize();
    CommandId::parse(&hex(&digest[..16])).expect("hexadecimal digits make an id")
}

impl Verified<Order> {
    /// Names the order: handing it in twice is the same order.
    #[must_use]
    pub fn id(&self) -> CommandId {
        self.derived().id.clone()
    }

    /// What shall be changed.
    #[must_use]
    pub fn order(&self) -> &enrolment::Order {
        &self.derived().order
    }
}

/// A roster: the registry tells which keys are out and who may act everywhere.
#[derive(Debug)]
pub enum Roster {}

impl Kind for Roster {
    type Claims = RosterClaims;
    type Facts<'a> = ();
    type Derived = ();

    const TYPE: &'static str = ROSTER_TYPE;
    const PURPOSE: Purpose = Purpose::Enrolment;
    /// A roster does not expire; how old it may be is for the reader to judge.
    const LIFETIME_MAX_S: u64 = u64::MAX;
    const BYTES_MAX: usize = ROSTER_BYTES_MAX;

    fn encode(claims: &RosterClaims) -> Vec<u8> {
        claims::encode_roster(claims)
    }

    fn decode(payload: Payload<'_>) -> Result<RosterClaims, ClaimsError> {
        claims::decode_roster(payload.0)
    }

    fn issuer(claims: &RosterClaims) -> &PrincipalId {
        &claims.issuer
    }

    fn subject(claims: &RosterClaims) -> &PrincipalId {
        &claims.issuer
    }

    fn times(claims: &RosterClaims) -> Times {
        let issued_at_s = claims.issued_at_s;
        Times { issued_at_s, not_before_s: issued_at_s, expires_at_s: u64::MAX }
    }

    fn check_recipient(_claims: &RosterClaims, _facts: &()) -> Result<(), EnvelopeError> {
        Ok(())
    }

    fn derive(_claims: &RosterClaims) -> Result<(), EnvelopeError> {
        Ok(())
    }
}

/// Why a roster that the registry did sign is not to be believed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    #[error("the roster has version {version}, and version {seen} was seen before")]
    RolledBack { version: u64, seen: u64 },
    #[error("the roster is {age_s} s old, the limit is {ROSTER_AGE_S_MAX} s")]
    Stale { age_s: u64 },
}

impl RosterError {
    /// The code that users see.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::RolledBack { .. } | Self::Stale { .. } => ErrorCode::RosterStale,
        }
    }
}

impl Verified<Roster> {
    /// Whether it may replace the roster of version `seen`.
    ///
    /// # Errors
    ///
    /// Refuses a lower version. The same one may come again with a later date.
    pub fn check_version(&self, seen: u64) -> Result<(), RosterError> {
        let version = self.claims().version;
        if version < seen { Err(RosterError::RolledBack { version, seen }) } else { Ok(()) }
    }

    /// Whether it is new enough for tasks to be taken.
    ///
    /// # Errors
    ///
    /// Refuses a roster that is older than [`ROSTER_AGE_S_MAX`].
    pub fn check_age(&self, now: Timestamp) -> Result<(), RosterError> {
        let age_s = now.seconds().saturating_sub(self.claims().issued_at_s);
        if ROSTER_AGE_S_MAX < age_s { Err(RosterError::Stale { age_s }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
