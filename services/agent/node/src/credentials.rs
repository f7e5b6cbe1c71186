//! Credentials: found by reference on this node, handed to the one run that was granted them.
//!
//! **Invariant:** a run gets what its signed request names and the node's manifest knows, all of
//! it, or it does not run.
//! **Invariant:** a value is in memory that is wiped and in the run's own folder in memory; no
//! error, log line, record or argument list holds one, and what a run prints of it is masked.

mod error;
mod files;
mod folder;
mod keychain;
mod kubernetes;
mod mask;
mod process;
mod resolver;
mod secret;
mod sources;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use schemas::{CredentialReference, ErrorCode, Fault, Manifest};

use error::{Unavailable, chain};
pub(crate) use folder::RunFolder;
use folder::{Folders, candidates};
use keychain::KernelKeychain;
pub(crate) use mask::{Mask, Masked};
pub(crate) use process::keep_off_the_disk;
use resolver::Resolver;
use secret::Secret;
pub use sources::CredentialSources;

/// Most bytes of all credentials of one run together.
const SECRETS_BYTES_MAX: usize = 256 * 1024;

/// What the node knows of credentials, and where runs get theirs.
pub(crate) struct Credentials {
    references: BTreeMap<String, CredentialReference>,
    resolver: Resolver,
    folders: Folders,
}

/// The credentials of one run. Dropping it takes them away.
pub(crate) struct HandedOver {
    /// Where they are.
    pub(crate) folder: RunFolder,
    /// What hides them in the run's output.
    pub(crate) mask: Arc<Mask>,
}

impl Credentials {
    /// Removes what an earlier process start with the same state folder left behind.
    pub(crate) fn new(manifest: &Manifest, sources: CredentialSources, state_dir: &Path) -> Self {
        let references = references(manifest);
        let folders = Folders::open(&candidates(), state_dir);
        if !references.is_empty()
            && let Err(problem) = folders.base()
        {
            tracing::warn!(problem = chain(&problem), "no run can be given credentials");
        }
        let resolver = Resolver::new(sources, Arc::new(KernelKeychain));
        Self { references, resolver, folders }
    }

    /// Variables of the node that hold credentials, which no run inherits.
    pub(crate) fn variables(&self) -> BTreeSet<&str> {
        let names = self.references.values().filter_map(|reference| match reference {
            CredentialReference::Env { name } => Some(name.as_str()),
            CredentialReference::File { .. }
            | CredentialReference::SystemdCred { .. }
            | CredentialReference::Keychain { .. }
            | CredentialReference::KubernetesSecret { .. } => None,
        });
        names.collect()
    }

    /// Finds the credentials of these names and puts them into a folder for the run called `run`.
    ///
    /// # Errors
    ///
    /// `CREDENTIAL_UNKNOWN` before any is looked for, `CREDENTIAL_UNAVAILABLE` with the first that
    /// cannot be had.
    pub(crate) async fn hand_over(&self, names: &[String], run: &str) -> Result<HandedOver, Fault> {
        let granted = self.granted(names)?;
        let mut found: Vec<(String, Secret)> = Vec::new();
        for (name, reference) in granted {
            let form = reference.form();
            let secret = self.resolver.resolve(reference).await.map_err(|error| {
                let message = format!("credential {name} ({form}): {}", chain(&error));
                Fault::new(ErrorCode::CredentialUnavailable, message)
            })?;
            found.push((name.to_owned(), secret));
        }
        let folder = self.put_down(run, &found).map_err(|error| {
            let message = format!("credentials cannot be handed over: {}", chain(&error));
            Fault::new(ErrorCode::CredentialUnavailable, message)
        })?;
        Ok(HandedOver { folder, mask: Arc::new(Mask::new(&found)) })
    }

    fn put_down(&self, run: &str, found: &[(String, Secret)]) -> Result<RunFolder, Unavailable> {
        let bytes: usize = found.iter().map(|(_, secret)| secret.bytes().len()).sum();
        if SECRETS_BYTES_MAX < bytes {
            return Err(Unavailable::TooMuch { max: SECRETS_BYTES_MAX });
        }
        self.folders.make(run, found)
    }

    /// The references behind the names, or the names that there are not.
    fn granted<'a>(
        &'a self,
        names: &'a [String],
    ) -> Result<Vec<(&'a str, &'a CredentialReference)>, Fault> {
        let unknown: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| !self.references.contains_key(*name))
            .collect();
        if !unknown.is_empty() {
            let message =
                format!("this node's manifest names no credential {}", unknown.join(", "));
            return Err(Fault::new(ErrorCode::CredentialUnknown, message));
        }
        let with_reference = |name: &'a String| Some((name.as_str(), self.references.get(name)?));
        Ok(names.iter().filter_map(with_reference).collect())
    }
}

fn references(manifest: &Manifest) -> BTreeMap<String, CredentialReference> {
    let parse = |(name, text): (&String, &String)| {
        let reference = CredentialReference::parse(text);
        let reference = reference.expect("the manifest was validated when it was read");
        (name.clone(), reference)
    };
    manifest.credentials.iter().map(parse).collect()
}

#[cfg(test)]
mod tests;
