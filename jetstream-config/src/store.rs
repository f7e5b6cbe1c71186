//! Why rows or blobs could not be read or written.

use std::error::Error;

use schemas::{ErrorCode, Sha256Hash};

use crate::wire::{CallError, STREAM_NOT_FOUND};

/// Why a bucket or the blobs could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The stream behind it is gone, or was never made.
    #[error("{stream} does not exist on the broker")]
    Missing {
        /// Name of the stream.
        stream: String,
    },
    /// The broker did not answer as hoped; asking again may help.
    #[error("{attempt} {stream} failed")]
    Unavailable {
        /// What was attempted.
        attempt: &'static str,
        /// Name of the stream.
        stream: String,
        /// What the client or the broker said.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    /// The broker can never store this, whatever is tried.
    #[error("{stream} rejects a write: {description} ({code})")]
    Rejected {
        /// Name of the stream.
        stream: String,
        /// JetStream's error code.
        code: u64,
        /// JetStream's words.
        description: String,
    },
    /// The stream reached its size limit.
    #[error("{stream} is full")]
    Full {
        /// Name of the stream.
        stream: String,
    },
    /// The name cannot be a key.
    #[error("{key:?} is not a key: use letters, digits and - _ = / . between them")]
    InvalidKey {
        /// The name, cut to a bearable length.
        key: String,
    },
    /// The blob, or a part of it, is not there.
    #[error("blob {blob} is not stored, or not whole: {missing} is missing")]
    NoSuchBlob {
        /// The blob.
        blob: Sha256Hash,
        /// The blob itself, or its part.
        missing: Sha256Hash,
    },
    /// What is stored under a hash has another.
    #[error("{chunk} is damaged: {problem}")]
    Damaged {
        /// The chunk.
        chunk: Sha256Hash,
        /// What is wrong with it.
        problem: String,
    },
}

impl StoreError {
    pub(crate) fn of(stream: &str, attempt: &'static str, cause: CallError) -> Self {
        let stream = stream.to_owned();
        if cause.refusal_code() == Some(STREAM_NOT_FOUND) {
            return Self::Missing { stream };
        }
        Self::Unavailable { attempt, stream, cause: Box::new(cause) }
    }

    /// Whether asking again may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Missing { .. }
            | Self::Rejected { .. }
            | Self::Full { .. }
            | Self::InvalidKey { .. }
            | Self::NoSuchBlob { .. }
            | Self::Damaged { .. } => false,
        }
    }

    /// The code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable { .. } => ErrorCode::StorageUnconfirmed,
            Self::Missing { .. } | Self::Rejected { .. } => ErrorCode::StreamDrift,
            Self::Full { .. } => ErrorCode::StorageFull,
            Self::InvalidKey { .. } => ErrorCode::InvalidId,
            Self::NoSuchBlob { .. } | Self::Damaged { .. } => ErrorCode::LogDamaged,
        }
    }
}
