//! Remembers outside the broker how far the log had come, so that a log that went back is noticed.
//!
//! **Invariant:** a position is written only for frames that were committed, whole or not at all.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use jetstream_config::EventLog;
use schemas::{ErrorCode, Sha256Hash, subject::LogName};
use serde::{Deserialize, Serialize};

use crate::{
    FollowError,
    follow::patiently,
    replica::{Head, hash_of},
};

/// A frame that was in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Generation of the stream.
    pub generation: u32,
    /// Sequence of the frame.
    pub sequence: u64,
    /// SHA-256 of its bytes.
    pub hash: Sha256Hash,
}

impl From<&Head> for Position {
    fn from(head: &Head) -> Self {
        Self { generation: head.generation, sequence: head.sequence, hash: head.hash }
    }
}

/// The file that holds a partition's position.
#[derive(Clone, Debug)]
pub struct PositionFile {
    path: PathBuf,
}

/// Why a log must not be used.
#[derive(Debug, thiserror::Error)]
pub enum PositionError {
    /// The file could not be read or written.
    #[error("{attempt} {path} failed")]
    File {
        /// What was attempted.
        attempt: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The file holds something else.
    #[error("{path} does not hold a position")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: serde_json::Error,
    },
    /// The log ends before a frame that it once held.
    #[error("{stream} ends at {last}, but frame {} was in it", position.sequence)]
    Shorter {
        /// Which stream.
        stream: String,
        /// Its last sequence.
        last: u64,
        /// The frame that is missing.
        position: Position,
    },
    /// The log holds another frame in that place.
    #[error("frame {} of {stream} is not the one that was there", position.sequence)]
    Different {
        /// Which stream.
        stream: String,
        /// The frame as it was.
        position: Position,
    },
    /// The log could not be read.
    #[error("comparing the log with {path} failed")]
    Log {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: FollowError,
    },
}

impl PositionError {
    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Shorter { .. } | Self::Different { .. } => ErrorCode::LogRegressed,
            Self::File { .. } | Self::Unreadable { .. } => ErrorCode::ConfigInvalid,
            Self::Log { cause, .. } => cause.code(),
        }
    }
}

impl PositionFile {
    /// The file of a partition in `directory`, which must exist.
    #[must_use]
    pub fn in_directory(directory: &Path, log: LogName) -> Self {
        let name = format!("{}-{}.position", log.service, log.partition);
        Self { path: directory.join(name) }
    }

    /// What it holds; nothing when there is no file yet.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or holds something else.
    pub fn read(&self) -> Result<Option<Position>, PositionError> {
        let text = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|cause| self.file_error("reading", cause))?,
        };
        let position = serde_json::from_slice(&text)
            .map_err(|cause| PositionError::Unreadable { path: self.path.clone(), cause })?;
        Ok(Some(position))
    }

    /// Replaces what it holds.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn write(&self, position: &Position) -> Result<(), PositionError> {
        // Of its own for each writer: processes may share the directory.
        let draft = self.path.with_extension(format!("{:016x}.new", rand::random::<u64>()));
        let written = write_through(&draft, &encode(position))
            .map_err(|cause| self.file_error("writing", cause))
            .and_then(|()| {
                fs::rename(&draft, &self.path).map_err(|cause| self.file_error("replacing", cause))
            });
        if written.is_err() {
            // What matters is why it was not written.
            drop(fs::remove_file(&draft));
        }
        written
    }

    /// Compares the log with what it was.
    ///
    /// # Errors
    ///
    /// [`PositionError::Shorter`] or [`PositionError::Different`] when the log went back.
    pub async fn check<L: EventLog>(&self, log: &L, name: LogName) -> Result<(), PositionError> {
        let Some(position) = self.read()? else { return Ok(()) };
        let unread = |cause| PositionError::Log { path: self.path.clone(), cause };
        if position.generation != name.generation || position.sequence == 0 {
            return Ok(());
        }
        let stream = name.stream();
        let last = patiently(|| log.last_sequence()).await.map_err(unread)?;
        if last < position.sequence {
            return Err(PositionError::Shorter { stream, last, position });
        }
        let after = position.sequence - 1;
        let found = patiently(|| log.next_after(after)).await.map_err(unread)?;
        let same = found.is_some_and(|frame| {
            frame.sequence == position.sequence && hash_of(&frame.bytes) == position.hash
        });
        if same { Ok(()) } else { Err(PositionError::Different { stream, position }) }
    }

    fn file_error(&self, attempt: &'static str, cause: io::Error) -> PositionError {
        PositionError::File { attempt, path: self.path.clone(), cause }
    }
}

/// Writes a new file to the disk itself, so that a power cut cannot leave an empty one.
fn write_through(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create_new(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn encode(position: &Position) -> Vec<u8> {
    serde_json::to_vec(position).expect("a position is a plain struct")
}
