//! Who vouches for whom on the broker: operator, accounts, and a signing key for each role.
//!
//! **Invariant:** what exists is read and kept; a new key is only made where there is none.
//! **Invariant:** whoever was revoked stays so: every account that is signed names them, also those
//! that were pushed to the broker while it ran.

mod kept;
mod logins;
mod pushed;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use jetstream_config::server_config::{Account, Operator};
use schemas::{ErrorCode, Fault};
use trust::nats::{
    AccountClaims, AccountKind, Issuer, IssuerSeeds, Jwt, Nkey, NkeyKind, PublicNkey,
};
use zeroize::Zeroizing;

use crate::{clock::now_s, commands::serve::chain, home::Home};
use kept::Kept;
pub(crate) use kept::Seed;
pub use logins::{Renewal, User, look};
use pushed::Pushed;

/// Where the operator's own seed is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorPlace<'a> {
    /// With everything else.
    Here,
    /// In a directory that can be taken away: it is needed again only for new signing keys.
    Apart(&'a Path),
}

/// What vouches for everybody who logs in to one broker.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    cluster: String,
    kept: Kept,
    /// Where the broker keeps accounts that were pushed to it.
    accounts_dir: PathBuf,
}

/// What makes logins, for the service that lets others in.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seeds {
    /// Vouches for accounts.
    pub(crate) operator_signing_seed: Seed,
    /// The account that Cortex works in.
    pub(crate) account: String,
    /// The account of the servers themselves.
    pub(crate) system_account: String,
    /// Makes users of each role.
    pub(crate) roles: BTreeMap<String, Seed>,
}

impl Authority {
    /// Reads what is there, or makes it.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID`, naming the file that cannot be read, written or used.
    pub fn ensure(home: &Home, cluster: &str, place: OperatorPlace<'_>) -> Result<Self, Fault> {
        let (path, accounts_dir) = (home.broker_keys(), home.broker_accounts());
        let cluster = cluster.to_owned();
        let Some(kept) = Kept::read(&path)? else {
            let kept = Kept::invent(&cluster, place)?;
            kept.write(&path)?;
            return Ok(Self { cluster, kept, accounts_dir });
        };
        Self::check_place(home, place)?;
        Self { cluster, kept, accounts_dir }.up_to_date(&path)
    }

    /// Whether the operator's seed can be kept there.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID` when one is kept elsewhere, or another one there.
    pub fn check_place(home: &Home, place: OperatorPlace<'_>) -> Result<(), Fault> {
        let OperatorPlace::Apart(directory) = place else { return Ok(()) };
        let path = home.broker_keys();
        if path.exists() {
            let message = format!("{} is there already", path.display());
            return Err(Fault::new(ErrorCode::ConfigInvalid, message)
                .with_hint("the operator's seed is kept apart from the first run on, or not"));
        }
        kept::check_free(directory)
    }

    /// What is kept, in a few words without any secret; nothing when nothing is.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID`, naming the file that cannot be read or used.
    pub fn look(path: &Path) -> Result<Option<String>, Fault> {
        let Some(kept) = Kept::read(path)? else { return Ok(None) };
        let (_, operator) = Jwt::parse(&kept.operator_jwt).map_err(|error| unusable(&error))?;
        let place = if kept.operator_seed.is_some() { "with them" } else { "kept apart" };
        let (name, roles, out) = (operator.name, kept.roles.len(), kept.revoked.len());
        Ok(Some(format!(
            "{name}: keys for {roles} roles in {}, its own {place}; {out} users revoked",
            path.display()
        )))
    }

    /// A version that knows more roles makes keys for them, and what was revoked while the broker
    /// ran is kept here too, where no broker's death can damage it.
    fn up_to_date(mut self, path: &Path) -> Result<Self, Fault> {
        let grown = self.kept.add_roles();
        let revoked = self.revocations()?;
        let revoked = revoked.into_iter().map(|(key, at_s)| (key.to_string(), at_s)).collect();
        if grown || revoked != self.kept.revoked {
            self.kept.revoked = revoked;
            self.kept.write(path)?;
        }
        Ok(self)
    }

    /// Whom the broker is told to believe. Signed anew each time, so that a change of what roles may
    /// do counts from the next start.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID` when what is kept cannot be used.
    pub fn operator(&self) -> Result<Operator, Fault> {
        // A broker keeps what it has unless what it is given is later.
        let later_s = self.pushed()?.issued_at_s.saturating_add(1).max(now_s());
        let cortex = self.issuer()?.account_jwt(&self.revocations()?, later_s);
        let account =
            |key: &String, jwt: Jwt| Account { key: key.clone(), jwt: jwt.as_str().to_owned() };
        Ok(Operator {
            jwt: self.kept.operator_jwt.clone(),
            system_account: self.kept.system_account.clone(),
            accounts_dir: self.accounts_dir.clone(),
            accounts: vec![
                account(&self.kept.system_account, self.system_jwt()?),
                account(&self.kept.account, cortex),
            ],
        })
    }

    /// Makes logins, and the account that they are in.
    fn issuer(&self) -> Result<Issuer, Fault> {
        let seeds = IssuerSeeds {
            name: &self.cluster,
            operator_signing_seed: self.kept.signing_seed.as_ref(),
            account: &self.kept.account,
            system_account: &self.kept.system_account,
            roles: &self.kept.roles,
        };
        Issuer::from_seeds(seeds).map_err(|error| unusable(&error))
    }

    /// What the service that lets others in is given.
    pub(crate) fn seeds(&self) -> Seeds {
        Seeds {
            operator_signing_seed: self.kept.signing_seed.clone(),
            account: self.kept.account.clone(),
            system_account: self.kept.system_account.clone(),
            roles: self.kept.roles.clone(),
        }
    }

    /// Users that are out, by what was kept here and what was pushed to the broker.
    fn revocations(&self) -> Result<BTreeMap<PublicNkey, u64>, Fault> {
        let mut revoked = self.pushed()?.revocations;
        for (key, at_s) in &self.kept.revoked {
            let latest = revoked.entry(public(NkeyKind::User, key)?).or_default();
            *latest = (*latest).max(*at_s);
        }
        Ok(revoked)
    }

    fn pushed(&self) -> Result<Pushed, Fault> {
        let signer = self.kept.signing_seed.key(NkeyKind::Operator)?.public();
        Pushed::read(&self.accounts_dir, &self.kept.account, &signer)
    }

    fn system_jwt(&self) -> Result<Jwt, Fault> {
        let signing_keys = vec![self.kept.system_seed.key(NkeyKind::Account)?.public()];
        let claims = AccountClaims {
            account: public(NkeyKind::Account, &self.kept.system_account)?,
            name: format!("{}-system", self.cluster),
            kind: AccountKind::System { signing_keys },
            revocations: BTreeMap::new(),
        };
        let signing = self.kept.signing_seed.key(NkeyKind::Operator)?;
        claims.sign(&signing, now_s()).map_err(|error| unusable(&error))
    }
}

fn new_key(kind: NkeyKind) -> Nkey {
    Nkey::from_entropy(kind, &Zeroizing::new(rand::random()))
}

fn public(kind: NkeyKind, text: &str) -> Result<PublicNkey, Fault> {
    PublicNkey::parse(kind, text).map_err(|error| unusable(&error))
}

fn unusable(error: &dyn std::error::Error) -> Fault {
    Fault::new(ErrorCode::ConfigInvalid, chain(error))
        .with_hint("restore the keys of the broker from a copy")
}

#[cfg(test)]
mod tests;
