//! The keys that a member makes for itself, each for one purpose and in a file of its own.
//!
//! **Invariant:** a key that a file holds is never replaced; keys are on disk before anybody hears
//! of them.

use std::path::{Path, PathBuf};

use schemas::principal::PrincipalKind;
use trust::{
    Purpose, SecretKey,
    nats::{Nkey, NkeyKind},
};
use zeroize::Zeroizing;

use super::{JoinError, place::failed};
use crate::private;

/// Where the seed is that the member logs in with.
const LOGIN: &str = "login.seed";
/// Where the key is that signs what the member, or a run on it, asks for.
pub(super) const ISSUER: &str = "issuer.key";
/// Where the key is that signs the node's record of what it ran.
const NODE_LOG: &str = "node-log.key";

/// All keys of a new member.
pub(super) struct Keys {
    /// Logs in.
    pub(super) login: Nkey,
    /// Sign, each for one purpose, by purpose.
    pub(super) signing: Vec<SecretKey>,
}

impl Keys {
    /// Reads what is there and makes what is missing: everybody signs what they ask for, and agents
    /// their record of what they ran.
    ///
    /// # Errors
    ///
    /// When the disk fails, or a file is not what was written.
    pub(super) fn make(folder: &Path, kind: PrincipalKind) -> Result<Self, JoinError> {
        private::make_folder(folder).map_err(failed("make the folder", folder))?;
        let mut signing = vec![signing_key(&folder.join(ISSUER), Purpose::TaskIssuer)?];
        match kind {
            PrincipalKind::Agent => {
                signing.push(signing_key(&folder.join(NODE_LOG), Purpose::NodeLog)?);
            }
            PrincipalKind::Person | PrincipalKind::Service => (),
        }
        Ok(Self { login: login(&folder.join(LOGIN))?, signing })
    }
}

fn login(path: &Path) -> Result<Nkey, JoinError> {
    if let Some(text) = private::read(path).map_err(failed("read", path))? {
        let key = Nkey::from_seed(NkeyKind::User, text.trim());
        return key.map_err(|error| damaged(path, &error));
    }
    let key = Nkey::from_entropy(NkeyKind::User, &entropy());
    private::write(path, key.seed().as_bytes()).map_err(failed("write", path))?;
    Ok(key)
}

fn signing_key(path: &Path, purpose: Purpose) -> Result<SecretKey, JoinError> {
    if let Some(text) = private::read(path).map_err(failed("read", path))? {
        let key = SecretKey::from_file(&text).map_err(|error| damaged(path, &error))?;
        let found = key.public().purpose();
        let other = || damaged(path, &format!("it holds a {found} key, not a {purpose} key"));
        return if found == purpose { Ok(key) } else { Err(other()) };
    }
    let key = SecretKey::from_entropy(purpose, &entropy());
    private::write(path, key.to_file().as_bytes()).map_err(failed("write", path))?;
    Ok(key)
}

fn entropy() -> Zeroizing<[u8; 32]> {
    Zeroizing::new(rand::random())
}

fn damaged(path: &Path, problem: &dyn std::fmt::Display) -> JoinError {
    JoinError::Damaged { path: PathBuf::from(path), problem: problem.to_string() }
}
