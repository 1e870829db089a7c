//! Decides one operation, given everything before it, and stages the log change that it causes, if any.
//!
//! The steps, in this order:
//!
//! 1. Resolve the target to an article, by name or by URL.
//! 2. If the request id was used before, return the earlier result ([`idempotency`]). This comes before the
//!    precondition: the first request may itself have changed the state that the precondition asks for.
//! 3. Check the precondition against the newest state.
//! 4. Apply the rules of the action: observation, absence, rollback, state change, labels or move of an address.
//! 5. Project what follows from the change ([`crate::archive::project::projection`]), and encode its log record.
//!
//! Invariants:
//! - An operation causes at most one change, and that change is complete: it records the decision, so that nothing has
//!   to be decided again when the log is replayed. A move of an address from one article to another is two changes,
//!   one for each article: the caller decides the operation of [`Decider::end_before`] first.
//! - Nothing is written. A rejected operation leaves no trace.
//! - Everything here is synchronous and depends only on the tables and the [`LogPosition`]; the same input always gives
//!   the same change.
//!
//! The decider must not know which of the state is durable. It reads through an overlay and sees all as one database.

mod absence;
mod addresses;
pub(crate) mod decision;
mod expunge;
pub(crate) mod idempotency;
pub(crate) mod observation;

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::archive::decide::decision::ALL;
use crate::archive::decide::observation::NewContent;
use crate::archive::error::{ArchiveError, Conflict, Missing};
use crate::archive::position::LogPosition;
use crate::archive::project::projection::{Cause, Projected, project};
use crate::archive::project::timeline::TimelineReader;
use crate::archive::read::article::etag;
use crate::archive::request::{Action, ArticleTarget, LabelEdit, Operation, Outcome, Precondition, Receipt, Warning};
use crate::model::{
    ArticleKey, ArticleName, ArticleState, ArticleUrl, Change, ChangeEntry, LabelChange, LatestState, LogKind,
    RevisionNumber, Salt, Seq, Timestamp,
};
use crate::store::content::{PackedContent, PackedOriginal};
use crate::store::engine::{Direction, VALUE_BYTES_MAX};
use crate::store::head::{ArticleHead, InForce};
use crate::store::record::EncodedChange;
use crate::store::{Batch, StoreError, Tables};

/// The state that an operation is decided on.
pub(crate) struct Decider<'a> {
    pub(crate) tables: Tables<'a>,
    pub(crate) cached: &'a dyn Fn(Seq) -> Option<Bytes>,
    /// The end of the log, where the change goes.
    pub(crate) position: LogPosition,
    /// A provisional archive time; sealing the commit replaces it.
    pub(crate) archive_time: Timestamp,
    /// The first position of the atomic batch that the operation is part of.
    pub(crate) batch_first: Seq,
}

/// A change and everything that is written with it, except the stats of its source.
pub(crate) struct StagedChange {
    pub(crate) article: ArticleKey,
    pub(crate) head: ArticleHead,
    pub(crate) batch: Batch,
    pub(crate) change: Arc<Change>,
    pub(crate) encoded: EncodedChange,
    pub(crate) content: Option<Bytes>,
}

/// The payload stored with a change: its content, and its original if there is one.
pub(crate) struct Payload {
    pub(crate) packed: PackedContent,
    pub(crate) original: Option<PackedOriginal>,
    pub(crate) content: Bytes,
}

impl Payload {
    fn write(self, seq: Seq, batch: &mut Batch) -> Bytes {
        self.packed.write(seq, batch);
        if let Some(original) = self.original {
            original.write(seq, batch);
        }
        self.content
    }
}

/// An article that exists, with its head before the operation.
pub(crate) struct ExistingArticle {
    pub(crate) key: ArticleKey,
    pub(crate) head: ArticleHead,
}

impl Decider<'_> {
    /// Decides the operation. The staged change is `None` if nothing is to be written.
    pub(crate) fn decide(&self, operation: &Operation) -> Result<(Receipt, Option<StagedChange>), ArchiveError> {
        let (mut receipt, staged) = self.decide_without_newest(operation)?;
        if !receipt.replayed {
            self.add_newest(&mut receipt, staged.as_ref())?;
        }
        Ok((receipt, staged))
    }

    /// Adds the article's newest state after the operation.
    fn add_newest(&self, receipt: &mut Receipt, staged: Option<&StagedChange>) -> Result<(), ArchiveError> {
        let existing = match staged {
            Some(StagedChange { article, head, .. }) => ExistingArticle { key: *article, head: head.clone() },
            None => {
                let missing = || Missing::Article(receipt.article.clone());
                let key = self.tables.article(&receipt.article, ALL)?.ok_or_else(missing)?;
                ExistingArticle { key, head: self.tables.existing_head(key)? }
            }
        };
        let change = staged.map(|staged| &staged.change);
        let newest = existing.head.newest;
        let mut known = change.into_iter().chain([&receipt.created_by]);
        let created_by = match known.find(|change| change.seq == newest.created_seq) {
            Some(created_by) => Arc::clone(created_by),
            None => self.tables.creating_change(newest.created_seq)?,
        };
        receipt.etag = etag(newest.revision, existing.head.last_edit(), &created_by);
        receipt.state = existing.head.article_state();
        Ok(())
    }

    fn decide_without_newest(&self, operation: &Operation) -> Result<(Receipt, Option<StagedChange>), ArchiveError> {
        let (name, existing) = self.resolve(operation)?;
        if let Some((existing, (id, digest))) = existing.as_ref().zip(operation.request.as_ref())
            && let Some(seq) = self.tables.request(existing.key, id)?
        {
            return Ok((self.replay(operation, existing, seq, id, *digest)?, None));
        }
        if let Some(precondition) = &operation.precondition {
            self.check(precondition, &name, existing.as_ref())?;
        }
        match (&operation.action, existing) {
            (Action::Observe(observation), None) => self.create(operation, name, observation),
            (Action::Observe(observation), Some(existing)) => {
                self.observe(operation, existing, &NewContent { observation, rollback_of: None })
            }
            (
                Action::Rollback(_)
                | Action::SetState { .. }
                | Action::Absent(_)
                | Action::Label { .. }
                | Action::BindUrl(_)
                | Action::EndUrl(_)
                | Action::Expunge(_),
                None,
            ) => Err(Missing::Article(name).into()),
            (Action::Absent(request), Some(existing)) => self.absent(operation, existing, request),
            (Action::Rollback(number), Some(existing)) => self.roll_back(operation, existing, *number),
            (Action::SetState { withdrawn, reason }, Some(existing)) => {
                self.set_state(operation, existing, *withdrawn, reason)
            }
            (Action::Label { edit, reason }, Some(existing)) => self.label(operation, existing, edit, reason),
            (Action::BindUrl(url_move), Some(existing)) => self.bind_url(operation, existing, url_move),
            (Action::EndUrl(url_move), Some(existing)) => self.end_url(operation, existing, url_move),
            (Action::Expunge(prepared), Some(existing)) => self.expunge(operation, existing, prepared),
        }
    }

    pub(crate) fn resolve(
        &self,
        operation: &Operation,
    ) -> Result<(ArticleName, Option<ExistingArticle>), ArchiveError> {
        let name = match &operation.target {
            ArticleTarget::Named(name) => name.clone(),
            ArticleTarget::ByUrl { source, derived } => self.found_by_url(operation, source, derived)?,
            ArticleTarget::AtUrl(url) => self.found_at_url(operation, url)?,
            ArticleTarget::ByAddress(url) => self.found_by_address(operation, url)?,
        };
        if !operation.by.within.has(&name.source) {
            return Err(match &operation.target {
                ArticleTarget::AtUrl(url) | ArticleTarget::ByAddress(url) => Missing::Url(url.original.clone()).into(),
                // The address that is moved leads to it.
                ArticleTarget::Named(_) | ArticleTarget::ByUrl { .. } => Conflict::NotWithin.into(),
            });
        }
        let existing = match self.tables.article(&name, ALL)? {
            None => None,
            Some(key) => Some(ExistingArticle { key, head: self.tables.existing_head(key)? }),
        };
        Ok((name, existing))
    }

    fn check(
        &self,
        precondition: &Precondition,
        name: &ArticleName,
        existing: Option<&ExistingArticle>,
    ) -> Result<(), ArchiveError> {
        let Some(ExistingArticle { head, .. }) = existing else {
            return match precondition {
                Precondition::MustNotExist => Ok(()),
                Precondition::Etag(_) | Precondition::Revision(_) => Err(Missing::Article(name.clone()).into()),
            };
        };
        let created_by = self.tables.creating_change(head.newest.created_seq)?;
        let etag = etag(head.newest.revision, head.last_edit(), &created_by);
        let (holds, required) = match precondition {
            Precondition::MustNotExist => return Err(Conflict::ArticleExists(name.clone()).into()),
            Precondition::Etag(expected) => (*expected == etag, None),
            Precondition::Revision(expected) => (*expected == head.newest.revision, Some(*expected)),
        };
        let conflict = Conflict::Revision { article: name.clone(), required, current: head.newest.revision, etag };
        if holds { Ok(()) } else { Err(conflict.into()) }
    }

    fn set_state(
        &self,
        operation: &Operation,
        existing: ExistingArticle,
        withdrawn: bool,
        reason: &str,
    ) -> Result<(Receipt, Option<StagedChange>), ArchiveError> {
        let ExistingArticle { key, head } = existing;
        let at = operation.observe_time;
        if at < head.first_observe_time {
            return Err(Conflict::StateTooEarly { article: head.name, first: head.first_observe_time }.into());
        }
        let step = self.revision_at(key, at)?;
        let created_by = self.tables.creating_change(step.created_seq)?;
        let recorded = self.is_state_recorded(key, at, withdrawn)?;
        let outcome = if recorded { Outcome::Unchanged } else { Outcome::Revised };
        let receipt = self.receipt(operation, head.name.clone(), outcome, &created_by, step.revision, Vec::new());
        if recorded && operation.request.is_none() {
            return Ok((receipt, None));
        }
        let kind = match (recorded, withdrawn) {
            (true, _) => LogKind::StateRepeated,
            (false, true) => LogKind::Withdrawn,
            (false, false) => LogKind::Reinstated,
        };
        let entry = ChangeEntry {
            reason: reason.to_owned(),
            ..self.entry(operation, key, &head.name, kind, Some(head.latest_seq))
        };
        let staged = self.staged(Some(head), entry, None)?;
        Ok((receipt, Some(staged)))
    }

    /// Changes the labels of an article, in any state. Labels have no observe time: they apply from this change on.
    fn label(
        &self,
        operation: &Operation,
        existing: ExistingArticle,
        edit: &LabelEdit,
        reason: &str,
    ) -> Result<(Receipt, Option<StagedChange>), ArchiveError> {
        let ExistingArticle { key, head } = existing;
        let labels = label_change(&head.name, &head.labels, edit)?;
        let newest = head.newest;
        let created_by = self.tables.creating_change(newest.created_seq)?;
        let outcome = if labels.is_some() { Outcome::Revised } else { Outcome::Unchanged };
        let receipt = Receipt {
            observe_time: newest.since,
            ..self.receipt(operation, head.name.clone(), outcome, &created_by, newest.revision, Vec::new())
        };
        let kind = match &labels {
            Some(_) => LogKind::Labelled,
            None if operation.request.is_some() => LogKind::LabelsRepeated,
            None => return Ok((receipt, None)),
        };
        let entry = ChangeEntry {
            labels,
            reason: reason.to_owned(),
            observe_time: newest.since,
            ..self.entry(operation, key, &head.name, kind, Some(head.latest_seq))
        };
        let staged = self.staged(Some(head), entry, None)?;
        Ok((receipt, Some(staged)))
    }

    /// Whether the state was declared at exactly this time before, even if another one was declared there later: as
    /// with contents, importing the same changes twice must change nothing.
    fn is_state_recorded(&self, key: ArticleKey, at: Timestamp, withdrawn: bool) -> Result<bool, StoreError> {
        let exactly = (Bound::Included(at), Bound::Included(at));
        for state in self.tables.state_changes(key, exactly, Direction::Reverse, ALL) {
            if state?.withdrawn == withdrawn {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The revision in force at `at`; [`Missing::NotYetObserved`] if that is before the first observation.
    pub(crate) fn revision_at(&self, key: ArticleKey, at: Timestamp) -> Result<InForce, ArchiveError> {
        if let Some(step) = TimelineReader::Stored(self.tables, key).in_force(Some(at), ALL)? {
            return Ok(step);
        }
        let head = self.tables.existing_head(key)?;
        Err(Missing::NotYetObserved { article: head.name, first: head.first_observe_time }.into())
    }

    pub(crate) fn entry(
        &self,
        operation: &Operation,
        article: ArticleKey,
        name: &ArticleName,
        kind: LogKind,
        previous: Option<Seq>,
    ) -> ChangeEntry {
        ChangeEntry {
            article,
            name: name.clone(),
            kind,
            revision: None,
            observe_time: operation.observe_time,
            archive_time: self.archive_time,
            batch_first: self.batch_first,
            previous,
            request: operation.request.clone(),
            bound_urls: Vec::new(),
            ended_urls: Vec::new(),
            repeated_move: None,
            new_revision: None,
            labels: None,
            absence: None,
            reason: String::new(),
            fetch: None,
            by_rollback: false,
            // A placeholder. `staged` replaces it, since it depends on the head after the change, as a run of absences
            // does.
            latest_state: LatestState {
                created_seq: self.position.next_seq,
                since: operation.observe_time,
                state: ArticleState::Live,
                state_seq: None,
                is_newest: false,
                labels_seq: None,
            },
            principal: operation.by.principal.clone(),
            expunging: None,
            // Sealing the commit replaces it.
            salt: Salt::default(),
            expunged: None,
        }
    }

    /// Stages the change `entry` to an article whose head is `before`; `None` for a new article.
    pub(crate) fn staged(
        &self,
        before: Option<ArticleHead>,
        mut entry: ChangeEntry,
        payload: Option<Payload>,
    ) -> Result<StagedChange, ArchiveError> {
        let (seq, article) = (self.position.next_seq, entry.article);
        let depth = payload.as_ref().map(|payload| payload.packed.depth());
        let Projected { head, latest_state, absence_run, mut batch } =
            project(&self.tables, before, Cause { seq, entry: &entry, depth })?;
        entry.latest_state = latest_state;
        if let Some(absence) = &mut entry.absence {
            absence.run = absence_run;
        }
        let content = payload.map(|payload| payload.write(seq, &mut batch));
        let (encoded, change) = self.position.encode(entry);
        if encoded.value.len() > VALUE_BYTES_MAX {
            let what =
                "the size in bytes of the change's log record (headline, section, labels, URLs, fetch and so on)";
            return Err(ArchiveError::TooLarge { what, size: encoded.value.len(), size_max: VALUE_BYTES_MAX });
        }
        Ok(StagedChange { article, head, batch, change, encoded, content })
    }

    pub(crate) fn receipt(
        &self,
        operation: &Operation,
        article: ArticleName,
        outcome: Outcome,
        created_by: &Arc<Change>,
        revision: RevisionNumber,
        warnings: Vec<Warning>,
    ) -> Receipt {
        Receipt {
            article,
            observe_time: operation.observe_time,
            outcome,
            created_by: Arc::clone(created_by),
            revision,
            // Placeholders. `add_newest` replaces them.
            etag: String::new(),
            state: ArticleState::Live,
            replayed: false,
            warnings,
            moved_from: None,
            snapshot: self.position.snapshot(),
        }
    }
}

/// The change that `edit` makes to the labels `before` of an article; `None` if it makes none.
pub(crate) fn label_change(
    article: &ArticleName,
    before: &[String],
    edit: &LabelEdit,
) -> Result<Option<Box<LabelChange>>, Conflict> {
    let Some(change) = LabelChange::of(before, &edit.add, &edit.remove) else { return Ok(None) };
    let (count, count_max) = (change.after.len(), edit.count_max);
    if count > count_max && !change.added.is_empty() {
        return Err(Conflict::TooManyLabels { article: article.clone(), count, count_max });
    }
    Ok(Some(Box::new(change)))
}

pub(crate) fn urls(operation: &Operation) -> &[ArticleUrl] {
    match &operation.action {
        Action::Observe(observation) => &observation.urls,
        Action::Rollback(_)
        | Action::SetState { .. }
        | Action::Absent(_)
        | Action::Label { .. }
        | Action::BindUrl(_)
        | Action::EndUrl(_)
        | Action::Expunge(_) => &[],
    }
}
