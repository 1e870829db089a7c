//! Observations and rollbacks: a content arrives, and makes a revision or confirms one.

use std::sync::Arc;

use super::assembly::maker;
use super::contents::{self, LoadedContent};
use super::error::{ArchiveError, Conflict, Missing};
use super::judge::{ALL, Candidate, Judgement, digest_of, judge};
use super::request::{Observation, Operation, Outcome, Warning, Written};
use super::steps::Steps;
use super::turn::{Effect, Existing, Turn};
use crate::model::{
    ArticleKey, ArticleName, ArticleUrl, ChangeEntry, ChangeKind, Limits, RevisionNumber, RevisionRecord, Seq,
    Timestamp, WordDelta, diff,
};
use crate::store::content::{self, Base, PackedContent, PackedOriginal, StoredContent};
use crate::store::head::{Head, InForce, RECENT_CONTENTS, RecentContent};
use crate::store::key::article::{TimePoint, TimeTable};
use crate::store::overlay::Overlay;
use crate::store::tables::Observed;
use crate::store::{Batch, StoreError, Tables};

/// A content to be archived, and where it comes from.
pub(super) struct Arrival<'a> {
    pub(super) observation: &'a Observation,
    /// The revision rolled back to, with the change that made it.
    pub(super) rollback_of: Option<(RevisionNumber, Seq)>,
}

/// The head, writes and content of an operation on an article that is there.
struct Draft {
    head: Head,
    batch: Batch,
    content: Option<LoadedContent>,
}

impl Turn<'_> {
    pub(super) fn create(
        &self,
        operation: &Operation,
        name: ArticleName,
        observation: &Observation,
    ) -> Result<(Written, Option<Effect>), ArchiveError> {
        let key = self.position.next_article;
        let seq = self.position.next_seq;
        let at = operation.observe_time;
        let packed = match &observation.prepared {
            Some(prepared) if prepared.against.is_none() => prepared.packed.clone(),
            _ => PackedContent::pack(&observation.bytes, None),
        };
        let mut url_count = 0;
        let (bound_urls, warnings) = self.bind_urls(key, at, &observation.urls, &mut url_count)?;
        let newest = InForce { revision: RevisionNumber::FIRST, made_seq: seq, since: at, known_seq: seq };
        let mut head = Head {
            name: name.clone(),
            first_seq: seq,
            latest_seq: seq,
            revision_count: RevisionNumber::FIRST,
            newest,
            mark: None,
            first_observe_time: at,
            latest_observe_time: at,
            recent: Vec::new(),
            url_changes: Some(Vec::new()),
            url_count,
        };
        remember(&mut head, seq, observation, &packed);
        let original = packed_original(observation);
        let record = RevisionRecord {
            original: original.as_ref().map(|original| original.record.clone()),
            ..RevisionRecord::of(&observation.content, observation.digest, observation.word_count)
        };
        let entry = ChangeEntry {
            revision: Some(RevisionNumber::FIRST),
            bound_urls,
            made: Some(Box::new(record)),
            ..self.entry(operation, (key, &name), ChangeKind::Created, None)
        };
        let mut batch = Batch::default();
        batch.put_name(&name, key, seq);
        self.write_revision(&mut batch, key, newest, packed, original.as_ref());
        let effect = self.effect(key, head, batch, entry, Some(loaded(observation)))?;
        Ok((self.written(operation, name, Outcome::Created, &effect.change, newest.revision, warnings), Some(effect)))
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
        if judgement != Judgement::Recorded {
            self.refuse_if_withdrawn(&head, key, at)?;
        }
        let mut head = head;
        let (bound_urls, warnings) = self.bind_urls(key, at, &observation.urls, &mut head.url_count)?;
        let mut draft = Draft { head, batch: Batch::default(), content: None };
        let head = &draft.head;
        let entry = self.entry(operation, (key, &head.name), ChangeKind::Sighted, Some(head.latest_seq));
        let entry = match judgement {
            Judgement::Recorded if operation.request.is_some() => {
                let revision = self.revision_at(key, at)?.revision;
                Some(ChangeEntry { kind: ChangeKind::Repeated, revision: Some(revision), ..entry })
            }
            Judgement::Recorded | Judgement::Coalesced if bound_urls.is_empty() => None,
            Judgement::Recorded | Judgement::Coalesced => Some(ChangeEntry { kind: ChangeKind::Aliased, ..entry }),
            Judgement::Sighting(step) => {
                self.sight(&mut draft, key, at, step);
                Some(ChangeEntry { revision: Some(step.revision), ..entry })
            }
            Judgement::Earlier(step) => {
                self.sight(&mut draft, key, at, step);
                self.write_step(&mut draft.batch, key, at, step);
                Some(ChangeEntry { revision: Some(step.revision), ..entry })
            }
            Judgement::New { before, restored } => {
                Some(self.revise(&mut draft, key, arrival, (before, restored), entry)?)
            }
        };
        let Some(entry) = entry else {
            let step = self.revision_at(key, at)?;
            let made = maker(&self.tables, step.made_seq)?;
            return Ok((
                self.written(operation, draft.head.name, Outcome::Unchanged, &made, step.revision, warnings),
                None,
            ));
        };
        self.finish(operation, key, draft, ChangeEntry { bound_urls, ..entry }, warnings)
    }

    /// Writes the head as the draft's writes leave it, and answers with what is in force at the observe time.
    fn finish(
        &self,
        operation: &Operation,
        key: ArticleKey,
        mut draft: Draft,
        entry: ChangeEntry,
        warnings: Vec<Warning>,
    ) -> Result<(Written, Option<Effect>), ArchiveError> {
        let at = operation.observe_time;
        let in_order = at > draft.head.latest_observe_time;
        let observed = !matches!(entry.kind, ChangeKind::Aliased | ChangeKind::Repeated);
        let after = Overlay::new(self.tables.source(), &draft.batch);
        let steps = Steps::Stored(Tables::new(&after), key);
        let damaged = || StoreError::Damaged { seq: None, detail: format!("article {} has no revision", key.0) };
        let newest = match &entry.made {
            Some(_) if in_order => InForce {
                revision: entry.revision.unwrap_or(draft.head.newest.revision),
                made_seq: self.position.next_seq,
                since: at,
                known_seq: self.position.next_seq,
            },
            _ if in_order || !observed => draft.head.newest,
            _ => steps.in_force(None, ALL)?.ok_or_else(damaged)?,
        };
        let here = if in_order { newest } else { steps.in_force(Some(at), ALL)?.ok_or_else(damaged)? };
        draft.head.newest = newest;
        if observed {
            draft.head.first_observe_time = draft.head.first_observe_time.min(at);
            draft.head.latest_observe_time = draft.head.latest_observe_time.max(at);
        }
        let outcome = if entry.made.is_some() { Outcome::Revised } else { Outcome::Unchanged };
        let name = draft.head.name.clone();
        let effect = self.effect(key, draft.head, draft.batch, entry, draft.content)?;
        let is_own = here.made_seq == self.position.next_seq;
        let made = if is_own { Arc::clone(&effect.change) } else { maker(&self.tables, here.made_seq)? };
        Ok((self.written(operation, name, outcome, &made, here.revision, warnings), Some(effect)))
    }

    fn sight(&self, draft: &mut Draft, key: ArticleKey, at: Timestamp, step: InForce) {
        let point = TimePoint { observe_time: at, seq: self.position.next_seq };
        let entry = Observed { point, revision: step.revision, made_seq: step.made_seq };
        draft.batch.put_observed(TimeTable::Sighting, key, entry);
    }

    fn write_step(&self, batch: &mut Batch, key: ArticleKey, at: Timestamp, step: InForce) {
        let point = TimePoint { observe_time: at, seq: self.position.next_seq };
        batch.put_observed(TimeTable::Time, key, Observed { point, revision: step.revision, made_seq: step.made_seq });
    }

    fn revise(
        &self,
        draft: &mut Draft,
        key: ArticleKey,
        arrival: &Arrival<'_>,
        (before, restored): (Option<InForce>, Option<(InForce, Timestamp)>),
        entry: ChangeEntry,
    ) -> Result<ChangeEntry, ArchiveError> {
        let observation = arrival.observation;
        let seq = self.position.next_seq;
        let number = draft.head.revision_count.next();
        let packed = self.pack(&draft.head, arrival)?;
        let word_delta = before.map(|before| self.word_delta(before, observation)).transpose()?;
        remember(&mut draft.head, seq, observation, &packed);
        draft.head.revision_count = number;
        let step = InForce { revision: number, made_seq: seq, since: entry.observe_time, known_seq: seq };
        let original = packed_original(observation);
        self.write_revision(&mut draft.batch, key, step, packed, original.as_ref());
        if let Some((step, from)) = restored {
            self.write_step(&mut draft.batch, key, from, step);
        }
        draft.content = Some(loaded(observation));
        let record = RevisionRecord {
            word_delta,
            rollback_of: arrival.rollback_of.map(|(number, _)| number),
            original: original.as_ref().map(|original| original.record.clone()),
            ..RevisionRecord::of(&observation.content, observation.digest, observation.word_count)
        };
        let kind = if arrival.rollback_of.is_some() { ChangeKind::RolledBack } else { ChangeKind::Revised };
        Ok(ChangeEntry { kind, revision: Some(number), made: Some(Box::new(record)), ..entry })
    }

    fn write_revision(
        &self,
        batch: &mut Batch,
        key: ArticleKey,
        step: InForce,
        packed: PackedContent,
        original: Option<&PackedOriginal>,
    ) {
        let seq = self.position.next_seq;
        batch.put_revision(key, step.revision, seq);
        self.write_step(batch, key, step.since, step);
        packed.write(seq, batch);
        if let Some(original) = original {
            original.write(seq, batch);
        }
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
    /// that lead elsewhere. `url_count` is how many lead to it, and will.
    fn bind_urls(
        &self,
        article: ArticleKey,
        at: Timestamp,
        urls: &[ArticleUrl],
        url_count: &mut u32,
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
                None if *url_count >= Limits::ARTICLE_URLS_MAX => {
                    warnings.push(Warning::TooManyUrls { url: url.original.clone() });
                }
                None => {
                    *url_count += 1;
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
            coalesce_within_micros: 0,
            prepared: None,
        };
        self.observe(operation, existing, &Arrival { observation: &observation, rollback_of: Some((number, seq)) })
    }
}

fn loaded(observation: &Observation) -> LoadedContent {
    LoadedContent { bytes: observation.bytes.clone(), content: Arc::clone(&observation.content) }
}

fn remember(head: &mut Head, seq: Seq, observation: &Observation, packed: &PackedContent) {
    if head.recent.len() >= RECENT_CONTENTS {
        head.recent.remove(0);
    }
    let mut digest_start = [0; 8];
    digest_start.copy_from_slice(observation.digest.0.split_at(8).0);
    head.recent.push(RecentContent { seq, digest_start, depth: packed.depth() });
}

/// The original as it was prepared, or packed now.
fn packed_original(observation: &Observation) -> Option<PackedOriginal> {
    let original = observation.original.as_ref()?;
    let prepared = observation.prepared.as_ref().and_then(|prepared| prepared.original.clone());
    Some(prepared.unwrap_or_else(|| PackedOriginal::pack(original)))
}
