//! What every event log can do, whether JetStream or memory holds it.
//!
//! **Invariant:** one log is one partition in one generation: one stream with one subject, whose
//! sequences run 1, 2, 3 without a gap.

use std::{error::Error, future::Future};

use bytes::Bytes;
use schemas::ErrorCode;

/// A frame and where the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFrame {
    /// Place in the stream, counted from 1.
    pub sequence: u64,
    /// The frame as its writer sent it.
    pub bytes: Bytes,
}

/// What one attempt to append ended with, as far as the broker said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Append {
    /// Stored on disk at `sequence`.
    Committed {
        /// Where the broker says that it is.
        sequence: u64,
    },
    /// The broker found the log moved past the fence, by a rival or by an earlier copy of this
    /// very frame; proves nothing by itself.
    Refused,
    /// The log reached its size limit; this copy is not stored.
    Full,
    /// Nothing is known: the frame is stored, is lost, or lands later.
    Unknown,
    /// The broker can never store this frame, whatever is tried.
    Rejected {
        /// JetStream's error code.
        code: u64,
        /// JetStream's words.
        description: String,
    },
}

/// Why a log could not be read, or must not be written any more.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The stream is gone, or was never made.
    #[error("{stream} does not exist on the broker")]
    Missing {
        /// Name of the stream.
        stream: String,
    },
    /// The broker did not answer as hoped; asking again may help.
    #[error("{attempt} {stream} failed")]
    Unavailable {
        /// What was attempted, for example `reading the next frame of`.
        attempt: &'static str,
        /// Name of the stream.
        stream: String,
        /// What the client or the broker said.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    /// What is stored is not what was written: sequences have a gap, or bytes differ.
    #[error("{stream} is damaged at sequence {sequence}: {problem}")]
    Damaged {
        /// Name of the stream.
        stream: String,
        /// The first sequence that is not as it must be.
        sequence: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The log ends before a frame that it held; a disk was restored, or acknowledged frames lost.
    #[error("the log held {fence} frames and ends at {last} now")]
    Regressed {
        /// The sequence that the log is known to have reached.
        fence: u64,
        /// Where it ends.
        last: u64,
    },
    /// A frame stands elsewhere than right after its fence, so the stream is not this writer's
    /// alone to count; nothing more may be written.
    #[error("the frame written after {fence} is at {sequence}")]
    AckedElsewhere {
        /// The sequence that the frame was written after.
        fence: u64,
        /// Where it is.
        sequence: u64,
    },
    /// The broker can never store the frame.
    #[error("the broker rejects the frame after {fence}: {description} ({code})")]
    Rejected {
        /// The sequence that the frame was written after.
        fence: u64,
        /// JetStream's error code.
        code: u64,
        /// JetStream's words.
        description: String,
    },
    /// The frame is larger than any reader accepts.
    #[error("a frame of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Size of the frame.
        bytes: usize,
        /// [`schemas::frame::FRAME_BYTES_MAX`].
        limit: usize,
    },
}

impl LogError {
    /// Whether asking again may help; all else halts whoever writes or folds.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Missing { .. }
            | Self::Damaged { .. }
            | Self::Regressed { .. }
            | Self::AckedElsewhere { .. }
            | Self::Rejected { .. }
            | Self::TooLarge { .. } => false,
        }
    }

    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable { .. } => ErrorCode::StorageUnconfirmed,
            Self::Missing { .. } | Self::Regressed { .. } => ErrorCode::LogRegressed,
            Self::Damaged { .. } | Self::AckedElsewhere { .. } => ErrorCode::LogDamaged,
            Self::Rejected { .. } => ErrorCode::StreamDrift,
            Self::TooLarge { .. } => ErrorCode::TooLarge,
        }
    }
}

/// One partition's log in one generation. Clones share it.
pub trait EventLog: Clone + Send + Sync + 'static {
    /// Tries once to store `bytes` right after `fence`, the last sequence of the log as the caller
    /// knows it. What an outcome means is the business of [`crate::commit`].
    fn append(&self, fence: u64, bytes: Bytes) -> impl Future<Output = Append> + Send;

    /// The first frame after `sequence`, as the leader of the log knows it.
    ///
    /// # Errors
    ///
    /// [`LogError::Missing`], or [`LogError::Unavailable`] while there is no leader.
    fn next_after(
        &self,
        sequence: u64,
    ) -> impl Future<Output = Result<Option<StoredFrame>, LogError>> + Send;

    /// The sequence of the last frame, 0 when there is none, as the leader of the log knows it.
    ///
    /// # Errors
    ///
    /// As [`Self::next_after`].
    fn last_sequence(&self) -> impl Future<Output = Result<u64, LogError>> + Send;

    /// Frames after `after` in order and without a gap, about `bytes_max` bytes of them, but at
    /// least one if there is one. May lag behind the leader, so an empty answer is not the end.
    ///
    /// # Errors
    ///
    /// As [`Self::next_after`]; [`LogError::Damaged`] when a sequence is missing.
    fn read(
        &self,
        after: u64,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Vec<StoredFrame>, LogError>> + Send;

    /// Whether the broker can be reached, as far as is known; nothing is sent while it is not.
    fn connected(&self) -> bool;
}
