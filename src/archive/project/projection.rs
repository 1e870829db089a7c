//! Projects a change: computes the article's head after it, and the index entries that follow from it.
//!
//! ```text
//!  head before ─┐
//!  indexes ─────┼─▶ project ─▶ head after, index entries, latest state
//!  change ──────┘
//! ```
//!
//! The log and the contents are the record; this function is the only source of the indexes. The writer thread calls it
//! for each new change, a restore or rebuild for each change of the log, and a verification compares its result with
//! what is stored.
//!
//! Invariants:
//! - It decides nothing. What an observation does was decided before the change was written; here that decision is read
//!   from the change. So a change of the rules would not alter what an existing log projects to.
//! - It depends only on the change, the head before it, and index entries of earlier changes. Entries of this change
//!   and of later ones are ignored, so that a verification can run it over a database that is ahead of the change.
//! - The change's `latest_state`, how it leaves its article, is part of the result, and so is the run of absences that
//!   an absence belongs to. For a change of the log they are recomputed and compared ([`reproject`]).
//!
//! It must not know what a content says, who sent it, or whether the change is durable.

use crate::archive::decide::decision::next_observation;
use crate::archive::project::addresses::{self, PeriodCounts};
use crate::archive::project::timeline::TimelineReader;
use crate::model::{
    Absence, AbsenceRun, ArticleKey, ArticleState, Change, ChangeEntry, ContentDigest, LabelChange, LatestState,
    LogKind, RevisionNumber, Seq, Timestamp,
};
use crate::store::address::UrlEntry;
use crate::store::head::{ArticleHead, InForce, RECENT_CONTENTS, RecentContent, StateChange};
use crate::store::key::article::{TimePoint, TimeTable};
use crate::store::overlay::Overlay;
use crate::store::tables::{AbsenceEntry, TimeEntry};
use crate::store::{Batch, StoreError, Tables};

/// What follows from a change, except for the stats of its source.
pub(crate) struct Projected {
    /// The article's head after it.
    pub(crate) head: ArticleHead,
    /// The article's state after it, as the change's log record has it.
    pub(crate) latest_state: LatestState,
    /// The run of absences up to the change, if it records one, as the change's log record has it.
    pub(crate) absence_run: Option<AbsenceRun>,
    /// The index entries to write, including the head.
    pub(crate) batch: Batch,
}

/// The change to project.
#[derive(Clone, Copy)]
pub(crate) struct Cause<'a> {
    /// Its position in the log.
    pub(crate) seq: Seq,
    /// Its log record. The latest state and the run of absences in it are ignored.
    pub(crate) entry: &'a ChangeEntry,
    /// The depth of its content in the delta chain: the number of contents that must be read first. `None` if it has no
    /// content, or none that can be read, so that no later content becomes a delta of it.
    pub(crate) depth: Option<u32>,
}

/// Projects a change. `before` is the article's head before it, `None` for a new article. Entries in `tables` from this
/// change or later ones are ignored. A change that is impossible in this state is [`StoreError::Damaged`].
pub(crate) fn project(
    tables: &Tables<'_>,
    before: Option<ArticleHead>,
    cause: Cause<'_>,
) -> Result<Projected, StoreError> {
    let Cause { seq, entry, .. } = cause;
    let mut projection = match (before, entry.kind) {
        (None, LogKind::Created) => Projection::of_new_article(*tables, cause),
        (Some(head), kind) if kind != LogKind::Created => Projection::of_article(*tables, cause, head),
        (None, _) => return Err(StoreError::damaged_at(seq, "a change belongs to an article that was never created")),
        (Some(_), _) => return Err(StoreError::damaged_at(seq, "an article is created twice")),
    };
    match entry.kind {
        LogKind::Created | LogKind::Revised | LogKind::RolledBack => projection.revise()?,
        LogKind::Sighted => projection.confirm()?,
        LogKind::Withdrawn => projection.state(true)?,
        LogKind::Reinstated => projection.state(false)?,
        LogKind::Absent => projection.absent()?,
        LogKind::Expunged => projection.expunge()?,
        LogKind::Repeated
        | LogKind::StateRepeated
        | LogKind::Aliased
        | LogKind::Labelled
        | LogKind::LabelsRepeated
        | LogKind::AbsenceRepeated
        | LogKind::UrlEnded
        | LogKind::UrlBound
        | LogKind::UrlsRepeated => {}
    }
    projection.urls()?;
    projection.label()?;
    Ok(projection.finish())
}

/// Like [`project`], for a change of the log. If its record does not match the result, the error is
/// [`StoreError::Damaged`].
pub(crate) fn reproject(
    tables: &Tables<'_>,
    before: Option<ArticleHead>,
    change: &Change,
    depth: Option<u32>,
) -> Result<Projected, StoreError> {
    let Change { seq, entry, .. } = change;
    if entry.previous != before.as_ref().map(|head| head.latest_seq) {
        return Err(StoreError::damaged_at(*seq, "a change does not refer to the article's previous change"));
    }
    let projected = project(tables, before, Cause { seq: *seq, entry, depth })?;
    if projected.absence_run != entry.absence.as_ref().and_then(|absence| absence.run) {
        return Err(StoreError::damaged_at(*seq, "a change's record of absences does not match the log"));
    }
    if projected.latest_state != entry.latest_state {
        return Err(StoreError::damaged_at(*seq, "a change's record of its article's state does not match the log"));
    }
    Ok(projected)
}

struct Projection<'a> {
    tables: Tables<'a>,
    cause: Cause<'a>,
    article: ArticleKey,
    /// Whether the observe time is later than that of every observation before. Then no index has to be read.
    in_order: bool,
    /// The article's newest state before the change.
    state_before: ArticleState,
    head: ArticleHead,
    absence_run: Option<AbsenceRun>,
    batch: Batch,
}

impl<'a> Projection<'a> {
    fn of_new_article(tables: Tables<'a>, cause: Cause<'a>) -> Self {
        let Cause { seq, entry, .. } = cause;
        let at = entry.observe_time;
        let head = ArticleHead {
            name: entry.name.clone(),
            first_seq: seq,
            latest_seq: seq,
            revision_count: RevisionNumber::FIRST,
            newest: InForce { revision: RevisionNumber::FIRST, created_seq: seq, since: at, known_seq: seq },
            state: None,
            state_seq: None,
            absence: None,
            latest_absence_time: None,
            first_observe_time: at,
            latest_observe_time: at,
            recent: Vec::new(),
            url_changes: Some(Vec::new()),
            url_count: 0,
            labels: Vec::new(),
            labels_seq: None,
        };
        let mut batch = Batch::default();
        batch.put_name(&entry.name, entry.article, seq);
        let (article, state_before, absence_run) = (entry.article, ArticleState::Live, None);
        Self { tables, cause, article, in_order: true, state_before, head, absence_run, batch }
    }

    fn of_article(tables: Tables<'a>, cause: Cause<'a>, head: ArticleHead) -> Self {
        let in_order = cause.entry.observe_time > head.latest_observe_time;
        let (article, state_before, absence_run) = (cause.entry.article, head.article_state(), None);
        Self { tables, cause, article, in_order, state_before, head, absence_run, batch: Batch::default() }
    }

    /// Projects a change that created a revision.
    fn revise(&mut self) -> Result<(), StoreError> {
        let Cause { seq, entry, .. } = self.cause;
        let is_first = entry.kind == LogKind::Created;
        let number = if is_first { RevisionNumber::FIRST } else { self.head.revision_count.next() };
        let new_revision = entry.new_revision.as_ref().filter(|_| entry.revision == Some(number));
        let missing = || StoreError::damaged_at(seq, "a change does not create the next revision");
        let new_revision = new_revision.ok_or_else(missing)?;
        self.add_recent_content(new_revision.digest);
        self.head.revision_count = number;
        self.batch.put_revision(self.article, number, seq);
        let step = InForce { revision: number, created_seq: seq, since: entry.observe_time, known_seq: seq };
        if !self.in_order
            && let Some((restored, from)) = self.restored()?
        {
            self.put(TimeTable::Time, from, restored);
        }
        self.put(TimeTable::Time, entry.observe_time, step);
        self.update_head(Some(step))
    }

    /// The revision that is in force again after the new one, and from when. This happens when the new one is observed
    /// between two sightings of the same content.
    fn restored(&self) -> Result<Option<(InForce, Timestamp)>, StoreError> {
        let at = self.cause.entry.observe_time;
        let Some(before) = self.in_force_before()? else { return Ok(None) };
        let Some(next) = next_observation(&self.tables, self.article, at, self.cause.seq)? else { return Ok(None) };
        let after = self.timeline().in_force(Some(next), self.cause.seq)?;
        Ok(after.filter(|after| after.revision == before.revision).map(|after| (after, next)))
    }

    /// Projects a sighting, of the revision in force or of one that was live earlier than known.
    fn confirm(&mut self) -> Result<(), StoreError> {
        let Cause { seq, entry, .. } = self.cause;
        let unknown = || StoreError::damaged_at(seq, "a change confirms a revision that was never created");
        let revision = entry.revision.ok_or_else(unknown)?;
        let in_force = self.in_force_before()?;
        let is_in_force = in_force.is_some_and(|in_force| in_force.revision == revision);
        let created_seq = match in_force.filter(|_| is_in_force) {
            Some(in_force) => in_force.created_seq,
            None => self.tables.revision(self.article, revision, seq)?.ok_or_else(unknown)?,
        };
        let step = InForce { revision, created_seq, since: entry.observe_time, known_seq: seq };
        self.put(TimeTable::Sighting, entry.observe_time, step);
        if !is_in_force {
            self.put(TimeTable::Time, entry.observe_time, step);
        }
        self.update_head(None)
    }

    fn state(&mut self, withdrawn: bool) -> Result<(), StoreError> {
        let Cause { seq, entry, .. } = self.cause;
        self.batch.put_state_change(self.article, StateChange { withdrawn, seq, since: entry.observe_time });
        let after = Overlay::new(self.tables.source(), &self.batch);
        self.head.state = TimelineReader::Stored(Tables::new(&after), self.article).state(None, seq.next())?;
        self.head.state_seq = Some(seq);
        Ok(())
    }

    /// Projects an absence.
    fn absent(&mut self) -> Result<(), StoreError> {
        let Cause { seq, entry, .. } = self.cause;
        let at = entry.observe_time;
        let missing = || StoreError::damaged_at(seq, "a change does not say what it found missing");
        let look = entry.absence.as_ref().ok_or_else(missing)?.look;
        let point = TimePoint { observe_time: at, seq };
        self.batch.put_absence(self.article, AbsenceEntry { point, look });
        // If this is the latest look, no index has to be read.
        if let Some(before) = self.head.absence_at(at)
            && at >= self.head.latest_observe_time
        {
            let before = before.map(|before| before.run);
            let run = AbsenceRun::extended(before, self.head.latest_observe_time, look, at);
            (self.absence_run, self.head.absence) = (Some(run), Some(Absence { look, run }));
        } else {
            let after = Overlay::new(self.tables.source(), &self.batch);
            let timeline = TimelineReader::Stored(Tables::new(&after), self.article);
            self.absence_run = timeline.absence(Some(at), seq.next())?.map(|absence| absence.run);
            self.head.absence = timeline.absence(None, seq.next())?;
        }
        if self.absence_run.is_none() {
            return Err(StoreError::damaged_at(seq, "a page is missing before it was first observed"));
        }
        self.head.latest_absence_time = self.head.latest_absence_time.max(Some(at));
        Ok(())
    }

    /// Projects a change that destroyed text. No later content may be a delta of an earlier one, because it is not said
    /// here which of those are left. With the name, all that was found by it goes.
    fn expunge(&mut self) -> Result<(), StoreError> {
        let Cause { seq, entry, .. } = self.cause;
        let missing = || StoreError::damaged_at(seq, "a change does not say what it destroyed");
        let expunging = entry.expunging.as_deref().ok_or_else(missing)?;
        self.head.recent.clear();
        if expunging.with_name {
            self.head.name.clone_from(&entry.name);
            self.head.labels.clear();
            (self.head.url_changes, self.head.url_count) = (Some(Vec::new()), 0);
        }
        Ok(())
    }

    /// Updates the latest absence with an observation, which ends its run if it is later. An earlier one may shorten
    /// the run.
    fn end_absence(&mut self) -> Result<(), StoreError> {
        if self.head.absence.is_none() {
            return Ok(());
        }
        self.head.absence = match self.head.latest_absence_time {
            Some(latest) if self.cause.entry.observe_time < latest => {
                let after = Overlay::new(self.tables.source(), &self.batch);
                TimelineReader::Stored(Tables::new(&after), self.article).absence(None, self.cause.seq.next())?
            }
            Some(_) | None => None,
        };
        Ok(())
    }

    /// Updates the head with an observation. `created` is the step of the revision that it created, if it created one.
    fn update_head(&mut self, created: Option<InForce>) -> Result<(), StoreError> {
        let at = self.cause.entry.observe_time;
        if !self.in_order {
            let after = Overlay::new(self.tables.source(), &self.batch);
            let newest =
                TimelineReader::Stored(Tables::new(&after), self.article).in_force(None, self.cause.seq.next())?;
            let missing = || StoreError::damaged_at(self.cause.seq, "an article has no revision in force");
            self.head.newest = newest.ok_or_else(missing)?;
        } else if let Some(created) = created {
            self.head.newest = created;
        }
        self.head.first_observe_time = self.head.first_observe_time.min(at);
        self.head.latest_observe_time = self.head.latest_observe_time.max(at);
        self.end_absence()
    }

    /// Projects the addresses that the change binds to the article and ends.
    fn urls(&mut self) -> Result<(), StoreError> {
        let Cause { seq, entry, .. } = self.cause;
        if entry.bound_urls.is_empty() && entry.ended_urls.is_empty() {
            return Ok(());
        }
        let bound = entry.bound_urls.iter().map(|url| (url, true));
        for (said, leads) in bound.chain(entry.ended_urls.iter().map(|url| (url, false))) {
            let (article, since, until) = (self.article, entry.observe_time, said.until);
            let url_entry = UrlEntry { article, leads, since, until, is_whole: said.is_whole, seq };
            let PeriodCounts { before, after } = addresses::count_periods(&self.tables, &said.url.key, &url_entry)?;
            self.head.url_count = (self.head.url_count + after).saturating_sub(before);
            self.batch.put_url(&said.url.key, url_entry);
        }
        self.batch.put_url_change(self.article, seq);
        self.head.add_url_change(seq);
        Ok(())
    }

    /// Projects a change of labels, which must follow from the labels before it.
    fn label(&mut self) -> Result<(), StoreError> {
        let Cause { seq, entry, .. } = self.cause;
        let Some(change) = &entry.labels else { return Ok(()) };
        // Of a stub without labels, only that it changed them is known.
        let is_known = entry.expunged.is_none() || **change != LabelChange::default();
        if is_known && LabelChange::of(&self.head.labels, &change.added, &change.removed).as_ref() != Some(&**change) {
            return Err(StoreError::damaged_at(seq, "a change of labels does not follow from the labels before it"));
        }
        self.head.labels.clone_from(&change.after);
        self.head.labels_seq = Some(seq);
        self.batch.put_label_change(self.article, seq);
        Ok(())
    }

    fn finish(mut self) -> Projected {
        let Cause { seq, entry, .. } = self.cause;
        self.head.latest_seq = seq;
        if self.head.article_state() != self.state_before {
            self.head.state_seq = Some(seq);
        }
        if let Some((id, _)) = &entry.request {
            self.batch.put_request(self.article, id, seq);
        }
        if entry.expunged.is_some() {
            self.batch.put_stub(seq);
        }
        self.batch.put_head(self.article, &self.head);
        let latest_state = latest_state(&self.head, entry);
        Projected { latest_state, absence_run: self.absence_run, head: self.head, batch: self.batch }
    }

    fn timeline(&self) -> TimelineReader<'a> {
        TimelineReader::Stored(self.tables, self.article)
    }

    /// The revision that was in force at the change's observe time before the change.
    fn in_force_before(&self) -> Result<Option<InForce>, StoreError> {
        if self.in_order {
            return Ok(Some(self.head.newest));
        }
        self.timeline().in_force(Some(self.cause.entry.observe_time), self.cause.seq)
    }

    fn put(&mut self, table: TimeTable, observe_time: Timestamp, step: InForce) {
        let point = TimePoint { observe_time, seq: self.cause.seq };
        let entry = TimeEntry { point, revision: step.revision, created_seq: step.created_seq };
        self.batch.put_time_entry(table, self.article, entry);
    }

    /// Adds the content to the recent ones, which later contents can be deltas of.
    fn add_recent_content(&mut self, digest: ContentDigest) {
        let Some(depth) = self.cause.depth else { return };
        let recent = &mut self.head.recent;
        if recent.len() >= RECENT_CONTENTS {
            recent.remove(0);
        }
        let mut digest_start = [0; 8];
        digest_start.copy_from_slice(digest.0.split_at(8).0);
        recent.push(RecentContent { seq: self.cause.seq, digest_start, depth });
    }
}

/// The state in which the change leaves its article, given the head after it.
fn latest_state(head: &ArticleHead, entry: &ChangeEntry) -> LatestState {
    let is_newest = match entry.kind {
        LogKind::Created | LogKind::Revised | LogKind::Sighted | LogKind::Repeated | LogKind::RolledBack => {
            entry.revision == Some(head.newest.revision)
        }
        LogKind::Withdrawn | LogKind::Reinstated | LogKind::StateRepeated => {
            head.state.is_none_or(|state| entry.observe_time >= state.since)
        }
        LogKind::Absent | LogKind::AbsenceRepeated => {
            head.absence.is_some_and(|absence| entry.observe_time >= absence.run.last_missed)
        }
        LogKind::Aliased
        | LogKind::Labelled
        | LogKind::LabelsRepeated
        | LogKind::UrlEnded
        | LogKind::UrlBound
        | LogKind::UrlsRepeated
        | LogKind::Expunged => true,
    };
    LatestState {
        created_seq: head.newest.created_seq,
        since: head.newest.since,
        state: head.article_state(),
        state_seq: head.state_seq,
        is_newest,
        labels_seq: head.labels_seq,
    }
}
