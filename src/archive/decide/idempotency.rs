//! Idempotency: a repeated request gets the same result as the first one, and changes nothing.
//!
//! Nothing about results is stored except the change itself. The result is computed again from the state just after
//! that change, not from the newest state, so it is the same however much has happened since.

use crate::archive::decide::{Decider, ExistingArticle, urls};
use crate::archive::error::{ArchiveError, Conflict};
use crate::archive::position::snapshot_after;
use crate::archive::project::timeline::TimelineReader;
use crate::archive::read::article::etag;
use crate::archive::request::{Operation, Outcome, Receipt, Warning};
use crate::model::{Change, LogKind, RequestDigest, RequestId, Seq, Snapshot};
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
        if change.entry.request.as_ref().is_none_or(|(_, recorded)| *recorded != digest) {
            return Err(Conflict::RequestIdReused { article, id: id.clone() }.into());
        }
        let outcome = match change.entry.kind {
            LogKind::Created => Outcome::Created,
            LogKind::Revised
            | LogKind::RolledBack
            | LogKind::Withdrawn
            | LogKind::Reinstated
            | LogKind::Labelled
            | LogKind::Absent => Outcome::Revised,
            LogKind::Sighted
            | LogKind::Repeated
            | LogKind::StateRepeated
            | LogKind::Aliased
            | LogKind::LabelsRepeated
            | LogKind::AbsenceRepeated => Outcome::Unchanged,
        };
        let observe_time = change.entry.observe_time;
        let timeline = TimelineReader::Stored(self.tables, existing.key);
        let step = timeline.in_force(Some(observe_time), seq.next())?.ok_or_else(missing)?;
        let newest = timeline.in_force(None, seq.next())?.ok_or_else(missing)?;
        // The etag of that time, not the current one: it must not let the client overwrite later changes, which it has
        // not seen.
        let last_edit = change.entry.latest_state.last_edit();
        let etag = etag(newest.revision, last_edit, &*self.tables.creating_change(newest.created_seq)?);
        let mut warnings = Vec::new();
        for url in urls(operation) {
            let binding = self.tables.url(&url.key, seq.next())?;
            if let Some(binding) = binding.filter(|binding| binding.article != existing.key) {
                let article = self.tables.existing_head(binding.article)?.name;
                warnings.push(Warning::UrlBelongsToOther { url: url.original.clone(), article });
            }
        }
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
            snapshot: self.snapshot_after_batch_of(&change)?,
        })
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
