//! Finds a nats-server to run: the configured one, the one on PATH, the cached one, or the pinned release, fetched.
//!
//! **Invariant:** no path is handed out whose binary has not just answered with a version of at least [`MINIMUM`].
//! **Invariant:** nothing fetched is unpacked before its SHA-256 matched the one that stands in this source.
//! **Invariant:** nothing here names another module of this crate; the test harness compiles the same files.

mod error;
mod fetch;
mod version;

#[cfg(test)]
mod tests;

use std::env;
use std::path::{Path, PathBuf};

pub use error::BrokerError;
pub use version::{Version, version};

/// Names the nats-server to use; nothing else is tried when it is set.
pub const BINARY_VARIABLE: &str = "CORTEX_NATS_SERVER";

/// The oldest broker that a single server may be; older ones lose acknowledged writes.
pub const MINIMUM: Version = Version::released(2, 12, 15);

/// The release that is fetched when none is found.
pub const PINNED: Version = Version::released(2, 15, 1);

const BINARY_NAME: &str = "nats-server";

/// Finds a usable nats-server, fetching the pinned release into the cache if there is none.
///
/// Blocks: for some ten milliseconds when a broker is present, for a download when none is.
///
/// # Errors
/// [`BrokerError`] says what was tried; [`BrokerError::hint`] says what to do.
pub fn find() -> Result<PathBuf, BrokerError> {
    Search::from_environment().find(|_| {})
}

/// Where to look for a broker, in the order in which it is looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// The operator's choice; when set, it is used or refused, never passed over.
    pub configured: Option<PathBuf>,
    /// Directories searched for `nats-server`; one that is too old is passed over.
    pub path: Vec<PathBuf>,
    /// Holds `nats-server-<version>`; made when something is fetched.
    pub cache_dir: Option<PathBuf>,
}

impl Search {
    /// Reads `CORTEX_NATS_SERVER`, `PATH` and `XDG_CACHE_HOME` (or `HOME`).
    #[must_use]
    pub fn from_environment() -> Self {
        let cache_home =
            absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
        Self {
            configured: env::var_os(BINARY_VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from),
            path: env::var_os("PATH").iter().flat_map(env::split_paths).collect(),
            cache_dir: cache_home.map(|home| home.join("cortex")),
        }
    }

    /// Finds a usable nats-server; `announce` hears a sentence before each step that takes long.
    ///
    /// # Errors
    /// As [`find`].
    pub fn find(&self, mut announce: impl FnMut(&str)) -> Result<PathBuf, BrokerError> {
        if let Some(path) = &self.configured {
            return usable(path);
        }
        let passed_over = match self.on_path().map(|path| usable(&path)) {
            Some(Ok(path)) => return Ok(path),
            Some(Err(refusal)) => Some(refusal),
            None => None,
        };
        self.cached_or_fetched(&mut announce).map_err(|source| match passed_over {
            Some(refusal) => {
                BrokerError::NoneUsable { refusal: Box::new(refusal), source: Box::new(source) }
            }
            None => source,
        })
    }

    fn on_path(&self) -> Option<PathBuf> {
        self.path.iter().map(|dir| dir.join(BINARY_NAME)).find(|file| file.is_file())
    }

    fn cached_or_fetched(&self, announce: &mut dyn FnMut(&str)) -> Result<PathBuf, BrokerError> {
        let cache_dir = self.cache_dir.as_deref().ok_or(BrokerError::NoCacheDirectory)?;
        let cached = cache_dir.join(format!("{BINARY_NAME}-{PINNED}"));
        if is_pinned(&cached) {
            return Ok(cached);
        }
        fetch::into_cache(cache_dir, &cached, announce)?;
        usable(&cached)
    }
}

/// An environment variable that holds an absolute path; XDG says that relative ones do not count.
fn absolute(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn is_pinned(path: &Path) -> bool {
    path.is_file() && version(path).is_ok_and(|found| found == PINNED)
}

fn usable(path: &Path) -> Result<PathBuf, BrokerError> {
    let found = version(path)?;
    if found < MINIMUM {
        return Err(BrokerError::TooOld { path: path.to_owned(), found });
    }
    Ok(path.to_owned())
}
