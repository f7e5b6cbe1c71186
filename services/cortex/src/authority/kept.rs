//! The file with all seeds that vouch for somebody on the broker.
//!
//! **Invariant:** it is replaced as a whole, so no half of it is kept.
//! **Invariant:** no error shows any part of it.

use std::{collections::BTreeMap, path::Path};

use schemas::{ErrorCode, Fault};
use serde::{Deserialize, Serialize};
use trust::nats::{Nkey, NkeyKind, OperatorClaims, Role};
use zeroize::Zeroizing;

use super::{OperatorPlace, new_key, unusable};
use crate::{
    clock::now_s,
    files::{self, read_if_there, write_private},
};

/// The file in a directory of the user's choice that holds the operator's own seed.
const OPERATOR_FILE: &str = "operator.seed";

/// As it stands in the file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// What the operator says about itself.
    pub(super) operator_jwt: String,
    /// The operator's own seed, unless it is kept apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) operator_seed: Option<Seed>,
    /// Vouches for accounts.
    pub(super) signing_seed: Seed,
    /// The account of the servers themselves.
    pub(super) system_account: String,
    /// Makes users in it.
    pub(super) system_seed: Seed,
    /// The account that Cortex works in.
    pub(super) account: String,
    /// Makes users of each role.
    pub(super) roles: BTreeMap<String, Seed>,
    /// Public keys of users that are out, and until which second what was signed for them is void.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) revoked: BTreeMap<String, u64>,
}

impl Kept {
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Fault> {
        let Some(text) = read_if_there(path)?.map(Zeroizing::new) else { return Ok(None) };
        toml::from_str(&text).map(Some).map_err(|error| {
            // The message alone: the long form quotes the line, maybe a seed.
            let message = format!("{} is of no use: {}", path.display(), error.message());
            Fault::new(ErrorCode::ConfigInvalid, message).with_hint("restore it from a copy")
        })
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), Fault> {
        Ok(write_private(path, files::toml_text(self).as_bytes())?)
    }

    /// Makes keys for roles that an earlier version did not know; whether there were any.
    pub(super) fn add_roles(&mut self) -> bool {
        let known = self.roles.len();
        for role in Role::ALL {
            let key = || Seed::of(&new_key(NkeyKind::Account));
            self.roles.entry(role.to_string()).or_insert_with(key);
        }
        known < self.roles.len()
    }

    pub(super) fn invent(cluster: &str, place: OperatorPlace<'_>) -> Result<Self, Fault> {
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
        Ok(Self {
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
}

fn keep_apart(directory: &Path, operator: &Nkey) -> Result<(), Fault> {
    check_free(directory)?;
    Ok(write_private(&directory.join(OPERATOR_FILE), operator.seed().as_bytes())?)
}

/// Refuses a directory that has an operator's seed already.
pub(super) fn check_free(directory: &Path) -> Result<(), Fault> {
    let path = directory.join(OPERATOR_FILE);
    if path.exists() {
        let message = format!("{} is there already", path.display());
        return Err(Fault::new(ErrorCode::ConfigInvalid, message)
            .with_hint("name a directory for this operator alone"));
    }
    Ok(())
}

/// A seed's text; wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(crate) struct Seed(Zeroizing<String>);

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

impl AsRef<str> for Seed {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Seed {
    pub(super) fn of(key: &Nkey) -> Self {
        Self(key.seed())
    }

    pub(super) fn key(&self, kind: NkeyKind) -> Result<Nkey, Fault> {
        Nkey::from_seed(kind, &self.0).map_err(|error| unusable(&error))
    }
}
