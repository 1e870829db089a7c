//! How often an article was looked at on each day, and what the looks found.
//!
//! The days are those of the observe axis, in UTC. A page that shows a year needs no look by itself, so they are counted
//! as they are read. A count ends after 50,000 looks of a kind, and says so.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use jiff::civil::Date;

use crate::archive::read::article::known;
use crate::archive::read::list::EXAMINED_MAX;
use crate::archive::read::point::ReadPoint;
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{ArticleName, Timestamp};
use crate::store::engine::Direction;
use crate::store::key::article::TimeTable;

/// The looks of one kind that are counted.
const LOOKS_MAX: usize = 50_000;

/// The looks at an article over a period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    /// The days with a look.
    pub days: BTreeMap<Date, Day>,
    /// The first and the last observe time at which a revision was created, over all time.
    pub revised: Option<(Timestamp, Timestamp)>,
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
    let mut calendar = Calendar::default();
    let all = (Bound::Unbounded, Bound::Unbounded);
    for (examined, revision) in tables.revisions(entry.article, all, Direction::Forward, below).enumerate() {
        if examined == EXAMINED_MAX {
            calendar.is_cut_off = true;
            break;
        }
        let change = scan.change(revision?.1)?;
        let time = change.entry.observe_time;
        let (first, last) = calendar.revised.unwrap_or((time, time));
        calendar.revised = Some((first.min(time), last.max(time)));
        if period.contains(&time) {
            let delta = change.entry.revision_with_content().and_then(|record| record.word_delta).unwrap_or_default();
            let day = calendar.days.entry(time.day()).or_default();
            day.revisions += 1;
            day.words_changed = day.words_changed.saturating_add(delta.inserted).saturating_add(delta.deleted);
        }
    }
    let times = (Bound::Included(period.start), Bound::Excluded(period.end));
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
