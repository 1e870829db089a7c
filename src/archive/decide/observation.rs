//! Observations and rollbacks: a content arrives, and creates a revision or confirms one.
//!
//! [`decision`](super::decision) says which; this module turns that into the change and its payload: it binds URLs,
//! packs the content as a delta, and summarises what changed. A rollback is an observation whose content is read
//! from an earlier revision.
//!
//! Invariants:
//! - A request with an id is always logged, even if it changes nothing, so that a repetition finds it.
//! - URLs or labels alone are a reason for a change. A URL that belongs to another article stays there, and the
//!   receipt says so.
//! - An observation is rejected if the article is withdrawn at its observe time, unless it is recorded already.
//! - Work that was done in advance ([`Prepared`](crate::archive::request::Prepared)) is used only if it was done
//!   against the right contents. What is recorded is the same with and without it; only the delta may have another base.
//!
//! Which index entries follow is not decided here but in [`crate::archive::project::projection`].

use std::sync::Arc;

use crate::archive::decide::addresses::{NewText, UrlBindings};
use crate::archive::decide::decision::{ALL, Decision, ObservationCandidate, decide, digest_of};
use crate::archive::decide::{Decider, ExistingArticle, Payload, StagedChange, label_change};
use crate::archive::error::{ArchiveError, Conflict, Missing};
use crate::archive::project::timeline::TimelineReader;
use crate::archive::read::candidates;
use crate::archive::read::contents;
use crate::archive::request::{LabelEdit, Observation, Operation, Outcome, PreparedContent, Receipt, Warning};
use crate::model::diff::DiffSummary;
use crate::model::{
    ArticleKey, ArticleName, ChangeEntry, LogKind, RevisionNumber, RevisionRecord, Seq, Timestamp, diff,
};
use crate::store::content::{Base, Effort, PackedContent, PackedOriginal, StoredContent};
use crate::store::head::{ArticleHead, InForce};
use crate::store::overlay::Overlay;
use crate::store::record::created_revision;
use crate::store::{StoreError, Tables, base_choice};

/// A content to be recorded, and where it comes from.
pub(crate) struct NewContent<'a> {
    pub(crate) observation: &'a Observation,
    /// The number of the revision that is rolled back to, and the change that created it.
    pub(crate) rollback_of: Option<(RevisionNumber, Seq)>,
}

impl Decider<'_> {
    pub(crate) fn create(
        &self,
        operation: &Operation,
        name: ArticleName,
        observation: &Observation,
    ) -> Result<(Receipt, Option<StagedChange>), ArchiveError> {
        let key = self.position.next_article;
        let at = operation.observe_time;
        let packed = match &observation.prepared {
            Some(prepared) if prepared.base.is_none() => prepared.packed.clone(),
            _ => PackedContent::pack(&observation.bytes, None, Effort::Quick),
        };
        let UrlBindings { bound_urls, warnings } =
            self.bind_urls(key, at, &observation.urls, 0, &operation.by.within)?;
        let original = packed_original(observation);
        let record = RevisionRecord {
            original: original.as_ref().map(|original| original.record.clone()),
            ..RevisionRecord::of(&observation.content, observation.digest, observation.word_count)
        };
        let entry = ChangeEntry {
            revision: Some(RevisionNumber::FIRST),
            labels: label_change(&name, &[], &observation.labels)?,
            bound_urls,
            new_revision: Some(Box::new(record)),
            fetch: observation.fetch.clone(),
            ..self.entry(operation, key, &name, LogKind::Created, None)
        };
        let payload = Payload { packed, original, content: observation.bytes.clone() };
        let staged = self.staged(None, entry, Some(payload))?;
        let receipt = self.receipt(operation, name, Outcome::Created, &staged.change, RevisionNumber::FIRST, warnings);
        Ok((receipt, Some(staged)))
    }

    pub(crate) fn observe(
        &self,
        operation: &Operation,
        existing: ExistingArticle,
        new_content: &NewContent<'_>,
    ) -> Result<(Receipt, Option<StagedChange>), ArchiveError> {
        let ExistingArticle { key, head } = existing;
        let at = operation.observe_time;
        let observation = new_content.observation;
        // A request with an id is always logged, so it is never coalesced.
        let coalesce_within_micros = if operation.request.is_some() { 0 } else { observation.coalesce_within_micros };
        let candidate = ObservationCandidate {
            article: key,
            head: &head,
            observe_time: at,
            digest: observation.digest,
            coalesce_within_micros,
        };
        let decision = decide(&self.tables, &candidate)?;
        if !matches!(decision, Decision::Recorded(_)) {
            self.reject_if_withdrawn(&head, key, at)?;
        }
        let UrlBindings { mut bound_urls, mut warnings } =
            self.bind_urls(key, at, &observation.urls, head.url_count, &operation.by.within)?;
        if matches!(decision, Decision::Recorded(_) | Decision::Coalesced) {
            // It was recorded before, or is not recorded. So it must not undo what was said of an address since.
            self.leave_contested(&mut bound_urls)?;
        }
        let entry = self.entry(operation, key, &head.name, LogKind::Sighted, Some(head.latest_seq));
        let labels = label_change(&head.name, &head.labels, &observation.labels)?;
        let entry = ChangeEntry { bound_urls, labels, by_rollback: new_content.rollback_of.is_some(), ..entry };
        let (entry, payload) = match decision {
            Decision::Recorded(revision) if operation.request.is_some() => {
                (ChangeEntry { kind: LogKind::Repeated, revision: Some(revision), ..entry }, None)
            }
            Decision::Recorded(_) | Decision::Coalesced if entry.bound_urls.is_empty() && entry.labels.is_none() => {
                let step = self.revision_at(key, at)?;
                let created_by = self.tables.creating_change(step.created_seq)?;
                let outcome = Outcome::Unchanged;
                return Ok((self.receipt(operation, head.name, outcome, &created_by, step.revision, warnings), None));
            }
            Decision::Recorded(_) | Decision::Coalesced if entry.bound_urls.is_empty() => {
                (ChangeEntry { kind: LogKind::Labelled, observe_time: head.newest.since, ..entry }, None)
            }
            Decision::Recorded(revision) => {
                (ChangeEntry { kind: LogKind::Aliased, revision: Some(revision), ..entry }, None)
            }
            Decision::Coalesced => (ChangeEntry { kind: LogKind::Aliased, ..entry }, None),
            Decision::Sighting(step) | Decision::Earlier(step) => {
                let fetch = observation.fetch.clone();
                (ChangeEntry { revision: Some(step.revision), fetch, ..entry }, None)
            }
            Decision::New { before } => {
                let (entry, payload) = self.revise(&head, new_content, before, entry)?;
                if let Some(record) = entry.new_revision.as_deref() {
                    let found = NewText { before, record, content: &observation.content };
                    warnings.extend(self.reused_url(operation, key, found, ALL)?);
                }
                (entry, Some(payload))
            }
        };
        self.finish(operation, head, entry, payload, warnings)
    }

    /// Stages the change. The receipt has the revision that is in force at the observe time after it.
    fn finish(
        &self,
        operation: &Operation,
        before: ArticleHead,
        entry: ChangeEntry,
        payload: Option<Payload>,
        warnings: Vec<Warning>,
    ) -> Result<(Receipt, Option<StagedChange>), ArchiveError> {
        let at = operation.observe_time;
        let (key, name) = (entry.article, before.name.clone());
        let in_order = at > before.latest_observe_time;
        let outcome = if entry.new_revision.is_some() { Outcome::Revised } else { Outcome::Unchanged };
        let staged = self.staged(Some(before), entry, payload)?;
        let in_force = if in_order {
            staged.head.newest
        } else {
            let after = Overlay::new(self.tables.source(), &staged.batch);
            let missing = || StoreError::Damaged { seq: None, detail: format!("article {} has no revision", key.0) };
            TimelineReader::Stored(Tables::new(&after), key).in_force(Some(at), ALL)?.ok_or_else(missing)?
        };
        let is_own = in_force.created_seq == self.position.next_seq;
        let created_by =
            if is_own { Arc::clone(&staged.change) } else { self.tables.creating_change(in_force.created_seq)? };
        Ok((self.receipt(operation, name, outcome, &created_by, in_force.revision, warnings), Some(staged)))
    }

    fn revise(
        &self,
        head: &ArticleHead,
        new_content: &NewContent<'_>,
        before: Option<InForce>,
        entry: ChangeEntry,
    ) -> Result<(ChangeEntry, Payload), ArchiveError> {
        let observation = new_content.observation;
        let packed = self.pack(head, new_content)?;
        let summary = before.map(|before| self.summary(before, observation)).transpose()?.flatten();
        let original = packed_original(observation);
        let record = RevisionRecord {
            word_delta: summary.map(|summary| summary.word_delta),
            changed_parts: summary.unwrap_or_default().changed_parts,
            rollback_of: new_content.rollback_of.map(|(number, _)| number),
            original: original.as_ref().map(|original| original.record.clone()),
            ..RevisionRecord::of(&observation.content, observation.digest, observation.word_count)
        };
        let kind = if new_content.rollback_of.is_some() { LogKind::RolledBack } else { LogKind::Revised };
        let revision = Some(head.revision_count.next());
        let fetch = observation.fetch.clone();
        let entry = ChangeEntry { kind, revision, new_revision: Some(Box::new(record)), fetch, ..entry };
        Ok((entry, Payload { packed, original, content: observation.bytes.clone() }))
    }

    /// Packs the content: as a reference if a recent content is equal, as prepared if that was done against the latest
    /// content, or else as a new delta.
    fn pack(&self, head: &ArticleHead, new_content: &NewContent<'_>) -> Result<PackedContent, ArchiveError> {
        let observation = new_content.observation;
        let length = observation.bytes.len();
        if let Some((seq, depth)) = self.equal_content(head, new_content)?
            && let Some(packed) = PackedContent::equal_to(seq, depth, length)
        {
            return Ok(packed);
        }
        let Some(latest) = head.recent.last() else {
            return Ok(PackedContent::pack(&observation.bytes, None, Effort::Quick));
        };
        let others = || candidates::before_latest(head, self.cached);
        if let Some(prepared) = observation.prepared.as_ref()
            && let Some(base) = &prepared.base
            && self.is_content_of(&base.content, latest.seq)?
        {
            match &base.content {
                PreparedContent::Recorded(_) => return Ok(prepared.packed.clone()),
                // The others were not known when it was packed.
                PreparedContent::Queued(bytes) => {
                    if let Some(packed) = prepared.packed.on(latest.seq, latest.depth, base.depth) {
                        let latest = Base { seq: latest.seq, depth: latest.depth, bytes };
                        return Ok(base_choice::better(packed, &observation.bytes, latest, others));
                    }
                }
            }
        }
        let base = self.content_bytes(latest.seq)?;
        let base = Base { seq: latest.seq, depth: latest.depth, bytes: &base };
        Ok(base_choice::pack(&observation.bytes, base, others))
    }

    fn equal_content(
        &self,
        head: &ArticleHead,
        new_content: &NewContent<'_>,
    ) -> Result<Option<(Seq, u32)>, ArchiveError> {
        let digest = new_content.observation.digest;
        for recent in head.recent.iter().rev().filter(|recent| digest.0.starts_with(&recent.digest_start)) {
            // The digest leaves out guesses, so contents with equal digests may still differ in their bytes.
            let is_equal = digest_of(&self.tables, recent.seq)? == digest
                && self.content_bytes(recent.seq)? == new_content.observation.bytes;
            if is_equal {
                return Ok(Some((recent.seq, recent.depth)));
            }
        }
        let Some((_, seq)) = new_content.rollback_of else { return Ok(None) };
        Ok(StoredContent::read(self.tables.source(), seq)?.map(|stored| (seq, stored.depth())))
    }

    /// How the content differs from the one in force before it; `None` if the text of that one was destroyed.
    fn summary(&self, before: InForce, observation: &Observation) -> Result<Option<DiffSummary>, ArchiveError> {
        if let Some(prepared) = &observation.prepared
            && let Some((content, summary)) = &prepared.summary
            && self.is_content_of(content, before.created_seq)?
        {
            return Ok(Some(*summary));
        }
        let bytes = match self.content_bytes(before.created_seq) {
            Err(StoreError::Damaged { .. }) if self.is_expunged(before.created_seq)? => return Ok(None),
            bytes => bytes?,
        };
        let base = contents::decode(before.created_seq, &bytes)?;
        Ok(Some(diff::summary(&base, &observation.content)))
    }

    /// Whether the text of the revision that the change at `seq` created was destroyed.
    fn is_expunged(&self, seq: Seq) -> Result<bool, StoreError> {
        Ok(self.tables.creating_change(seq)?.entry.expunged.is_some())
    }

    /// Whether work was done against the content that the change at `seq` created.
    fn is_content_of(&self, prepared: &PreparedContent, seq: Seq) -> Result<bool, StoreError> {
        match prepared {
            PreparedContent::Recorded(recorded) => Ok(*recorded == seq),
            PreparedContent::Queued(bytes) => Ok(self.content_bytes(seq)? == *bytes),
        }
    }

    pub(super) fn content_bytes(&self, seq: Seq) -> Result<bytes::Bytes, StoreError> {
        contents::load_bytes(self.tables.source(), seq, self.cached)
    }

    fn reject_if_withdrawn(&self, head: &ArticleHead, key: ArticleKey, at: Timestamp) -> Result<(), ArchiveError> {
        let Some(last) = head.state else { return Ok(()) };
        let state = if at >= last.since {
            Some(last)
        } else {
            TimelineReader::Stored(self.tables, key).state(Some(at), ALL)?
        };
        match state {
            Some(state) if state.withdrawn => {
                Err(Conflict::Withdrawn { article: head.name.clone(), since: state.since }.into())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn roll_back(
        &self,
        operation: &Operation,
        existing: ExistingArticle,
        number: RevisionNumber,
    ) -> Result<(Receipt, Option<StagedChange>), ArchiveError> {
        let seq = self.tables.revision(existing.key, number, ALL)?;
        let missing = || Missing::Revision { article: existing.head.name.clone(), number };
        let seq = seq.ok_or_else(missing)?;
        let created_by = self.tables.creating_change(seq)?;
        created_revision(&created_by)?;
        let expunged = || Conflict::Expunged { article: existing.head.name.clone(), number };
        let record = created_by.entry.revision_with_content().ok_or_else(expunged)?;
        let digest = record.digest;
        let (bytes, _) = contents::load(self.tables.source(), seq, digest, self.cached)?;
        let observation = Observation {
            content: Arc::new(contents::decode(seq, &bytes)?),
            digest,
            word_count: record.word_count,
            bytes,
            urls: Vec::new(),
            original: None,
            fetch: None,
            labels: LabelEdit::default(),
            coalesce_within_micros: 0,
            prepared: None,
        };
        self.observe(operation, existing, &NewContent { observation: &observation, rollback_of: Some((number, seq)) })
    }
}

/// The packed original: the prepared one, or else packed now.
fn packed_original(observation: &Observation) -> Option<PackedOriginal> {
    let original = observation.original.as_ref()?;
    let prepared = observation.prepared.as_ref().and_then(|prepared| prepared.original.clone());
    Some(prepared.unwrap_or_else(|| PackedOriginal::pack(original)))
}
