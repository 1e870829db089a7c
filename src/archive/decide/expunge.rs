//! The destruction of text. What is destroyed was prepared off the writer thread ([`crate::archive::expunge`]); here it
//! is only checked that the article has not changed since, and the change that records it is made.

use crate::archive::decide::{Decider, ExistingArticle, StagedChange};
use crate::archive::error::{ArchiveError, Conflict};
use crate::archive::request::{Operation, Outcome, PreparedExpunge, Receipt};
use crate::model::{ChangeEntry, LogKind};

impl Decider<'_> {
    pub(crate) fn expunge(
        &self,
        operation: &Operation,
        existing: ExistingArticle,
        prepared: &PreparedExpunge,
    ) -> Result<(Receipt, Option<StagedChange>), ArchiveError> {
        let ExistingArticle { key, head } = existing;
        if prepared.latest_seq.is_some_and(|latest_seq| latest_seq != head.latest_seq) {
            return Err(Conflict::ExpungePlanChanged(head.name).into());
        }
        let name = prepared.name.as_ref().unwrap_or(&head.name).clone();
        let newest = head.newest;
        let entry = ChangeEntry {
            observe_time: newest.since,
            expunging: Some(Box::new(prepared.expunging.clone())),
            ..self.entry(operation, key, &name, LogKind::Expunged, Some(head.latest_seq))
        };
        let mut staged = self.staged(Some(head), entry, None)?;
        let mut batch = prepared.writes.clone();
        batch.writes.append(&mut staged.batch.writes);
        staged.batch = batch;
        let created_by = self.tables.creating_change(newest.created_seq)?;
        let receipt = self.receipt(operation, name, Outcome::Revised, &created_by, newest.revision, Vec::new());
        Ok((receipt, Some(staged)))
    }
}
