//! Typed reads and writes of the tables.
//!
//! Every lookup outside the log takes a bound, and skips what changes at or above it wrote: an engine may show a commit
//! that is not durable yet, and a read may be of the past.

use std::ops::Bound;
use std::sync::Arc;

use super::address::UrlEntry;
use super::engine::{Direction, EngineError, Read};
use super::head::{ArticleHead, InForce, StateChange};
use super::key::Fields;
use super::key::article::{ArticleIndexKey, TimePoint, TimeTable};
use super::key::log::LogKey;
use super::key::meta::MetaKey;
use super::key::name::NameKey;
use super::key::parked::ParkedKey;
use super::key::source::SourceKey;
use super::key::subscription::SubscriptionKey;
use super::key::tile::TileKey;
use super::key::url::UrlIndexKey;
use super::seal::{seal, unseal};
use super::stats::{self, SourceStats};
use super::subscription::{self, ParkedChange, SubscriptionRecord};
use super::{Batch, StoreError, record};
use crate::model::merkle::{TILE_WIDTH, Tile, TileId};
use crate::model::{
    AbsenceLook, AbsenceReason, ArticleKey, ArticleName, Change, RequestId, RevisionNumber, Seq, SourceId,
    SubscriptionId, Timestamp, TreeHash, UrlKey,
};

/// An entry of the time table or the sighting table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeEntry {
    /// Its point on the observe axis, and the change that wrote it.
    pub point: TimePoint,
    /// The revision that is in force or was seen at that point.
    pub revision: RevisionNumber,
    /// The change that created the revision.
    pub created_seq: Seq,
}

/// An entry of the table of absences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsenceEntry {
    /// Its point on the observe axis, and the change that recorded it.
    pub point: TimePoint,
    /// What the look found.
    pub look: AbsenceLook,
}

/// The tables of an engine, or of a view of one.
#[derive(Clone, Copy)]
pub struct Tables<'a> {
    read: &'a dyn Read,
}

impl<'a> Tables<'a> {
    /// The tables in `read`.
    pub fn new(read: &'a dyn Read) -> Self {
        Self { read }
    }

    /// The engine or view that the tables are read from.
    pub fn source(&self) -> &'a dyn Read {
        self.read
    }

    /// The change at `seq`; `None` at or after the end of the log.
    pub fn change(&self, seq: Seq) -> Result<Option<Change>, StoreError> {
        let key = LogKey(seq).encode();
        self.read.get(&key)?.map(|value| record::decode(&key, &value)).transpose()
    }

    /// The last change of the log; `None` if the log is empty.
    pub fn last_change(&self) -> Result<Option<Change>, StoreError> {
        let last = self.read.scan(LogKey::all(), Direction::Reverse).next().transpose()?;
        last.map(|(key, value)| record::decode(&key, &value)).transpose()
    }

    /// The hashes of the leaves of the changes from `from` on and below `end`, in order. A missing change is
    /// [`StoreError::Damaged`].
    pub fn leaves(&self, from: Seq, end: Seq) -> Result<Vec<TreeHash>, StoreError> {
        let mut leaves = Vec::new();
        for entry in self.read.scan(LogKey::between(from, end), Direction::Forward) {
            let (key, value) = entry?;
            let (change, _, leaf) = record::decode_with_record(&key, &value)?;
            if change.seq.0 != from.0 + leaves.len() as u64 {
                break;
            }
            leaves.push(leaf);
        }
        let next = Seq(from.0 + leaves.len() as u64);
        if next < end { Err(StoreError::damaged_at(next, "a change of the log is missing")) } else { Ok(leaves) }
    }

    /// The hashes of a full tile of the Merkle tree; `None` if it is not stored.
    pub fn tile(&self, id: TileId) -> Result<Option<Vec<TreeHash>>, StoreError> {
        let key = TileKey(id).encode();
        let Some(value) = self.read.get(&key)? else { return Ok(None) };
        let (hashes, rest) = unseal(&key, &value)?.as_chunks::<32>();
        if hashes.len() != TILE_WIDTH || !rest.is_empty() {
            return Err(StoreError::damaged(&key, "a tile does not have 256 hashes"));
        }
        Ok(Some(hashes.iter().copied().map(TreeHash).collect()))
    }

    /// When text was destroyed that the files of the database still have; `None` if there is no such text.
    pub fn destruction_pending(&self) -> Result<Option<Timestamp>, StoreError> {
        let key = MetaKey::DestructionPending.encode();
        let Some(value) = self.read.get(&key)? else { return Ok(None) };
        let micros = unseal(&key, &value)?.try_into().map(i64::from_be_bytes).ok().and_then(Timestamp::from_micros);
        micros.map(Some).ok_or_else(|| StoreError::damaged(&key, "a time cannot be read"))
    }

    /// The article with this name, if it was created below `bound`.
    pub fn article(&self, name: &ArticleName, bound: Seq) -> Result<Option<ArticleKey>, StoreError> {
        Ok(self.named(name)?.filter(|(_, seq)| *seq < bound).map(|(article, _)| article))
    }

    /// The article with this name, and the position of its first change.
    pub fn named(&self, name: &ArticleName) -> Result<Option<(ArticleKey, Seq)>, StoreError> {
        let key = NameKey(name.clone()).encode();
        self.read.get(&key)?.map(|value| name_value(&key, &value)).transpose()
    }

    /// The articles of `source`, or of all sources, that were created below `bound`, by name. The first is the one
    /// after `after`.
    pub fn names(
        &self,
        source: Option<&SourceId>,
        after: Option<&ArticleName>,
        bound: Seq,
    ) -> impl Iterator<Item = Result<(ArticleName, ArticleKey), StoreError>> + use<'a> {
        let mut range = source.map_or_else(NameKey::all, NameKey::of_source);
        if let Some(after) = after {
            range.start = Bound::Excluded(NameKey(after.clone()).encode());
        }
        self.read.scan(range, Direction::Forward).filter_map(move |entry| name_entry(entry, bound).transpose())
    }

    /// An article's newest state as last written, whether or not a reader may see it yet.
    pub fn head(&self, article: ArticleKey) -> Result<Option<ArticleHead>, StoreError> {
        let key = ArticleIndexKey::Head(article).encode();
        self.read.get(&key)?.map(|value| ArticleHead::decode(&key, &value)).transpose()
    }

    /// Like [`Self::head`], for an article that exists. If it has no head, the database is damaged.
    pub fn existing_head(&self, article: ArticleKey) -> Result<ArticleHead, StoreError> {
        let missing = || StoreError::Damaged { seq: None, detail: format!("article {} has no head", article.0) };
        self.head(article)?.ok_or_else(missing)
    }

    /// The highest internal number of an article; `None` if there are no articles.
    pub fn last_article(&self) -> Result<Option<ArticleKey>, StoreError> {
        let last = self.read.scan(ArticleIndexKey::all(), Direction::Reverse).next().transpose()?;
        let Some((key, _)) = last else { return Ok(None) };
        let article = Fields(key.get(1..).unwrap_or_default()).u64();
        article.map(|article| Some(ArticleKey(article))).ok_or_else(|| StoreError::damaged(&key, "a key is malformed"))
    }

    /// The change that created a revision, if below `bound`.
    pub fn revision(&self, article: ArticleKey, number: RevisionNumber, bound: Seq) -> Result<Option<Seq>, StoreError> {
        let key = ArticleIndexKey::Revision(article, number).encode();
        let seq = self.read.get(&key)?.map(|value| seq_value(&key, &value)).transpose()?;
        Ok(seq.filter(|seq| *seq < bound))
    }

    /// The revisions of an article with numbers in a range, as far as they were created below `bound`.
    pub fn revisions(
        &self,
        article: ArticleKey,
        numbers: (Bound<RevisionNumber>, Bound<RevisionNumber>),
        direction: Direction,
        bound: Seq,
    ) -> impl Iterator<Item = Result<(RevisionNumber, Seq), StoreError>> + use<'a> {
        let range = ArticleIndexKey::revisions(article, numbers.0, numbers.1);
        self.read
            .scan(range, direction)
            .map(|entry| {
                let (key, value) = entry?;
                match ArticleIndexKey::decode(&key) {
                    Some(ArticleIndexKey::Revision(_, number)) => Ok((number, seq_value(&key, &value)?)),
                    _ => Err(StoreError::damaged(&key, "a key of a revision is malformed")),
                }
            })
            .filter(move |entry| entry.as_ref().is_ok_and(|(_, seq)| *seq < bound) || entry.is_err())
    }

    /// The entries of an article in the time table or the sighting table, below `bound`.
    pub fn time_entries(
        &self,
        table: TimeTable,
        article: ArticleKey,
        times: (Bound<Timestamp>, Bound<Timestamp>),
        direction: Direction,
        bound: Seq,
    ) -> impl Iterator<Item = Result<TimeEntry, StoreError>> + use<'a> {
        let range = table.range(article, times.0, times.1);
        self.read.scan(range, direction).filter_map(move |entry| time_entry(entry, bound).transpose())
    }

    /// The state changes of an article, below `bound`.
    pub fn state_changes(
        &self,
        article: ArticleKey,
        times: (Bound<Timestamp>, Bound<Timestamp>),
        direction: Direction,
        bound: Seq,
    ) -> impl Iterator<Item = Result<StateChange, StoreError>> + use<'a> {
        let range = TimeTable::State.range(article, times.0, times.1);
        self.read.scan(range, direction).filter_map(move |entry| state_change_entry(entry, bound).transpose())
    }

    /// The absences of an article, below `bound`.
    pub fn absences(
        &self,
        article: ArticleKey,
        times: (Bound<Timestamp>, Bound<Timestamp>),
        direction: Direction,
        bound: Seq,
    ) -> impl Iterator<Item = Result<AbsenceEntry, StoreError>> + use<'a> {
        let range = TimeTable::Absence.range(article, times.0, times.1);
        self.read.scan(range, direction).filter_map(move |entry| absence_entry(entry, bound).transpose())
    }

    /// The change at `seq`, which created a revision. If it is missing or created none, the database is damaged.
    pub fn creating_change(&self, seq: Seq) -> Result<Arc<Change>, StoreError> {
        let change = self.change(seq)?.filter(|change| change.entry.new_revision.is_some());
        let missing = || StoreError::damaged_at(seq, "the change that created a revision is missing");
        Ok(Arc::new(change.ok_or_else(missing)?))
    }

    /// The change that carried out a request; `None` if the request id is new for the article.
    pub fn request(&self, article: ArticleKey, id: &RequestId) -> Result<Option<Seq>, StoreError> {
        let key = ArticleIndexKey::Request(article, id.clone()).encode();
        self.read.get(&key)?.map(|value| seq_value(&key, &value)).transpose()
    }

    /// The changes below `bound` that carried out requests with an id, in order of the ids.
    pub fn requests(&self, article: ArticleKey, bound: Seq) -> impl Iterator<Item = Result<Seq, StoreError>> + use<'a> {
        self.read.scan(ArticleIndexKey::requests(article), Direction::Forward).filter_map(move |entry| {
            let read = entry.map_err(StoreError::from).and_then(|(key, value)| seq_value(&key, &value));
            (!read.as_ref().is_ok_and(|seq| *seq >= bound)).then_some(read)
        })
    }

    /// The changes below `bound` that bind URLs to an article or end them, in log order.
    pub fn url_changes(
        &self,
        article: ArticleKey,
        bound: Seq,
    ) -> impl Iterator<Item = Result<Seq, StoreError>> + use<'a> {
        self.read.scan(ArticleIndexKey::urls(article), Direction::Forward).filter_map(move |entry| {
            let read = entry.map_err(StoreError::from).and_then(|(key, value)| {
                unseal(&key, &value)?;
                match ArticleIndexKey::decode(&key) {
                    Some(ArticleIndexKey::Url(_, seq)) => Ok(seq),
                    _ => Err(StoreError::damaged(&key, "a key of a URL is malformed")),
                }
            });
            (!read.as_ref().is_ok_and(|seq| *seq >= bound)).then_some(read)
        })
    }

    /// The changes below `bound` that alter an article's labels, in log order or against it.
    pub fn label_changes(
        &self,
        article: ArticleKey,
        direction: Direction,
        bound: Seq,
    ) -> impl Iterator<Item = Result<Seq, StoreError>> + use<'a> {
        self.read.scan(ArticleIndexKey::labels(article), direction).filter_map(move |entry| {
            let read = entry.map_err(StoreError::from).and_then(|(key, value)| {
                unseal(&key, &value)?;
                match ArticleIndexKey::decode(&key) {
                    Some(ArticleIndexKey::Label(_, seq)) => Ok(seq),
                    _ => Err(StoreError::damaged(&key, "a key of a label is malformed")),
                }
            });
            (!read.as_ref().is_ok_and(|seq| *seq >= bound)).then_some(read)
        })
    }

    /// The entries of a URL below `bound`, in log order or against it.
    pub fn url_entries(
        &self,
        url: &UrlKey,
        direction: Direction,
        bound: Seq,
    ) -> impl Iterator<Item = Result<UrlEntry, StoreError>> + use<'a> {
        self.read.scan(UrlIndexKey::of_url(url), direction).filter_map(move |entry| url_entry(entry, bound).transpose())
    }

    /// The entries of all URLs whose keys begin with `beginning`, from those of `from` on, below `bound`: by URL key, then
    /// in log order.
    pub fn url_entries_within(
        &self,
        beginning: &str,
        from: Option<&UrlKey>,
        bound: Seq,
    ) -> impl Iterator<Item = Result<(UrlKey, UrlEntry), StoreError>> + use<'a> {
        self.read.scan(UrlIndexKey::of_urls(beginning, from), Direction::Forward).filter_map(move |entry| {
            let key = entry.as_ref().ok().and_then(|(key, _)| UrlIndexKey::decode(key)).map(|key| key.url);
            let read = url_entry(entry, bound).transpose()?;
            Some(read.and_then(|entry| {
                let missing = || StoreError::damaged_at(entry.seq, "the key of a URL is malformed");
                Ok((key.ok_or_else(missing)?, entry))
            }))
        })
    }

    /// The entry that says where a URL leads at `at`, as known below `bound`: the latest that covers it, or the first
    /// on the observe axis if `at` is before that. `None` if nothing is known of the URL.
    pub fn url_at(&self, url: &UrlKey, at: Timestamp, bound: Seq) -> Result<Option<UrlEntry>, StoreError> {
        let mut first: Option<UrlEntry> = None;
        for entry in self.url_entries(url, Direction::Reverse, bound) {
            let entry = entry?;
            if entry.covers(at) || (entry.is_whole && first.is_none()) {
                return Ok(Some(entry));
            }
            // Of several that begin at one instant, the latest counts.
            if first.is_none_or(|first| entry.since < first.since) {
                first = Some(entry);
            }
        }
        Ok(first)
    }

    /// The latest entry of a URL below `bound`.
    pub fn latest_url_entry(&self, url: &UrlKey, bound: Seq) -> Result<Option<UrlEntry>, StoreError> {
        self.url_entries(url, Direction::Reverse, bound).next().transpose()
    }

    /// A source's statistics as last written, and as they were before that commit.
    pub fn source_stats(&self, source: &SourceId) -> Result<Option<(SourceStats, Option<SourceStats>)>, StoreError> {
        let key = SourceKey(source.clone()).encode();
        self.read.get(&key)?.map(|value| stats::from_value(&key, &value)).transpose()
    }

    /// The sources after `after`, with their statistics below `bound`. `bound` must be the durable tail or later: the
    /// engine is at most one commit ahead of it, and statistics are kept for the last commit and the one before.
    pub fn sources(
        &self,
        after: Option<&SourceId>,
        bound: Seq,
    ) -> impl Iterator<Item = Result<(SourceId, SourceStats), StoreError>> + use<'a> {
        let mut range = SourceKey::all();
        if let Some(after) = after {
            range.start = Bound::Excluded(SourceKey(after.clone()).encode());
        }
        self.read.scan(range, Direction::Forward).filter_map(move |entry| {
            let read = entry.map_err(StoreError::from).and_then(|(key, value)| {
                let source =
                    SourceKey::decode(&key).ok_or_else(|| StoreError::damaged(&key, "a source is malformed"))?;
                let (last, before) = stats::from_value(&key, &value)?;
                let stats = if last.seq < bound { Some(last) } else { before };
                Ok(stats.map(|stats| (source.0, stats)))
            });
            read.transpose()
        })
    }

    /// The changes from `from` up to but not including `end`, in order. A missing one ends them with
    /// [`StoreError::Damaged`].
    pub fn changes(&self, from: Seq, end: Seq) -> impl Iterator<Item = Result<Change, StoreError>> + use<'a> {
        let mut expected = from;
        self.read.scan(LogKey::between(from, end), Direction::Forward).map(move |entry| {
            let (key, value) = entry?;
            let change = record::decode(&key, &value)?;
            if change.seq != expected {
                return Err(StoreError::damaged_at(expected, "a change of the log is missing"));
            }
            expected = change.seq.next();
            Ok(change)
        })
    }

    /// All durable subscriptions by name, without their parked changes.
    pub fn subscriptions(
        &self,
    ) -> impl Iterator<Item = Result<(SubscriptionId, SubscriptionRecord), StoreError>> + use<'a> {
        self.read.scan(SubscriptionKey::all(), Direction::Forward).map(|entry| {
            let (key, value) = entry?;
            subscription::decode(&key, &value)
        })
    }

    /// The parked changes of all durable subscriptions, by subscription and position.
    pub fn parked_changes(&self) -> impl Iterator<Item = Result<(ParkedKey, ParkedChange), StoreError>> + use<'a> {
        self.read.scan(ParkedKey::all(), Direction::Forward).map(|entry| {
            let (key, value) = entry?;
            subscription::decode_parked(&key, &value)
        })
    }

    /// A fact about the archive as a whole.
    pub fn meta(&self, key: MetaKey) -> Result<Option<Vec<u8>>, StoreError> {
        let key = key.encode();
        let Some(value) = self.read.get(&key)? else { return Ok(None) };
        Ok(Some(unseal(&key, &value)?.to_vec()))
    }
}

impl From<TimeEntry> for InForce {
    fn from(entry: TimeEntry) -> Self {
        Self {
            revision: entry.revision,
            created_seq: entry.created_seq,
            since: entry.point.observe_time,
            known_seq: entry.point.seq,
        }
    }
}

/// The writes. Each seals its value and adds it to the batch.
impl Batch {
    /// Writes an article's name.
    pub fn put_name(&mut self, name: &ArticleName, article: ArticleKey, seq: Seq) {
        self.put(NameKey(name.clone()).encode(), [article.0.to_be_bytes(), seq.0.to_be_bytes()].concat());
    }

    /// Writes an article's head.
    pub fn put_head(&mut self, article: ArticleKey, head: &ArticleHead) {
        let (key, value) = head.encode(article);
        self.writes.insert(key, Some(value));
    }

    /// Writes which change created a revision.
    pub fn put_revision(&mut self, article: ArticleKey, number: RevisionNumber, seq: Seq) {
        self.put(ArticleIndexKey::Revision(article, number).encode(), seq.0.to_be_bytes().to_vec());
    }

    /// Writes an entry of the time table or the sighting table.
    pub fn put_time_entry(&mut self, table: TimeTable, article: ArticleKey, entry: TimeEntry) {
        let mut value = entry.revision.get().to_be_bytes().to_vec();
        value.extend(entry.created_seq.0.to_be_bytes());
        self.put(table.key(article, entry.point).encode(), value);
    }

    /// Writes a state change.
    pub fn put_state_change(&mut self, article: ArticleKey, state: StateChange) {
        let point = TimePoint { observe_time: state.since, seq: state.seq };
        self.put(TimeTable::State.key(article, point).encode(), vec![u8::from(state.withdrawn)]);
    }

    /// Writes an absence.
    pub fn put_absence(&mut self, article: ArticleKey, AbsenceEntry { point, look }: AbsenceEntry) {
        let mut value = vec![look.reason.number()];
        value.extend(look.http_status.to_be_bytes());
        value.extend(look.gone_after.to_be_bytes());
        self.put(TimeTable::Absence.key(article, point).encode(), value);
    }

    /// Writes which change carried out a request.
    pub fn put_request(&mut self, article: ArticleKey, id: &RequestId, seq: Seq) {
        self.put(ArticleIndexKey::Request(article, id.clone()).encode(), seq.0.to_be_bytes().to_vec());
    }

    /// Writes that the change at `seq` binds URLs to the article or ends them.
    pub fn put_url_change(&mut self, article: ArticleKey, seq: Seq) {
        self.put(ArticleIndexKey::Url(article, seq).encode(), Vec::new());
    }

    /// Writes that the change at `seq` alters the article's labels.
    pub fn put_label_change(&mut self, article: ArticleKey, seq: Seq) {
        self.put(ArticleIndexKey::Label(article, seq).encode(), Vec::new());
    }

    /// Writes where a URL leads over a period.
    pub fn put_url(&mut self, url: &UrlKey, entry: UrlEntry) {
        let mut value = entry.article.0.to_be_bytes().to_vec();
        value.extend(super::key::time_to_bytes(entry.since));
        value.push(u8::from(entry.leads) | u8::from(entry.is_whole) << 1);
        value.extend(entry.until.into_iter().flat_map(super::key::time_to_bytes));
        self.put(UrlIndexKey { url: url.clone(), seq: entry.seq }.encode(), value);
    }

    /// Writes a full tile of the Merkle tree.
    pub fn put_tile(&mut self, tile: &Tile) {
        self.put(TileKey(tile.id).encode(), tile.hashes.iter().flat_map(|hash| hash.0).collect());
    }

    /// Writes that the files of the database have had text since `time` that was destroyed.
    pub fn put_destruction_pending(&mut self, time: Timestamp) {
        self.put_meta(MetaKey::DestructionPending, time.micros().to_be_bytes().to_vec());
    }

    /// Removes a key.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.writes.insert(key, None);
    }

    /// Writes a source's statistics.
    pub fn put_source(&mut self, source: &SourceId, stats: SourceStats, before: Option<SourceStats>) {
        self.put(SourceKey(source.clone()).encode(), stats::to_payload(stats, before));
    }

    /// Writes a fact about the archive as a whole.
    pub fn put_meta(&mut self, key: MetaKey, value: Vec<u8>) {
        self.put(key.encode(), value);
    }

    pub(super) fn put(&mut self, key: Vec<u8>, payload: Vec<u8>) {
        let value = seal(&key, payload);
        self.writes.insert(key, Some(value));
    }
}

fn seq_value(key: &[u8], value: &[u8]) -> Result<Seq, StoreError> {
    let mut fields = Fields(unseal(key, value)?);
    let seq = fields.u64().and_then(|seq| fields.end(Seq(seq)));
    seq.ok_or_else(|| StoreError::damaged(key, "a position cannot be read"))
}

fn name_value(key: &[u8], value: &[u8]) -> Result<(ArticleKey, Seq), StoreError> {
    let mut fields = Fields(unseal(key, value)?);
    let read = fields.u64().zip(fields.u64());
    let (article, seq) = read.ok_or_else(|| StoreError::damaged(key, "a name's article cannot be read"))?;
    Ok((ArticleKey(article), Seq(seq)))
}

fn name_entry(
    entry: Result<(Vec<u8>, Vec<u8>), EngineError>,
    bound: Seq,
) -> Result<Option<(ArticleName, ArticleKey)>, StoreError> {
    let (key, value) = entry?;
    let (article, seq) = name_value(&key, &value)?;
    let name = NameKey::decode(&key).ok_or_else(|| StoreError::damaged(&key, "a name is malformed"))?;
    Ok((seq < bound).then_some((name.0, article)))
}

fn time_entry(entry: Result<(Vec<u8>, Vec<u8>), EngineError>, bound: Seq) -> Result<Option<TimeEntry>, StoreError> {
    let (key, value) = entry?;
    let malformed = || StoreError::damaged(&key, "an observation cannot be read");
    let point = match ArticleIndexKey::decode(&key) {
        Some(ArticleIndexKey::Time(_, point) | ArticleIndexKey::Sighting(_, point)) => point,
        _ => return Err(malformed()),
    };
    if point.seq >= bound {
        return Ok(None);
    }
    let mut fields = Fields(unseal(&key, &value)?);
    let revision = fields.u32().and_then(RevisionNumber::new).ok_or_else(malformed)?;
    let created_seq = fields.u64().map(Seq).ok_or_else(malformed)?;
    Ok(Some(TimeEntry { point, revision, created_seq }))
}

fn url_entry(entry: Result<(Vec<u8>, Vec<u8>), EngineError>, bound: Seq) -> Result<Option<UrlEntry>, StoreError> {
    let (key, value) = entry?;
    let malformed = || StoreError::damaged(&key, "a URL's article cannot be read");
    let seq = UrlIndexKey::decode(&key).ok_or_else(malformed)?.seq;
    if seq >= bound {
        return Ok(None);
    }
    let mut fields = Fields(unseal(&key, &value)?);
    let article = ArticleKey(fields.u64().ok_or_else(malformed)?);
    let since = fields.time().ok_or_else(malformed)?;
    let flags = fields.u8().filter(|flags| *flags < 4).ok_or_else(malformed)?;
    let until = match fields.0 {
        [] => None,
        _ => Some(fields.time().ok_or_else(malformed)?),
    };
    let entry = UrlEntry { article, leads: flags & 1 != 0, since, until, is_whole: flags & 2 != 0, seq };
    fields.end(Some(entry)).ok_or_else(malformed)
}

fn state_change_entry(
    entry: Result<(Vec<u8>, Vec<u8>), EngineError>,
    bound: Seq,
) -> Result<Option<StateChange>, StoreError> {
    let (key, value) = entry?;
    let malformed = || StoreError::damaged(&key, "a state change cannot be read");
    let Some(ArticleIndexKey::State(_, point)) = ArticleIndexKey::decode(&key) else { return Err(malformed()) };
    if point.seq >= bound {
        return Ok(None);
    }
    let withdrawn = match unseal(&key, &value)? {
        [0] => false,
        [1] => true,
        _ => return Err(malformed()),
    };
    Ok(Some(StateChange { withdrawn, seq: point.seq, since: point.observe_time }))
}

fn absence_entry(
    entry: Result<(Vec<u8>, Vec<u8>), EngineError>,
    bound: Seq,
) -> Result<Option<AbsenceEntry>, StoreError> {
    let (key, value) = entry?;
    let malformed = || StoreError::damaged(&key, "an absence cannot be read");
    let Some(ArticleIndexKey::Absence(_, point)) = ArticleIndexKey::decode(&key) else { return Err(malformed()) };
    if point.seq >= bound {
        return Ok(None);
    }
    let mut fields = Fields(unseal(&key, &value)?);
    let reason = fields.u8().and_then(|reason| AbsenceReason::from_number(reason.into())).ok_or_else(malformed)?;
    let (http_status, gone_after) = fields.u32().zip(fields.u32()).ok_or_else(malformed)?;
    Ok(Some(AbsenceEntry { point, look: AbsenceLook { reason, http_status, gone_after } }))
}
