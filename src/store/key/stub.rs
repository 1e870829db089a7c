//! `seq` → a change whose text was destroyed. The value is empty.

use super::{Fields, Kind, prefix_range};
use crate::model::Seq;
use crate::store::engine::KeyRange;

/// The key of a stub's entry in the register of destructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StubKey(pub Seq);

impl StubKey {
    /// The range of all stubs.
    pub fn all() -> KeyRange {
        prefix_range(vec![Kind::Stub as u8])
    }

    /// Encodes the key. Encodings sort by position.
    pub fn encode(self) -> Vec<u8> {
        let mut key = vec![Kind::Stub as u8];
        key.extend(self.0.0.to_be_bytes());
        key
    }

    /// Decodes a key; `None` if it is not the key of a stub.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let mut fields = Fields(key);
        fields.kind(Kind::Stub)?;
        let seq = Seq(fields.u64()?);
        fields.end(Self(seq))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips_and_sorts(a: u64, b: u64) {
            let (a, b) = (StubKey(Seq(a)), StubKey(Seq(b)));
            prop_assert_eq!(StubKey::decode(&a.encode()), Some(a));
            prop_assert_eq!(a.cmp(&b), a.encode().cmp(&b.encode()));
        }
    }
}
