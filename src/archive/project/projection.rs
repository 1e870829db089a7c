//! What follows from a change: the article's head after it, and its entries in the indexes.
//!
//! The log and the contents are the record, and this is all that the indexes are made by: the writer asks it for each
//! change that it makes, a restoring or rebuilding asks it for each change of the log, and a verification holds what is
//! stored against what it says. Nothing is judged here. What an observation does was decided when the change was made;
//! this reads the decision from the change.

use crate::archive::decide::decision::next_observation;
use crate::archive::project::timeline::Steps;
use crate::model::{ArticleKey, Change, ChangeEntry, ContentDigest, LogKind, RevisionNumber, Seq, Standing, Timestamp};
use crate::store::head::{Head, InForce, RECENT_CONTENTS, RecentContent, StateChange};
use crate::store::key::article::{TimePoint, TimeTable};
use crate::store::overlay::Overlay;
use crate::store::tables::{Observed, UrlBinding};
use crate::store::{Batch, StoreError, Tables};

/// What follows from a change, save for the figures of its source.
pub(crate) struct Derived {
    /// The article's head after it.
    pub(crate) head: Head,
    /// How the article stands with it.
    pub(crate) standing: Standing,
    /// The entries of the indexes, the head among them.
    pub(crate) batch: Batch,
}

/// A change whose consequences are wanted.
#[derive(Clone, Copy)]
pub(crate) struct Cause<'a> {
    /// Its position.
    pub(crate) seq: Seq,
    /// What it says. Its standing is not looked at.
    pub(crate) entry: &'a ChangeEntry,
    /// How many contents must be read before the one that it brought; `None` where it brought none, or none that can be
    /// read, so that no other content will be made a delta of it.
    pub(crate) depth: Option<u32>,
}

/// Derives what follows from a change. `before` is the article's head before it, which is absent for a new article;
/// of `tables`, what was written by this change and later ones is not looked at. A change that cannot have followed what
/// is there is [`StoreError::Damaged`].
pub(crate) fn derive(tables: &Tables<'_>, before: Option<Head>, cause: Cause<'_>) -> Result<Derived, StoreError> {
    let Cause { seq, entry, .. } = cause;
    let mut derivation = match (before, entry.kind) {
        (None, LogKind::Created) => Derivation::of_new_article(*tables, cause),
        (Some(head), kind) if kind != LogKind::Created => Derivation::of_article(*tables, cause, head),
        (None, _) => return Err(StoreError::damaged_at(seq, "a change is of an article that was not created")),
        (Some(_), _) => return Err(StoreError::damaged_at(seq, "an article is created a second time")),
    };
    match entry.kind {
        LogKind::Created | LogKind::Revised | LogKind::RolledBack => derivation.revise()?,
        LogKind::Sighted => derivation.sight()?,
        LogKind::Withdrawn => derivation.state(true)?,
        LogKind::Reinstated => derivation.state(false)?,
        LogKind::Repeated | LogKind::StateRepeated | LogKind::Aliased => {}
    }
    derivation.bind_urls()?;
    Ok(derivation.finish())
}

/// As [`derive`], for a change that was made before: one that says otherwise than what follows from it is
/// [`StoreError::Damaged`].
pub(crate) fn rederive(
    tables: &Tables<'_>,
    before: Option<Head>,
    change: &Change,
    depth: Option<u32>,
) -> Result<Derived, StoreError> {
    let Change { seq, entry, .. } = change;
    if entry.previous != before.as_ref().map(|head| head.latest_seq) {
        return Err(StoreError::damaged_at(*seq, "a change does not name the article's change before it"));
    }
    let derived = derive(tables, before, Cause { seq: *seq, entry, depth })?;
    if derived.standing != entry.standing {
        return Err(StoreError::damaged_at(*seq, "a change says otherwise how its article stands with it"));
    }
    Ok(derived)
}

struct Derivation<'a> {
    tables: Tables<'a>,
    cause: Cause<'a>,
    article: ArticleKey,
    /// The observe time lies beyond all that was observed before.
    in_order: bool,
    head: Head,
    batch: Batch,
}

impl<'a> Derivation<'a> {
    fn of_new_article(tables: Tables<'a>, cause: Cause<'a>) -> Self {
        let Cause { seq, entry, .. } = cause;
        let at = entry.observe_time;
        let head = Head {
            name: entry.name.clone(),
            first_seq: seq,
            latest_seq: seq,
            revision_count: RevisionNumber::FIRST,
            newest: InForce { revision: RevisionNumber::FIRST, created_seq: seq, since: at, known_seq: seq },
            state: None,
            last_state_change: None,
            first_observe_time: at,
            latest_observe_time: at,
            recent: Vec::new(),
            url_changes: Some(Vec::new()),
            url_count: 0,
        };
        let mut batch = Batch::default();
        batch.put_name(&entry.name, entry.article, seq);
        Self { tables, cause, article: entry.article, in_order: true, head, batch }
    }

    fn of_article(tables: Tables<'a>, cause: Cause<'a>, head: Head) -> Self {
        let in_order = cause.entry.observe_time > head.latest_observe_time;
        Self { tables, cause, article: cause.entry.article, in_order, head, batch: Batch::default() }
    }

    /// The change made a revision.
    fn revise(&mut self) -> Result<(), StoreError> {
        let Cause { seq, entry, .. } = self.cause;
        let is_first = entry.kind == LogKind::Created;
        let number = if is_first { RevisionNumber::FIRST } else { self.head.revision_count.next() };
        let made = entry.new_revision.as_ref().filter(|_| entry.revision == Some(number));
        let made = made.ok_or_else(|| StoreError::damaged_at(seq, "a change does not make the next revision"))?;
        self.remember(made.digest);
        self.head.revision_count = number;
        self.batch.put_revision(self.article, number, seq);
        let step = InForce { revision: number, created_seq: seq, since: entry.observe_time, known_seq: seq };
        if !self.in_order
            && let Some((restored, from)) = self.restored()?
        {
            self.put(TimeTable::Time, from, restored);
        }
        self.put(TimeTable::Time, entry.observe_time, step);
        self.observed(Some(step))
    }

    /// What is in force again after the revision, and from when: an observation between two sightings of one content.
    fn restored(&self) -> Result<Option<(InForce, Timestamp)>, StoreError> {
        let at = self.cause.entry.observe_time;
        let Some(before) = self.in_force_before()? else { return Ok(None) };
        let Some(next) = next_observation(&self.tables, self.article, at, self.cause.seq)? else { return Ok(None) };
        let after = self.steps().in_force(Some(next), self.cause.seq)?;
        Ok(after.filter(|after| after.revision == before.revision).map(|after| (after, next)))
    }

    /// The change saw a revision: again, or earlier than known.
    fn sight(&mut self) -> Result<(), StoreError> {
        let Cause { seq, entry, .. } = self.cause;
        let unknown = || StoreError::damaged_at(seq, "a change confirms a revision that was not made");
        let revision = entry.revision.ok_or_else(unknown)?;
        let in_force = self.in_force_before()?;
        let is_again = in_force.is_some_and(|in_force| in_force.revision == revision);
        let created_seq = match in_force.filter(|_| is_again) {
            Some(in_force) => in_force.created_seq,
            None => self.tables.revision(self.article, revision, seq)?.ok_or_else(unknown)?,
        };
        let step = InForce { revision, created_seq, since: entry.observe_time, known_seq: seq };
        self.put(TimeTable::Sighting, entry.observe_time, step);
        if !is_again {
            self.put(TimeTable::Time, entry.observe_time, step);
        }
        self.observed(None)
    }

    fn state(&mut self, withdrawn: bool) -> Result<(), StoreError> {
        let Cause { seq, entry, .. } = self.cause;
        self.batch.put_state_change(self.article, StateChange { withdrawn, seq, since: entry.observe_time });
        let after = Overlay::new(self.tables.source(), &self.batch);
        self.head.state = Steps::Stored(Tables::new(&after), self.article).state(None, seq.next())?;
        self.head.last_state_change = Some(seq);
        Ok(())
    }

    /// Takes an observation into the head. `made` is the step of the revision that it made.
    fn observed(&mut self, made: Option<InForce>) -> Result<(), StoreError> {
        let at = self.cause.entry.observe_time;
        if !self.in_order {
            let after = Overlay::new(self.tables.source(), &self.batch);
            let newest = Steps::Stored(Tables::new(&after), self.article).in_force(None, self.cause.seq.next())?;
            let none = || StoreError::damaged_at(self.cause.seq, "an article has no revision in force");
            self.head.newest = newest.ok_or_else(none)?;
        } else if let Some(made) = made {
            self.head.newest = made;
        }
        self.head.first_observe_time = self.head.first_observe_time.min(at);
        self.head.latest_observe_time = self.head.latest_observe_time.max(at);
        Ok(())
    }

    fn bind_urls(&mut self) -> Result<(), StoreError> {
        let Cause { seq, entry, .. } = self.cause;
        if entry.bound_urls.is_empty() {
            return Ok(());
        }
        let (article, since) = (self.article, entry.observe_time);
        for url in &entry.bound_urls {
            // One that led here before, from a later time on, is not counted again.
            let is_new = self.tables.url(&url.key, seq)?.is_none();
            self.head.url_count += u32::from(is_new);
            self.batch.put_url(&url.key, UrlBinding { article, since, seq });
        }
        self.batch.put_url_change(article, seq);
        self.head.add_url_change(seq);
        Ok(())
    }

    fn finish(mut self) -> Derived {
        let Cause { seq, entry, .. } = self.cause;
        self.head.latest_seq = seq;
        if let Some((id, _)) = &entry.request {
            self.batch.put_request(self.article, id, seq);
        }
        self.batch.put_head(self.article, &self.head);
        Derived { standing: standing(&self.head, entry), head: self.head, batch: self.batch }
    }

    fn steps(&self) -> Steps<'a> {
        Steps::Stored(self.tables, self.article)
    }

    /// What was in force at the change's observe time before it.
    fn in_force_before(&self) -> Result<Option<InForce>, StoreError> {
        if self.in_order {
            return Ok(Some(self.head.newest));
        }
        self.steps().in_force(Some(self.cause.entry.observe_time), self.cause.seq)
    }

    fn put(&mut self, table: TimeTable, observe_time: Timestamp, step: InForce) {
        let point = TimePoint { observe_time, seq: self.cause.seq };
        let entry = Observed { point, revision: step.revision, created_seq: step.created_seq };
        self.batch.put_observed(table, self.article, entry);
    }

    /// Keeps the content in mind for those that come to be made a delta of.
    fn remember(&mut self, digest: ContentDigest) {
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

/// How the article stands with a change that leaves it with this head.
fn standing(head: &Head, entry: &ChangeEntry) -> Standing {
    let is_newest = match entry.kind {
        LogKind::Created | LogKind::Revised | LogKind::Sighted | LogKind::Repeated | LogKind::RolledBack => {
            entry.revision == Some(head.newest.revision)
        }
        LogKind::Withdrawn | LogKind::Reinstated | LogKind::StateRepeated => {
            head.state.is_none_or(|state| entry.observe_time >= state.since)
        }
        LogKind::Aliased => true,
    };
    Standing { created_seq: head.newest.created_seq, since: head.newest.since, withdrawn: head.withdrawn(), is_newest }
}
