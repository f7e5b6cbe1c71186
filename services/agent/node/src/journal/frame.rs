//! One record in the file: `[length u32][crc32c u32][JSON]`, numbers little-endian.
//!
//! **Invariant:** the checksum covers the length too, so a torn or changed header is found.

use agent_core::Record;

/// Largest record, in bytes of JSON; an outcome with its inline output is far smaller.
pub(crate) const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Bytes before the JSON.
pub(crate) const HEADER_BYTES: usize = 8;

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("it ends in the middle of a record")]
    Short,
    #[error("a record claims to have {0} bytes")]
    Length(usize),
    #[error("the checksum of a record does not fit")]
    Checksum,
    #[error("a record that was written whole cannot be read: {0}")]
    Json(#[source] serde_json::Error),
}

/// Appends the record's frame to `buffer`.
pub(crate) fn encode(record: &Record, buffer: &mut Vec<u8>) -> Result<(), FrameError> {
    let json = serde_json::to_vec(record).map_err(FrameError::Json)?;
    if RECORD_BYTES_MAX < json.len() {
        return Err(FrameError::Length(json.len()));
    }
    let length = u32::try_from(json.len()).map_err(|_| FrameError::Length(json.len()))?;
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(&checksum(length, &json).to_le_bytes());
    buffer.extend_from_slice(&json);
    Ok(())
}

/// Reads the frame at the start of `bytes` and tells its length.
pub(crate) fn decode(bytes: &[u8]) -> Result<(Record, usize), FrameError> {
    let (length, rest) = bytes.split_first_chunk().ok_or(FrameError::Short)?;
    let (expected, rest) = rest.split_first_chunk().ok_or(FrameError::Short)?;
    let length = u32::from_le_bytes(*length);
    let size = usize::try_from(length).map_err(|_| FrameError::Checksum)?;
    if RECORD_BYTES_MAX < size {
        return Err(FrameError::Length(size));
    }
    let json = rest.get(..size).ok_or(FrameError::Short)?;
    if checksum(length, json) != u32::from_le_bytes(*expected) {
        return Err(FrameError::Checksum);
    }
    let record = serde_json::from_slice(json).map_err(FrameError::Json)?;
    Ok((record, HEADER_BYTES + size))
}

fn checksum(length: u32, json: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length.to_le_bytes()), json)
}
