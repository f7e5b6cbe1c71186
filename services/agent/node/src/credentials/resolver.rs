//! From a reference to the value behind it, within limits of size and time.

use std::{os::unix::ffi::OsStringExt as _, path::PathBuf, sync::Arc, time::Duration};

use schemas::{CredentialReference, task::CREDENTIALS_VARIABLE};
use tokio::{task::spawn_blocking, time::timeout};
use zeroize::Zeroizing;

use super::{
    CredentialSources, error::Unavailable, files, keychain::Keychain, kubernetes, secret::Secret,
};

/// How long one credential may take.
const RESOLVE_LIMIT: Duration = Duration::from_secs(15);

/// What knows every form of reference.
pub(crate) struct Resolver {
    surroundings: Arc<Surroundings>,
}

struct Surroundings {
    sources: CredentialSources,
    /// Where systemd put the credentials of the node's unit.
    unit: Option<PathBuf>,
    keychain: Arc<dyn Keychain>,
}

impl Resolver {
    pub(crate) fn new(sources: CredentialSources, keychain: Arc<dyn Keychain>) -> Self {
        let unit = std::env::var_os(CREDENTIALS_VARIABLE).map(PathBuf::from);
        Self::with_unit(sources, keychain, unit)
    }

    pub(super) fn with_unit(
        sources: CredentialSources,
        keychain: Arc<dyn Keychain>,
        unit: Option<PathBuf>,
    ) -> Self {
        Self { surroundings: Arc::new(Surroundings { sources, unit, keychain }) }
    }

    /// Finds the value now; it is not kept.
    pub(crate) async fn resolve(
        &self,
        reference: &CredentialReference,
    ) -> Result<Secret, Unavailable> {
        let (surroundings, reference) = (Arc::clone(&self.surroundings), reference.clone());
        let found = spawn_blocking(move || surroundings.find(&reference));
        let too_slow = |_| Unavailable::TooSlow { seconds: RESOLVE_LIMIT.as_secs() };
        let found = timeout(RESOLVE_LIMIT, found).await.map_err(too_slow)?;
        found.map_err(|_| Unavailable::Panicked)?
    }
}

impl Surroundings {
    fn find(&self, reference: &CredentialReference) -> Result<Secret, Unavailable> {
        match reference {
            CredentialReference::File { path } => files::named_by_path(path),
            CredentialReference::Env { name } => variable(name),
            CredentialReference::SystemdCred { name } => files::of_unit(self.unit.as_ref(), name),
            CredentialReference::Keychain { service, account } => {
                self.keychain.read(service, account)
            }
            CredentialReference::KubernetesSecret { namespace, name, key } => {
                let wanted = kubernetes::Wanted {
                    namespace: namespace.as_deref(),
                    name,
                    key: key.as_deref(),
                };
                kubernetes::find(&self.sources, wanted)
            }
        }
    }
}

fn variable(name: &str) -> Result<Secret, Unavailable> {
    let value = std::env::var_os(name).ok_or(Unavailable::NotSet)?;
    Secret::new(Zeroizing::new(value.into_vec()))
}
