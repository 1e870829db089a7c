//! subscription, `seq` → a parked change.

use super::{Fields, Kind, prefix_range};
use crate::model::{Seq, SubscriptionId};
use crate::store::engine::KeyRange;

/// Sorts before every character of an id, so that the parked changes of a subscription are contiguous.
const SEPARATOR: u8 = 0;
/// The length of a position at the end of a key, in bytes.
const SEQ_BYTES: usize = size_of::<u64>();

/// The key of a parked change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParkedKey {
    /// The subscription whose consumer parked the change.
    pub subscription: SubscriptionId,
    /// The change's position.
    pub seq: Seq,
}

impl ParkedKey {
    /// Encodes the key. Encodings sort by the subscription's id, then by position.
    pub fn encode(&self) -> Vec<u8> {
        let mut key = vec![Kind::Parked as u8];
        key.extend_from_slice(self.subscription.as_str().as_bytes());
        key.push(SEPARATOR);
        key.extend_from_slice(&self.seq.0.to_be_bytes());
        key
    }

    /// Decodes a key; `None` if it is not the key of a parked change.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let (&kind, rest) = key.split_first()?;
        let (id, seq) = rest.split_at_checked(rest.len().checked_sub(SEQ_BYTES)?)?;
        let id = std::str::from_utf8(id).ok()?.strip_suffix(char::from(SEPARATOR))?;
        let subscription = SubscriptionId::parse(id).ok()?;
        let mut fields = Fields(seq);
        let seq = Seq(fields.u64()?);
        (kind == Kind::Parked as u8).then_some(Self { subscription, seq })
    }

    /// The keys of all parked changes.
    pub fn all() -> KeyRange {
        prefix_range(vec![Kind::Parked as u8])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips_and_sorts(
            a in ("[a-z0-9][a-z.~_-]{0,6}", any::<u64>()),
            b in ("[a-z0-9][a-z.~_-]{0,6}", any::<u64>()),
        ) {
            let key = |(id, seq): (String, u64)| {
                ParkedKey { subscription: SubscriptionId::parse(&id).unwrap(), seq: Seq(seq) }
            };
            let (a, b) = (key(a), key(b));
            prop_assert_eq!(ParkedKey::decode(&a.encode()), Some(a.clone()));
            prop_assert_eq!(a.cmp(&b), a.encode().cmp(&b.encode()));
        }
    }
}
