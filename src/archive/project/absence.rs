//! Runs of absences: which looks in a row found the page of an article missing, and whether that makes it gone.
//!
//! The looks of an article are its observations and its absences, in order of [`TimePoint`]: by observe time, and at
//! one instant in the order in which they were recorded. A run is a maximal sequence of absences without an observation
//! between them. Each absence states how many in a row it requires (`gone_after`). A run makes the article gone if one
//! of its absences is at least that far from the first; the article is then gone from the first absence on, until the
//! next observation:
//!
//! ```text
//!  looks      ● seen        ○ missing 1    ○ missing 2    ○ missing 3 of 3            ● seen
//!  ───────────┬─────────────┬──────────────┬──────────────┬───────────────────────────┬────▶ observe time
//!  state      live          gone ──────────────────────────────────────────────────── live
//!             last seen     first missed                  last missed
//! ```
//!
//! So the state at an instant within a run depends on later looks of the run, too, as far as they are known below the
//! bound of the read. That makes the answer independent of the order in which the looks were recorded.
//!
//! `gone_after` has a maximum, so a run of that many absences makes the article gone. No more of a run is ever read or
//! counted: however long it is, a read and a late look cost the same.
//!
//! Invariant: every answer is bounded by a position, and the same position always gives the same answer.

use std::ops::Bound;

use crate::archive::project::timeline::TimelineReader;
use crate::model::{Absence, AbsenceRun, ArticleKey, Limits, Seq, Timestamp};
use crate::store::engine::Direction;
use crate::store::head::ArticleHead;
use crate::store::key::article::{TimePoint, TimeTable};
use crate::store::tables::{AbsenceEntry, TimeEntry};
use crate::store::{StoreError, Tables};

type Times = (Bound<Timestamp>, Bound<Timestamp>);

/// The latest look at or before `at`, if it is an absence, with its run; from the head if that is enough. `below` must
/// be a bound that includes the change that wrote the head.
pub(crate) fn absence_at(
    tables: &Tables<'_>,
    article: ArticleKey,
    head: &ArticleHead,
    at: Timestamp,
    below: Seq,
) -> Result<Option<Absence>, StoreError> {
    match head.absence_at(at) {
        Some(absence) => Ok(absence),
        None => TimelineReader::Stored(*tables, article).absence(Some(at), below),
    }
}

/// Whether an entry of the table `Time` is an observation. Other entries say that an older revision is in force again,
/// after a late observation.
pub(crate) fn is_observation(entry: &TimeEntry) -> bool {
    entry.created_seq == entry.point.seq
}

impl TimelineReader<'_> {
    /// The latest look at or before `at` (`None`: at the end of the axis), if it is an absence, as known below `below`.
    /// Its run is counted up to this look. At most [`Limits::GONE_AFTER_MAX`] absences of it are read.
    pub(crate) fn absence(&self, at: Option<Timestamp>, below: Seq) -> Result<Option<Absence>, StoreError> {
        let source = self.source_of_looks();
        let until = (Bound::Unbounded, at.map_or(Bound::Unbounded, Bound::Included));
        let last = source.absences(until, Direction::Reverse, below).next().transpose()?;
        let Some(last) = last else { return Ok(None) };
        let seen = source.nearest_observation(until, Direction::Reverse, below)?;
        let Some(seen) = seen.filter(|seen| *seen < last.point) else { return Ok(None) };
        let mut run = source.run(seen, last, below)?;
        if let Some(at) = at.filter(|_| !run.is_gone) {
            run.is_gone = source.is_gone_later(run.count, at, below)?;
        }
        Ok(Some(Absence { look: last.look, run }))
    }

    /// The run of absences after the observation at `seen`, up to `last`. There is no other observation before `last`.
    fn run(&self, seen: TimePoint, last: AbsenceEntry, below: Seq) -> Result<AbsenceRun, StoreError> {
        let last_missed = last.point.observe_time;
        let times = (Bound::Included(seen.observe_time), Bound::Included(last_missed));
        let absences = self.absences(times, Direction::Forward, below);
        // At the instant of the observation, there may be absences that were recorded before it.
        let absences = absences.skip_while(|entry| entry.as_ref().is_ok_and(|entry| entry.point < seen));
        let mut run = AbsenceRun {
            last_seen: seen.observe_time,
            first_missed: last_missed,
            last_missed,
            count: 0,
            is_gone: false,
        };
        for (count, entry) in (1..=Limits::GONE_AFTER_MAX).zip(absences) {
            let entry = entry?;
            run.first_missed = run.first_missed.min(entry.point.observe_time);
            run.count = count;
            run.is_gone |= entry.look.gone_after <= count;
        }
        Ok(run)
    }

    /// Whether the rest of the run, after `at`, makes the article gone. The run has `count` absences up to there, and
    /// they do not.
    fn is_gone_later(&self, count: u32, at: Timestamp, below: Seq) -> Result<bool, StoreError> {
        let later = (Bound::Excluded(at), Bound::Unbounded);
        let mut absences = self.absences(later, Direction::Forward, below).peekable();
        if absences.peek().is_none() {
            return Ok(false);
        }
        let seen_again = self.nearest_observation(later, Direction::Forward, below)?;
        for (count, entry) in (count + 1..=Limits::GONE_AFTER_MAX).zip(absences) {
            let entry = entry?;
            if seen_again.is_some_and(|seen| entry.point > seen) {
                break;
            }
            if entry.look.gone_after <= count {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where the looks are read from: the tables, unless they are in memory.
    fn source_of_looks(&self) -> Self {
        match self {
            Self::Loaded(timeline, tables, article) if timeline.looks().is_none() => Self::Stored(*tables, *article),
            Self::Loaded(..) | Self::Stored(..) => *self,
        }
    }

    fn absences(
        &self,
        times: Times,
        direction: Direction,
        below: Seq,
    ) -> Box<dyn Iterator<Item = Result<AbsenceEntry, StoreError>> + '_> {
        match self {
            Self::Loaded(timeline, ..) => {
                let absences = timeline.looks().map(|looks| looks.absences.as_slice()).unwrap_or_default();
                let known = within(absences, times, direction, |entry| entry.point);
                Box::new(known.filter(move |entry| entry.point.seq < below).map(|entry| Ok(*entry)))
            }
            Self::Stored(tables, article) => Box::new(tables.absences(*article, times, direction, below)),
        }
    }

    /// The first observation in `times`, read in this direction.
    fn nearest_observation(
        &self,
        times: Times,
        direction: Direction,
        below: Seq,
    ) -> Result<Option<TimePoint>, StoreError> {
        match self {
            Self::Loaded(timeline, ..) => {
                let observations = timeline.looks().map(|looks| looks.observations.as_slice()).unwrap_or_default();
                let mut known = within(observations, times, direction, |point| *point);
                Ok(known.find(|point| point.seq < below).copied())
            }
            Self::Stored(tables, article) => {
                let mut created = tables.time_entries(TimeTable::Time, *article, times, direction, below);
                let created = created.find(|entry| entry.as_ref().map_or(true, is_observation)).transpose()?;
                let sighted = tables.time_entries(TimeTable::Sighting, *article, times, direction, below).next();
                let points = [created, sighted.transpose()?].into_iter().flatten().map(|entry| entry.point);
                Ok(match direction {
                    Direction::Forward => points.min(),
                    Direction::Reverse => points.max(),
                })
            }
        }
    }
}

/// The entries in `times`, in this direction. `entries` must be sorted by point.
fn within<T>(
    entries: &[T],
    times: Times,
    direction: Direction,
    point: impl Fn(&T) -> TimePoint,
) -> Box<dyn Iterator<Item = &T> + '_> {
    let count_until = |time: Timestamp| entries.partition_point(|entry| point(entry).observe_time <= time);
    let count_before = |time: Timestamp| entries.partition_point(|entry| point(entry).observe_time < time);
    let start = match times.0 {
        Bound::Unbounded => 0,
        Bound::Included(time) => count_before(time),
        Bound::Excluded(time) => count_until(time),
    };
    let end = match times.1 {
        Bound::Unbounded => entries.len(),
        Bound::Included(time) => count_until(time),
        Bound::Excluded(time) => count_before(time),
    };
    let entries = entries.get(start..end).unwrap_or_default().iter();
    match direction {
        Direction::Forward => Box::new(entries),
        Direction::Reverse => Box::new(entries.rev()),
    }
}
