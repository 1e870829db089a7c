//! URL key, `seq` → where the URL leads over a period, according to the change at `seq`.

use std::ops::Bound;

use super::{Fields, Kind, prefix_range};
use crate::model::{Seq, UrlKey};
use crate::store::engine::KeyRange;

/// Does not occur in URL keys, so that the entries of one URL are contiguous.
const SEPARATOR: u8 = 0;

/// The key of one entry of a URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UrlIndexKey {
    /// The normalised form of the URL, by which keys sort first.
    pub url: UrlKey,
    /// The position of the change that bound the URL to an article, or ended it.
    pub seq: Seq,
}

impl UrlIndexKey {
    /// Encodes the key. Encodings sort by URL key, then by position.
    pub fn encode(&self) -> Vec<u8> {
        let mut key = prefix(&self.url);
        key.extend(self.seq.0.to_be_bytes());
        key
    }

    /// Decodes a key; `None` if it is not the key of an entry of a URL.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let (front, seq) = key.split_last_chunk::<8>()?;
        let (&separator, kind_and_url) = front.split_last()?;
        let mut fields = Fields(kind_and_url);
        fields.kind(Kind::Url)?;
        let url = UrlKey::from_stored(std::str::from_utf8(fields.0).ok()?);
        (separator == SEPARATOR).then_some(Self { url, seq: Seq(u64::from_be_bytes(*seq)) })
    }

    /// The entries of all URLs whose keys begin with `beginning`, from those of `from` on if it is given.
    pub fn of_urls(beginning: &str, from: Option<&UrlKey>) -> KeyRange {
        let mut key = vec![Kind::Url as u8];
        key.extend_from_slice(beginning.as_bytes());
        let mut range = prefix_range(key);
        if let Some(from) = from {
            range.start = Bound::Included(prefix(from));
        }
        range
    }

    /// The entries of one URL, in log order.
    pub fn of_url(url: &UrlKey) -> KeyRange {
        prefix_range(prefix(url))
    }
}

fn prefix(url: &UrlKey) -> Vec<u8> {
    let mut key = vec![Kind::Url as u8];
    key.extend_from_slice(url.as_str().as_bytes());
    key.push(SEPARATOR);
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips_and_sorts(a in ("[!-~]{1,6}", any::<u64>()), b in ("[!-~]{1,6}", any::<u64>())) {
            let key = |(url, seq): (String, u64)| UrlIndexKey { url: UrlKey::from_stored(&url), seq: Seq(seq) };
            let (a, b) = (key(a), key(b));
            prop_assert_eq!(UrlIndexKey::decode(&a.encode()), Some(a.clone()));
            prop_assert_eq!(a.cmp(&b), a.encode().cmp(&b.encode()));
        }
    }
}
