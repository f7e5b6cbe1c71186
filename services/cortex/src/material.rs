//! What `cortex up` makes on its first run: keys, the list of trusted ones, passwords, identities.
//!
//! **Invariant:** what exists is read and kept; nothing is made twice.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use schemas::{ErrorCode, Fault, PrincipalId, hex};
use serde::{Deserialize, Serialize};
use trust::{Anchor, ClusterName, Purpose, SecretKey, TrustAnchors};
use zeroize::Zeroizing;

use crate::{
    files::{self, read_if_there, write_private},
    home::Home,
};

/// The node that `up` starts.
pub const LOCAL_NODE: &str = "local";
/// Names that the person who runs `up` must not have, for they are others'.
const TAKEN: [&str; 4] = [LOCAL_NODE, "registry", "scheduler", "admin"];
/// Name of the person when the system's user name is of no use.
const FALLBACK_OWNER: &str = "owner";
/// How long the keys are valid, in seconds: rotation has commands of its own.
const KEY_LIFETIME_S: u64 = 10 * 365 * 24 * 3600;
/// Clocks that were set back a little since must not make the keys invalid, in seconds.
const KEY_BACKDATED_S: u64 = 24 * 3600;

/// Who there is, and how each logs in to the broker.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identities {
    /// What every signature is bound to.
    pub cluster: String,
    /// The person.
    pub owner: PrincipalId,
    /// Passwords of the broker's accounts, which have the principals' names.
    passwords: Passwords,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Passwords {
    owner: String,
    registry: String,
    scheduler: String,
    node: String,
    admin: String,
}

/// One who logs in to the broker that `up` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// The person.
    Owner,
    /// The registry.
    Registry,
    /// The scheduler.
    Scheduler,
    /// The local node.
    Node,
    /// The broker's system account.
    Admin,
}

impl Identities {
    /// Name and password of an account.
    #[must_use]
    pub fn login(&self, account: Account) -> (String, String) {
        let (user, password) = match account {
            Account::Owner => (self.owner.as_str(), &self.passwords.owner),
            Account::Registry => ("registry", &self.passwords.registry),
            Account::Scheduler => ("scheduler", &self.passwords.scheduler),
            Account::Node => (LOCAL_NODE, &self.passwords.node),
            Account::Admin => ("admin", &self.passwords.admin),
        };
        (user.to_owned(), password.clone())
    }

    fn invent() -> Self {
        Self {
            cluster: format!("local-{:08x}", rand::random::<u32>()),
            owner: owner_from(std::env::var("USER").ok().as_deref()),
            passwords: Passwords {
                owner: password(),
                registry: password(),
                scheduler: password(),
                node: password(),
                admin: password(),
            },
        }
    }
}

/// Everything that the processes of `up` need.
#[derive(Clone, PartialEq, Eq)]
pub struct Material {
    /// Who there is.
    pub identities: Identities,
    /// Signs the person's requests.
    pub owner_key: PathBuf,
    /// Signs the scheduler's assignments.
    pub scheduler_key: PathBuf,
    /// Whose signatures count.
    pub anchors: PathBuf,
}

impl Material {
    /// Reads what is there and makes what is missing.
    ///
    /// # Errors
    ///
    /// Names the file that cannot be read, written or understood.
    pub fn ensure(home: &Home) -> Result<Self, Fault> {
        let identities = ensure_identities(&home.keys().join("identities.toml"))?;
        let owner_key = home.keys().join("owner.json");
        let scheduler_key = home.keys().join("scheduler.json");
        let owner = ensure_key(&owner_key, Purpose::TaskIssuer)?;
        let scheduler = ensure_key(&scheduler_key, Purpose::Scheduler)?;
        let anchors = home.anchors();
        ensure_anchors(&anchors, &identities, [owner, scheduler])?;
        Ok(Self { identities, owner_key, scheduler_key, anchors })
    }
}

fn ensure_identities(path: &Path) -> Result<Identities, Fault> {
    if let Some(text) = read_if_there(path)? {
        return toml::from_str(&text).map_err(|error| unreadable(path, error.message()));
    }
    let identities = Identities::invent();
    write_private(path, files::toml_text(&identities).as_bytes())?;
    Ok(identities)
}

fn ensure_key(path: &Path, purpose: Purpose) -> Result<SecretKey, Fault> {
    if let Some(text) = read_if_there(path)? {
        let key = read_key(path, text)?;
        if key.public().purpose() != purpose {
            return Err(unreadable(path, &format!("it is no {purpose} key")));
        }
        return Ok(key);
    }
    let key = SecretKey::from_entropy(purpose, &Zeroizing::new(rand::random()));
    write_private(path, key.to_file().as_bytes())?;
    Ok(key)
}

/// Reads a secret key.
///
/// # Errors
///
/// `CONFIG_INVALID`, naming the file and nothing of its contents.
pub fn load_key(path: &Path) -> Result<SecretKey, Fault> {
    read_key(path, files::read(path)?)
}

fn read_key(path: &Path, text: String) -> Result<SecretKey, Fault> {
    let text = Zeroizing::new(text);
    SecretKey::from_file(&text).map_err(|error| unreadable(path, &error.to_string()))
}

fn ensure_anchors(path: &Path, who: &Identities, keys: [SecretKey; 2]) -> Result<(), Fault> {
    if let Some(text) = read_if_there(path)? {
        let anchors = TrustAnchors::from_file(&text);
        return anchors.map(drop).map_err(|error| unreadable(path, &error.to_string()));
    }
    let cluster = ClusterName::parse(&who.cluster)
        .map_err(|error| Fault::new(ErrorCode::ConfigInvalid, error.to_string()))?;
    let mut anchors = TrustAnchors::new(cluster);
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    for (key, principal) in keys.iter().zip([who.owner.clone(), scheduler()]) {
        let anchor = Anchor {
            key: key.public().clone(),
            principal,
            not_before_s: now_s.saturating_sub(KEY_BACKDATED_S),
            not_after_s: now_s + KEY_LIFETIME_S,
            revoked_at_s: None,
            acts_for: BTreeSet::new(),
        };
        anchors.add(anchor).map_err(|error| unreadable(path, &error.to_string()))?;
    }
    Ok(write_private(path, anchors.to_file().as_bytes())?)
}

fn scheduler() -> PrincipalId {
    PrincipalId::parse("scheduler").expect("the word is an id")
}

fn unreadable(path: &Path, problem: &str) -> Fault {
    let message = format!("{} is of no use: {problem}", path.display());
    Fault::new(ErrorCode::ConfigInvalid, message)
        .with_hint("restore it, or remove it to have a new one made")
}

fn password() -> String {
    hex(&rand::random::<[u8; 16]>())
}

/// The id of a person whom the system calls `user`.
fn owner_from(user: Option<&str>) -> PrincipalId {
    let word: String = user
        .unwrap_or_default()
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(schemas::ID_BYTES_MAX)
        .collect();
    let word = word.trim_matches('-');
    let fallback = || PrincipalId::parse(FALLBACK_OWNER).expect("the word is an id");
    if TAKEN.contains(&word) {
        return fallback();
    }
    PrincipalId::parse(word).unwrap_or_else(|_| fallback())
}

#[cfg(test)]
mod tests;
