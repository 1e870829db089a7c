//! subscription → its filter, position and epoch.

use super::{Kind, prefix_range};
use crate::model::SubscriptionId;
use crate::store::engine::KeyRange;

/// The key of a subscription.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubscriptionKey(pub SubscriptionId);

impl SubscriptionKey {
    /// Encodes the key. Encodings sort by the subscription's id.
    pub fn encode(&self) -> Vec<u8> {
        let mut key = vec![Kind::Subscription as u8];
        key.extend_from_slice(self.0.as_str().as_bytes());
        key
    }

    /// Decodes a key; `None` if it is not the key of a subscription.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let (&kind, id) = key.split_first()?;
        let id = SubscriptionId::parse(std::str::from_utf8(id).ok()?).ok()?;
        (kind == Kind::Subscription as u8).then_some(Self(id))
    }

    /// The keys of all subscriptions, sorted by id.
    pub fn all() -> KeyRange {
        prefix_range(vec![Kind::Subscription as u8])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips_and_sorts(a in "[a-z0-9][a-z.~_-]{0,6}", b in "[a-z0-9][a-z.~_-]{0,6}") {
            let key = |id: String| SubscriptionKey(SubscriptionId::parse(&id).unwrap());
            let (a, b) = (key(a), key(b));
            prop_assert_eq!(SubscriptionKey::decode(&a.encode()), Some(a.clone()));
            prop_assert_eq!(a.cmp(&b), a.encode().cmp(&b.encode()));
        }
    }
}
