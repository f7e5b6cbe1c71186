//! What `cortex up` makes on its first run: keys, the list of trusted ones, identities, credentials.
//!
//! **Invariant:** what exists is read and kept; nothing is made twice.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use schemas::{ErrorCode, Fault, PrincipalId, subject::ServiceName};
use serde::{Deserialize, Serialize};
use trust::{Anchor, ClusterName, Purpose, SecretKey, TrustAnchors, nats::Role};
use zeroize::Zeroizing;

use crate::{
    authority::{Authority, OperatorPlace},
    files::{self, read_if_there, write_private},
    home::Home,
};

/// The node that `up` starts.
pub const LOCAL_NODE: &str = "local";
/// Who looks after the broker that `up` runs.
pub const ADMIN: &str = "admin";
/// Names that the person who runs `up` must not have, for they are others'.
const TAKEN: [&str; 5] = [LOCAL_NODE, ADMIN, "registry", "scheduler", "system"];
/// Name of the person when the system's user name is of no use.
const FALLBACK_OWNER: &str = "owner";
/// How long the keys are valid, in seconds: rotation has commands of its own.
const KEY_LIFETIME_S: u64 = 10 * 365 * 24 * 3600;
/// Clocks that were set back a little since must not make the keys invalid, in seconds.
const KEY_BACKDATED_S: u64 = 24 * 3600;

/// Who there is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identities {
    /// What every signature is bound to.
    pub cluster: String,
    /// The person.
    pub owner: PrincipalId,
}

/// One who logs in to the broker that `up` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// The person.
    Owner,
    /// The person when they look after the broker.
    Admin,
    /// The local node.
    Node,
    /// A service.
    Service(ServiceName),
}

impl Member {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Owner,
        Self::Admin,
        Self::Node,
        Self::Service(ServiceName::Registry),
        Self::Service(ServiceName::Scheduler),
    ];

    /// As what it logs in.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Owner => Role::Person,
            Self::Admin => Role::Admin,
            Self::Node => Role::Node,
            Self::Service(service) => Role::Service(service),
        }
    }
}

impl Identities {
    /// The principal that a member is.
    #[must_use]
    pub fn principal(&self, member: Member) -> PrincipalId {
        let word = match member {
            Member::Owner => return self.owner.clone(),
            Member::Admin => ADMIN,
            Member::Node => LOCAL_NODE,
            Member::Service(service) => service.as_str(),
        };
        PrincipalId::parse(word).expect("the word is an id")
    }

    fn invent() -> Self {
        Self {
            cluster: format!("local-{:08x}", rand::random::<u32>()),
            owner: owner_from(std::env::var("USER").ok().as_deref()),
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
    /// Who vouches for whom on the broker.
    pub authority: Authority,
}

impl Material {
    /// Reads what is there and makes what is missing.
    ///
    /// # Errors
    ///
    /// Names the file that cannot be read, written or understood.
    pub fn ensure(home: &Home, operator: OperatorPlace<'_>) -> Result<Self, Fault> {
        let identities = ensure_identities(&home.keys().join("identities.toml"))?;
        let owner_key = home.keys().join("owner.json");
        let scheduler_key = home.keys().join("scheduler.json");
        let owner = ensure_key(&owner_key, Purpose::TaskIssuer)?;
        let scheduler = ensure_key(&scheduler_key, Purpose::Scheduler)?;
        let anchors = home.anchors();
        ensure_anchors(&anchors, &identities, [owner, scheduler])?;
        let authority = Authority::ensure(&home.broker_keys(), &identities.cluster, operator)?;
        for member in Member::ALL {
            let principal = identities.principal(member);
            let path = home.creds(principal.as_str());
            authority.ensure_creds(&path, &principal, member.role())?;
        }
        authority.ensure_system_creds(&home.creds("system"))?;
        Ok(Self { identities, owner_key, scheduler_key, anchors, authority })
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
