//! A user's JWT: who it is, and nothing about what they may do.

use schemas::PrincipalId;
use serde::Serialize;

use super::{
    jwt::{Jwt, Statement},
    nkey::{InvalidNkey, Nkey, NkeyKind, PublicNkey},
    role::{NameNotAllowed, Role},
};

/// Why a user is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// The principal must not have the role.
    #[error("the name is not for that role")]
    Name(#[source] NameNotAllowed),
    /// The key makes no users.
    #[error("users are made with an account's signing key")]
    Key(#[source] InvalidNkey),
}

/// Who may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserClaims {
    /// The principal; stands in all that it says on the broker.
    pub principal: PrincipalId,
    /// As what.
    pub role: Role,
    /// The key that it logs in with.
    pub key: PublicNkey,
    /// The account that it works in.
    pub account: PublicNkey,
    /// From when on, in seconds since the Unix epoch.
    pub issued_at_s: u64,
    /// Until when; for ever when absent.
    pub expires_at_s: Option<u64>,
}

#[derive(Serialize)]
struct Body<'a> {
    issuer_account: &'a PublicNkey,
}

/// What the broker's system account is for: pushing accounts. No principal works there.
#[derive(Serialize)]
struct SystemBody<'a> {
    issuer_account: &'a PublicNkey,
    subs: i64,
    data: i64,
    payload: i64,
}

impl UserClaims {
    /// Signs with the signing key of the role, whose template says what the user may do.
    ///
    /// # Errors
    ///
    /// Refuses a service's name for anybody else, and another name for a service.
    /// Refuses a key that is no account's.
    pub fn sign(&self, scope: &Nkey) -> Result<Jwt, UserError> {
        scope.expect_kind(NkeyKind::Account).map_err(UserError::Key)?;
        self.role.admit(&self.principal).map_err(UserError::Name)?;
        let body = Body { issuer_account: &self.account };
        Ok(Jwt::sign(scope, &self.statement(), "user", &body))
    }

    fn statement(&self) -> Statement<'_> {
        Statement {
            subject: &self.key,
            name: self.principal.as_str(),
            issued_at_s: self.issued_at_s,
            expires_at_s: self.expires_at_s,
        }
    }

    /// Signs for the system account, where roles mean nothing: with one of its plain signing keys.
    ///
    /// # Errors
    ///
    /// Refuses a key that is no account's.
    pub fn sign_for_system(&self, signing_key: &Nkey) -> Result<Jwt, UserError> {
        signing_key.expect_kind(NkeyKind::Account).map_err(UserError::Key)?;
        let body = SystemBody { issuer_account: &self.account, subs: -1, data: -1, payload: -1 };
        Ok(Jwt::sign(signing_key, &self.statement(), "user", &body))
    }
}
