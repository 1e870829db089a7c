//! source, article → the article's internal number. Lists in order of name read these keys.

use super::{Kind, prefix_range};
use crate::model::{ArticleId, ArticleName, SourceId};
use crate::store::engine::KeyRange;

/// Sorts before every character of an id, so that the articles of a source are contiguous.
const SEPARATOR: u8 = 0;

/// The key of an article's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameKey(pub ArticleName);

impl NameKey {
    /// Encodes the key. Encodings sort by source, then by article.
    pub fn encode(&self) -> Vec<u8> {
        let mut key = source_prefix(&self.0.source);
        key.extend_from_slice(self.0.article.as_str().as_bytes());
        key
    }

    /// Decodes a key; `None` if it is not the key of a name.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let (&kind, rest) = key.split_first()?;
        let (source, article) = std::str::from_utf8(rest).ok()?.split_once(char::from(SEPARATOR))?;
        let name = ArticleName { source: SourceId::parse(source).ok()?, article: ArticleId::parse(article).ok()? };
        (kind == Kind::Name as u8).then_some(Self(name))
    }

    /// The names of all articles.
    pub fn all() -> KeyRange {
        prefix_range(vec![Kind::Name as u8])
    }

    /// The names of one source's articles.
    pub fn of_source(source: &SourceId) -> KeyRange {
        prefix_range(source_prefix(source))
    }
}

fn source_prefix(source: &SourceId) -> Vec<u8> {
    let mut key = vec![Kind::Name as u8];
    key.extend_from_slice(source.as_str().as_bytes());
    key.push(SEPARATOR);
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips_and_sorts_by_source_then_article(
            a in ("[a-z0-9][a-z.~_-]{0,4}", "[a-z0-9][a-z.~_-]{0,4}"),
            b in ("[a-z0-9][a-z.~_-]{0,4}", "[a-z0-9][a-z.~_-]{0,4}"),
        ) {
            let key = |(source, article): (String, String)| {
                NameKey(ArticleName { source: SourceId::parse(&source).unwrap(), article: ArticleId::parse(&article).unwrap() })
            };
            let (a, b) = (key(a), key(b));
            prop_assert_eq!(NameKey::decode(&a.encode()), Some(a.clone()));
            prop_assert_eq!(a.cmp(&b), a.encode().cmp(&b.encode()));
        }
    }
}
