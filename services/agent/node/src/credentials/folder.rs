//! The folders that credentials are handed over in: in memory, private, gone with their run.
//!
//! **Invariant:** a value is written nowhere but to a filesystem in memory.
//! **Invariant:** a run's folder is removed when its [`RunFolder`] is dropped; what a killed node
//! left behind, when the next process start with the same state folder begins.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, access, statfs},
    process::geteuid,
};
use sha2::{Digest as _, Sha256};

use super::{
    error::{Unavailable, cannot},
    secret::Secret,
};

/// What all of these folders are called, before what tells them apart.
const PREFIX: &str = "cortex-credentials-";
/// Characters that tell nodes of one machine apart.
const NODE_CHARACTERS: usize = 16;
/// What the kernel calls filesystems in memory: tmpfs and ramfs.
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// Where runs get their credentials.
pub(crate) struct Folders {
    base: Option<PathBuf>,
    /// This process start's own folder in there; nobody else can know its name before.
    name: String,
}

/// The folder of one run. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
}

/// Folders that may be in memory, the better one first.
pub(super) fn candidates() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime.into_iter().filter(|path| path.is_absolute()).chain(["/dev/shm".into()]).collect()
}

impl Folders {
    /// Chooses the first of the candidates that is in memory, and removes from all of them what an
    /// earlier process start with this state folder left.
    pub(super) fn open(candidates: &[PathBuf], state_dir: &Path) -> Self {
        let ours = format!("{PREFIX}{}-", node(state_dir));
        for candidate in candidates {
            remove_leftovers(candidate, &ours);
        }
        let base = candidates.iter().find(|path| is_usable(path)).cloned();
        Self { base, name: format!("{ours}{:016x}", rand::random::<u64>()) }
    }

    /// Where they are made.
    pub(super) fn base(&self) -> Result<&Path, Unavailable> {
        self.base.as_deref().ok_or(Unavailable::NoMemoryFolder)
    }

    /// Writes the credentials of one run, each into a file of its name.
    pub(super) fn make(
        &self,
        run: &str,
        credentials: &[(String, Secret)],
    ) -> Result<RunFolder, Unavailable> {
        let parent = self.base()?.join(&self.name);
        make_own(&parent)?;
        let path = parent.join(run);
        make_private(&path).map_err(cannot("make the run's folder"))?;
        let folder = RunFolder { path };
        for (name, secret) in credentials {
            write(&folder.path.join(name), secret.bytes())
                .map_err(cannot("write the credential"))?;
        }
        Ok(folder)
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        // It stays when it was never made, or as long as a run has its folder in there.
        if let Some(base) = &self.base {
            drop(fs::remove_dir(base.join(&self.name)));
        }
    }
}

impl RunFolder {
    /// Its path, for an environment.
    pub(crate) fn text(&self) -> &str {
        self.path.to_str().expect("a base is taken only if its path is text, and names are")
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::error!(%error, folder = ?self.path, "a run's credentials stay");
        }
    }
}

/// What tells the nodes of one machine apart: each has a state folder of its own, under lock.
fn node(state_dir: &Path) -> String {
    let path = state_dir.canonicalize().unwrap_or_else(|_| state_dir.to_owned());
    let hash = schemas::Sha256Hash(Sha256::digest(path.as_os_str().as_bytes()).into());
    hash.to_string().chars().take(NODE_CHARACTERS).collect()
}

fn is_usable(path: &Path) -> bool {
    let in_memory = statfs(path).is_ok_and(|found| IN_MEMORY.contains(&found.f_type));
    in_memory && path.to_str().is_some() && access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

fn remove_leftovers(base: &Path, ours: &str) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|name| name.starts_with(ours))
            && entry.metadata().is_ok_and(|found| found.uid() == geteuid().as_raw());
        if !is_ours {
            continue;
        }
        match fs::remove_dir_all(entry.path()) {
            Ok(()) => tracing::info!(folder = ?entry.path(), "removed what runs were given"),
            Err(error) => {
                tracing::error!(%error, folder = ?entry.path(), "old credentials stay");
            }
        }
    }
}

/// Makes the folder, or makes sure that nobody else did.
fn make_own(path: &Path) -> Result<(), Unavailable> {
    match make_private(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
        Err(error) => return Err(cannot("make the folder for credentials")(error)),
    }
    let found = fs::symlink_metadata(path).map_err(cannot("look at the folder for credentials"))?;
    let is_private = found.mode() & 0o7777 == 0o700 && found.uid() == geteuid().as_raw();
    if found.is_dir() && is_private { Ok(()) } else { Err(Unavailable::ForeignFolder) }
}

fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o400).open(path)?.write_all(bytes)
}
