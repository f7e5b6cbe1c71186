//! Secrets of Kubernetes: mounted into the pod, or asked of the API.

mod api;

use std::{fs::File, path::Path};

use super::{
    CredentialSources,
    error::{Unavailable, cannot},
    files::open_below,
    secret::Secret,
};

/// A key of a secret.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) namespace: Option<&'a str>,
    pub(super) name: &'a str,
    /// The only one when absent.
    pub(super) key: Option<&'a str>,
}

/// A secret that is mounted is read from there; the API is asked for any other.
pub(super) fn find(sources: &CredentialSources, wanted: Wanted<'_>) -> Result<Secret, Unavailable> {
    if let Some(mounts) = &sources.kubernetes_secrets_dir {
        let folder = mounts.join(wanted.namespace.unwrap_or_default()).join(wanted.name);
        if folder.is_dir() {
            return mounted(&folder, wanted.key);
        }
    }
    api::ask(sources, wanted)
}

/// Kubernetes mounts a secret as links into a folder that it replaces when the secret changes.
fn mounted(path: &Path, key: Option<&str>) -> Result<Secret, Unavailable> {
    let folder = File::open(path).map_err(cannot("open the mounted secret"))?;
    let key = match key {
        Some(key) => key.to_owned(),
        None => only_key(path)?,
    };
    match open_below(&folder, Path::new(&key)) {
        Ok(file) => Secret::read(file),
        Err(Unavailable::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Err(Unavailable::NoSuchKey)
        }
        Err(error) => Err(error),
    }
}

fn only_key(folder: &Path) -> Result<String, Unavailable> {
    let read = cannot("list the mounted secret");
    let mut keys = Vec::new();
    for entry in folder.read_dir().map_err(&read)? {
        let name = entry.map_err(&read)?.file_name();
        // Two dots begin what belongs to the mount itself.
        keys.extend(name.into_string().ok().filter(|name| !name.starts_with("..")));
    }
    match keys.as_slice() {
        [key] => Ok(key.clone()),
        keys => Err(Unavailable::KeyUnclear { count: keys.len() }),
    }
}
