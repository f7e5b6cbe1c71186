//! Heads of CBOR items in the one form that Cortex allows (RFC 8949, section 4.2.1).
//!
//! **Invariant:** a value has exactly one encoding here; every other spelling of it is refused.

use std::fmt;

/// Deepest nesting of arrays and maps.
pub(crate) const DEPTH_MAX: usize = 8;
/// Largest envelope, in bytes.
pub const ENVELOPE_BYTES_MAX: usize = 24 * 1024;

/// Start of an item: what it is, and its value or length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    Integer(Integer),
    Bytes(u64),
    Text(u64),
    Array(u64),
    Map(u64),
    Tag(u64),
    Bool,
    Null,
}

/// An integer as CBOR has it; ordered as deterministic maps order their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Integer {
    /// The number itself.
    Unsigned(u64),
    /// `n` stands for -1 - n.
    Negative(u64),
}

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(value) => write!(f, "{value}"),
            Self::Negative(value) => write!(f, "{}", -1 - i128::from(*value)),
        }
    }
}

/// A rule of the strict profile; each has one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    #[error("more bytes than its kind may have")]
    TooLong,
    #[error("the leading tag 18 is missing")]
    TagMissing,
    #[error("a tag inside")]
    TagInside,
    #[error("the input ends within an item")]
    Truncated,
    #[error("a declared length reaches beyond the input")]
    LengthBeyondInput,
    #[error("bytes follow the item")]
    TrailingBytes,
    #[error("an integer or length is not in its shortest form")]
    NotShortest,
    #[error("an indefinite length")]
    IndefiniteLength,
    #[error("a reserved head")]
    ReservedHead,
    #[error("a floating-point number")]
    Float,
    #[error("a simple value other than false, true and null")]
    SimpleValue,
    #[error("a map key that is no integer")]
    KeyNotInteger,
    #[error("a map key that occurs twice")]
    KeyDuplicate,
    #[error("map keys out of order")]
    KeyOrder,
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    #[error("text that is not UTF-8")]
    InvalidUtf8,
}

/// Where the input breaks which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}, at byte {offset}")]
pub struct ScanError {
    /// The rule.
    pub rule: Rule,
    /// Offset of the offending head.
    pub offset: usize,
}

/// Reads the head at the start of `input`; returns it with its own length in bytes.
pub(crate) fn read_head(input: &[u8]) -> Result<(Head, usize), Rule> {
    let initial = *input.first().ok_or(Rule::Truncated)?;
    let (major, info) = (initial >> 5, initial & 0x1f);
    if major == 7 {
        return read_simple(info).map(|head| (head, 1));
    }
    let (argument, length) = read_argument(info, &input[1..])?;
    let head = match major {
        0 => Head::Integer(Integer::Unsigned(argument)),
        1 => Head::Integer(Integer::Negative(argument)),
        2 => Head::Bytes(argument),
        3 => Head::Text(argument),
        4 => Head::Array(argument),
        5 => Head::Map(argument),
        _ => Head::Tag(argument),
    };
    Ok((head, 1 + length))
}

fn read_simple(info: u8) -> Result<Head, Rule> {
    match info {
        20 | 21 => Ok(Head::Bool),
        22 => Ok(Head::Null),
        25..=27 => Err(Rule::Float),
        28..=30 => Err(Rule::ReservedHead),
        31 => Err(Rule::IndefiniteLength),
        _ => Err(Rule::SimpleValue),
    }
}

fn read_argument(info: u8, rest: &[u8]) -> Result<(u64, usize), Rule> {
    let (length, smallest) = match info {
        0..=23 => return Ok((u64::from(info), 0)),
        24 => (1, 24),
        25 => (2, 1 << 8),
        26 => (4, 1 << 16),
        27 => (8, 1 << 32),
        31 => return Err(Rule::IndefiniteLength),
        _ => return Err(Rule::ReservedHead),
    };
    let digits = rest.get(..length).ok_or(Rule::Truncated)?;
    let argument = digits.iter().fold(0, |value: u64, digit| value << 8 | u64::from(*digit));
    if argument < smallest {
        return Err(Rule::NotShortest);
    }
    Ok((argument, length))
}
