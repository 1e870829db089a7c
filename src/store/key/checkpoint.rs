//! size → a signed checkpoint of the Merkle tree of that many changes.

use std::ops::Bound;

use super::{Fields, Kind, prefix_range};
use crate::store::engine::KeyRange;

/// The key of a checkpoint: the size of its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckpointKey(pub u64);

impl CheckpointKey {
    /// Encodes the key. Encodings sort by size.
    pub fn encode(self) -> Vec<u8> {
        let mut key = vec![Kind::Checkpoint as u8];
        key.extend(self.0.to_be_bytes());
        key
    }

    /// Decodes a key; `None` if it is not the key of a checkpoint.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let mut fields = Fields(key);
        fields.kind(Kind::Checkpoint)?;
        let size = fields.u64()?;
        fields.end(Self(size))
    }

    /// The keys of the checkpoints of trees of `from` changes or more.
    pub fn since(from: u64) -> KeyRange {
        KeyRange { start: Bound::Included(Self(from).encode()), ..prefix_range(vec![Kind::Checkpoint as u8]) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips_and_sorts(a: u64, b: u64) {
            let (a, b) = (CheckpointKey(a), CheckpointKey(b));
            prop_assert_eq!(CheckpointKey::decode(&a.encode()), Some(a));
            prop_assert_eq!(a.cmp(&b), a.encode().cmp(&b.encode()));
        }
    }
}
