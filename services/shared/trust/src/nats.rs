//! Who may do what on the broker: NATS keys, JWTs, roles and credentials files.
//!
//! The broker runs in operator mode: an operator vouches for accounts, an account's signing keys
//! for users. Each role has a signing key of its own, and what a user may do stands in the template
//! of that key and not in the user's JWT; so whoever steals a node's signing key can make nodes and
//! nothing else.
//!
//! **Invariant:** entropy and times are arguments; nothing here draws or reads them.
//! **Invariant:** no key of this module signs anything but JWTs, a broker's nonces, and the proof that
//! somebody has it.

mod account;
mod creds;
mod issuer;
mod jwt;
mod nkey;
mod operator;
mod role;
mod user;

pub use account::{AccountClaims, AccountKind, STATUS_SERVICE, Scope};
pub use creds::{Creds, CredsError, NonceError};
pub use issuer::{Issuer, IssuerError, IssuerSeeds};
pub use jwt::{Jwt, JwtError, Summary};
pub use nkey::{InvalidNkey, Nkey, NkeyKind, PublicNkey};
pub use operator::OperatorClaims;
pub use role::{NameNotAllowed, Permissions, Responses, Role};
pub use user::{UserClaims, UserError};

#[cfg(test)]
mod tests;
