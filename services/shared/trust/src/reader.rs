//! Reads typed values out of bytes that the scanner accepted.
//!
//! **Invariant:** only scanned bytes are read, so no reader decides what well-formed means.

use crate::{
    cbor::{Head, Integer, read_head},
    scanner::Scanned,
};

/// The item is of another type than the one asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an item has the wrong type or length")]
pub(crate) struct WrongType;

/// A place between two items.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(item: Scanned<'a>) -> Self {
        Self { rest: item.bytes() }
    }

    /// The next item's head, which stays unread; nothing after the last item.
    pub(crate) fn peek(&self) -> Option<Head> {
        read_head(self.rest).ok().map(|(head, _)| head)
    }

    pub(crate) fn integer(&mut self) -> Result<Integer, WrongType> {
        match self.head()? {
            (Head::Integer(value), after) => {
                self.rest = after;
                Ok(value)
            }
            (_, _) => Err(WrongType),
        }
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64, WrongType> {
        match self.integer()? {
            Integer::Unsigned(value) => Ok(value),
            Integer::Negative(_) => Err(WrongType),
        }
    }

    pub(crate) fn unsigned_32(&mut self) -> Result<u32, WrongType> {
        u32::try_from(self.unsigned()?).map_err(|_| WrongType)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], WrongType> {
        match self.head()? {
            (Head::Bytes(length), after) => self.take(length, after),
            (_, _) => Err(WrongType),
        }
    }

    pub(crate) fn byte_array<const N: usize>(&mut self) -> Result<[u8; N], WrongType> {
        self.bytes()?.try_into().map_err(|_| WrongType)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, WrongType> {
        match self.head()? {
            (Head::Text(length), after) => {
                str::from_utf8(self.take(length, after)?).map_err(|_| WrongType)
            }
            (_, _) => Err(WrongType),
        }
    }

    /// Enters an array and returns how many items follow.
    pub(crate) fn array(&mut self) -> Result<u64, WrongType> {
        match self.head()? {
            (Head::Array(count), after) => {
                self.rest = after;
                Ok(count)
            }
            (_, _) => Err(WrongType),
        }
    }

    /// Enters a map and returns how many pairs follow.
    pub(crate) fn map(&mut self) -> Result<u64, WrongType> {
        match self.head()? {
            (Head::Map(count), after) => {
                self.rest = after;
                Ok(count)
            }
            (_, _) => Err(WrongType),
        }
    }

    fn head(&self) -> Result<(Head, &'a [u8]), WrongType> {
        let (head, length) = read_head(self.rest).map_err(|_| WrongType)?;
        Ok((head, &self.rest[length..]))
    }

    fn take(&mut self, length: u64, after: &'a [u8]) -> Result<&'a [u8], WrongType> {
        let length = usize::try_from(length).map_err(|_| WrongType)?;
        let (taken, rest) = after.split_at_checked(length).ok_or(WrongType)?;
        self.rest = rest;
        Ok(taken)
    }
}
