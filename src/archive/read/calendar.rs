//! How often an article was looked at on each day, and what the looks found.
//!
//! The days are those of the observe axis, in UTC. A page that shows a year needs no look by itself, so they are counted
//! as they are read. A count ends after 50,000 looks of a kind, and says so.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use jiff::civil::Date;

use crate::archive::project::absence::is_observation;
use crate::archive::read::article::known;
use crate::archive::read::list::EXAMINED_MAX;
use crate::archive::read::point::ReadPoint;
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{ArticleKey, ArticleName, Seq, Timestamp};
use crate::store::engine::Direction;
use crate::store::key::article::TimeTable;
use crate::store::{StoreError, Tables};

/// The looks of one kind that are counted.
const LOOKS_MAX: usize = 50_000;

/// The looks at an article over a period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    /// The days with a look.
    pub days: BTreeMap<Date, Day>,
    /// The first and the last look, over all time.
    pub looked: Option<(Timestamp, Timestamp)>,
    /// The last look before the period.
    pub looked_before: Option<Timestamp>,
    /// The first look after the period.
    pub looked_after: Option<Timestamp>,
    /// Whether there are more looks than were counted.
    pub is_cut_off: bool,
}

/// What the looks of a day found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// Revisions that were created.
    pub revisions: u32,
    /// Observations that confirmed a revision.
    pub sightings: u32,
    /// Looks that found the page missing.
    pub absences: u32,
    /// The words that the revisions added and removed.
    pub words_changed: u32,
}

/// Counts the looks at an article within `period`, by all that is known at the read point.
pub(crate) fn calendar(
    reader: &Reader<'_>,
    point: &ReadPoint,
    name: &ArticleName,
    period: &Range<Timestamp>,
) -> Result<Calendar, ReadError> {
    let entry = known(reader, point, name)?;
    let (tables, scan, below) = (reader.tables()?, reader.of_scan(), point.below());
    let look = |times, direction| look(&tables, entry.article, times, direction, below);
    let all = (Bound::Unbounded, Bound::Unbounded);
    let mut calendar = Calendar {
        looked: look(all, Direction::Forward)?.zip(look(all, Direction::Reverse)?),
        looked_before: look((Bound::Unbounded, Bound::Excluded(period.start)), Direction::Reverse)?,
        looked_after: look((Bound::Included(period.end), Bound::Unbounded), Direction::Forward)?,
        ..Calendar::default()
    };
    let times = (Bound::Included(period.start), Bound::Excluded(period.end));
    let steps = tables.time_entries(TimeTable::Time, entry.article, times, Direction::Forward, below);
    for (examined, step) in steps.enumerate() {
        if examined == EXAMINED_MAX {
            calendar.is_cut_off = true;
            break;
        }
        let step = step?;
        if !is_observation(&step) {
            continue;
        }
        let change = scan.change(step.created_seq)?;
        let delta = change.entry.revision_with_content().and_then(|record| record.word_delta).unwrap_or_default();
        let day = calendar.days.entry(step.point.observe_time.day()).or_default();
        day.revisions += 1;
        day.words_changed = day.words_changed.saturating_add(delta.inserted).saturating_add(delta.deleted);
    }
    let sightings = tables.time_entries(TimeTable::Sighting, entry.article, times, Direction::Forward, below);
    for (counted, sighting) in sightings.enumerate() {
        if counted == LOOKS_MAX {
            calendar.is_cut_off = true;
            break;
        }
        calendar.days.entry(sighting?.point.observe_time.day()).or_default().sightings += 1;
    }
    for (counted, absence) in tables.absences(entry.article, times, Direction::Forward, below).enumerate() {
        if counted == LOOKS_MAX {
            calendar.is_cut_off = true;
            break;
        }
        calendar.days.entry(absence?.point.observe_time.day()).or_default().absences += 1;
    }
    Ok(calendar)
}

/// The first look in `times`, of any kind, read in this direction.
fn look(
    tables: &Tables<'_>,
    article: ArticleKey,
    times: (Bound<Timestamp>, Bound<Timestamp>),
    direction: Direction,
    below: Seq,
) -> Result<Option<Timestamp>, StoreError> {
    let mut created = tables.time_entries(TimeTable::Time, article, times, direction, below);
    let created = created.find(|step| step.as_ref().map_or(true, is_observation)).transpose()?;
    let sighted = tables.time_entries(TimeTable::Sighting, article, times, direction, below).next().transpose()?;
    let missed = tables.absences(article, times, direction, below).next().transpose()?;
    let points = [created.map(|entry| entry.point), sighted.map(|entry| entry.point), missed.map(|entry| entry.point)];
    let times = points.into_iter().flatten().map(|point| point.observe_time);
    Ok(match direction {
        Direction::Forward => times.min(),
        Direction::Reverse => times.max(),
    })
}
