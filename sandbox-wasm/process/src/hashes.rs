//! What is in the files that runs execute.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    sync::{Mutex, PoisonError},
};

use schemas::Sha256Hash;
use sha2::{Digest, Sha256};

/// Most hashes that are remembered; a node runs few programs, again and again.
const REMEMBERED_MAX: usize = 1024;
/// How much of a file is read at once.
const READ_BYTES: usize = 256 * 1024;

/// What tells two contents of one file apart without reading them: device, inode, size, and when
/// content and status were changed, in seconds and nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Content([u64; 3], [i64; 4]);

/// Remembers the hash of each file until the file changes.
#[derive(Debug, Default)]
pub(crate) struct Hashes(Mutex<BTreeMap<Content, Sha256Hash>>);

impl Hashes {
    /// The hash of what the descriptor names; `None` when only the kernel may read it.
    pub(crate) fn of(&self, file: &OwnedFd) -> Option<Sha256Hash> {
        // The descriptor names the file without giving its content.
        let mut file = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
        let before = content(&file).ok()?;
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&before).copied();
        if known.is_some() {
            return known;
        }
        let hash = hash(&mut file).ok()?;
        if content(&file).ok()? == before {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if REMEMBERED_MAX <= known.len() {
                known.clear();
            }
            known.insert(before, hash);
        }
        Some(hash)
    }
}

fn content(file: &File) -> io::Result<Content> {
    let it = file.metadata()?;
    let changed = [it.mtime(), it.mtime_nsec(), it.ctime(), it.ctime_nsec()];
    Ok(Content([it.dev(), it.ino(), it.size()], changed))
}

fn hash(file: &mut File) -> io::Result<Sha256Hash> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(Sha256Hash(hasher.finalize().into()));
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}
