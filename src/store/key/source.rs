//! source → its stats.

use super::{Kind, prefix_range};
use crate::model::SourceId;
use crate::store::engine::KeyRange;

/// The key of a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceKey(pub SourceId);

impl SourceKey {
    /// Encodes the key. Encodings sort by the source's id.
    pub fn encode(&self) -> Vec<u8> {
        let mut key = vec![Kind::Source as u8];
        key.extend_from_slice(self.0.as_str().as_bytes());
        key
    }

    /// Decodes a key; `None` if it is not the key of a source.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let (&kind, id) = key.split_first()?;
        let id = SourceId::parse(std::str::from_utf8(id).ok()?).ok()?;
        (kind == Kind::Source as u8).then_some(Self(id))
    }

    /// The keys of all sources, sorted by id.
    pub fn all() -> KeyRange {
        prefix_range(vec![Kind::Source as u8])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips_and_sorts(a in "[a-z0-9][a-z.~_-]{0,6}", b in "[a-z0-9][a-z.~_-]{0,6}") {
            let key = |id: String| SourceKey(SourceId::parse(&id).unwrap());
            let (a, b) = (key(a), key(b));
            prop_assert_eq!(SourceKey::decode(&a.encode()), Some(a.clone()));
            prop_assert_eq!(a.cmp(&b), a.encode().cmp(&b.encode()));
        }
    }
}
