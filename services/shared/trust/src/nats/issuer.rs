//! Who makes logins: the keys that vouch for users, role by role, and for the account they work in.
//!
//! **Invariant:** no login is made for a role without that role's own signing key.

use std::collections::BTreeMap;

use schemas::{ErrorCode, PrincipalId};

use super::{
    account::{AccountClaims, AccountKind, Scope},
    jwt::Jwt,
    nkey::{InvalidNkey, Nkey, NkeyKind, PublicNkey},
    role::Role,
    user::{UserClaims, UserError},
};

/// The keys of a broker as files hold them.
#[derive(Clone, Copy, Debug)]
pub struct IssuerSeeds<'a, S> {
    /// What people call the account: the cluster's name.
    pub name: &'a str,
    /// Seed of the operator's key that vouches for accounts.
    pub operator_signing_seed: &'a str,
    /// The account that Cortex works in.
    pub account: &'a str,
    /// The account of the servers themselves.
    pub system_account: &'a str,
    /// Name of each role to the seed of the key that makes users of it.
    pub roles: &'a BTreeMap<String, S>,
}

/// Why texts are no keys of a broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// The operator's signing key is none.
    #[error("the operator's signing key cannot be used")]
    Operator(#[source] InvalidNkey),
    /// One of the two accounts is none.
    #[error("the {which} account is none")]
    Account {
        /// Which.
        which: &'static str,
        /// Why.
        #[source]
        cause: InvalidNkey,
    },
    /// The signing key of a role is none.
    #[error("the key that makes users of role {role} cannot be used")]
    Role {
        /// Which.
        role: Role,
        /// Why.
        #[source]
        cause: InvalidNkey,
    },
    /// A role has no signing key.
    #[error("there is no key that makes users of role {role}")]
    Missing {
        /// Which.
        role: Role,
    },
    /// A key is there for what is no role.
    #[error("{name:?} is no role")]
    Unknown {
        /// Its name.
        name: String,
    },
}

impl IssuerError {
    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Operator(_)
            | Self::Account { .. }
            | Self::Role { .. }
            | Self::Missing { .. }
            | Self::Unknown { .. } => ErrorCode::ConfigInvalid,
        }
    }
}

/// Makes logins, and tells the broker who is out.
#[derive(Clone, Debug)]
pub struct Issuer {
    name: String,
    operator: Nkey,
    account: PublicNkey,
    system: PublicNkey,
    roles: BTreeMap<Role, Nkey>,
}

impl Issuer {
    /// Reads the keys; every role must have one.
    ///
    /// # Errors
    ///
    /// Names the key that is missing or cannot be used; never shows it.
    pub fn from_seeds<S: AsRef<str>>(seeds: IssuerSeeds<'_, S>) -> Result<Self, IssuerError> {
        let account = |which, text| {
            let parsed = PublicNkey::parse(NkeyKind::Account, text);
            parsed.map_err(|cause| IssuerError::Account { which, cause })
        };
        let operator = Nkey::from_seed(NkeyKind::Operator, seeds.operator_signing_seed);
        let mut roles = BTreeMap::new();
        for (name, seed) in seeds.roles {
            let role = Role::parse(name);
            let role = role.ok_or_else(|| IssuerError::Unknown { name: name.clone() })?;
            let key = Nkey::from_seed(NkeyKind::Account, seed.as_ref());
            roles.insert(role, key.map_err(|cause| IssuerError::Role { role, cause })?);
        }
        if let Some(role) = Role::ALL.into_iter().find(|role| !roles.contains_key(role)) {
            return Err(IssuerError::Missing { role });
        }
        Ok(Self {
            name: seeds.name.to_owned(),
            operator: operator.map_err(IssuerError::Operator)?,
            account: account("Cortex", seeds.account)?,
            system: account("system", seeds.system_account)?,
            roles,
        })
    }

    /// The account that Cortex works in.
    #[must_use]
    pub fn account(&self) -> &PublicNkey {
        &self.account
    }

    /// Lets `key` log in as `principal` in that role, for `lifetime_s` seconds from `now_s` on. The
    /// same arguments always give the same JWT.
    ///
    /// # Errors
    ///
    /// Refuses a service's name for anybody else, another name for a service, and an invite's name
    /// for anybody but who holds the invite.
    pub fn user_jwt(
        &self,
        principal: &PrincipalId,
        role: Role,
        key: &PublicNkey,
        now_s: u64,
        lifetime_s: u64,
    ) -> Result<Jwt, UserError> {
        let scope = self.roles.get(&role).expect("every role has a key");
        let claims = UserClaims {
            principal: principal.clone(),
            role,
            key: key.clone(),
            account: self.account.clone(),
            issued_at_s: now_s,
            expires_at_s: Some(now_s.saturating_add(lifetime_s)),
        };
        claims.sign(scope)
    }

    /// What the broker is told of the account. Whatever was signed for a key in `revocations` up to
    /// its second, since the Unix epoch, counts no more. A broker takes it for newer than another
    /// one only if `now_s` is later.
    #[must_use]
    pub fn account_jwt(&self, revocations: &BTreeMap<PublicNkey, u64>, now_s: u64) -> Jwt {
        let scope = |(role, key): (&Role, &Nkey)| Scope { role: *role, key: key.public() };
        let claims = AccountClaims {
            account: self.account.clone(),
            name: self.name.clone(),
            kind: AccountKind::Cortex {
                system: self.system.clone(),
                scopes: self.roles.iter().map(scope).collect(),
            },
            revocations: revocations.clone(),
        };
        claims.sign(&self.operator, now_s).expect("the key is an operator's")
    }
}
