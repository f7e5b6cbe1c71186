//! Who vouches for whom on the broker: operator, accounts, and a signing key for each role.
//!
//! **Invariant:** what exists is read and kept; a new key is only made where there is none.
//! **Invariant:** all of it stands in one file that is replaced as a whole, so no half of it is kept.
//! **Invariant:** whoever was revoked stays so: every account that is signed names them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use jetstream_config::server_config::{Account, Operator};
use schemas::{ErrorCode, Fault, PrincipalId};
use serde::{Deserialize, Serialize};
use trust::nats::{
    AccountClaims, AccountKind, Creds, Jwt, Nkey, NkeyKind, OperatorClaims, PublicNkey, Role,
    Scope, UserClaims,
};
use zeroize::Zeroizing;

use crate::{
    commands::serve::chain,
    files::{self, read_if_there, write_private},
};

/// The file in a directory of the user's choice that holds the operator's own seed.
const OPERATOR_FILE: &str = "operator.seed";
/// Who logs in to the account of the servers themselves.
const SYSTEM_USER: &str = "system";

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
}

/// As it stands in the file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// What the operator says about itself.
    operator_jwt: String,
    /// The operator's own seed, unless it is kept apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operator_seed: Option<Seed>,
    /// Vouches for accounts.
    signing_seed: Seed,
    /// The account of the servers themselves.
    system_account: String,
    /// Makes users in it.
    system_seed: Seed,
    /// The account that Cortex works in.
    account: String,
    /// Makes users of each role.
    roles: BTreeMap<String, Seed>,
    /// Public keys of users that are out, and until which second what was signed for them is void.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    revoked: BTreeMap<String, u64>,
}

impl Kept {
    fn read(path: &Path) -> Result<Option<Self>, Fault> {
        let Some(text) = read_if_there(path)?.map(Zeroizing::new) else { return Ok(None) };
        toml::from_str(&text).map(Some).map_err(|error| {
            // The message alone: the long form quotes the line, maybe a seed.
            let message = format!("{} is of no use: {}", path.display(), error.message());
            Fault::new(ErrorCode::ConfigInvalid, message).with_hint("restore it from a copy")
        })
    }
}

/// A seed's text; wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
struct Seed(Zeroizing<String>);

impl From<String> for Seed {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<Seed> for String {
    fn from(seed: Seed) -> Self {
        seed.0.to_string()
    }
}

impl Seed {
    fn of(key: &Nkey) -> Self {
        Self(key.seed())
    }

    fn key(&self, kind: NkeyKind) -> Result<Nkey, Fault> {
        Nkey::from_seed(kind, &self.0).map_err(|error| unusable(&error))
    }
}

impl Authority {
    /// Reads what is there, or makes it.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID`, naming the file that cannot be read, written or used.
    pub fn ensure(path: &Path, cluster: &str, place: OperatorPlace<'_>) -> Result<Self, Fault> {
        let cluster = cluster.to_owned();
        let Some(kept) = Kept::read(path)? else {
            let kept = invent(&cluster, place)?;
            write_private(path, files::toml_text(&kept).as_bytes())?;
            return Ok(Self { cluster, kept });
        };
        if let OperatorPlace::Apart(_) = place {
            let message = format!("{} is there already", path.display());
            return Err(Fault::new(ErrorCode::ConfigInvalid, message)
                .with_hint("the operator's seed is kept apart from the first run on, or not"));
        }
        Self { cluster, kept }.with_all_roles(path)
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

    /// A version that knows more roles makes keys for them.
    fn with_all_roles(mut self, path: &Path) -> Result<Self, Fault> {
        let known = self.kept.roles.len();
        for role in Role::ALL {
            let key = || Seed::of(&new_key(NkeyKind::Account));
            self.kept.roles.entry(role.to_string()).or_insert_with(key);
        }
        if known < self.kept.roles.len() {
            write_private(path, files::toml_text(&self.kept).as_bytes())?;
        }
        Ok(self)
    }

    /// Whom the broker is told to believe. Signed anew each time, so that a change of what roles may
    /// do counts from the next start.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID` when what is kept cannot be used.
    pub fn operator(&self, accounts_dir: PathBuf) -> Result<Operator, Fault> {
        let accounts = [self.system_claims()?, self.cortex_claims()?];
        let accounts = accounts.iter().map(|claims| self.sign(claims));
        Ok(Operator {
            jwt: self.kept.operator_jwt.clone(),
            system_account: self.kept.system_account.clone(),
            accounts_dir,
            accounts: accounts.collect::<Result<_, _>>()?,
        })
    }

    fn sign(&self, claims: &AccountClaims) -> Result<Account, Fault> {
        let signing = self.kept.signing_seed.key(NkeyKind::Operator)?;
        let jwt = claims.sign(&signing, now_s()).map_err(|error| unusable(&error))?;
        Ok(Account { key: claims.account.to_string(), jwt: jwt.as_str().to_owned() })
    }

    fn system_claims(&self) -> Result<AccountClaims, Fault> {
        let signing_keys = vec![self.kept.system_seed.key(NkeyKind::Account)?.public()];
        Ok(AccountClaims {
            account: public(NkeyKind::Account, &self.kept.system_account)?,
            name: format!("{}-system", self.cluster),
            kind: AccountKind::System { signing_keys },
            revocations: BTreeMap::new(),
        })
    }

    fn cortex_claims(&self) -> Result<AccountClaims, Fault> {
        let scope = |role| Ok::<_, Fault>(Scope { role, key: self.scope(role)?.public() });
        let revoked = self.kept.revoked.iter();
        let revoked =
            revoked.map(|(key, at_s)| Ok::<_, Fault>((public(NkeyKind::User, key)?, *at_s)));
        Ok(AccountClaims {
            account: public(NkeyKind::Account, &self.kept.account)?,
            name: self.cluster.clone(),
            kind: AccountKind::Cortex {
                system: public(NkeyKind::Account, &self.kept.system_account)?,
                scopes: Role::ALL.into_iter().map(scope).collect::<Result<_, _>>()?,
            },
            revocations: revoked.collect::<Result<_, _>>()?,
        })
    }

    fn scope(&self, role: Role) -> Result<Nkey, Fault> {
        let seed = self.kept.roles.get(role.as_str()).ok_or_else(|| {
            let message = format!("there is no key that makes users of role {role}");
            Fault::new(ErrorCode::ConfigInvalid, message)
        })?;
        seed.key(NkeyKind::Account)
    }

    /// Makes the credentials file of a principal, unless there is one that these keys vouch for.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID` when it cannot be read, made or written.
    pub fn ensure_creds(
        &self,
        path: &Path,
        principal: &PrincipalId,
        role: Role,
    ) -> Result<(), Fault> {
        let scope = self.scope(role)?;
        if let Some(text) = read_if_there(path)?.map(Zeroizing::new) {
            let creds = Creds::from_file(&text).map_err(|error| {
                let message = format!("{} is of no use: {}", path.display(), chain(&error));
                Fault::new(error.code(), message).with_hint("remove it to have a new one made")
            })?;
            let summary = creds.summary();
            if summary.issuer == scope.public().as_str() && summary.name == principal.as_str() {
                return Ok(());
            }
        }
        let user = self.user(principal.clone(), role, &self.kept.account)?;
        let jwt = user.claims.sign(&scope).map_err(|error| unusable(&error))?;
        user.write(path, &jwt)
    }

    /// Makes the credentials file of whoever tells the servers of changed accounts.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID` when it cannot be made or written.
    pub fn ensure_system_creds(&self, path: &Path) -> Result<(), Fault> {
        if read_if_there(path)?.is_some() {
            return Ok(());
        }
        // In that account roles mean nothing.
        let user = self.user(system_user(), Role::Admin, &self.kept.system_account)?;
        let signing = self.kept.system_seed.key(NkeyKind::Account)?;
        let jwt = user.claims.sign_for_system(&signing).map_err(|error| unusable(&error))?;
        user.write(path, &jwt)
    }

    fn user(&self, principal: PrincipalId, role: Role, account: &str) -> Result<NewUser, Fault> {
        let key = new_key(NkeyKind::User);
        let account = public(NkeyKind::Account, account)?;
        let (issued_at_s, expires_at_s) = (now_s(), None);
        let claims =
            UserClaims { principal, role, key: key.public(), account, issued_at_s, expires_at_s };
        Ok(NewUser { key, claims })
    }
}

fn system_user() -> PrincipalId {
    PrincipalId::parse(SYSTEM_USER).expect("the word is an id")
}

/// Somebody who has no JWT yet.
struct NewUser {
    key: Nkey,
    claims: UserClaims,
}

impl NewUser {
    fn write(self, path: &Path, jwt: &Jwt) -> Result<(), Fault> {
        let creds = Creds::new(jwt, self.key).map_err(|error| unusable(&error))?;
        Ok(write_private(path, creds.to_file().as_bytes())?)
    }
}

fn invent(cluster: &str, place: OperatorPlace<'_>) -> Result<Kept, Fault> {
    let [operator, signing] = [NkeyKind::Operator; 2].map(new_key);
    let [system, system_signing, account] = [NkeyKind::Account; 3].map(new_key);
    let claims = OperatorClaims {
        name: cluster.to_owned(),
        signing_keys: vec![signing.public()],
        system_account: system.public(),
    };
    let operator_jwt = claims.sign(&operator, now_s()).map_err(|error| unusable(&error))?;
    let operator_seed = match place {
        OperatorPlace::Here => Some(Seed::of(&operator)),
        OperatorPlace::Apart(directory) => {
            keep_apart(directory, &operator)?;
            None
        }
    };
    let role = |role: Role| (role.to_string(), Seed::of(&new_key(NkeyKind::Account)));
    Ok(Kept {
        operator_jwt: operator_jwt.as_str().to_owned(),
        operator_seed,
        signing_seed: Seed::of(&signing),
        // Their own keys sign nothing, and what is not kept cannot be stolen.
        system_account: system.public().to_string(),
        system_seed: Seed::of(&system_signing),
        account: account.public().to_string(),
        roles: Role::ALL.into_iter().map(role).collect(),
        revoked: BTreeMap::new(),
    })
}

fn keep_apart(directory: &Path, operator: &Nkey) -> Result<(), Fault> {
    let path = directory.join(OPERATOR_FILE);
    if path.exists() {
        let message = format!("{} is there already", path.display());
        return Err(Fault::new(ErrorCode::ConfigInvalid, message)
            .with_hint("name a directory for this operator alone"));
    }
    Ok(write_private(&path, operator.seed().as_bytes())?)
}

fn new_key(kind: NkeyKind) -> Nkey {
    Nkey::from_entropy(kind, &Zeroizing::new(rand::random()))
}

fn public(kind: NkeyKind, text: &str) -> Result<PublicNkey, Fault> {
    PublicNkey::parse(kind, text).map_err(|error| unusable(&error))
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn unusable(error: &dyn std::error::Error) -> Fault {
    Fault::new(ErrorCode::ConfigInvalid, chain(error))
        .with_hint("restore the keys of the broker from a copy")
}

#[cfg(test)]
mod tests;
