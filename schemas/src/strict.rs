//! Parsing of what others send: bounded, known fields only, errors that name the place.

mod named;

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, MapAccess, Visitor},
};

use crate::{
    ErrorCode, Fault,
    protocol::{COMMAND_BYTES_MAX, DEPTH_MAX},
};
use named::Named;

/// Longest part of a parser's message that an answer repeats, in characters.
const MESSAGE_CHARS_MAX: usize = 400;

/// How serde begins to say that it does not know a field.
const UNKNOWN_FIELD: &str = "unknown field";

/// Reads one JSON message of at most [`COMMAND_BYTES_MAX`]; an empty body counts as `{}`.
///
/// # Errors
///
/// `TOO_LARGE`, `TOO_DEEP`, `MALFORMED_JSON`, `UNKNOWN_FIELD`, `INVALID_ID`,
/// `INVALID_CAPABILITY` or `INVALID_VALUE`.
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
    check_shape(body)?;
    let body = if body.is_empty() { b"{}" } else { body };
    read(body).map_err(|error| classify(&error))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let message = T::deserialize(Named(&mut json))?;
    json.end()?;
    Ok(message)
}

/// Refuses an array: serde would take its elements for the fields of the message, in order.
fn check_shape(body: &[u8]) -> Result<(), Fault> {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => {
            let message = "an array is no message: a message is one JSON object";
            Err(Fault::new(ErrorCode::MalformedJson, message))
        }
        Some(_) | None => Ok(()),
    }
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
    } else if message.starts_with(UNKNOWN_FIELD) {
        ErrorCode::UnknownField
    } else if message.contains("is not an id") {
        ErrorCode::InvalidId
    } else if message.contains("is not a capability") {
        ErrorCode::InvalidCapability
    } else {
        ErrorCode::InvalidValue
    };
    let fault = Fault::new(code, shown(&message));
    match unknown_field(&message) {
        Some(field) => fault.with_details(serde_json::json!({ "field": shown(field) })),
        None => fault,
    }
}

/// The name in `unknown field `x`, expected ...`, which may itself hold what ends it.
fn unknown_field(message: &str) -> Option<&str> {
    let rest = message.strip_prefix(UNKNOWN_FIELD)?.strip_prefix(" `")?;
    let end = rest.rfind("`, expected ").or_else(|| rest.rfind("`, there are no fields"))?;
    rest.get(..end)
}

/// What a parser says, without what a sender could do with it to logs and terminals: it quotes the
/// names that were sent.
fn shown(message: &str) -> String {
    let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut shown: String = message.chars().take(MESSAGE_CHARS_MAX).map(plain).collect();
    if message.chars().nth(MESSAGE_CHARS_MAX).is_some() {
        shown.push_str(" ...");
    }
    shown
}

/// Reads a table and refuses a key that stands in it twice: which of the two values counts would
/// depend on the parser.
///
/// # Errors
///
/// The deserializer's, and one that names the key.
pub fn unique_keys<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord + fmt::Debug,
    V: Deserialize<'de>,
{
    deserializer.deserialize_map(UniqueKeys(PhantomData))
}

struct UniqueKeys<K, V>(PhantomData<(K, V)>);

impl<'de, K, V> Visitor<'de> for UniqueKeys<K, V>
where
    K: Deserialize<'de> + Ord + fmt::Debug,
    V: Deserialize<'de>,
{
    type Value = BTreeMap<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut table = BTreeMap::new();
        while let Some(key) = entries.next_key()? {
            if table.contains_key(&key) {
                return Err(A::Error::custom(format!("duplicate key {key:?}")));
            }
            table.insert(key, entries.next_value()?);
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests;
