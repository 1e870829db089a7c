//! `seq` → the change of the log at that position.

use std::ops::Bound;

use super::{Fields, Kind, prefix_range};
use crate::model::Seq;
use crate::store::engine::KeyRange;

/// The key of the change at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogKey(pub Seq);

impl LogKey {
    /// Encodes the key. Encodings sort by position.
    pub fn encode(self) -> Vec<u8> {
        let mut key = vec![Kind::Log as u8];
        key.extend(self.0.0.to_be_bytes());
        key
    }

    /// Decodes a key; `None` if it is not the key of a change.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let mut fields = Fields(key);
        fields.kind(Kind::Log)?;
        let seq = fields.u64()?;
        fields.end(Self(Seq(seq)))
    }

    /// The keys of the changes from `from` on and below `end`.
    pub fn between(from: Seq, end: Seq) -> KeyRange {
        KeyRange { start: Bound::Included(Self(from).encode()), end: Bound::Excluded(Self(end).encode()) }
    }

    /// The keys of all changes, in log order.
    pub fn all() -> KeyRange {
        prefix_range(vec![Kind::Log as u8])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips_and_sorts(a: u64, b: u64) {
            let (a, b) = (LogKey(Seq(a)), LogKey(Seq(b)));
            prop_assert_eq!(LogKey::decode(&a.encode()), Some(a));
            prop_assert_eq!(a.cmp(&b), a.encode().cmp(&b.encode()));
        }
    }
}
