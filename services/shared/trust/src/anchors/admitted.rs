//! Certificates that were verified once, so that a repeated chain costs no signature check.
//!
//! **Invariant:** at most [`CERTIFICATES_KEPT_MAX`] are kept, and of one key a few; the one that was
//! used longest ago goes first, so nobody's certificates push out one that is in use.

use std::collections::BTreeMap;

use schemas::{Sha256Hash, grants::Grants};

use super::Anchor;
use crate::keys::KeyId;

/// Most certificates that a verifier keeps.
pub const CERTIFICATES_KEPT_MAX: usize = 4_096;
/// Most of them for one key: renewals, and what others say of it.
const CERTIFICATES_OF_KEY_MAX: usize = 16;

/// What one certificate says, and who vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certified {
    pub(crate) anchor: Anchor,
    pub(crate) bounds: Option<Grants>,
    pub(crate) issued_at_s: u64,
    /// The keys between it and the pinned one, that included, nearest first.
    pub(crate) vouchers: Vec<KeyId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    certified: Certified,
    used: u64,
}

/// Verified certificates, by the hash of their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Admitted {
    kept: BTreeMap<Sha256Hash, Kept>,
    by_use: BTreeMap<u64, Sha256Hash>,
    /// The last used is last.
    by_key: BTreeMap<KeyId, Vec<Sha256Hash>>,
    /// Counts uses; stands for a clock.
    uses: u64,
}

impl Admitted {
    pub(crate) fn get(&self, hash: Sha256Hash) -> Option<&Certified> {
        self.kept.get(&hash).map(|kept| &kept.certified)
    }

    /// What is known of a key, the last used first.
    pub(super) fn of_key(&self, id: KeyId) -> impl Iterator<Item = &Certified> {
        let hashes = self.by_key.get(&id).into_iter().flatten();
        hashes.rev().filter_map(|hash| self.get(*hash))
    }

    /// Keeps a certificate, or says that a kept one was used again.
    pub(crate) fn keep(&mut self, hash: Sha256Hash, certified: Certified) {
        self.remove(hash);
        let id = certified.anchor.key.id();
        let others = self.by_key.entry(id).or_default();
        let surplus = (CERTIFICATES_OF_KEY_MAX <= others.len()).then(|| others[0]);
        others.push(hash);
        self.uses += 1;
        self.by_use.insert(self.uses, hash);
        self.kept.insert(hash, Kept { certified, used: self.uses });
        if let Some(oldest) = surplus {
            self.remove(oldest);
        }
        if CERTIFICATES_KEPT_MAX < self.kept.len()
            && let Some((_, &oldest)) = self.by_use.first_key_value()
        {
            self.remove(oldest);
        }
    }

    /// Says that a kept certificate was used again.
    pub(crate) fn touch(&mut self, hash: Sha256Hash) {
        if let Some(kept) = self.kept.get_mut(&hash) {
            self.by_use.remove(&kept.used);
            self.uses += 1;
            kept.used = self.uses;
            self.by_use.insert(self.uses, hash);
            let id = kept.certified.anchor.key.id();
            if let Some(hashes) = self.by_key.get_mut(&id) {
                hashes.retain(|other| *other != hash);
                hashes.push(hash);
            }
        }
    }

    fn remove(&mut self, hash: Sha256Hash) {
        let Some(kept) = self.kept.remove(&hash) else { return };
        self.by_use.remove(&kept.used);
        let id = kept.certified.anchor.key.id();
        if let Some(hashes) = self.by_key.get_mut(&id) {
            hashes.retain(|other| *other != hash);
            if hashes.is_empty() {
                self.by_key.remove(&id);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }
}
