//! Observations and rollbacks: a content arrives, and makes a revision or confirms one.

use std::sync::Arc;

use super::assembly::maker;
use super::contents::{self, LoadedContent};
use super::error::{ArchiveError, Conflict, Missing};
use super::judge::{ALL, Candidate, Judgement, digest_of, judge};
use super::request::{Observation, Operation, Outcome, Warning, Written};
use super::steps::Steps;
use super::turn::{Brought, Effect, Existing, Turn};
use crate::model::{
    ArticleKey, ArticleName, ArticleUrl, ChangeEntry, ChangeKind, Limits, RevisionNumber, RevisionRecord, Seq,
    Timestamp, WordDelta, diff,
};
use crate::store::content::{self, Base, PackedContent, PackedOriginal, StoredContent};
use crate::store::head::{Head, InForce};
use crate::store::overlay::Overlay;
use crate::store::{StoreError, Tables};

/// A content to be archived, and where it comes from.
pub(super) struct Arrival<'a> {
    pub(super) observation: &'a Observation,
    /// The revision rolled back to, with the change that made it.
    pub(super) rollback_of: Option<(RevisionNumber, Seq)>,
}

impl Turn<'_> {
    pub(super) fn create(
        &self,
        operation: &Operation,
        name: ArticleName,
        observation: &Observation,
    ) -> Result<(Written, Option<Effect>), ArchiveError> {
        let key = self.position.next_article;
        let at = operation.observe_time;
        let packed = match &observation.prepared {
            Some(prepared) if prepared.against.is_none() => prepared.packed.clone(),
            _ => PackedContent::pack(&observation.bytes, None),
        };
        let (bound_urls, warnings) = self.bind_urls(key, at, &observation.urls, 0)?;
        let original = packed_original(observation);
        let record = RevisionRecord {
            original: original.as_ref().map(|original| original.record.clone()),
            ..RevisionRecord::of(&observation.content, observation.digest, observation.word_count)
        };
        let entry = ChangeEntry {
            revision: Some(RevisionNumber::FIRST),
            bound_urls,
            made: Some(Box::new(record)),
            fetch: observation.fetch.clone(),
            ..self.entry(operation, (key, &name), ChangeKind::Created, None)
        };
        let brought = Brought { packed, original, content: loaded(observation) };
        let effect = self.effect(None, entry, Some(brought))?;
        let written = self.written(operation, name, Outcome::Created, &effect.change, RevisionNumber::FIRST, warnings);
        Ok((written, Some(effect)))
    }

    pub(super) fn observe(
        &self,
        operation: &Operation,
        existing: Existing,
        arrival: &Arrival<'_>,
    ) -> Result<(Written, Option<Effect>), ArchiveError> {
        let Existing { key, head } = existing;
        let at = operation.observe_time;
        let observation = arrival.observation;
        // A request with an id is always logged, so it is never coalesced.
        let coalesce_within_micros = if operation.request.is_some() { 0 } else { observation.coalesce_within_micros };
        let candidate = Candidate {
            article: key,
            head: &head,
            observe_time: at,
            digest: observation.digest,
            coalesce_within_micros,
        };
        let judgement = judge(&self.tables, &candidate)?;
        if !matches!(judgement, Judgement::Recorded(_)) {
            self.refuse_if_withdrawn(&head, key, at)?;
        }
        let (bound_urls, warnings) = self.bind_urls(key, at, &observation.urls, head.url_count)?;
        let entry = self.entry(operation, (key, &head.name), ChangeKind::Sighted, Some(head.latest_seq));
        let entry = ChangeEntry { bound_urls, by_rollback: arrival.rollback_of.is_some(), ..entry };
        let (entry, brought) = match judgement {
            Judgement::Recorded(revision) if operation.request.is_some() => {
                (ChangeEntry { kind: ChangeKind::Repeated, revision: Some(revision), ..entry }, None)
            }
            Judgement::Recorded(_) | Judgement::Coalesced if entry.bound_urls.is_empty() => {
                let step = self.revision_at(key, at)?;
                let made = maker(&self.tables, step.made_seq)?;
                let outcome = Outcome::Unchanged;
                return Ok((self.written(operation, head.name, outcome, &made, step.revision, warnings), None));
            }
            Judgement::Recorded(revision) => {
                (ChangeEntry { kind: ChangeKind::Aliased, revision: Some(revision), ..entry }, None)
            }
            Judgement::Coalesced => (ChangeEntry { kind: ChangeKind::Aliased, ..entry }, None),
            Judgement::Sighting(step) | Judgement::Earlier(step) => {
                let fetch = observation.fetch.clone();
                (ChangeEntry { revision: Some(step.revision), fetch, ..entry }, None)
            }
            Judgement::New { before } => {
                let (entry, brought) = self.revise(&head, arrival, before, entry)?;
                (entry, Some(brought))
            }
        };
        self.finish(operation, head, entry, brought, warnings)
    }

    /// Makes the change, and answers with what is in force at the observe time after it.
    fn finish(
        &self,
        operation: &Operation,
        before: Head,
        entry: ChangeEntry,
        brought: Option<Brought>,
        warnings: Vec<Warning>,
    ) -> Result<(Written, Option<Effect>), ArchiveError> {
        let at = operation.observe_time;
        let (key, name) = (entry.article, before.name.clone());
        let in_order = at > before.latest_observe_time;
        let outcome = if entry.made.is_some() { Outcome::Revised } else { Outcome::Unchanged };
        let effect = self.effect(Some(before), entry, brought)?;
        let here = if in_order {
            effect.head.newest
        } else {
            let after = Overlay::new(self.tables.source(), &effect.batch);
            let none = || StoreError::Damaged { seq: None, detail: format!("article {} has no revision", key.0) };
            Steps::Stored(Tables::new(&after), key).in_force(Some(at), ALL)?.ok_or_else(none)?
        };
        let is_own = here.made_seq == self.position.next_seq;
        let made = if is_own { Arc::clone(&effect.change) } else { maker(&self.tables, here.made_seq)? };
        Ok((self.written(operation, name, outcome, &made, here.revision, warnings), Some(effect)))
    }

    fn revise(
        &self,
        head: &Head,
        arrival: &Arrival<'_>,
        before: Option<InForce>,
        entry: ChangeEntry,
    ) -> Result<(ChangeEntry, Brought), ArchiveError> {
        let observation = arrival.observation;
        let packed = self.pack(head, arrival)?;
        let word_delta = before.map(|before| self.word_delta(before, observation)).transpose()?;
        let original = packed_original(observation);
        let record = RevisionRecord {
            word_delta,
            rollback_of: arrival.rollback_of.map(|(number, _)| number),
            original: original.as_ref().map(|original| original.record.clone()),
            ..RevisionRecord::of(&observation.content, observation.digest, observation.word_count)
        };
        let kind = if arrival.rollback_of.is_some() { ChangeKind::RolledBack } else { ChangeKind::Revised };
        let revision = Some(head.revision_count.next());
        let fetch = observation.fetch.clone();
        let entry = ChangeEntry { kind, revision, made: Some(Box::new(record)), fetch, ..entry };
        Ok((entry, Brought { packed, original, content: loaded(observation) }))
    }

    /// A reference where one of the recent contents is equal, the prepared delta where its base is still the
    /// latest content, else a delta made now.
    fn pack(&self, head: &Head, arrival: &Arrival<'_>) -> Result<PackedContent, ArchiveError> {
        let observation = arrival.observation;
        let length = observation.bytes.len();
        if let Some((seq, depth)) = self.equal_content(head, arrival)?
            && let Some(packed) = PackedContent::equal_to(seq, depth, length)
        {
            return Ok(packed);
        }
        let Some(latest) = head.recent.last() else { return Ok(PackedContent::pack(&observation.bytes, None)) };
        if let Some(prepared) = observation.prepared.as_ref().filter(|prepared| prepared.against == Some(latest.seq)) {
            return Ok(prepared.packed.clone());
        }
        let base = self.content_bytes(latest.seq)?;
        Ok(PackedContent::pack(&observation.bytes, Some(Base { seq: latest.seq, depth: latest.depth, bytes: &base })))
    }

    fn equal_content(&self, head: &Head, arrival: &Arrival<'_>) -> Result<Option<(Seq, u32)>, ArchiveError> {
        let digest = arrival.observation.digest;
        for recent in head.recent.iter().rev().filter(|recent| digest.0.starts_with(&recent.digest_start)) {
            // The digest leaves out what was guessed, so equal digests are not yet equal bytes.
            let is_equal = digest_of(&self.tables, recent.seq)? == digest
                && self.content_bytes(recent.seq)? == arrival.observation.bytes;
            if is_equal {
                return Ok(Some((recent.seq, recent.depth)));
            }
        }
        let Some((_, seq)) = arrival.rollback_of else { return Ok(None) };
        Ok(StoredContent::read(self.tables.source(), seq)?.map(|stored| (seq, stored.depth())))
    }

    fn word_delta(&self, before: InForce, observation: &Observation) -> Result<WordDelta, ArchiveError> {
        if let Some(prepared) = observation.prepared.as_ref().filter(|it| it.against == Some(before.made_seq)) {
            return Ok(prepared.word_delta.unwrap_or_default());
        }
        let bytes = self.content_bytes(before.made_seq)?;
        let unreadable = || StoreError::damaged_at(before.made_seq, "a content cannot be read");
        let base = content::from_bytes(&bytes).ok_or_else(unreadable)?;
        Ok(diff::word_delta(&base, &observation.content))
    }

    fn content_bytes(&self, seq: Seq) -> Result<bytes::Bytes, StoreError> {
        contents::load_bytes(self.tables.source(), seq, |seq| (self.cached)(seq).map(|content| content.bytes))
    }

    fn refuse_if_withdrawn(&self, head: &Head, key: ArticleKey, at: Timestamp) -> Result<(), ArchiveError> {
        let Some(last) = head.mark else { return Ok(()) };
        let mark = if at >= last.since { Some(last) } else { Steps::Stored(self.tables, key).mark(Some(at), ALL)? };
        match mark {
            Some(mark) if mark.withdrawn => {
                Err(Conflict::Withdrawn { article: head.name.clone(), since: mark.since }.into())
            }
            _ => Ok(()),
        }
    }

    /// The URLs that begin to lead to the article, or lead to it from an earlier time on, and warnings of those
    /// that lead elsewhere. `url_count` is how many lead to it already.
    fn bind_urls(
        &self,
        article: ArticleKey,
        at: Timestamp,
        urls: &[ArticleUrl],
        mut url_count: u32,
    ) -> Result<(Vec<ArticleUrl>, Vec<Warning>), StoreError> {
        let (mut bound, mut warnings) = (Vec::new(), Vec::new());
        for url in urls {
            match self.tables.url(&url.key, ALL)? {
                Some(binding) if binding.article != article => {
                    let article = self.head(binding.article)?.name;
                    warnings.push(Warning::UrlBelongsToOther { url: url.original.clone(), article });
                }
                Some(binding) if binding.since <= at => {}
                Some(_) => bound.push(url.clone()),
                None if url_count >= Limits::ARTICLE_URLS_MAX => {
                    warnings.push(Warning::TooManyUrls { url: url.original.clone() });
                }
                None => {
                    url_count += 1;
                    bound.push(url.clone());
                }
            }
        }
        Ok((bound, warnings))
    }

    pub(super) fn roll_back(
        &self,
        operation: &Operation,
        existing: Existing,
        number: RevisionNumber,
    ) -> Result<(Written, Option<Effect>), ArchiveError> {
        let seq = self.tables.revision(existing.key, number, ALL)?;
        let missing = || Missing::Revision { article: existing.head.name.clone(), number };
        let seq = seq.ok_or_else(missing)?;
        let made = maker(&self.tables, seq)?;
        let unmade = || StoreError::damaged_at(seq, "the change that made a revision has no record of it");
        let record = made.entry.made.as_ref().ok_or_else(unmade)?;
        let digest = record.digest;
        let cached = |seq| (self.cached)(seq).map(|content| content.bytes);
        let content = contents::load(self.tables.source(), seq, digest, cached)?;
        let observation = Observation {
            content: content.content,
            digest,
            word_count: record.word_count,
            bytes: content.bytes,
            urls: Vec::new(),
            original: None,
            fetch: None,
            coalesce_within_micros: 0,
            prepared: None,
        };
        self.observe(operation, existing, &Arrival { observation: &observation, rollback_of: Some((number, seq)) })
    }
}

fn loaded(observation: &Observation) -> LoadedContent {
    LoadedContent { bytes: observation.bytes.clone(), content: Arc::clone(&observation.content) }
}

/// The original as it was prepared, or packed now.
fn packed_original(observation: &Observation) -> Option<PackedOriginal> {
    let original = observation.original.as_ref()?;
    let prepared = observation.prepared.as_ref().and_then(|prepared| prepared.original.clone());
    Some(prepared.unwrap_or_else(|| PackedOriginal::pack(original)))
}
