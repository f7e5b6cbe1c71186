//! Files that only their owner may read, written whole or not at all.
//!
//! **Invariant:** nobody ever sees half of a file, nor one that others could have read for a moment.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use schemas::{ErrorCode, Fault};

/// Rights of a file that holds a secret.
const PRIVATE_FILE: u32 = 0o600;
/// Rights of a directory that holds secrets.
const PRIVATE_DIRECTORY: u32 = 0o700;

/// A file could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{attempted} {}", path.display())]
pub struct FileError {
    attempted: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl FileError {
    pub(crate) fn new(attempted: &'static str, path: &Path, source: io::Error) -> Self {
        Self { attempted, path: path.to_owned(), source }
    }
}

impl From<FileError> for Fault {
    fn from(error: FileError) -> Self {
        let full = error.source.kind() == io::ErrorKind::StorageFull;
        let (code, hint) = if full {
            (ErrorCode::StorageFull, "make room on the disk")
        } else {
            (ErrorCode::ConfigInvalid, "check that the path exists and that you may use it")
        };
        Self::new(code, format!("{error}: {}", error.source)).with_hint(hint)
    }
}

/// Makes a directory, with those above it, that nobody else can enter.
///
/// # Errors
///
/// Names the directory.
pub fn make_private_dir(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE_DIRECTORY)
        .create(path)
        .map_err(|source| FileError::new("making the directory", path, source))
}

/// Replaces a file as a whole; its directory is made when it is missing.
///
/// # Errors
///
/// Names the file.
pub fn write_private(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    if let Some(directory) = path.parent() {
        make_private_dir(directory)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.new", rand::random::<u64>()));
    let unfinished = path.with_file_name(name);
    let written = write_new(&unfinished, contents).and_then(|()| fs::rename(&unfinished, path));
    written.map_err(|source| {
        // The error that matters is the first one.
        drop(fs::remove_file(&unfinished));
        FileError::new("writing", path, source)
    })
}

fn write_new(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file: File =
        OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

/// The text of a settings file.
pub(crate) fn toml_text(value: &impl serde::Serialize) -> String {
    toml::to_string(value).expect("settings are tables of texts and numbers")
}

/// Reads a text.
///
/// # Errors
///
/// Names the file.
pub fn read(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|source| FileError::new("reading", path, source))
}

/// Reads a text that may not be there.
///
/// # Errors
///
/// Names the file.
pub fn read_if_there(path: &Path) -> Result<Option<String>, FileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::new("reading", path, source)),
    }
}

#[cfg(test)]
mod tests;
