//! CBOR written by hand, so that it can also be written wrongly.

/// `major` type with its argument in the shortest form.
pub(crate) fn head(major: u8, argument: u64) -> Vec<u8> {
    let width = match argument {
        0..=23 => 0,
        24..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    };
    head_of_width(major, argument, width)
}

/// `major` type with its argument in `width` bytes: 0, 1, 2, 4 or 8.
pub(crate) fn head_of_width(major: u8, argument: u64, width: usize) -> Vec<u8> {
    let digits = argument.to_be_bytes();
    let info = match width {
        0 => digits[7],
        1 => 24,
        2 => 25,
        4 => 26,
        8 => 27,
        other => panic!("no head has {other} bytes of argument"),
    };
    [&[major << 5 | info], &digits[8 - width..]].concat()
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap()
}

pub(crate) fn integer(value: i64) -> Vec<u8> {
    let argument = value.unsigned_abs();
    if value < 0 { head(1, argument - 1) } else { head(0, argument) }
}

pub(crate) fn unsigned(value: u64) -> Vec<u8> {
    head(0, value)
}

pub(crate) fn bytes(value: &[u8]) -> Vec<u8> {
    [head(2, length(value.len())), value.to_vec()].concat()
}

pub(crate) fn text(value: &str) -> Vec<u8> {
    [head(3, length(value.len())), value.as_bytes().to_vec()].concat()
}

pub(crate) fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, length(items.len())), items.concat()].concat()
}

/// A map whose entries stand as they are given, sorted or not.
pub(crate) fn map(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let items = entries.iter().flat_map(|(key, value)| [key.clone(), value.clone()]);
    [head(5, length(entries.len())), items.flatten().collect()].concat()
}

/// Where a head stands in strict bytes, and what it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadAt {
    pub(crate) offset: usize,
    pub(crate) major: u8,
    pub(crate) argument: u64,
    /// Bytes of its argument: 0, 1, 2, 4 or 8.
    pub(crate) width: usize,
}

/// Every head of one strict item from `offset` on, the outermost first.
pub(crate) fn heads(item: &[u8], offset: usize) -> Vec<HeadAt> {
    let mut found = Vec::new();
    let mut at = offset;
    let mut items_left = 1;
    while 0 < items_left {
        let head = head_at(item, at);
        at += 1 + head.width;
        items_left -= 1;
        let argument = usize::try_from(head.argument).unwrap_or(usize::MAX);
        match head.major {
            2 | 3 => at += argument,
            4 => items_left += argument,
            5 => items_left += 2 * argument,
            6 => items_left += 1,
            _ => (),
        }
        found.push(head);
    }
    found
}

/// The head that an item begins with.
pub(crate) fn first_head(item: &[u8]) -> HeadAt {
    head_at(item, 0)
}

fn head_at(item: &[u8], offset: usize) -> HeadAt {
    let (major, info) = (item[offset] >> 5, item[offset] & 0x1f);
    let width = match info {
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => 0,
    };
    let digits = &item[offset + 1..offset + 1 + width];
    let argument = match width {
        0 => u64::from(info),
        _ => digits.iter().fold(0, |value, digit| value << 8 | u64::from(*digit)),
    };
    HeadAt { offset, major, argument, width }
}

impl HeadAt {
    /// `item` with this head spelled in `width` bytes of argument.
    pub(crate) fn respelled(self, item: &[u8], width: usize) -> Vec<u8> {
        let head = head_of_width(self.major, self.argument, width);
        [&item[..self.offset], &head, &item[self.offset + 1 + self.width..]].concat()
    }

    /// The widths that say the same at greater length; a simple value has none.
    pub(crate) fn longer_widths(self) -> impl Iterator<Item = usize> {
        [1, 2, 4, 8].into_iter().filter(move |width| self.major < 7 && self.width < *width)
    }
}
