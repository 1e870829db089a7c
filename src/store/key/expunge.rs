//! `seq` → nothing: the changes that destroyed text, so that all that was destroyed is found without reading the log.

use super::{Fields, Kind, prefix_range};
use crate::model::Seq;
use crate::store::engine::KeyRange;

/// The key of a change of kind [`LogKind::Expunged`](crate::model::LogKind::Expunged).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpungeKey(pub Seq);

impl ExpungeKey {
    /// Encodes the key. Encodings sort by position.
    pub fn encode(self) -> Vec<u8> {
        let mut key = vec![Kind::Expunge as u8];
        key.extend(self.0.0.to_be_bytes());
        key
    }

    /// Decodes a key; `None` if it is not one of these.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let mut fields = Fields(key);
        fields.kind(Kind::Expunge)?;
        let seq = fields.u64()?;
        fields.end(Self(Seq(seq)))
    }

    /// The range of all such keys.
    pub fn all() -> KeyRange {
        prefix_range(vec![Kind::Expunge as u8])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips_and_sorts(a: u64, b: u64) {
            let (a, b) = (ExpungeKey(Seq(a)), ExpungeKey(Seq(b)));
            prop_assert_eq!(ExpungeKey::decode(&a.encode()), Some(a));
            prop_assert_eq!(a.cmp(&b), a.encode().cmp(&b.encode()));
        }
    }
}
