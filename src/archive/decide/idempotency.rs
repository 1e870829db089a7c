//! Idempotency: a repeated request gets the same result as the first one, and changes nothing.
//!
//! Nothing about results is stored except the change itself. The result is computed again from the state just after
//! that change, not from the newest state, so it is the same however much has happened since.

use crate::archive::decide::addresses::NewText;
use crate::archive::decide::{Decider, ExistingArticle};
use crate::archive::error::{ArchiveError, Conflict};
use crate::archive::position::snapshot_after;
use crate::archive::project::timeline::TimelineReader;
use crate::archive::read::article::etag;
use crate::archive::request::{Action, Operation, Outcome, Receipt, Warning};
use crate::model::{ArticleKey, Change, LogKind, RequestDigest, RequestId, Seq, Snapshot};
use crate::store::StoreError;

impl Decider<'_> {
    /// Rebuilds the receipt of the request `id`, which was carried out by the change at `seq`. A different request
    /// under the same id is [`Conflict::RequestIdReused`].
    pub(crate) fn replay(
        &self,
        operation: &Operation,
        existing: &ExistingArticle,
        seq: Seq,
        id: &RequestId,
        digest: RequestDigest,
    ) -> Result<Receipt, ArchiveError> {
        let missing = || StoreError::damaged_at(seq, "the change that carried out a request is missing");
        let change = self.tables.change(seq)?.ok_or_else(missing)?;
        let article = existing.head.name.clone();
        // The digest of a request whose text was destroyed is gone, too.
        let is_known = change.entry.expunged.is_none();
        if is_known && change.entry.request.as_ref().is_none_or(|(_, recorded)| *recorded != digest) {
            return Err(Conflict::RequestIdReused { article, id: id.clone() }.into());
        }
        let outcome = match change.entry.kind {
            LogKind::Created => Outcome::Created,
            LogKind::Revised
            | LogKind::RolledBack
            | LogKind::Withdrawn
            | LogKind::Reinstated
            | LogKind::Labelled
            | LogKind::Absent
            | LogKind::UrlEnded
            | LogKind::UrlBound
            | LogKind::Expunged => Outcome::Revised,
            LogKind::Sighted
            | LogKind::Repeated
            | LogKind::StateRepeated
            | LogKind::Aliased
            | LogKind::LabelsRepeated
            | LogKind::AbsenceRepeated
            | LogKind::UrlsRepeated => Outcome::Unchanged,
        };
        let observe_time = change.entry.observe_time;
        let timeline = TimelineReader::Stored(self.tables, existing.key);
        let step = timeline.in_force(Some(observe_time), seq.next())?.ok_or_else(missing)?;
        let newest = timeline.in_force(None, seq.next())?.ok_or_else(missing)?;
        // The etag of that time, not the current one: it must not let the client overwrite later changes, which it has
        // not seen.
        let last_edit = change.entry.latest_state.last_edit();
        let etag = etag(newest.revision, last_edit, &*self.tables.creating_change(newest.created_seq)?);
        let warnings = self.warnings_again(operation, existing.key, &change)?;
        let moved_from = self.moved_from(&change)?;
        Ok(Receipt {
            article,
            observe_time,
            outcome,
            created_by: self.tables.creating_change(step.created_seq)?,
            revision: step.revision,
            etag,
            state: change.entry.latest_state.state,
            replayed: true,
            warnings,
            moved_from,
            snapshot: self.snapshot_after_batch_of(&change)?,
        })
    }

    /// The warnings that the operation got when `change` carried it out.
    fn warnings_again(
        &self,
        operation: &Operation,
        article: ArticleKey,
        change: &Change,
    ) -> Result<Vec<Warning>, ArchiveError> {
        let mut warnings = self.foreign_urls(operation, article, change.seq.next())?;
        if let (Action::Observe(observation), Some(record)) = (&operation.action, change.entry.revision_with_content())
        {
            let at = Some(change.entry.observe_time);
            let before = TimelineReader::Stored(self.tables, article).in_force(at, change.seq)?;
            let found = NewText { before, record, content: &observation.content };
            warnings.extend(self.reused_url(operation, article, found, change.seq)?);
        }
        Ok(warnings)
    }

    /// The snapshot at the end of the atomic batch that `change` is part of.
    fn snapshot_after_batch_of(&self, change: &Change) -> Result<Snapshot, StoreError> {
        let mut last = change.clone();
        while let Some(next) = self.tables.change(last.seq.next())? {
            if next.entry.batch_first != change.entry.batch_first {
                break;
            }
            last = next;
        }
        Ok(snapshot_after(&last))
    }
}
