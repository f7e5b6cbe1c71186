//! The signed envelope, seen from outside: vectors of another implementation, attacks, properties.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that cannot go on fails its test")]

mod attacks;
mod cbor;
mod differential;
mod ed25519;
mod forge;
mod fuzzing;
mod properties;
mod support;
mod vectors;
