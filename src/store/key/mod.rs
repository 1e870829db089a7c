//! The keys of the database: a kind byte, then fields in big-endian order, so that keys sort like their fields.
//!
//! Each kind has a module with its encoding and a property test that it round-trips and preserves order.

pub mod article;
pub mod checkpoint;
pub mod content;
pub mod log;
pub mod meta;
pub mod name;
pub mod parked;
pub mod source;
pub mod stub;
pub mod subscription;
pub mod tile;
pub mod url;

use std::ops::Bound;

use super::engine::KeyRange;
use crate::model::Timestamp;

/// The first byte of every key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// `seq` → the change.
    Log = 1,
    /// `seq`, chunk → the content stored with the change.
    Content = 2,
    /// `seq`, chunk → the original stored with the change.
    Original = 3,
    /// article, subkind, … → the index entries of one article.
    Article = 4,
    /// source, article → the article's internal number.
    Name = 5,
    /// source → its stats.
    Source = 6,
    /// URL key, `seq` → where it leads over a period.
    Url = 7,
    /// name → a fact about the archive as a whole.
    Meta = 8,
    /// subscription → its filter, position and epoch.
    Subscription = 9,
    /// subscription, `seq` → a parked change.
    Parked = 10,
    /// level, index → a full tile of the Merkle tree.
    Tile = 11,
    /// size → a signed checkpoint of the Merkle tree.
    Checkpoint = 12,
    /// `seq` → nothing: the text of the change was destroyed.
    Stub = 13,
}

/// The range of all keys that begin with `prefix`.
pub fn prefix_range(prefix: Vec<u8>) -> KeyRange {
    let end = match successor(&prefix) {
        Some(end) => Bound::Excluded(end),
        None => Bound::Unbounded,
    };
    KeyRange { start: Bound::Included(prefix), end }
}

/// The first key after all keys that begin with `prefix`; `None` if there is none.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// Encodes an instant as eight bytes that sort in time order: the sign bit is flipped.
pub(super) fn time_to_bytes(time: Timestamp) -> [u8; 8] {
    (time.micros().cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn time_from_bytes(bytes: [u8; 8]) -> Option<Timestamp> {
    Timestamp::from_micros((u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed())
}

/// The part of a key or value that is still to be read, from which fixed-size fields are taken off the front.
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn time(&mut self) -> Option<Timestamp> {
        self.array().and_then(time_from_bytes)
    }

    /// Returns `value` if all bytes have been read.
    pub(super) fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }

    pub(super) fn kind(&mut self, kind: Kind) -> Option<()> {
        (self.u8()? == kind as u8).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn encoded_instants_sort_in_time_order(a in -1_000_000_i64.., b in -1_000_000_i64..1_000_000) {
            let at = |micros: i64| Timestamp::from_micros(micros % 1_000_000_000).unwrap();
            let (a, b) = (at(a), at(b));
            prop_assert_eq!(a.cmp(&b), time_to_bytes(a).cmp(&time_to_bytes(b)));
            prop_assert_eq!(time_from_bytes(time_to_bytes(a)), Some(a));
        }
    }

    #[test]
    fn a_prefix_of_0xff_bytes_has_no_upper_bound() {
        assert_eq!(prefix_range(vec![0xff, 0xff]).end, Bound::Unbounded);
        assert_eq!(prefix_range(vec![1, 0xff]).end, Bound::Excluded(vec![2]));
    }
}
