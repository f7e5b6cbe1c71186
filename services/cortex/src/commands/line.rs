//! An invite line as commands get it: as an argument, or over standard input.
//!
//! Everybody on a machine can read the arguments of a process, and whoever has the line can come in
//! with it first; so there is a way past them.
//!
//! **Invariant:** no error repeats any part of a line.

use std::io::{self, Read};

use schemas::{ErrorCode, Fault};
use zeroize::Zeroizing;

/// Stands for standard input.
const STDIN: &str = "-";
/// Longest line that is read, in bytes; longer than any that `cortex invite` prints.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// The line that an argument is or stands for.
///
/// # Errors
///
/// When standard input cannot be read, or holds no line.
pub(super) fn given(argument: String) -> Result<Zeroizing<String>, Fault> {
    let argument = Zeroizing::new(argument);
    if *argument == STDIN { read(io::stdin().lock()) } else { Ok(argument) }
}

fn read(input: impl Read) -> Result<Zeroizing<String>, Fault> {
    let invalid = |problem: String| Fault::new(ErrorCode::InvalidValue, problem);
    let mut text = Zeroizing::new(String::new());
    let read = input.take(LINE_BYTES_MAX + 1).read_to_string(&mut text);
    let bytes = read.map_err(|error| invalid(format!("standard input: {error}")))?;
    if u64::try_from(bytes).is_ok_and(|bytes| LINE_BYTES_MAX < bytes) {
        return Err(invalid(format!("standard input has more than {LINE_BYTES_MAX} bytes")));
    }
    let line = Zeroizing::new(text.trim().to_owned());
    if line.is_empty() {
        return Err(invalid("standard input holds no invite line".to_owned()));
    }
    Ok(line)
}

#[cfg(test)]
mod tests;
