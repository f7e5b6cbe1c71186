//! A value, in memory that is wiped when nobody needs it any more.

use std::{fmt, fs::File, io::Read as _};

use zeroize::Zeroizing;

use super::error::{Unavailable, cannot};

/// Longest value of one credential, in bytes.
pub(crate) const SECRET_BYTES_MAX: usize = 64 * 1024;

/// The value of a credential.
pub(crate) struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes a value that has a credential's size.
    pub(crate) fn new(value: Zeroizing<Vec<u8>>) -> Result<Self, Unavailable> {
        if value.is_empty() {
            return Err(Unavailable::Empty);
        }
        if SECRET_BYTES_MAX < value.len() {
            return Err(Unavailable::TooLong { max: SECRET_BYTES_MAX });
        }
        Ok(Self(value))
    }

    /// Reads all of a file, and never more than a credential may have.
    pub(crate) fn read(file: File) -> Result<Self, Unavailable> {
        // The buffer never grows, so no copy of its beginning is left behind.
        let mut value = Zeroizing::new(vec![0; SECRET_BYTES_MAX + 1]);
        let length = read_into(file, &mut value).map_err(cannot("read the file"))?;
        value.truncate(length);
        Self::new(value)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

fn read_into(mut file: File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
