//! Files with a secret key each, and where they are.
//!
//! **Invariant:** a key that is there is never replaced, also not when it is damaged.

use std::path::{Path, PathBuf};

use schemas::{ErrorCode, Fault};
use trust::{Purpose, SecretKey};
use zeroize::Zeroizing;

use crate::{
    authority::OperatorPlace,
    files::{self, read_if_there, write_private},
    home::Home,
};

/// The root's file; also in a directory of the user's choice.
const ROOT_FILE: &str = "root.key";
/// What a file with certificates ends in; it stands beside the key's own.
const CERTIFICATES: &str = "certs";

/// Where the key of that name is: as an earlier version called it where there is such a file.
pub(crate) fn key_path(home: &Home, name: &str) -> PathBuf {
    let earlier = home.keys().join(format!("{name}.json"));
    if earlier.exists() { earlier } else { home.keys().join(format!("{name}.key")) }
}

/// Where the certificates of a key are.
pub(crate) fn certificates_path(key: &Path) -> PathBuf {
    key.with_extension(CERTIFICATES)
}

/// The root key, if it is within reach.
pub(super) fn root(home: &Home, place: OperatorPlace<'_>) -> Result<Option<SecretKey>, Fault> {
    let path = root_path(home, place);
    read_if_there(&path)?.map(|text| read_key(&path, text)).transpose()
}

/// Whether a directory of the user's choice has a root key.
pub(super) fn holds_root(directory: &Path) -> bool {
    directory.join(ROOT_FILE).exists()
}

/// Makes the root key where there is none.
pub(super) fn ensure_root(home: &Home, place: OperatorPlace<'_>) -> Result<SecretKey, Fault> {
    ensure_key(&root_path(home, place), Purpose::Root)
}

fn root_path(home: &Home, place: OperatorPlace<'_>) -> PathBuf {
    match place {
        OperatorPlace::Here => home.keys().join(ROOT_FILE),
        OperatorPlace::Apart(directory) => directory.join(ROOT_FILE),
    }
}

/// Reads a key, or makes it.
pub(super) fn ensure_key(path: &Path, purpose: Purpose) -> Result<SecretKey, Fault> {
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

pub(super) fn unreadable(path: &Path, problem: &str) -> Fault {
    let message = format!("{} is of no use: {problem}", path.display());
    Fault::new(ErrorCode::ConfigInvalid, message)
        .with_hint("restore it, or remove it to have a new one made")
}
