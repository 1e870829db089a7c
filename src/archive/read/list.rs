//! Lists: of articles by name or by latest change, of an article's revisions, and of sources.
//!
//! A list of articles or revisions is of one cut: its pages hand on the stamp of the first, and a position in its
//! order. A page examines a bounded number of articles, so it may be short, or empty with more to come.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use crate::archive::error::ArchiveError;
use crate::archive::read::article::known;
use crate::archive::read::article::latest_below;
use crate::archive::read::article::render;
use crate::archive::read::article::revision_of;
use crate::archive::read::article::steps_at;
use crate::archive::read::article::urls;
use crate::archive::read::article::{ArticleAt, RevisionAt, StepsAt, View};
use crate::archive::read::cache::HeadEntry;
use crate::archive::read::matching::attributes_pass;
use crate::archive::read::matching::name_passes;
use crate::archive::read::matching::state_passes;
use crate::archive::read::point::ReadPoint;
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{ArticleFilter, ArticleKey, ArticleName, RevisionNumber, Seq, SourceId, Timestamp};
use crate::store::engine::Direction;
use crate::store::key::article::TimeTable;
use crate::store::stats::SourceStats;
use crate::store::{StoreError, Tables};

/// How many articles one page examines at most.
pub const EXAMINED_MAX: usize = 20_000;
/// A page ends with the item that takes it beyond this, so that no more is read than an answer may hold, roughly:
/// what is sent of it is measured where it is sent.
pub const PAGE_CONTENT_BYTES: usize = 2 << 20;

/// Which articles, in which order.
#[derive(Clone, Debug)]
pub struct ArticleQuery {
    /// Of this source; `None` is all.
    pub source: Option<SourceId>,
    /// Which of them.
    pub filter: ArticleFilter,
    /// How much of each.
    pub view: View,
    /// How many a page.
    pub page_size: usize,
    /// The page ends with the article that takes its contents beyond this.
    pub content_bytes_max: usize,
}

/// A page of a list, and where the next one begins; `None` after the last.
#[derive(Clone, Debug)]
pub struct Page<T, P> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins.
    pub next: Option<P>,
}

/// The order of a list of revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevisionOrder {
    /// By number, the highest first.
    NewestFirst,
    /// By number, the lowest first.
    OldestFirst,
}

/// A revision, and when it was seen.
#[derive(Clone, Debug)]
pub struct RevisionEntry {
    /// The revision.
    pub revision: RevisionAt,
    /// How many observations found it.
    pub observation_count: u32,
    /// The earliest of them.
    pub first_seen: Timestamp,
    /// The latest of them.
    pub last_seen: Timestamp,
}

/// The articles after `after`, by name.
pub(crate) fn by_name(
    reader: &Reader<'_>,
    point: &ReadPoint,
    query: &ArticleQuery,
    after: Option<&ArticleName>,
) -> Result<Page<ArticleAt, ArticleName>, ReadError> {
    let (tables, reader) = (reader.tables()?, reader.unkept());
    let mut page = Page { items: Vec::new(), next: None };
    let mut last: Option<ArticleName> = None;
    let mut bytes = 0;
    for (examined, entry) in names(&tables, point, query, after).enumerate() {
        let (name, article) = entry?;
        if page.items.len() == query.page_size || examined == EXAMINED_MAX || bytes > query.content_bytes_max {
            page.next = last;
            break;
        }
        if is_asked_for(query, &name) {
            let item = examine(&reader, point, query, &reader.head_of(article)?)?;
            bytes += item.as_ref().map_or(0, |item| item.weight_bytes());
            page.items.extend(item);
        }
        last = Some(name);
    }
    Ok(page)
}

/// The articles after `after` that may be asked for: those that are named, or else all of the source, or of all.
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
    let there = move |name: &'a ArticleName| {
        tables.article(name, below).map(|article| article.map(|article| (name.clone(), article))).transpose()
    };
    Box::new(named.into_iter().filter_map(there))
}

/// The articles whose latest change is below `before`, the latest first. A position is the last one examined.
pub(crate) fn by_latest_change(
    reader: &Reader<'_>,
    point: &ReadPoint,
    query: &ArticleQuery,
    before: Option<Seq>,
) -> Result<Page<ArticleAt, Seq>, ReadError> {
    let reader = reader.unkept();
    let mut page = Page { items: Vec::new(), next: None };
    let mut seq = before.unwrap_or(point.below()).min(point.below());
    let (mut examined, mut bytes) = (0, 0);
    // An article's latest change below the bound is looked for once, however often the article changed.
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
        if latest_seq == at && is_asked_for(query, &entry.head.name) {
            let item = examine(&reader, point, query, &entry)?;
            bytes += item.as_ref().map_or(0, |item| item.weight_bytes());
            page.items.extend(item);
        }
    }
    Ok(page)
}

/// What the query says of the name alone.
fn is_asked_for(query: &ArticleQuery, name: &ArticleName) -> bool {
    query.source.as_ref().is_none_or(|source| *source == name.source) && name_passes(&query.filter, name)
}

/// The article, if it is there at the cut and the filter lets it pass.
fn examine(
    reader: &Reader<'_>,
    point: &ReadPoint,
    query: &ArticleQuery,
    entry: &HeadEntry,
) -> Result<Option<ArticleAt>, ReadError> {
    let steps = match steps_at(reader, point, entry) {
        Ok(steps) => steps,
        Err(ReadError::Failed(ArchiveError::Missing(_))) => return Ok(None),
        Err(error) => return Err(error),
    };
    if !passes(reader, point, &query.filter, entry, &steps)? {
        return Ok(None);
    }
    render(reader, point, entry, steps, query.view).map(Some)
}

fn passes(
    reader: &Reader<'_>,
    point: &ReadPoint,
    filter: &ArticleFilter,
    entry: &HeadEntry,
    steps: &StepsAt,
) -> Result<bool, ReadError> {
    let withdrawn = steps.state.is_some_and(|state| state.withdrawn);
    if !state_passes(filter, withdrawn, steps.step.since) {
        return Ok(false);
    }
    if !attributes_pass(filter, &*reader.change(steps.step.created_seq)?) {
        return Ok(false);
    }
    let Some(prefix) = &filter.url_prefix else { return Ok(true) };
    Ok(urls(reader, entry, point.below())?.iter().any(|(url, _)| url.key.starts_with(prefix)))
}

/// The revisions of an article in order of number, from the position on, as far as they were observed at or before
/// the cut's observe time.
pub(crate) fn revisions(
    reader: &Reader<'_>,
    point: &ReadPoint,
    name: &ArticleName,
    order: RevisionOrder,
    after: Option<RevisionNumber>,
    (page_size, view): (usize, View),
) -> Result<Page<RevisionEntry, RevisionNumber>, ReadError> {
    let entry = known(reader, point, name)?;
    let (tables, reader) = (reader.tables()?, reader.unkept());
    let edge = after.map_or(Bound::Unbounded, Bound::Excluded);
    let (numbers, direction) = match order {
        RevisionOrder::OldestFirst => ((edge, Bound::Unbounded), Direction::Forward),
        RevisionOrder::NewestFirst => ((Bound::Unbounded, edge), Direction::Reverse),
    };
    let sightings = sightings(&reader, point, &entry)?;
    let mut page = Page { items: Vec::new(), next: None };
    let (mut last, mut bytes) = (None, 0);
    for revision in tables.revisions(entry.article, numbers, direction, point.below()) {
        let (number, seq) = revision?;
        let change = reader.change(seq)?;
        let made_at = Some(change.entry.observe_time).filter(|made| point.observe_time.is_none_or(|at| *made <= at));
        let Some(seen) = Seen::of(made_at, sightings.get(&number)) else { continue };
        if page.items.len() == page_size || bytes > PAGE_CONTENT_BYTES {
            page.next = last;
            break;
        }
        let revision = revision_of(&reader, name.clone(), number, change, view)?;
        bytes += revision.weight_bytes();
        page.items.push(RevisionEntry {
            revision,
            observation_count: seen.count,
            first_seen: seen.first,
            last_seen: seen.last,
        });
        last = Some(number);
    }
    Ok(page)
}

/// When a revision was seen, as far as the cut goes.
#[derive(Clone, Copy)]
struct Seen {
    count: u32,
    first: Timestamp,
    last: Timestamp,
}

impl Seen {
    fn once(at: Timestamp) -> Self {
        Self { count: 1, first: at, last: at }
    }

    /// With the observation that made a revision, which may be later than its sightings; `None` where it was not
    /// seen at all.
    fn of(made_at: Option<Timestamp>, sightings: Option<&Self>) -> Option<Self> {
        match (made_at.map(Self::once), sightings) {
            (Some(made), Some(sightings)) => Some(made.and(*sightings)),
            (made, sightings) => made.or(sightings.copied()),
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

/// The sightings of each revision up to the cut's observe time.
fn sightings(
    reader: &Reader<'_>,
    point: &ReadPoint,
    entry: &HeadEntry,
) -> Result<BTreeMap<RevisionNumber, Seen>, ReadError> {
    let times = (Bound::Unbounded, point.observe_time.map_or(Bound::Unbounded, Bound::Included));
    let mut seen: BTreeMap<RevisionNumber, Seen> = BTreeMap::new();
    let tables = reader.tables()?;
    for sighting in tables.observed(TimeTable::Sighting, entry.article, times, Direction::Forward, point.below()) {
        let sighting = sighting?;
        let once = Seen::once(sighting.point.observe_time);
        seen.entry(sighting.revision).and_modify(|seen| *seen = seen.and(once)).or_insert(once);
    }
    Ok(seen)
}

/// The sources after `after`, by name.
pub(crate) fn sources(
    reader: &Reader<'_>,
    below: Seq,
    after: Option<&SourceId>,
    page_size: usize,
) -> Result<Page<(SourceId, SourceStats), SourceId>, ReadError> {
    let mut items: Vec<(SourceId, SourceStats)> = Vec::new();
    for source in reader.tables()?.sources(after, below) {
        let source = source?;
        if items.len() == page_size {
            let next = items.last().map(|(id, _)| id.clone());
            return Ok(Page { items, next });
        }
        items.push(source);
    }
    Ok(Page { items, next: None })
}
