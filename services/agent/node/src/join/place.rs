//! The folder of a member: whose it is, how far it has come, and one process at a time in it.
//!
//! **Invariant:** a folder that one invite began is never used by another.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use schemas::{PrincipalId, enrolment::Membership, key::PublicKeyBytes};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{InviteLine, JoinError};
use crate::private;

const LOCK: &str = "join.lock";
const MARK: &str = "join.json";
const MEMBERSHIP: &str = "membership.json";
/// The settings that the node is started with; there once everything else is.
pub(super) const SETTINGS: &str = "node.toml";

/// Whose the folder is; nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    invite: String,
    principal: PrincipalId,
    cluster: String,
    root: PublicKeyBytes,
}

/// A folder that this process alone works in.
pub(super) struct Place {
    home: PathBuf,
    /// Unlocked when it is closed.
    _lock: File,
}

impl Place {
    /// Takes the folder for a line, for the first time or again.
    ///
    /// # Errors
    ///
    /// When it is another invite's, another process is in it, or the disk fails.
    pub(super) fn take(home: &Path, line: &InviteLine) -> Result<Self, JoinError> {
        private::make_folder(home).map_err(failed("make the folder", home))?;
        let place = Self { home: home.to_owned(), _lock: lock(home)? };
        let mark = Mark {
            invite: line.invite.clone(),
            principal: line.principal.clone(),
            cluster: line.cluster.clone(),
            root: line.root.key,
        };
        match place.read::<Mark>(MARK)? {
            Some(found) if found != mark => {
                let (home, principal) = (home.to_owned(), found.principal);
                return Err(JoinError::OtherLine { home, principal });
            }
            Some(_) => (),
            None => place.write_json(MARK, &mark)?,
        }
        Ok(place)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// What the registry gave, if an earlier attempt came that far.
    pub(super) fn membership(&self) -> Result<Option<Membership>, JoinError> {
        self.read(MEMBERSHIP)
    }

    pub(super) fn keep_membership(&self, membership: &Membership) -> Result<(), JoinError> {
        self.write_json(MEMBERSHIP, membership)
    }

    /// Whether everything was done before.
    pub(super) fn is_complete(&self) -> bool {
        self.path(SETTINGS).exists()
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), JoinError> {
        let path = self.path(name);
        private::write(&path, bytes).map_err(failed("write", &path))
    }

    fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), JoinError> {
        self.write(name, &text(value))
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, JoinError> {
        let path = self.path(name);
        let Some(text) = private::read(&path).map_err(failed("read", &path))? else {
            return Ok(None);
        };
        let damaged = |error: serde_json::Error| {
            let problem = format!("line {}, column {}", error.line(), error.column());
            JoinError::Damaged { path: path.clone(), problem }
        };
        serde_json::from_str(&text).map(Some).map_err(damaged)
    }
}

fn text<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("names and texts always encode")
}

fn lock(home: &Path) -> Result<File, JoinError> {
    let path = home.join(LOCK);
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    let file = file.map_err(failed("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(JoinError::InUse { home: home.to_owned() }),
        Err(error) => Err(failed("lock", &path)(error.into())),
    }
}

pub(super) fn failed(attempt: &'static str, path: &Path) -> impl Fn(io::Error) -> JoinError {
    move |source| JoinError::File { attempt, path: path.to_owned(), source }
}
