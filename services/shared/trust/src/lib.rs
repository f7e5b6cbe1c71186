//! Keys and the signed envelope: pure, strict, verify-then-parse.
//!
//! Who wants a task done signs a [`Request`]; the scheduler signs an [`Assignment`] of that request
//! to one node; the node verifies both. [`sign`] makes an envelope, [`Unverified::verify`] is the
//! only way back, and what it returns, [`Verified`], cannot be made otherwise.
//!
//! **Invariant:** nothing here reads a clock, draws randomness or performs IO.

#![forbid(unsafe_code)]

mod anchors;
mod cbor;
mod claims;
mod encode;
mod envelope;
mod error;
mod key_file;
mod keys;
mod kind;
pub mod nats;
mod reader;
mod scanner;
mod sign;
mod times;
mod unambiguous;
mod verify;

pub use anchors::{Anchor, AnchorsError, ClusterName, KeyRefusal, TrustAnchors};
pub use cbor::{ENVELOPE_BYTES_MAX, Rule, ScanError};
pub use claims::{ClaimsError, TRACE_BYTES_MAX, task_id};
pub use error::{EnvelopeError, HeaderError, ShapeError, SignError};
pub use key_file::KeyFileError;
pub use keys::{InvalidKeyId, KeyError, KeyId, PublicKey, Purpose, SecretKey};
pub use kind::{
    ASSIGNMENT_LIFETIME_MAX_S, Assignment, AssignmentFacts, Kind, REQUEST_LIFETIME_MAX_S,
    Recipient, Request,
};
pub use sign::sign;
pub use verify::{Trust, Unverified, Verified, envelope_hash};

/// How far clocks may differ, in seconds.
pub const CLOCK_SKEW_S: u64 = 30;
