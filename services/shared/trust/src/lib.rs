//! Keys and the signed envelope: pure, strict, verify-then-parse.
//!
//! Who wants a task done signs a [`Request`]; the scheduler signs an [`Assignment`] of that request
//! to one node; the node verifies both. [`sign`] makes an envelope, [`Unverified::verify`] is the
//! only way back, and what it returns, [`Verified`], cannot be made otherwise. A verifier pins one
//! root key; [`certify`] and [`TrustAnchors::admit`] lead from it to all others.
//!
//! **Invariant:** nothing here reads a clock, draws randomness or performs IO.

#![forbid(unsafe_code)]

mod anchors;
mod cbor;
mod certificate;
mod chain;
mod claims;
mod encode;
mod envelope;
mod error;
mod key_file;
mod keys;
mod kind;
pub mod nats;
mod possession;
mod reader;
mod scanner;
mod sign;
mod text;
mod times;
mod token;
mod unambiguous;
mod verify;

pub use anchors::{
    Anchor, AnchorsError, CERTIFICATES_KEPT_MAX, ClusterName, KeyRefusal, TrustAnchors,
};
pub use cbor::{ENVELOPE_BYTES_MAX, Rule, ScanError};
pub use certificate::{CertificateError, certify};
pub use chain::{ChainError, ChainLink, verify_chain};
pub use claims::{ClaimsError, TRACE_BYTES_MAX, task_id};
pub use error::{EnvelopeError, HeaderError, ShapeError, SignError};
pub use key_file::KeyFileError;
pub use keys::{InvalidKeyId, KeyError, KeyId, PublicKey, Purpose, SecretKey};
pub use kind::{
    ASSIGNMENT_LIFETIME_MAX_S, Assignment, AssignmentFacts, Kind, ORDER_LIFETIME_MAX_S, Order,
    REQUEST_LIFETIME_MAX_S, ROSTER_BYTES_MAX, Recipient, Request, Roster, RosterError,
};
pub use possession::{Possession, PossessionError, check_possession, prove_possession};
pub use sign::sign;
pub use token::{TokenError, TokenText, seal_token, unseal_token};
pub use verify::{Trust, Unverified, Verified, envelope_hash};

/// How far clocks may differ, in seconds.
pub const CLOCK_SKEW_S: u64 = 30;
