//! What `cortex up` makes on its first run: keys, the list of trusted ones, identities, credentials.
//!
//! **Invariant:** what exists is read and kept; nothing is made twice.

mod anchors;
mod certificates;
mod hierarchy;
mod issuing;
mod keys;

use std::path::{Path, PathBuf};

use schemas::{Fault, PrincipalId, subject::ServiceName};
use serde::{Deserialize, Serialize};
use trust::nats::Role;

use crate::{
    authority::{Authority, OperatorPlace, Renewal, User},
    files::{self, read_if_there, write_private},
    home::Home,
};
pub use certificates::Chain;
pub use hierarchy::{Hierarchy, HomeKey};
pub(crate) use keys::certificates_path;
pub use keys::load_key;
use keys::{holds_root, unreadable};

/// The node that `up` starts.
pub const LOCAL_NODE: &str = "local";
/// Who looks after the broker that `up` runs.
pub const ADMIN: &str = "admin";
/// Names that the person who runs `up` must not have, for they are others'.
const TAKEN: [&str; 5] = [LOCAL_NODE, ADMIN, "registry", "scheduler", "system"];
/// Name of the person when the system's user name is of no use.
const FALLBACK_OWNER: &str = "owner";
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

    /// Everybody who logs in, and whoever tells the servers of changed accounts.
    #[must_use]
    pub fn users(&self) -> Vec<User> {
        let members = Member::ALL.into_iter();
        let members = members.map(|member| User::new(self.principal(member), member.role()));
        members.chain([User::system()]).collect()
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
    /// What they sign with.
    pub keys: Hierarchy,
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
        let brokers = match operator {
            // The root is at hand again for certificates that run out; nothing else is made anew.
            OperatorPlace::Apart(directory)
                if home.broker_keys().exists() && holds_root(directory) =>
            {
                OperatorPlace::Here
            }
            OperatorPlace::Apart(_) | OperatorPlace::Here => operator,
        };
        Authority::check_place(home, brokers)?;
        let keys = Hierarchy::ensure(home, &identities, operator)?;
        let authority = Authority::ensure(home, &identities.cluster, brokers)?;
        Ok(Self { identities, keys, anchors: home.anchors(), authority })
    }

    /// Lets everybody in for the next `lifetime_s` seconds, and names those who are out.
    ///
    /// # Errors
    ///
    /// Names the file that cannot be read or written.
    pub fn log_everybody_in(&self, home: &Home, lifetime_s: u64) -> Result<Vec<User>, Fault> {
        let mut out = Vec::new();
        for user in self.identities.users() {
            let path = home.creds(user.principal.as_str());
            if self.authority.renew(&path, &user, lifetime_s)? == Renewal::Out {
                out.push(user);
            }
        }
        Ok(out)
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
