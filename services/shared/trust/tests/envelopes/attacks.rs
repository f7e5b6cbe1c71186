//! Attacks on an envelope, each by its number; the number and what it stands for are listed in
//! `tests/tests/attacks`.
//!
//! **Invariant:** every attack stands beside its control: what was not tampered with is accepted.

mod bodies;
mod bytes;
mod claims;
mod encodings;
mod headers;
mod signatures;
mod times;
