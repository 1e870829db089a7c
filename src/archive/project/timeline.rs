//! The timeline of an article: which revision and which state are in force at each instant of the observe axis, as
//! known below any position.
//!
//! Both are step functions. A table has an entry for each point at which the function was found to change, with the key
//! `(observe_time, seq)`. Reading as of `T`, known below position `S`, means: among the entries with `seq < S`, take
//! the last one at or before `T`.
//!
//! ```text
//! seq
//!  7 │          ● rev 2   ● rev 1     a late observation, at 10:00, of another content
//!  6 │                                a sighting of rev 1 at 11:00: no entry, nothing changes
//!  5 │  ● rev 1                       the first observation, at 09:00
//!    └──┬───────┬─────────┬─────────▶ observe time
//!     09:00   10:00     11:00
//!
//!  known below 7:  rev 1 from 09:00
//!  known below 8:  rev 1 from 09:00, rev 2 from 10:00, rev 1 again from 11:00
//! ```
//!
//! Two details follow from recording out of order:
//! - If one instant has several entries, the one recorded last counts.
//! - An entry may repeat the step before it, because a late observation moved the beginning of the step back. So a step
//!   begins at the first of a run of equal entries, and readers must join such runs.
//!
//! Invariant: every answer is bounded by a position, and the same position always gives the same answer. A [`Timeline`]
//! in memory is such an answer for one bound; it serves any lower bound, too.
//!
//! This module does not know what a content says, nor how an entry came about.

use std::ops::Bound;

use crate::archive::project::absence::is_observation;
use crate::model::{ArticleKey, RevisionNumber, Seq, Timestamp};
use crate::store::engine::Direction;
use crate::store::head::{InForce, StateChange};
use crate::store::key::article::{TimePoint, TimeTable};
use crate::store::tables::{AbsenceEntry, TimeEntry};
use crate::store::{StoreError, Tables};

/// An entry of a step function.
pub(crate) trait TimelineEntry: Copy {
    /// Its instant on the observe axis.
    fn at(&self) -> Timestamp;
    /// Whether it continues the same step as `other`.
    fn same_step(&self, other: &Self) -> bool;
    /// The same step, with the beginning of `first`, the earliest entry of its run.
    fn begun_at(self, first: Self) -> Self;
}

impl TimelineEntry for InForce {
    fn at(&self) -> Timestamp {
        self.since
    }

    fn same_step(&self, other: &Self) -> bool {
        self.revision == other.revision
    }

    fn begun_at(self, first: Self) -> Self {
        Self { since: first.since, known_seq: first.known_seq, ..self }
    }
}

impl TimelineEntry for StateChange {
    fn at(&self) -> Timestamp {
        self.since
    }

    fn same_step(&self, other: &Self) -> bool {
        self.withdrawn == other.withdrawn
    }

    fn begun_at(self, first: Self) -> Self {
        first
    }
}

/// The step that is in force at the first of `entries`, which run backwards in time. Two entries are usually enough.
pub(crate) fn current<S: TimelineEntry>(
    entries: impl Iterator<Item = Result<S, StoreError>>,
) -> Result<Option<S>, StoreError> {
    let mut step: Option<S> = None;
    let mut first: Option<S> = None;
    for entry in entries {
        let entry = entry?;
        let Some(seen) = first else {
            (step, first) = (Some(entry), Some(entry));
            continue;
        };
        if entry.at() == seen.at() {
            continue; // It was recorded before the entry that counts at this instant.
        }
        if !entry.same_step(&seen) {
            break;
        }
        first = Some(entry);
    }
    Ok(step.zip(first).map(|(step, first)| step.begun_at(first)))
}

/// When the step after `step` begins. `entries` run forward in time, starting after an instant at which `step` is in
/// force.
pub(crate) fn successor<S: TimelineEntry>(
    step: &S,
    entries: impl Iterator<Item = Result<S, StoreError>>,
) -> Result<Option<Timestamp>, StoreError> {
    let mut last: Option<S> = None;
    for entry in entries {
        let entry = entry?;
        // Only when the next instant begins is it known which entry was the last of this one.
        if let Some(last) = last.filter(|last| last.at() != entry.at() && !last.same_step(step)) {
            return Ok(Some(last.at()));
        }
        last = Some(entry);
    }
    Ok(last.filter(|last| !last.same_step(step)).map(|last| last.at()))
}

/// When a revision first comes into force. `entries` are all of the article, forward in time.
fn first_of(
    revision: RevisionNumber,
    entries: impl Iterator<Item = Result<InForce, StoreError>>,
) -> Result<Option<Timestamp>, StoreError> {
    let mut last: Option<InForce> = None;
    for entry in entries {
        let entry = entry?;
        // Only when the next instant begins is it known which entry was the last of this one.
        if let Some(last) = last.filter(|last| last.since != entry.since && last.revision == revision) {
            return Ok(Some(last.since));
        }
        last = Some(entry);
    }
    Ok(last.filter(|last| last.revision == revision).map(|last| last.since))
}

/// The timeline of an article in memory, complete below a position.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    /// It has every entry of a change below this position, and none of a later change.
    pub(crate) known_below: Seq,
    points: Vec<TimeEntry>,
    state_changes: Vec<StateChange>,
    /// The changes that created the revisions, in order of revision number.
    revisions: Vec<Seq>,
    url_changes: Vec<Seq>,
    label_changes: Vec<Seq>,
    /// The looks; `None` if there are too many to keep in memory.
    looks: Option<Looks>,
    /// All changes of the article, in order of position; `None` if there are too many to keep in memory.
    changes: Option<Vec<Seq>>,
}

/// The looks at an article, in order of their points.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks {
    /// The absences.
    pub(super) absences: Vec<AbsenceEntry>,
    /// The observations; empty if there are no absences, since only these need them.
    pub(super) observations: Vec<TimePoint>,
}

/// Where the timeline of an article is read from. Both sources give the same answers.
#[derive(Clone, Copy)]
pub(crate) enum TimelineReader<'a> {
    /// From memory. It must cover the bound of the read. The tables have what was too much to keep in memory.
    Loaded(&'a Timeline, Tables<'a>, ArticleKey),
    /// From the tables, for the article with this key. They cover any bound.
    Stored(Tables<'a>, ArticleKey),
}

type Times = (Bound<Timestamp>, Bound<Timestamp>);

impl Timeline {
    /// Loads the timeline of an article as known below `below`; `None` if a part of it has more than `entries_max`
    /// entries. The looks and the changes are left out if there are more of them.
    pub(crate) fn load(
        tables: &Tables<'_>,
        article: ArticleKey,
        below: Seq,
        entries_max: usize,
    ) -> Result<Option<Self>, StoreError> {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let points = tables.time_entries(TimeTable::Time, article, all, Direction::Forward, below);
        let points = points.take(entries_max + 1).collect::<Result<Vec<_>, _>>()?;
        let state_changes = tables.state_changes(article, all, Direction::Forward, below);
        let state_changes = state_changes.take(entries_max + 1).collect::<Result<Vec<_>, _>>()?;
        let numbers = (Bound::Unbounded, Bound::Unbounded);
        let revisions = tables.revisions(article, numbers, Direction::Forward, below).take(entries_max + 1);
        let revisions = revisions.map(|entry| Ok(entry?.1)).collect::<Result<Vec<_>, StoreError>>()?;
        let url_changes = tables.url_changes(article, below).take(entries_max + 1).collect::<Result<Vec<_>, _>>()?;
        let label_changes = tables.label_changes(article, Direction::Forward, below).take(entries_max + 1);
        let label_changes = label_changes.collect::<Result<Vec<_>, _>>()?;
        let lengths = [points.len(), state_changes.len(), revisions.len(), url_changes.len(), label_changes.len()];
        if lengths.into_iter().any(|length| length > entries_max) {
            return Ok(None);
        }
        let looks = looks(tables, article, &points, below, entries_max)?;
        let mut timeline = Self {
            known_below: below,
            points,
            state_changes,
            revisions,
            url_changes,
            label_changes,
            looks,
            changes: None,
        };
        timeline.changes = timeline.load_changes(tables, article, entries_max)?;
        Ok(Some(timeline))
    }

    /// Whether every read is answered from memory; otherwise, those of the looks need the tables.
    pub(crate) fn has_looks(&self) -> bool {
        self.looks.is_some()
    }

    /// The looks; `None` if they are not in memory.
    pub(super) fn looks(&self) -> Option<&Looks> {
        self.looks.as_ref()
    }

    /// Collects all changes of the article. Each has an entry in at least one of the article's tables: as a revision, a
    /// sighting, an absence, a state change, a change of URLs or of labels, or under its request id.
    fn load_changes(
        &self,
        tables: &Tables<'_>,
        article: ArticleKey,
        entries_max: usize,
    ) -> Result<Option<Vec<Seq>>, StoreError> {
        let Some(looks) = &self.looks else { return Ok(None) };
        let (below, all) = (self.known_below, (Bound::Unbounded, Bound::Unbounded));
        let sightings = tables.time_entries(TimeTable::Sighting, article, all, Direction::Forward, below);
        let sightings = sightings.map(|entry| Ok(entry?.point.seq));
        let found = sightings.chain(tables.requests(article, below)).take(entries_max + 1);
        let mut changes = found.collect::<Result<Vec<Seq>, StoreError>>()?;
        if changes.len() > entries_max {
            return Ok(None);
        }
        changes.extend(self.points.iter().map(|entry| entry.point.seq));
        changes.extend(self.state_changes.iter().map(|state| state.seq));
        changes.extend(looks.absences.iter().map(|entry| entry.point.seq));
        changes.extend(self.revisions.iter().chain(&self.url_changes).chain(&self.label_changes));
        changes.sort_unstable();
        changes.dedup();
        changes.shrink_to_fit();
        Ok(Some(changes))
    }

    /// The memory that it occupies, in bytes.
    pub(crate) fn weight_bytes(&self) -> usize {
        let looks = self.looks.as_ref().map_or(0, |looks| {
            looks.absences.capacity() * size_of::<AbsenceEntry>()
                + looks.observations.capacity() * size_of::<TimePoint>()
        });
        self.points.capacity() * size_of::<TimeEntry>()
            + self.state_changes.capacity() * size_of::<StateChange>()
            + looks
            + (self.revisions.capacity() + self.url_changes.capacity() + self.label_changes.capacity())
                * size_of::<Seq>()
            + self.changes.as_ref().map_or(0, Vec::capacity) * size_of::<Seq>()
            + size_of::<Self>()
    }
}

impl TimelineReader<'_> {
    /// The revision in force at `at` (`None`: at the end of the axis), as known below `below`.
    pub(crate) fn in_force(&self, at: Option<Timestamp>, below: Seq) -> Result<Option<InForce>, StoreError> {
        let times = (Bound::Unbounded, at.map_or(Bound::Unbounded, Bound::Included));
        match self {
            Self::Loaded(timeline, ..) => current(
                until(&timeline.points, at, |entry| entry.point.observe_time)
                    .filter(|entry| entry.point.seq < below)
                    .map(|entry| Ok(InForce::from(*entry))),
            ),
            Self::Stored(tables, article) => current(points(tables, *article, times, Direction::Reverse, below)),
        }
    }

    /// When the successor of `step` came into force, as known below `below`. `at` is an instant at which `step` is in
    /// force.
    pub(crate) fn valid_until(
        &self,
        step: &InForce,
        at: Timestamp,
        below: Seq,
    ) -> Result<Option<Timestamp>, StoreError> {
        match self {
            Self::Loaded(timeline, ..) => successor(
                step,
                after(&timeline.points, at, |entry| entry.point.observe_time)
                    .filter(|entry| entry.point.seq < below)
                    .map(|entry| Ok(InForce::from(*entry))),
            ),
            Self::Stored(tables, article) => {
                let times = (Bound::Excluded(at), Bound::Unbounded);
                successor(step, points(tables, *article, times, Direction::Forward, below))
            }
        }
    }

    /// When a revision first came into force, as known below `below`. `None` if it never did, because at each instant
    /// at which it was seen, another was recorded later.
    pub(crate) fn first_in_force(&self, revision: RevisionNumber, below: Seq) -> Result<Option<Timestamp>, StoreError> {
        match self {
            Self::Loaded(timeline, ..) => {
                let known = timeline.points.iter().filter(|entry| entry.point.seq < below);
                first_of(revision, known.map(|entry| Ok(InForce::from(*entry))))
            }
            Self::Stored(tables, article) => {
                let all = (Bound::Unbounded, Bound::Unbounded);
                first_of(revision, points(tables, *article, all, Direction::Forward, below))
            }
        }
    }

    /// The state change in force at `at` (`None`: at the end of the axis), as known below `below`.
    pub(crate) fn state(&self, at: Option<Timestamp>, below: Seq) -> Result<Option<StateChange>, StoreError> {
        match self {
            Self::Loaded(timeline, ..) => current(
                until(&timeline.state_changes, at, |state| state.since)
                    .filter(|state| state.seq < below)
                    .map(|state| Ok(*state)),
            ),
            Self::Stored(tables, article) => {
                let times = (Bound::Unbounded, at.map_or(Bound::Unbounded, Bound::Included));
                current(tables.state_changes(*article, times, Direction::Reverse, below))
            }
        }
    }

    /// When the article was first observed, as known below `below`.
    pub(crate) fn first(&self, below: Seq) -> Result<Option<Timestamp>, StoreError> {
        match self {
            Self::Loaded(timeline, ..) => {
                let first = timeline.points.iter().find(|entry| entry.point.seq < below);
                Ok(first.map(|entry| entry.point.observe_time))
            }
            Self::Stored(tables, article) => {
                let all = (Bound::Unbounded, Bound::Unbounded);
                let first = tables.time_entries(TimeTable::Time, *article, all, Direction::Forward, below).next();
                Ok(first.transpose()?.map(|entry| entry.point.observe_time))
            }
        }
    }
}

impl TimelineReader<'_> {
    /// The number of revisions created below `below`.
    pub(crate) fn revision_count(&self, below: Seq) -> Result<u32, StoreError> {
        match self {
            Self::Loaded(timeline, ..) => {
                let count = timeline.revisions.partition_point(|created_seq| *created_seq < below);
                Ok(u32::try_from(count).unwrap_or(u32::MAX))
            }
            Self::Stored(tables, article) => {
                let numbers = (Bound::Unbounded, Bound::Unbounded);
                let last = tables.revisions(*article, numbers, Direction::Reverse, below).next().transpose()?;
                Ok(last.map_or(0, |(number, _)| number.get()))
            }
        }
    }

    /// The article's latest change below `below`. `None` if the source does not have it; then the log must be followed.
    pub(crate) fn latest_change(&self, below: Seq) -> Option<Seq> {
        match self {
            Self::Loaded(timeline, ..) => {
                let changes = timeline.changes.as_ref()?;
                changes.get(..changes.partition_point(|change| *change < below))?.last().copied()
            }
            Self::Stored(..) => None,
        }
    }

    /// The latest change below `below` that alters the article's labels.
    pub(crate) fn label_change(&self, below: Seq) -> Result<Option<Seq>, StoreError> {
        match self {
            Self::Loaded(timeline, ..) => {
                let known = timeline.label_changes.partition_point(|change| *change < below);
                Ok(timeline.label_changes.get(..known).and_then(|known| known.last().copied()))
            }
            Self::Stored(tables, article) => {
                tables.label_changes(*article, Direction::Reverse, below).next().transpose()
            }
        }
    }

    /// The changes below `below` that bind URLs or end them, in order of position.
    pub(crate) fn url_changes(&self, below: Seq) -> Result<Vec<Seq>, StoreError> {
        match self {
            Self::Loaded(timeline, ..) => {
                Ok(timeline.url_changes.iter().copied().filter(|change| *change < below).collect())
            }
            Self::Stored(tables, article) => tables.url_changes(*article, below).collect(),
        }
    }
}

/// The looks at an article; `None` if there are more than `entries_max` absences or observations. `points` are the
/// entries of the table `Time`.
fn looks(
    tables: &Tables<'_>,
    article: ArticleKey,
    points: &[TimeEntry],
    below: Seq,
    entries_max: usize,
) -> Result<Option<Looks>, StoreError> {
    let all = (Bound::Unbounded, Bound::Unbounded);
    let absences = tables.absences(article, all, Direction::Forward, below).take(entries_max + 1);
    let absences = absences.collect::<Result<Vec<_>, _>>()?;
    if absences.is_empty() {
        return Ok(Some(Looks::default()));
    }
    if absences.len() > entries_max {
        return Ok(None);
    }
    let sightings = tables.time_entries(TimeTable::Sighting, article, all, Direction::Forward, below);
    let sightings = sightings.take(entries_max + 1).map(|entry| Ok(entry?.point));
    let created = points.iter().filter(|entry| is_observation(entry)).map(|entry| Ok(entry.point));
    let mut observations = sightings.chain(created).collect::<Result<Vec<_>, StoreError>>()?;
    observations.sort_unstable();
    Ok((observations.len() <= entries_max).then_some(Looks { absences, observations }))
}

fn points<'a>(
    tables: &Tables<'a>,
    article: ArticleKey,
    times: Times,
    direction: Direction,
    below: Seq,
) -> impl Iterator<Item = Result<InForce, StoreError>> + use<'a> {
    tables.time_entries(TimeTable::Time, article, times, direction, below).map(|entry| entry.map(InForce::from))
}

/// The entries at or before `at`, backwards. `entries` must be sorted by time.
fn until<T>(entries: &[T], at: Option<Timestamp>, time: impl Fn(&T) -> Timestamp) -> impl Iterator<Item = &T> {
    let end = at.map_or(entries.len(), |at| entries.partition_point(|entry| time(entry) <= at));
    entries.get(..end).unwrap_or_default().iter().rev()
}

/// The entries after `at`, forwards. `entries` must be sorted by time.
fn after<T>(entries: &[T], at: Timestamp, time: impl Fn(&T) -> Timestamp) -> impl Iterator<Item = &T> {
    let start = entries.partition_point(|entry| time(entry) <= at);
    entries.get(start..).unwrap_or_default().iter()
}
