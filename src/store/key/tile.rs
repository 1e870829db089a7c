//! level, index → a full tile of the Merkle tree of the log.

use super::{Fields, Kind};
use crate::model::merkle::TileId;

/// The key of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TileKey(pub TileId);

impl TileKey {
    /// Encodes the key. Encodings sort by level, then by index.
    pub fn encode(self) -> Vec<u8> {
        let mut key = vec![Kind::Tile as u8, self.0.level];
        key.extend(self.0.index.to_be_bytes());
        key
    }

    /// Decodes a key; `None` if it is not the key of a tile.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let mut fields = Fields(key);
        fields.kind(Kind::Tile)?;
        let (level, index) = (fields.u8()?, fields.u64()?);
        fields.end(Self(TileId { level, index }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips_and_sorts(a: (u8, u64), b: (u8, u64)) {
            let key = |(level, index)| TileKey(TileId { level, index });
            let (a, b) = (key(a), key(b));
            prop_assert_eq!(TileKey::decode(&a.encode()), Some(a));
            prop_assert_eq!(a.cmp(&b), a.encode().cmp(&b.encode()));
        }
    }
}
