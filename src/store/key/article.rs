//! article, subkind, … → the index entries of one article, stored together so that its reads and writes touch few
//! leaves.

use std::ops::Bound;

use super::{Fields, Kind, prefix_range, time_to_bytes};
use crate::model::{ArticleKey, RequestId, RevisionNumber, Seq, Timestamp};
use crate::store::engine::KeyRange;

#[derive(Clone, Copy)]
#[repr(u8)]
enum Subkind {
    Head = 0,
    Revision = 1,
    Time = 2,
    Sighting = 3,
    State = 4,
    Request = 5,
    Url = 6,
    Label = 7,
    Absence = 8,
}

/// A key of an index entry of an article. Each variant says what its value is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArticleIndexKey {
    /// → the article's head, its newest state.
    Head(ArticleKey),
    /// → the position of the change that created the revision.
    Revision(ArticleKey, RevisionNumber),
    /// → the revision in force from that point on. There are entries only where the revision in force changes.
    Time(ArticleKey, TimePoint),
    /// → the revision that was seen at that point.
    Sighting(ArticleKey, TimePoint),
    /// → whether the article is withdrawn from that point on.
    State(ArticleKey, TimePoint),
    /// → the position of the change that carried out the request.
    Request(ArticleKey, RequestId),
    /// → nothing: the change at this position binds URLs to the article or ends them.
    Url(ArticleKey, Seq),
    /// → nothing: the change at this position alters the article's labels.
    Label(ArticleKey, Seq),
    /// → what the look at that point found, which is that the page was missing.
    Absence(ArticleKey, TimePoint),
}

/// A point of the observe axis, with the change that wrote an entry there. Of two entries at one instant, the one
/// recorded later is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimePoint {
    /// The instant on the observe axis.
    pub observe_time: Timestamp,
    /// The position of the change.
    pub seq: Seq,
}

/// One of the four tables that are ordered by [`TimePoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeTable {
    /// The points at which the revision in force changes.
    Time,
    /// The points at which a revision was seen without a change of what is in force.
    Sighting,
    /// The points at which a state change takes effect.
    State,
    /// The points at which the page was found missing.
    Absence,
}

impl ArticleIndexKey {
    /// Encodes the key: the kind byte, the article, the subkind, then the other fields.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Head(article) => prefix(*article, Subkind::Head),
            Self::Revision(article, number) => extended(*article, Subkind::Revision, &number.get().to_be_bytes()),
            Self::Time(article, point) => at_point(*article, Subkind::Time, *point),
            Self::Sighting(article, point) => at_point(*article, Subkind::Sighting, *point),
            Self::State(article, point) => at_point(*article, Subkind::State, *point),
            Self::Request(article, id) => extended(*article, Subkind::Request, id.as_str().as_bytes()),
            Self::Url(article, seq) => extended(*article, Subkind::Url, &seq.0.to_be_bytes()),
            Self::Label(article, seq) => extended(*article, Subkind::Label, &seq.0.to_be_bytes()),
            Self::Absence(article, point) => at_point(*article, Subkind::Absence, *point),
        }
    }

    /// Decodes a key; `None` if it is malformed.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let mut fields = Fields(key);
        fields.kind(Kind::Article)?;
        let article = ArticleKey(fields.u64()?);
        let subkind = fields.u8()?;
        let decoded = match subkind {
            0 => Self::Head(article),
            1 => Self::Revision(article, RevisionNumber::new(fields.u32()?)?),
            2 => Self::Time(article, point(&mut fields)?),
            3 => Self::Sighting(article, point(&mut fields)?),
            4 => Self::State(article, point(&mut fields)?),
            5 => {
                let id = RequestId::parse(std::str::from_utf8(fields.0).ok()?).ok()?;
                return Some(Self::Request(article, id));
            }
            6 => Self::Url(article, Seq(fields.u64()?)),
            7 => Self::Label(article, Seq(fields.u64()?)),
            8 => Self::Absence(article, point(&mut fields)?),
            _ => return None,
        };
        fields.end(decoded)
    }

    /// The keys of all articles.
    pub fn all() -> KeyRange {
        prefix_range(vec![Kind::Article as u8])
    }

    /// All keys of one article.
    pub fn of_article(article: ArticleKey) -> KeyRange {
        let mut key = vec![Kind::Article as u8];
        key.extend(article.0.to_be_bytes());
        prefix_range(key)
    }

    /// The article that a key belongs to, even if the rest of the key is malformed.
    pub fn article_of(key: &[u8]) -> Option<ArticleKey> {
        let mut fields = Fields(key);
        fields.kind(Kind::Article)?;
        fields.u64().map(ArticleKey)
    }

    /// An article's revisions by number, within the two bounds.
    pub fn revisions(article: ArticleKey, start: Bound<RevisionNumber>, end: Bound<RevisionNumber>) -> KeyRange {
        let key = |number: RevisionNumber| Self::Revision(article, number).encode();
        within(prefix_range(prefix(article, Subkind::Revision)), start.map(key), end.map(key))
    }

    /// An article's requests with an id.
    pub fn requests(article: ArticleKey) -> KeyRange {
        prefix_range(prefix(article, Subkind::Request))
    }

    /// The changes that bind URLs to an article or end them, in log order.
    pub fn urls(article: ArticleKey) -> KeyRange {
        prefix_range(prefix(article, Subkind::Url))
    }

    /// The changes that alter the labels of an article, in log order.
    pub fn labels(article: ArticleKey) -> KeyRange {
        prefix_range(prefix(article, Subkind::Label))
    }
}

impl TimeTable {
    /// The key of an entry of this table.
    pub fn key(self, article: ArticleKey, point: TimePoint) -> ArticleIndexKey {
        match self {
            Self::Time => ArticleIndexKey::Time(article, point),
            Self::Sighting => ArticleIndexKey::Sighting(article, point),
            Self::State => ArticleIndexKey::State(article, point),
            Self::Absence => ArticleIndexKey::Absence(article, point),
        }
    }

    /// An article's entries of this table, within the two bounds.
    pub fn range(self, article: ArticleKey, start: Bound<Timestamp>, end: Bound<Timestamp>) -> KeyRange {
        let first = |observe_time| self.key(article, TimePoint { observe_time, seq: Seq::ZERO }).encode();
        let last = |observe_time| self.key(article, TimePoint { observe_time, seq: Seq(u64::MAX) }).encode();
        let start = match start {
            Bound::Included(time) => Bound::Included(first(time)),
            Bound::Excluded(time) => Bound::Excluded(last(time)),
            Bound::Unbounded => Bound::Unbounded,
        };
        let end = match end {
            Bound::Included(time) => Bound::Included(last(time)),
            Bound::Excluded(time) => Bound::Excluded(first(time)),
            Bound::Unbounded => Bound::Unbounded,
        };
        within(prefix_range(prefix(article, self.subkind())), start, end)
    }

    fn subkind(self) -> Subkind {
        match self {
            Self::Time => Subkind::Time,
            Self::Sighting => Subkind::Sighting,
            Self::State => Subkind::State,
            Self::Absence => Subkind::Absence,
        }
    }
}

/// `range`, narrowed to the given bounds. An unbounded one keeps that of `range`.
fn within(range: KeyRange, start: Bound<Vec<u8>>, end: Bound<Vec<u8>>) -> KeyRange {
    let or = |bound: Bound<Vec<u8>>, own| if bound == Bound::Unbounded { own } else { bound };
    KeyRange { start: or(start, range.start), end: or(end, range.end) }
}

fn prefix(article: ArticleKey, subkind: Subkind) -> Vec<u8> {
    let mut key = Vec::with_capacity(26);
    key.push(Kind::Article as u8);
    key.extend(article.0.to_be_bytes());
    key.push(subkind as u8);
    key
}

fn extended(article: ArticleKey, subkind: Subkind, rest: &[u8]) -> Vec<u8> {
    let mut key = prefix(article, subkind);
    key.extend_from_slice(rest);
    key
}

fn at_point(article: ArticleKey, subkind: Subkind, point: TimePoint) -> Vec<u8> {
    let mut key = extended(article, subkind, &time_to_bytes(point.observe_time));
    key.extend(point.seq.0.to_be_bytes());
    key
}

fn point(fields: &mut Fields<'_>) -> Option<TimePoint> {
    Some(TimePoint { observe_time: fields.time()?, seq: Seq(fields.u64()?) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_key() -> impl Strategy<Value = ArticleIndexKey> {
        let point = (-9_000_000_000_i64..9_000_000_000, any::<u64>()).prop_map(|(micros, seq)| TimePoint {
            observe_time: Timestamp::from_micros(micros).unwrap(),
            seq: Seq(seq),
        });
        (0..4_u64, 0..9_u8, 1..u32::MAX, point, "[!-~]{1,9}").prop_map(|(article, subkind, number, point, id)| {
            let article = ArticleKey(article);
            match subkind {
                0 => ArticleIndexKey::Head(article),
                1 => ArticleIndexKey::Revision(article, RevisionNumber::new(number).unwrap()),
                2 => ArticleIndexKey::Time(article, point),
                3 => ArticleIndexKey::Sighting(article, point),
                4 => ArticleIndexKey::State(article, point),
                5 => ArticleIndexKey::Request(article, RequestId::parse(&id).unwrap()),
                6 => ArticleIndexKey::Url(article, point.seq),
                7 => ArticleIndexKey::Label(article, point.seq),
                _ => ArticleIndexKey::Absence(article, point),
            }
        })
    }

    fn article_of(key: &ArticleIndexKey) -> ArticleKey {
        match key {
            ArticleIndexKey::Head(article)
            | ArticleIndexKey::Revision(article, _)
            | ArticleIndexKey::Time(article, _)
            | ArticleIndexKey::Sighting(article, _)
            | ArticleIndexKey::State(article, _)
            | ArticleIndexKey::Request(article, _)
            | ArticleIndexKey::Url(article, _)
            | ArticleIndexKey::Label(article, _)
            | ArticleIndexKey::Absence(article, _) => *article,
        }
    }

    proptest! {
        #[test]
        fn round_trips_and_sorts_by_article_first(a in any_key(), b in any_key()) {
            prop_assert_eq!(ArticleIndexKey::decode(&a.encode()), Some(a.clone()));
            let by_article = article_of(&a).cmp(&article_of(&b));
            let expected = if by_article.is_eq() { a.cmp(&b) } else { by_article };
            prop_assert_eq!(expected, a.encode().cmp(&b.encode()));
        }
    }
}
