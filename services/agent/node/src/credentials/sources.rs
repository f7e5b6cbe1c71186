//! Settings: where credentials of some forms are found, where the defaults do not fit.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where a node in a pod finds its service account.
const ACCOUNT_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Where credentials of some forms are found, where the defaults do not fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialSources {
    /// Where Kubernetes secrets are mounted, as `NAME/KEY` or `NAMESPACE/NAME/KEY`. What is there
    /// is not asked of the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_secrets_dir: Option<PathBuf>,
    /// Address of the Kubernetes API, `https://` and nothing else; the pod's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_api: Option<String>,
    /// Folder with `token`, `ca.crt` and `namespace` of a service account; the pod's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_account_dir: Option<PathBuf>,
}

impl CredentialSources {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with them, if anything.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let api = self.kubernetes_api.as_ref()?;
        // The service account's token goes there.
        (!api.starts_with("https://")).then_some("has a kubernetes_api that is no https:// address")
    }

    pub(crate) fn resolve_paths(&mut self, base: &Path) {
        let paths = [&mut self.kubernetes_secrets_dir, &mut self.kubernetes_account_dir];
        for path in paths.into_iter().flatten() {
            *path = base.join(&path);
        }
    }

    pub(super) fn account_dir(&self) -> PathBuf {
        self.kubernetes_account_dir.clone().unwrap_or_else(|| ACCOUNT_DIR.into())
    }
}
