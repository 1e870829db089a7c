//! What an absence does: a look that found the page missing is recorded, unless it is recorded already or adds nothing.
//!
//! In every state of the article: a withdrawal says what was declared, and an absence what was found.

use std::ops::Bound;

use crate::archive::decide::decision::ALL;
use crate::archive::decide::{Decider, ExistingArticle, StagedChange};
use crate::archive::error::{ArchiveError, Conflict};
use crate::archive::project::absence::absence_at;
use crate::archive::request::{AbsenceLookRequest, Operation, Outcome, Receipt};
use crate::model::{AbsenceLook, AbsenceRecord, ArticleKey, ChangeEntry, LogKind, Timestamp};
use crate::store::StoreError;
use crate::store::engine::Direction;
use crate::store::head::ArticleHead;

impl Decider<'_> {
    pub(super) fn absent(
        &self,
        operation: &Operation,
        existing: ExistingArticle,
        request: &AbsenceLookRequest,
    ) -> Result<(Receipt, Option<StagedChange>), ArchiveError> {
        let ExistingArticle { key, head } = existing;
        let at = operation.observe_time;
        if at < head.first_observe_time {
            return Err(Conflict::StateTooEarly { article: head.name, first: head.first_observe_time }.into());
        }
        let step = self.revision_at(key, at)?;
        let created_by = self.tables.creating_change(step.created_seq)?;
        let recorded = self.is_absence_recorded(key, at, request.look)?;
        // A request with an id is always logged, so it is never coalesced.
        let is_coalesced = operation.request.is_none() && self.is_absence_coalesced(key, &head, at, request)?;
        let outcome = if recorded || is_coalesced { Outcome::Unchanged } else { Outcome::Revised };
        let receipt = self.receipt(operation, head.name.clone(), outcome, &created_by, step.revision, Vec::new());
        if is_coalesced || (recorded && operation.request.is_none()) {
            return Ok((receipt, None));
        }
        let kind = if recorded { LogKind::AbsenceRepeated } else { LogKind::Absent };
        let entry = ChangeEntry {
            absence: Some(Box::new(AbsenceRecord { look: request.look, run: None })),
            fetch: request.fetch.clone().filter(|_| !recorded),
            ..self.entry(operation, key, &head.name, kind, Some(head.latest_seq))
        };
        let staged = self.staged(Some(head), entry, None)?;
        Ok((receipt, Some(staged)))
    }

    /// Whether an absence like this one was recorded at exactly this time: importing the same changes twice must change
    /// nothing.
    fn is_absence_recorded(&self, key: ArticleKey, at: Timestamp, look: AbsenceLook) -> Result<bool, StoreError> {
        let exactly = (Bound::Included(at), Bound::Included(at));
        for entry in self.tables.absences(key, exactly, Direction::Reverse, ALL) {
            let recorded = entry?.look;
            if recorded.reason == look.reason && recorded.http_status == look.http_status {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the absence closely follows another one in a run that makes the article gone already. Before that, each
    /// look counts.
    fn is_absence_coalesced(
        &self,
        key: ArticleKey,
        head: &ArticleHead,
        at: Timestamp,
        request: &AbsenceLookRequest,
    ) -> Result<bool, StoreError> {
        if request.coalesce_within_micros == 0 {
            return Ok(false);
        }
        let before = absence_at(&self.tables, key, head, at, ALL)?;
        Ok(before.is_some_and(|before| {
            before.run.is_gone && at.micros_since(before.run.last_missed) <= request.coalesce_within_micros
        }))
    }
}
