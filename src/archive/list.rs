//! Lists: of articles by name or by latest change, of an article's revisions, and of sources.
//!
//! A list of articles or revisions is of one cut: its pages hand on the stamp of the first, and a position in its
//! order. A page examines a bounded number of articles, so it may be short, or empty with more to come.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use super::cache::HeadEntry;
use super::cut::Cut;
use super::error::ArchiveError;
use super::lookup::{Lookup, LookupError};
use super::matching::{attributes_pass, name_passes, state_passes};
use super::read::{ArticleAt, RevisionAt, StepsAt, View, known, latest_below, render, revision_of, steps_at, urls};
use crate::model::{ArticleFilter, ArticleKey, ArticleName, RevisionNumber, Seq, SourceId, Timestamp};
use crate::store::engine::Direction;
use crate::store::figures::SourceFigures;
use crate::store::key::article::TimeTable;
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
pub(super) fn by_name(
    lookup: &Lookup<'_>,
    cut: &Cut,
    query: &ArticleQuery,
    after: Option<&ArticleName>,
) -> Result<Page<ArticleAt, ArticleName>, LookupError> {
    let (tables, lookup) = (lookup.tables()?, lookup.unkept());
    let mut page = Page { items: Vec::new(), next: None };
    let mut last: Option<ArticleName> = None;
    let mut bytes = 0;
    for (examined, entry) in names(&tables, cut, query, after).enumerate() {
        let (name, article) = entry?;
        if page.items.len() == query.page_size || examined == EXAMINED_MAX || bytes > query.content_bytes_max {
            page.next = last;
            break;
        }
        if is_asked_for(query, &name) {
            let item = examine(&lookup, cut, query, &lookup.head_of(article)?)?;
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
    cut: &Cut,
    query: &'a ArticleQuery,
    after: Option<&ArticleName>,
) -> Box<dyn Iterator<Item = Result<(ArticleName, ArticleKey), StoreError>> + 'a> {
    let named = &query.filter.articles;
    if named.is_empty() {
        return Box::new(tables.names(query.source.as_ref(), after, cut.bound()));
    }
    let mut named: Vec<&ArticleName> = named.iter().filter(|name| after.is_none_or(|after| *name > after)).collect();
    named.sort();
    named.dedup();
    let (tables, bound) = (*tables, cut.bound());
    let there = move |name: &'a ArticleName| {
        tables.article(name, bound).map(|article| article.map(|article| (name.clone(), article))).transpose()
    };
    Box::new(named.into_iter().filter_map(there))
}

/// The articles whose latest change is below `before`, the latest first. A position is the last one examined.
pub(super) fn by_latest_change(
    lookup: &Lookup<'_>,
    cut: &Cut,
    query: &ArticleQuery,
    before: Option<Seq>,
) -> Result<Page<ArticleAt, Seq>, LookupError> {
    let lookup = lookup.unkept();
    let mut page = Page { items: Vec::new(), next: None };
    let mut seq = before.unwrap_or(cut.bound()).min(cut.bound());
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
        let article = lookup.change(at)?.entry.article;
        if latest.get(&article).is_some_and(|latest| *latest != at) {
            continue;
        }
        let entry = lookup.head_of(article)?;
        let latest_seq = latest_below(&lookup, &entry, cut.bound())?.seq;
        latest.insert(article, latest_seq);
        if latest_seq == at && is_asked_for(query, &entry.head.name) {
            let item = examine(&lookup, cut, query, &entry)?;
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
    lookup: &Lookup<'_>,
    cut: &Cut,
    query: &ArticleQuery,
    entry: &HeadEntry,
) -> Result<Option<ArticleAt>, LookupError> {
    let steps = match steps_at(lookup, cut, entry) {
        Ok(steps) => steps,
        Err(LookupError::Failed(ArchiveError::Missing(_))) => return Ok(None),
        Err(error) => return Err(error),
    };
    if !passes(lookup, cut, &query.filter, entry, &steps)? {
        return Ok(None);
    }
    render(lookup, cut, entry, steps, query.view).map(Some)
}

fn passes(
    lookup: &Lookup<'_>,
    cut: &Cut,
    filter: &ArticleFilter,
    entry: &HeadEntry,
    steps: &StepsAt,
) -> Result<bool, LookupError> {
    let withdrawn = steps.mark.is_some_and(|mark| mark.withdrawn);
    if !state_passes(filter, withdrawn, steps.step.since) {
        return Ok(false);
    }
    if !attributes_pass(filter, &*lookup.change(steps.step.made_seq)?) {
        return Ok(false);
    }
    let Some(prefix) = &filter.url_prefix else { return Ok(true) };
    Ok(urls(lookup, entry, cut.bound())?.iter().any(|(url, _)| url.key.starts_with(prefix)))
}

/// The revisions of an article in order of number, from the position on, as far as they were observed at or before
/// the cut's observe time.
pub(super) fn revisions(
    lookup: &Lookup<'_>,
    cut: &Cut,
    name: &ArticleName,
    order: RevisionOrder,
    after: Option<RevisionNumber>,
    (page_size, view): (usize, View),
) -> Result<Page<RevisionEntry, RevisionNumber>, LookupError> {
    let entry = known(lookup, cut, name)?;
    let (tables, lookup) = (lookup.tables()?, lookup.unkept());
    let edge = after.map_or(Bound::Unbounded, Bound::Excluded);
    let (numbers, direction) = match order {
        RevisionOrder::OldestFirst => ((edge, Bound::Unbounded), Direction::Forward),
        RevisionOrder::NewestFirst => ((Bound::Unbounded, edge), Direction::Reverse),
    };
    let sightings = sightings(&lookup, cut, &entry)?;
    let mut page = Page { items: Vec::new(), next: None };
    let (mut last, mut bytes) = (None, 0);
    for revision in tables.revisions(entry.article, numbers, direction, cut.bound()) {
        let (number, seq) = revision?;
        let change = lookup.change(seq)?;
        let made_at = Some(change.entry.observe_time).filter(|made| cut.observe_time.is_none_or(|at| *made <= at));
        let Some(seen) = Seen::of(made_at, sightings.get(&number)) else { continue };
        if page.items.len() == page_size || bytes > PAGE_CONTENT_BYTES {
            page.next = last;
            break;
        }
        let revision = revision_of(&lookup, name.clone(), number, change, view)?;
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
fn sightings(lookup: &Lookup<'_>, cut: &Cut, entry: &HeadEntry) -> Result<BTreeMap<RevisionNumber, Seen>, LookupError> {
    let times = (Bound::Unbounded, cut.observe_time.map_or(Bound::Unbounded, Bound::Included));
    let mut seen: BTreeMap<RevisionNumber, Seen> = BTreeMap::new();
    let tables = lookup.tables()?;
    for sighting in tables.observed(TimeTable::Sighting, entry.article, times, Direction::Forward, cut.bound()) {
        let sighting = sighting?;
        let once = Seen::once(sighting.point.observe_time);
        seen.entry(sighting.revision).and_modify(|seen| *seen = seen.and(once)).or_insert(once);
    }
    Ok(seen)
}

/// The sources after `after`, by name.
pub(super) fn sources(
    lookup: &Lookup<'_>,
    bound: Seq,
    after: Option<&SourceId>,
    page_size: usize,
) -> Result<Page<(SourceId, SourceFigures), SourceId>, LookupError> {
    let mut items: Vec<(SourceId, SourceFigures)> = Vec::new();
    for source in lookup.tables()?.sources(after, bound) {
        let source = source?;
        if items.len() == page_size {
            let next = items.last().map(|(id, _)| id.clone());
            return Ok(Page { items, next });
        }
        items.push(source);
    }
    Ok(Page { items, next: None })
}
