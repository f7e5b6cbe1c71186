//! Walks CBOR once, without recursion and without allocation, and refuses all but the strict form.
//!
//! **Invariant:** what passes has exactly one encoding, so equal values mean equal bytes.
//! **Invariant:** no declared length is trusted: nothing is allocated, and every step consumes input.

use crate::cbor::{DEPTH_MAX, Head, Integer, Rule, ScanError, read_head};

/// Tag 18, COSE_Sign1, in its only spelling.
pub(crate) const TAG_SIGN1: u8 = 0xd2;

/// Bytes of one item that passed the scanner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scanned<'a>(&'a [u8]);

impl<'a> Scanned<'a> {
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.0
    }
}

/// Accepts tag 18 followed by exactly one strict item; returns the item.
pub(crate) fn scan_tagged(input: &[u8], bytes_max: usize) -> Result<Scanned<'_>, ScanError> {
    if bytes_max < input.len() {
        return Err(ScanError { rule: Rule::TooLong, offset: bytes_max });
    }
    match input.split_first() {
        Some((&TAG_SIGN1, item)) => scan(item, bytes_max).map_err(|error| error.shifted(1)),
        Some(_) | None => Err(ScanError { rule: Rule::TagMissing, offset: 0 }),
    }
}

/// Accepts exactly one strict item.
pub(crate) fn scan(input: &[u8], bytes_max: usize) -> Result<Scanned<'_>, ScanError> {
    if bytes_max < input.len() {
        return Err(ScanError { rule: Rule::TooLong, offset: bytes_max });
    }
    let mut walk = Walk { input, offset: 0, levels: [Level::CLOSED; DEPTH_MAX], depth: 0 };
    loop {
        let start = walk.offset;
        walk.item().map_err(|rule| ScanError { rule, offset: start })?;
        if walk.depth == 0 {
            break;
        }
    }
    if walk.offset < input.len() {
        return Err(ScanError { rule: Rule::TrailingBytes, offset: walk.offset });
    }
    Ok(Scanned(input))
}

impl ScanError {
    fn shifted(self, by: usize) -> Self {
        Self { rule: self.rule, offset: self.offset + by }
    }
}

/// An array or map whose items are being read.
#[derive(Clone, Copy)]
struct Level {
    kind: LevelKind,
    /// Items to come; a pair of a map counts as two.
    items_left: usize,
}

#[derive(Clone, Copy)]
enum LevelKind {
    Array,
    Map { last_key: Option<Integer> },
}

impl Level {
    const CLOSED: Self = Self { kind: LevelKind::Array, items_left: 0 };

    /// Takes one item off the count; keys must be integers that rise.
    fn admit(&mut self, head: Head) -> Result<(), Rule> {
        let is_key = self.items_left.is_multiple_of(2);
        self.items_left -= 1;
        let LevelKind::Map { last_key } = &mut self.kind else { return Ok(()) };
        if !is_key {
            return Ok(());
        }
        let Head::Integer(key) = head else { return Err(Rule::KeyNotInteger) };
        match *last_key {
            Some(last) if last == key => Err(Rule::KeyDuplicate),
            Some(last) if key < last => Err(Rule::KeyOrder),
            Some(_) | None => {
                *last_key = Some(key);
                Ok(())
            }
        }
    }
}

struct Walk<'a> {
    input: &'a [u8],
    offset: usize,
    levels: [Level; DEPTH_MAX],
    depth: usize,
}

impl Walk<'_> {
    fn item(&mut self) -> Result<(), Rule> {
        let (head, length) = read_head(&self.input[self.offset..])?;
        self.offset += length;
        if let Some(level) = self.levels[..self.depth].last_mut() {
            level.admit(head)?;
        }
        match head {
            Head::Bytes(length) => self.take(length).map(|_| ())?,
            Head::Text(length) => {
                str::from_utf8(self.take(length)?).map_err(|_| Rule::InvalidUtf8)?;
            }
            Head::Array(count) => self.open(LevelKind::Array, count, 1)?,
            Head::Map(count) => self.open(LevelKind::Map { last_key: None }, count, 2)?,
            Head::Tag(_) => return Err(Rule::TagInside),
            Head::Integer(_) | Head::Bool | Head::Null => (),
        }
        while self.levels[..self.depth].last().is_some_and(|level| level.items_left == 0) {
            self.depth -= 1;
        }
        Ok(())
    }

    fn take(&mut self, length: u64) -> Result<&[u8], Rule> {
        let rest = &self.input[self.offset..];
        let length = usize::try_from(length).map_err(|_| Rule::LengthBeyondInput)?;
        let taken = rest.get(..length).ok_or(Rule::LengthBeyondInput)?;
        self.offset += length;
        Ok(taken)
    }

    /// Every item takes a byte at least, so a count beyond the rest cannot be honest.
    fn open(&mut self, kind: LevelKind, count: u64, items_each: usize) -> Result<(), Rule> {
        let left = self.input.len() - self.offset;
        let count = usize::try_from(count).map_err(|_| Rule::LengthBeyondInput)?;
        let items_left = count.checked_mul(items_each).ok_or(Rule::LengthBeyondInput)?;
        if left < items_left {
            return Err(Rule::LengthBeyondInput);
        }
        let level = self.levels.get_mut(self.depth).ok_or(Rule::TooDeep)?;
        *level = Level { kind, items_left };
        self.depth += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
