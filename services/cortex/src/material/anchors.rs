//! Whom this Cortex trusts at the start: the root, and nobody else that the root can vouch for.
//!
//! **Invariant:** keys that an earlier version pinned and that have certificates now are pinned no
//! more; any other stays as it is.

use std::{collections::BTreeSet, path::Path};

use schemas::{ErrorCode, Fault, PrincipalId};
use trust::{Anchor, ClusterName, KeyId, PublicKey, Purpose, TrustAnchors};

use super::keys::unreadable;
use crate::{
    commands::serve::chain,
    files::{read_if_there, write_private},
};

/// In whose name the root key signs.
const ROOT: &str = "root";

/// What stands in the file, before and after.
pub(super) struct Pinned {
    /// What is there; nothing on the first run.
    before: Option<TrustAnchors>,
    cluster: ClusterName,
}

impl Pinned {
    pub(super) fn read(path: &Path, cluster: &str) -> Result<Self, Fault> {
        let cluster = ClusterName::parse(cluster)
            .map_err(|error| Fault::new(ErrorCode::ConfigInvalid, error.to_string()))?;
        let before = read_if_there(path)?.map(|text| {
            TrustAnchors::from_file(&text).map_err(|error| unreadable(path, &chain(&error)))
        });
        Ok(Self { before: before.transpose()?, cluster })
    }

    /// The root, if it is pinned already.
    pub(super) fn root(&self) -> Option<&Anchor> {
        let mut pinned = self.before.iter().flat_map(TrustAnchors::iter);
        pinned.find(|anchor| anchor.key.purpose() == Purpose::Root)
    }

    /// Since when a key of an earlier version may have signed.
    pub(super) fn since_s(&self, key: KeyId) -> Option<u64> {
        let mut pinned = self.before.iter().flat_map(TrustAnchors::iter);
        pinned.find(|anchor| anchor.key.id() == key).map(|anchor| anchor.not_before_s)
    }

    /// Since when any of them may have signed.
    pub(super) fn earliest_s(&self) -> Option<u64> {
        let pinned = self.before.iter().flat_map(TrustAnchors::iter);
        pinned.map(|anchor| anchor.not_before_s).min()
    }

    /// The root alone, and whatever was pinned that is none of `ours`.
    pub(super) fn after(
        &self,
        root: Anchor,
        ours: &BTreeSet<KeyId>,
    ) -> Result<TrustAnchors, Fault> {
        let mut anchors = TrustAnchors::new(self.cluster.clone());
        let pinned = self.before.iter().flat_map(TrustAnchors::iter).cloned();
        let others = pinned.filter(|anchor| {
            anchor.key.purpose() != Purpose::Root && !ours.contains(&anchor.key.id())
        });
        for anchor in std::iter::once(root).chain(others) {
            anchors
                .add(anchor)
                .map_err(|error| Fault::new(ErrorCode::ConfigInvalid, chain(&error)))?;
        }
        Ok(anchors)
    }

    /// Writes what is pinned from now on, unless it stands there.
    pub(super) fn write(&self, path: &Path, after: &TrustAnchors) -> Result<(), Fault> {
        if self.before.as_ref() == Some(after) {
            return Ok(());
        }
        Ok(write_private(path, after.to_file().as_bytes())?)
    }
}

/// The root as it is pinned.
pub(super) fn root_anchor(key: PublicKey, since_s: u64, until_s: u64) -> Anchor {
    Anchor {
        key,
        principal: root(),
        not_before_s: since_s,
        not_after_s: until_s,
        revoked_at_s: None,
        acts_for: BTreeSet::new(),
    }
}

/// In whose name the root key signs.
pub(super) fn root() -> PrincipalId {
    PrincipalId::parse(ROOT).expect("the word is an id")
}
