//! The file of pinned keys, as JSON.
//!
//! **Invariant:** a file that passes lists no weak key, none under a false id, and none twice; what
//! was certified is not in it.

use std::collections::BTreeSet;

use schemas::{PrincipalId, Sha256Hash};
use serde::{Deserialize, Serialize};

use super::{Anchor, AnchorsError, ClusterName, TrustAnchors};
use crate::keys::{KeyId, PublicKey, Purpose};

pub(super) const FORMAT: &str = "cortex-trust-anchors-v1";

impl TrustAnchors {
    /// Reads what [`TrustAnchors::to_file`] wrote.
    ///
    /// # Errors
    ///
    /// Refuses unknown fields, weak keys, keys under a false id, and keys that are listed twice.
    pub fn from_file(text: &str) -> Result<Self, AnchorsError> {
        let file: AnchorsFile = serde_json::from_str(text).map_err(AnchorsError::Unreadable)?;
        if file.format != FORMAT {
            return Err(AnchorsError::WrongFormat);
        }
        let mut anchors = Self::new(file.cluster);
        for entry in file.keys {
            anchors.add(entry.into_anchor()?)?;
        }
        Ok(anchors)
    }

    /// The file's text.
    #[must_use]
    pub fn to_file(&self) -> String {
        let file = AnchorsFile {
            format: FORMAT.to_owned(),
            cluster: self.cluster.clone(),
            keys: self.iter().map(AnchorEntry::from_anchor).collect(),
        };
        let text = serde_json::to_string_pretty(&file).expect("names and numbers always encode");
        text + "\n"
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnchorsFile {
    format: String,
    cluster: ClusterName,
    keys: Vec<AnchorEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnchorEntry {
    kid: KeyId,
    purpose: Purpose,
    principal: PrincipalId,
    /// 64 hexadecimal digits, which happens to be how a hash is written.
    public_key: Sha256Hash,
    not_before_s: u64,
    not_after_s: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_at_s: Option<u64>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    acts_for: BTreeSet<PrincipalId>,
}

impl AnchorEntry {
    fn from_anchor(anchor: &Anchor) -> Self {
        Self {
            kid: anchor.key.id(),
            purpose: anchor.key.purpose(),
            principal: anchor.principal.clone(),
            public_key: Sha256Hash(*anchor.key.as_bytes()),
            not_before_s: anchor.not_before_s,
            not_after_s: anchor.not_after_s,
            revoked_at_s: anchor.revoked_at_s,
            acts_for: anchor.acts_for.clone(),
        }
    }

    fn into_anchor(self) -> Result<Anchor, AnchorsError> {
        let listed = self.kid;
        let key = PublicKey::from_bytes(self.purpose, &self.public_key.0)
            .map_err(|cause| AnchorsError::UnusableKey { listed, cause })?;
        let actual = key.id();
        if actual != listed {
            return Err(AnchorsError::WrongId { listed, actual });
        }
        Ok(Anchor {
            key,
            principal: self.principal,
            not_before_s: self.not_before_s,
            not_after_s: self.not_after_s,
            revoked_at_s: self.revoked_at_s,
            acts_for: self.acts_for,
        })
    }
}
