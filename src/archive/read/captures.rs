//! The captures of an address: the looks at the articles that it led to, each with the revision that the look found.
//!
//! ```text
//! address      ├── led to article A ──────────────┤ led to article B ─────────────▶
//! looks at A       ●        ○        ○        ●        (not at this address any more)
//! looks at B                                      (not yet)   ●       ○
//! captures         ●        ○        ○        ●               ●       ○            ● new text   ○ the same again
//! ```
//!
//! Web archives tell captures apart by the second. Of several within one second, the last one counts. A look whose text
//! was destroyed is still a capture, as its revision still has a place in the article's history.

use std::iter;
use std::ops::Bound;

use crate::archive::project::addresses;
use crate::archive::read::list::EXAMINED_MAX;
use crate::archive::read::point::ReadPoint;
use crate::archive::read::reader::{ReadError, Reader};
use crate::archive::{Archive, ArchiveError};
use crate::model::{ArticleKey, ArticleName, RevisionNumber, Seq, SourceScope, Timestamp, UrlKey};
use crate::store::address::{AddressSteps, Period, UrlEntry};
use crate::store::engine::Direction;
use crate::store::key::article::TimeTable;
use crate::store::tables::TimeEntry;
use crate::store::{StoreError, Tables};

const SECOND_MICROS: i64 = 1_000_000;

/// Selects captures of an address.
#[derive(Clone, Debug)]
pub struct CaptureQuery {
    /// The sources whose articles are visible.
    pub within: SourceScope,
    /// The first instant of the observe axis.
    pub from: Timestamp,
    /// The last instant of the observe axis.
    pub until: Timestamp,
    /// The order of the captures.
    pub order: CaptureOrder,
    /// The most captures on a page.
    pub captures_max: usize,
}

/// The order of a list of captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureOrder {
    /// By observe time, the earliest first.
    OldestFirst,
    /// By observe time, the latest first.
    NewestFirst,
}

/// A look at an address that found a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The article that the address led to.
    pub article: ArticleName,
    /// When it was looked at.
    pub observe_time: Timestamp,
    /// The revision that was found.
    pub revision: RevisionNumber,
    /// Whether an earlier look had found the same revision.
    pub is_sighting: bool,
    /// The position of the change that created the revision.
    pub(crate) created_seq: Seq,
}

impl Capture {
    /// The capture of a second with both looks, which is the later one. The look that created its revision still counts.
    fn of_both(earlier: &Self, later: Self) -> Self {
        let is_same = (&earlier.article, earlier.revision) == (&later.article, later.revision);
        Self { is_sighting: later.is_sighting && (earlier.is_sighting || !is_same), ..later }
    }
}

/// A page of captures.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    /// The captures, in the order of the query.
    pub items: Vec<Capture>,
    /// The second from which to continue, or with the newest first, the last one to include; `None` if there are no more.
    pub next: Option<Timestamp>,
}

/// The captures of an address around an instant.
#[derive(Clone, Debug)]
pub struct CapturesAround {
    /// The last one at or before the instant; if there is none, the first one.
    pub nearest: Capture,
    /// The one before `nearest`.
    pub previous: Option<Capture>,
    /// The one after `nearest`.
    pub next: Option<Capture>,
    /// The first of all.
    pub first: Capture,
    /// The last of all.
    pub last: Capture,
}

/// For the layers above.
#[doc(hidden)]
impl Archive {
    /// Lists the captures of an address: the looks at the articles that it led to.
    pub async fn captures(&self, point: ReadPoint, url: UrlKey, query: CaptureQuery) -> Result<Captures, ArchiveError> {
        self.read_in(&self.pools.scans, move |reader| captures(reader, &point, &url, &query)).await
    }

    /// Finds the captures of an address around an instant of the observe axis; `None` if it has none.
    pub async fn captures_around(
        &self,
        point: ReadPoint,
        url: UrlKey,
        within: SourceScope,
        at: Timestamp,
    ) -> Result<Option<CapturesAround>, ArchiveError> {
        self.read(move |reader| around(reader, &point, &url, &within, at)).await
    }
}

/// The articles that an address led to, with the periods.
pub(crate) struct Leads {
    /// In order of time.
    led: Vec<(Period, ArticleKey, ArticleName)>,
}

impl Leads {
    /// Reads where an address led, as far as that is visible.
    pub(crate) fn of(
        reader: &Reader<'_>,
        point: &ReadPoint,
        url: &UrlKey,
        within: &SourceScope,
    ) -> Result<Self, ReadError> {
        Self::from_entries(reader, &addresses::entries(&reader.tables()?, url, point.below())?, within)
    }

    /// Where an address led by all its entries, as far as that is visible.
    pub(crate) fn from_entries(
        reader: &Reader<'_>,
        entries: &[UrlEntry],
        within: &SourceScope,
    ) -> Result<Self, ReadError> {
        let mut led = Vec::new();
        for (period, article) in AddressSteps::of(entries).leads() {
            let name = reader.head_of(article)?.head.name.clone();
            if within.has(&name.source) {
                led.push((period, article, name));
            }
        }
        Ok(Self { led })
    }

    /// Whether it never led to a visible article.
    pub(crate) fn is_empty(&self) -> bool {
        self.led.is_empty()
    }

    /// Whether it led to an article, which is visible.
    pub(crate) fn has(&self, article: ArticleKey) -> bool {
        self.led.iter().any(|(_, led, _)| *led == article)
    }

    /// A page of captures.
    pub(crate) fn captures(
        &self,
        tables: &Tables<'_>,
        below: Seq,
        query: &CaptureQuery,
    ) -> Result<Captures, StoreError> {
        let direction = match query.order {
            CaptureOrder::OldestFirst => Direction::Forward,
            CaptureOrder::NewestFirst => Direction::Reverse,
        };
        let mut led: Vec<_> = self.led.iter().collect();
        if direction == Direction::Reverse {
            led.reverse();
        }
        let (mut page, mut examined) = (Captures::default(), 0);
        for (period, article, name) in led {
            let from = period.since.max(query.from);
            let last = period.until.map_or(Timestamp::MAX, |until| until.saturating_add_micros(-1));
            let until = last.min(query.until);
            if from > until {
                continue;
            }
            let times = (Bound::Included(from), Bound::Included(until));
            for look in looks(tables, *article, times, direction, below) {
                let look = look?;
                let at = look.point.observe_time;
                let is_same_second = page.items.last().is_some_and(|last| second(last.observe_time) == second(at));
                let is_full = page.items.len() >= query.captures_max && !is_same_second;
                if is_full || examined >= EXAMINED_MAX {
                    page.end_before(query, at);
                    return Ok(page);
                }
                examined += 1;
                let capture = Capture {
                    article: name.clone(),
                    observe_time: at,
                    revision: look.revision,
                    is_sighting: look.point.seq != look.created_seq,
                    created_seq: look.created_seq,
                };
                match page.items.last_mut().filter(|_| is_same_second) {
                    None => page.items.push(capture),
                    Some(last) if direction == Direction::Forward => *last = Capture::of_both(last, capture),
                    Some(last) => *last = Capture::of_both(&capture, last.clone()),
                }
            }
        }
        Ok(page)
    }
}

/// A page of the captures of an address.
fn captures(reader: &Reader<'_>, point: &ReadPoint, url: &UrlKey, query: &CaptureQuery) -> Result<Captures, ReadError> {
    let leads = Leads::of(reader, point, url, &query.within)?;
    Ok(leads.captures(&reader.tables()?, point.below(), query)?)
}

/// The captures of an address around `at`; `None` if it has none.
fn around(
    reader: &Reader<'_>,
    point: &ReadPoint,
    url: &UrlKey,
    within: &SourceScope,
    at: Timestamp,
) -> Result<Option<CapturesAround>, ReadError> {
    let leads = Leads::of(reader, point, url, within)?;
    let tables = reader.tables()?;
    let one = |from, until, order| {
        let query = CaptureQuery { within: within.clone(), from, until, order, captures_max: 1 };
        Ok::<_, StoreError>(leads.captures(&tables, point.below(), &query)?.items.pop())
    };
    let (oldest, newest) = (CaptureOrder::OldestFirst, CaptureOrder::NewestFirst);
    let Some(first) = one(Timestamp::MIN, Timestamp::MAX, oldest)? else { return Ok(None) };
    let Some(last) = one(Timestamp::MIN, Timestamp::MAX, newest)? else { return Ok(None) };
    let nearest = one(Timestamp::MIN, end_of_second(at), newest)?.unwrap_or_else(|| first.clone());
    let before = start_of_second(nearest.observe_time).saturating_add_micros(-1);
    let after = end_of_second(nearest.observe_time).saturating_add_micros(1);
    Ok(Some(CapturesAround {
        previous: one(Timestamp::MIN, before, newest)?,
        next: one(after, Timestamp::MAX, oldest)?,
        nearest,
        first,
        last,
    }))
}

/// The looks that found a page: those that changed what is in force, and those that confirmed it.
fn looks<'a>(
    tables: &Tables<'a>,
    article: ArticleKey,
    times: (Bound<Timestamp>, Bound<Timestamp>),
    direction: Direction,
    below: Seq,
) -> impl Iterator<Item = Result<TimeEntry, StoreError>> + use<'a> {
    let [mut steps, mut sightings] = [TimeTable::Time, TimeTable::Sighting]
        .map(|table| tables.time_entries(table, article, times, direction, below).peekable());
    iter::from_fn(move || match (steps.peek(), sightings.peek()) {
        (Some(Ok(step)), Some(Ok(sighting))) => {
            let is_step_next = match direction {
                Direction::Forward => step.point <= sighting.point,
                Direction::Reverse => step.point >= sighting.point,
            };
            if is_step_next { steps.next() } else { sightings.next() }
        }
        (Some(_), None) | (Some(Err(_)), Some(_)) => steps.next(),
        (None | Some(Ok(_)), _) => sightings.next(),
    })
}

impl Captures {
    /// Ends the page before a look at `at`, which the next page then begins with; it never begins where this one did, so
    /// that pages make progress.
    ///
    /// Of the looks within a second, the last one is a capture. If the page ends between two of them, that one is on the
    /// next page with the oldest first, and on this page with the newest first.
    fn end_before(&mut self, query: &CaptureQuery, at: Timestamp) {
        let is_same_second = self.items.last().is_some_and(|last| second(last.observe_time) == second(at));
        let next = match query.order {
            CaptureOrder::OldestFirst => start_of_second(at).max(end_of_second(query.from).saturating_add_micros(1)),
            CaptureOrder::NewestFirst => {
                let until =
                    if is_same_second { start_of_second(at).saturating_add_micros(-1) } else { end_of_second(at) };
                until.min(start_of_second(query.until).saturating_add_micros(-1))
            }
        };
        if is_same_second && query.order == CaptureOrder::OldestFirst && next <= at {
            self.items.pop();
        }
        self.next = Some(next);
    }
}

fn second(at: Timestamp) -> i64 {
    at.micros().div_euclid(SECOND_MICROS)
}

fn start_of_second(at: Timestamp) -> Timestamp {
    at.saturating_add_micros(-at.micros().rem_euclid(SECOND_MICROS))
}

fn end_of_second(at: Timestamp) -> Timestamp {
    start_of_second(at).saturating_add_micros(SECOND_MICROS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    fn page(captures: &[i64]) -> Captures {
        let capture = |micros: &i64| Capture {
            article: "press/a".parse().unwrap(),
            observe_time: at(*micros),
            revision: RevisionNumber::FIRST,
            is_sighting: true,
            created_seq: Seq::ZERO,
        };
        Captures { items: captures.iter().map(capture).collect(), next: None }
    }

    /// A page that had examined all it may between two looks of a second had the first of them, and the next page the last.
    #[test]
    fn a_second_is_on_one_page() {
        for (order, captures, end, left, next) in [
            (CaptureOrder::OldestFirst, vec![1_000_000, 2_000_001], 2_000_002, 1, 2_000_000),
            (CaptureOrder::OldestFirst, vec![1_000_000], 2_000_002, 1, 2_000_000),
            // All that was examined is within one second: the rest of it is left out.
            (CaptureOrder::OldestFirst, vec![5], 7, 1, 1_000_000),
            (CaptureOrder::NewestFirst, vec![3_000_000, 2_000_002], 2_000_001, 2, 1_999_999),
            (CaptureOrder::NewestFirst, vec![3_000_000], 2_000_001, 1, 2_999_999),
        ] {
            let mut page = page(&captures);
            let (from, until) = (at(0), at(9_000_000));
            page.end_before(&CaptureQuery { within: SourceScope::all(), from, until, order, captures_max: 9 }, at(end));
            assert_eq!((page.items.len(), page.next), (left, Some(at(next))), "{captures:?} {end}");
        }
    }
}
