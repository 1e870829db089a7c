//! Lists of articles (by name or by latest change), of an article's revisions, and of sources.
//!
//! All pages of a list of articles or revisions are read at one read point: each hands on the snapshot of the first
//! page and its place in the order, so that the list neither skips nor repeats an item while the archive is written to.
//! A page is bounded in items, in bytes and in items examined. So it may be short, or even empty, with more to come;
//! only `next` says whether the list has ended.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use crate::archive::error::ArchiveError;
use crate::archive::read::article::{
    ArticleAt, InForceAt, RevisionAt, View, in_force_at, known, labels, latest_below, render, revision_of, urls,
};
use crate::archive::read::cache::HeadEntry;
use crate::archive::read::matching::{
    StateInForce, attributes_pass, changed_parts_pass, labels_pass, name_passes, state_passes,
};
use crate::archive::read::point::ReadPoint;
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{
    ArticleFilter, ArticleKey, ArticleName, ContentParts, RevisionNumber, Seq, SourceId, SourceScope, Timestamp,
};
use crate::store::engine::Direction;
use crate::store::key::article::TimeTable;
use crate::store::stats::SourceStats;
use crate::store::{StoreError, Tables};

/// The maximum number of articles or revisions that one page examines.
pub const EXAMINED_MAX: usize = 20_000;
/// A page ends with the item that takes it over this many bytes, so that not much more is read than a reply can hold.
/// The exact size of the reply is checked where it is encoded.
pub const PAGE_CONTENT_BYTES: usize = 2 << 20;

/// A query for a list of articles.
#[derive(Clone, Debug)]
pub struct ArticleQuery {
    /// Restricts the list to one source; `None` for all.
    pub source: Option<SourceId>,
    /// Restricts the list to matching articles.
    pub filter: ArticleFilter,
    /// How much of each article is read.
    pub view: View,
    /// The maximum number of articles per page.
    pub page_size: usize,
    /// The page ends with the article that takes it over this many bytes.
    pub content_bytes_max: usize,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct ListPage<T, P> {
    /// The items, in the order of the list. May be empty even if more follow.
    pub items: Vec<T>,
    /// The place to continue from; `None` if this is the last page.
    pub next: Option<P>,
}

/// A query for a list of the revisions of an article.
#[derive(Clone, Copy, Debug)]
pub struct RevisionQuery {
    /// The order of the list.
    pub order: RevisionOrder,
    /// Restricts the list to revisions that changed one of these parts; see
    /// [`RevisionRecord::has_changed`](crate::model::RevisionRecord::has_changed).
    pub changed_parts: ContentParts,
    /// How much of each revision is read.
    pub view: View,
    /// The maximum number of revisions per page.
    pub page_size: usize,
}

/// The order of a list of revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevisionOrder {
    /// By number, the highest first.
    NewestFirst,
    /// By number, the lowest first.
    OldestFirst,
}

/// A revision, with statistics of the observations that found it at or before the read point.
#[derive(Clone, Debug)]
pub struct RevisionEntry {
    /// The revision, with its content if the view includes it.
    pub revision: RevisionAt,
    /// The number of those observations.
    pub observation_count: u32,
    /// The observe time of the earliest.
    pub first_seen: Timestamp,
    /// The observe time of the latest.
    pub last_seen: Timestamp,
    /// Whether the archive knew a later observation of the article when it recorded this revision.
    pub is_late: bool,
}

/// Lists articles in order of name, starting after `after`.
pub(crate) fn by_name(
    reader: &Reader<'_>,
    point: &ReadPoint,
    query: &ArticleQuery,
    after: Option<&ArticleName>,
) -> Result<ListPage<ArticleAt, ArticleName>, ReadError> {
    let (tables, reader) = (reader.tables()?, reader.of_scan());
    let mut page = ListPage { items: Vec::new(), next: None };
    let mut last: Option<ArticleName> = None;
    let mut bytes = 0;
    for (examined, entry) in names(&tables, point, query, after).enumerate() {
        let (name, article) = entry?;
        if page.items.len() == query.page_size || examined == EXAMINED_MAX || bytes > query.content_bytes_max {
            page.next = last;
            break;
        }
        if name_matches(query, &name) {
            let item = examine(&reader, point, query, &reader.head_of(article)?)?;
            bytes += item.as_ref().map_or(0, |item| item.weight_bytes());
            page.items.extend(item);
        }
        last = Some(name);
    }
    Ok(page)
}

/// The candidates after `after`, in order of name: the articles that the filter names, or else all of the source or of
/// the archive.
fn names<'a>(
    tables: &Tables<'a>,
    point: &ReadPoint,
    query: &'a ArticleQuery,
    after: Option<&ArticleName>,
) -> Box<dyn Iterator<Item = Result<(ArticleName, ArticleKey), StoreError>> + 'a> {
    let named = &query.filter.articles;
    if named.is_empty() {
        return Box::new(tables.names(query.source.as_ref(), after, point.below()));
    }
    let mut named: Vec<&ArticleName> = named.iter().filter(|name| after.is_none_or(|after| *name > after)).collect();
    named.sort();
    named.dedup();
    let (tables, below) = (*tables, point.below());
    let resolve = move |name: &'a ArticleName| {
        tables.article(name, below).map(|article| article.map(|article| (name.clone(), article))).transpose()
    };
    Box::new(named.into_iter().filter_map(resolve))
}

/// Lists articles in order of their latest change, newest first, starting below `before`. The place to continue from is
/// the last position examined.
pub(crate) fn by_latest_change(
    reader: &Reader<'_>,
    point: &ReadPoint,
    query: &ArticleQuery,
    before: Option<Seq>,
) -> Result<ListPage<ArticleAt, Seq>, ReadError> {
    let reader = reader.of_scan();
    let mut page = ListPage { items: Vec::new(), next: None };
    let mut seq = before.unwrap_or(point.below()).min(point.below());
    let (mut examined, mut bytes) = (0, 0);
    // Remembered, so that an article's latest change is looked up once, however often the article changed.
    let mut latest: HashMap<ArticleKey, Seq> = HashMap::new();
    while let Some(at) = seq.previous() {
        if page.items.len() == query.page_size || examined == EXAMINED_MAX || bytes > query.content_bytes_max {
            page.next = Some(seq);
            break;
        }
        examined += 1;
        seq = at;
        let article = reader.change(at)?.entry.article;
        if latest.get(&article).is_some_and(|latest| *latest != at) {
            continue;
        }
        let entry = reader.head_of(article)?;
        let latest_seq = latest_below(&reader, &entry, point.below())?.seq;
        latest.insert(article, latest_seq);
        if latest_seq == at && name_matches(query, &entry.head.name) {
            let item = examine(&reader, point, query, &entry)?;
            bytes += item.as_ref().map_or(0, |item| item.weight_bytes());
            page.items.extend(item);
        }
    }
    Ok(page)
}

/// Whether the article's name matches the query.
fn name_matches(query: &ArticleQuery, name: &ArticleName) -> bool {
    query.source.as_ref().is_none_or(|source| *source == name.source) && name_passes(&query.filter, name)
}

/// The article, if it exists at this read point and matches the filter.
fn examine(
    reader: &Reader<'_>,
    point: &ReadPoint,
    query: &ArticleQuery,
    entry: &HeadEntry,
) -> Result<Option<ArticleAt>, ReadError> {
    let in_force = match in_force_at(reader, point, entry) {
        Ok(in_force) => in_force,
        Err(ReadError::Failed(ArchiveError::Missing(_))) => return Ok(None),
        Err(error) => return Err(error),
    };
    if !passes(reader, point, &query.filter, entry, &in_force)? {
        return Ok(None);
    }
    render(reader, point, entry, in_force, query.view).map(Some)
}

fn passes(
    reader: &Reader<'_>,
    point: &ReadPoint,
    filter: &ArticleFilter,
    entry: &HeadEntry,
    in_force: &InForceAt,
) -> Result<bool, ReadError> {
    if !state_passes(filter, StateInForce { state: in_force.article_state(), since: in_force.step.since }) {
        return Ok(false);
    }
    let created_by = reader.change(in_force.step.created_seq)?;
    if !(attributes_pass(filter, &created_by) && changed_parts_pass(filter.changed_parts, &created_by)) {
        return Ok(false);
    }
    if !filter.labels.is_empty() && !labels_pass(filter, &labels(reader, entry, point.below())?) {
        return Ok(false);
    }
    let Some(prefix) = &filter.url_prefix else { return Ok(true) };
    for led in urls(reader, entry, point.below())? {
        let is_match = led.url.key.starts_with(prefix);
        if is_match && led.lead_at(reader, entry.article, point.observe_time, point.below())? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Lists the revisions of an article in order of number, starting after `after`. Only those observed at or before the
/// read point's observe time are included.
pub(crate) fn revisions(
    reader: &Reader<'_>,
    point: &ReadPoint,
    name: &ArticleName,
    query: RevisionQuery,
    after: Option<RevisionNumber>,
) -> Result<ListPage<RevisionEntry, RevisionNumber>, ReadError> {
    let entry = known(reader, point, name)?;
    let (tables, reader) = (reader.tables()?, reader.of_scan());
    let edge = after.map_or(Bound::Unbounded, Bound::Excluded);
    let (numbers, direction) = match query.order {
        RevisionOrder::OldestFirst => ((edge, Bound::Unbounded), Direction::Forward),
        RevisionOrder::NewestFirst => ((Bound::Unbounded, edge), Direction::Reverse),
    };
    let sightings = sightings(&reader, point, &entry)?;
    let mut page = ListPage { items: Vec::new(), next: None };
    let (mut last, mut bytes) = (None, 0);
    for (examined, revision) in tables.revisions(entry.article, numbers, direction, point.below()).enumerate() {
        let (number, seq) = revision?;
        if examined == EXAMINED_MAX {
            page.next = last;
            break;
        }
        let change = reader.change(seq)?;
        let created_at = Some(change.entry.observe_time).filter(|time| point.observe_time.is_none_or(|at| *time <= at));
        let seen = ObservationStats::combine(created_at, sightings.get(&number));
        let Some(seen) = seen.filter(|_| changed_parts_pass(query.changed_parts, &change)) else {
            last = Some(number);
            continue;
        };
        if page.items.len() == query.page_size || bytes > PAGE_CONTENT_BYTES {
            page.next = last;
            break;
        }
        let is_late = !change.entry.latest_state.is_newest;
        let revision = revision_of(&reader, name.clone(), number, change, query.view)?;
        bytes += revision.weight_bytes();
        page.items.push(RevisionEntry {
            revision,
            is_late,
            observation_count: seen.count,
            first_seen: seen.first,
            last_seen: seen.last,
        });
        last = Some(number);
    }
    Ok(page)
}

/// Statistics of the observations of a revision, up to the read point.
#[derive(Clone, Copy)]
struct ObservationStats {
    count: u32,
    first: Timestamp,
    last: Timestamp,
}

impl ObservationStats {
    fn single(at: Timestamp) -> Self {
        Self { count: 1, first: at, last: at }
    }

    /// Combines the observation that created a revision with its sightings, which may be earlier. `None` if neither is
    /// at or before the read point.
    fn combine(created_at: Option<Timestamp>, sightings: Option<&Self>) -> Option<Self> {
        match (created_at.map(Self::single), sightings) {
            (Some(created), Some(sightings)) => Some(created.and(*sightings)),
            (created, sightings) => created.or(sightings.copied()),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }
}

/// The sightings of each revision up to the read point's observe time.
fn sightings(
    reader: &Reader<'_>,
    point: &ReadPoint,
    entry: &HeadEntry,
) -> Result<BTreeMap<RevisionNumber, ObservationStats>, ReadError> {
    let times = (Bound::Unbounded, point.observe_time.map_or(Bound::Unbounded, Bound::Included));
    let mut seen: BTreeMap<RevisionNumber, ObservationStats> = BTreeMap::new();
    let tables = reader.tables()?;
    for sighting in tables.time_entries(TimeTable::Sighting, entry.article, times, Direction::Forward, point.below()) {
        let sighting = sighting?;
        let single = ObservationStats::single(sighting.point.observe_time);
        seen.entry(sighting.revision).and_modify(|seen| *seen = seen.and(single)).or_insert(single);
    }
    Ok(seen)
}

/// Lists sources in order of name, starting after `after`.
pub(crate) fn sources(
    reader: &Reader<'_>,
    below: Seq,
    after: Option<&SourceId>,
    within: &SourceScope,
    page_size: usize,
) -> Result<ListPage<(SourceId, SourceStats), SourceId>, ReadError> {
    let mut items: Vec<(SourceId, SourceStats)> = Vec::new();
    for source in reader.tables()?.sources(after, below) {
        let source = source?;
        if !within.has(&source.0) {
            continue;
        }
        if items.len() == page_size {
            let next = items.last().map(|(id, _)| id.clone());
            return Ok(ListPage { items, next });
        }
        items.push(source);
    }
    Ok(ListPage { items, next: None })
}
