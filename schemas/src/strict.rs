//! Parsing of what others send: bounded, known fields only, errors that name the place.

use serde::de::DeserializeOwned;

use crate::{
    ErrorCode, Fault,
    protocol::{COMMAND_BYTES_MAX, DEPTH_MAX},
};

/// Reads one JSON message of at most [`COMMAND_BYTES_MAX`]; an empty body counts as `{}`.
///
/// # Errors
///
/// `TOO_LARGE`, `TOO_DEEP`, `MALFORMED_JSON`, `UNKNOWN_FIELD`, `INVALID_ID` or `INVALID_VALUE`.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    parse_within(body, COMMAND_BYTES_MAX)
}

/// Reads one JSON message of at most `bytes_max`.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_within<T: DeserializeOwned>(body: &[u8], bytes_max: usize) -> Result<T, Fault> {
    if bytes_max < body.len() {
        let message = format!("{} bytes, the limit is {bytes_max}", body.len());
        return Err(Fault::new(ErrorCode::TooLarge, message));
    }
    check_depth(body)?;
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| classify(&error))
}

/// Counts brackets outside of strings, before any parser recurses.
fn check_depth(body: &[u8]) -> Result<(), Fault> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => (),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => (),
        }
        if DEPTH_MAX < depth {
            let message = format!("nested deeper than {DEPTH_MAX} levels");
            return Err(Fault::new(ErrorCode::TooDeep, message));
        }
    }
    Ok(())
}

fn classify(error: &serde_json::Error) -> Fault {
    let message = error.to_string();
    let code = if !error.is_data() {
        ErrorCode::MalformedJson
    } else if message.starts_with("unknown field") {
        ErrorCode::UnknownField
    } else if message.contains("is not an id") {
        ErrorCode::InvalidId
    } else {
        ErrorCode::InvalidValue
    };
    Fault::new(code, message)
}
