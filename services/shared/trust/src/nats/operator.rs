//! The operator's JWT: which keys vouch for accounts, and which account is the system's.

use serde::Serialize;

use super::{
    jwt::{Jwt, Statement},
    nkey::{InvalidNkey, Nkey, NkeyKind, PublicNkey},
};

/// What an operator says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorClaims {
    /// What people call it: the cluster's name.
    pub name: String,
    /// The keys that vouch for accounts in its name; its own key then vouches for nothing else.
    pub signing_keys: Vec<PublicNkey>,
    /// The account that the servers themselves work in.
    pub system_account: PublicNkey,
}

#[derive(Serialize)]
struct Body<'a> {
    signing_keys: &'a [PublicNkey],
    system_account: &'a PublicNkey,
    /// Whoever steals the operator's own key or an account's, cannot make users with it.
    strict_signing_key_usage: bool,
}

impl OperatorClaims {
    /// Signs with the operator's own key.
    ///
    /// # Errors
    ///
    /// Refuses a key that is no operator's.
    pub fn sign(&self, operator: &Nkey, issued_at_s: u64) -> Result<Jwt, InvalidNkey> {
        operator.expect_kind(NkeyKind::Operator)?;
        let subject = operator.public();
        let statement =
            Statement { subject: &subject, name: &self.name, issued_at_s, expires_at_s: None };
        let body = Body {
            signing_keys: &self.signing_keys,
            system_account: &self.system_account,
            strict_signing_key_usage: true,
        };
        Ok(Jwt::sign(operator, &statement, "operator", &body))
    }
}
