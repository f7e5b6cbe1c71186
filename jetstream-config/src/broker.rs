//! Refuses a broker that could lose what it acknowledged.
//!
//! **Invariant:** what cannot be learnt about a broker counts against it.

mod check;
mod version;

pub use self::check::{BrokerError, BrokerReport, DurabilityProof, ServerReport, check_broker};
pub use self::version::Version;

#[cfg(test)]
mod tests;
