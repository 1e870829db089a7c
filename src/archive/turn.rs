//! One operation's turn: judged on all before it, and turned into one change of the log, or none.

use std::ops::Bound;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::assembly::{Position, encode_next, maker};
use super::contents::{self, LoadedContent};
use super::error::{ArchiveError, Conflict, Missing};
use super::judge::{ALL, Candidate, Judgement, judge};
use super::read::etag;
use super::request::{Action, Observation, Operation, Outcome, Precondition, Target, Warning, Written};
use super::steps::Steps;
use crate::model::{
    ArticleKey, ArticleName, ArticleUrl, Change, ChangeEntry, ChangeKind, OriginalRecord, RequestDigest, RequestId,
    RevisionNumber, RevisionRecord, Seq, Timestamp, WordDelta, diff,
};
use crate::store::content::{self, Base, PackedContent, StoredContent};
use crate::store::engine::Direction;
use crate::store::head::{Head, InForce, Mark, RECENT_CONTENTS, RecentContent};
use crate::store::key::article::{TimePoint, TimeTable};
use crate::store::overlay::Overlay;
use crate::store::record::EncodedChange;
use crate::store::tables::{Observed, UrlBinding};
use crate::store::{Batch, StoreError, Tables};

/// What an operation is judged on.
pub(super) struct Turn<'a> {
    pub(super) tables: Tables<'a>,
    pub(super) cached: &'a dyn Fn(Seq) -> Option<LoadedContent>,
    pub(super) position: Position,
    pub(super) archive_time: Timestamp,
    /// The first position of the atomic batch.
    pub(super) batch_first: Seq,
}

/// One change and all that is written with it, save the source's figures.
pub(super) struct Effect {
    pub(super) article: ArticleKey,
    pub(super) head: Head,
    pub(super) batch: Batch,
    pub(super) change: Arc<Change>,
    pub(super) encoded: EncodedChange,
    pub(super) content: Option<LoadedContent>,
}

/// An article that is there.
struct Existing {
    key: ArticleKey,
    head: Head,
}

/// A content to be archived, and where it comes from.
struct Arrival<'a> {
    observation: &'a Observation,
    /// The revision rolled back to, with the change that made it.
    rollback_of: Option<(RevisionNumber, Seq)>,
}

impl Turn<'_> {
    /// Judges the operation. The effect is `None` where nothing is to be written.
    pub(super) fn take(&self, operation: &Operation) -> Result<(Written, Option<Effect>), ArchiveError> {
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
                self.observe(operation, existing, &Arrival { observation, rollback_of: None })
            }
            (Action::Rollback(_) | Action::Mark { .. }, None) => Err(Missing::Article(name).into()),
            (Action::Rollback(number), Some(existing)) => self.roll_back(operation, existing, *number),
            (Action::Mark { withdrawn, reason }, Some(existing)) => self.mark(operation, existing, *withdrawn, reason),
        }
    }

    fn resolve(&self, operation: &Operation) -> Result<(ArticleName, Option<Existing>), ArchiveError> {
        let name = match &operation.target {
            Target::Named(name) => name.clone(),
            Target::Found { source, derived } => {
                let mut found = None;
                for url in urls(operation) {
                    let Some(binding) = self.tables.url(&url.key, ALL)? else { continue };
                    let name = self.head(binding.article)?.name;
                    if name.source == *source {
                        found = Some(name);
                        break;
                    }
                }
                found.unwrap_or_else(|| derived.clone())
            }
        };
        let existing = match self.tables.article(&name, ALL)? {
            None => None,
            Some(key) => Some(Existing { key, head: self.head(key)? }),
        };
        Ok((name, existing))
    }

    fn head(&self, article: ArticleKey) -> Result<Head, StoreError> {
        let missing = || StoreError::Damaged { seq: None, detail: format!("article {} has no head", article.0) };
        self.tables.head(article)?.ok_or_else(missing)
    }

    fn check(
        &self,
        precondition: &Precondition,
        name: &ArticleName,
        existing: Option<&Existing>,
    ) -> Result<(), ArchiveError> {
        let Some(Existing { head, .. }) = existing else {
            return match precondition {
                Precondition::MustNotExist => Ok(()),
                Precondition::Etag(_) | Precondition::Revision(_) => Err(Missing::Article(name.clone()).into()),
            };
        };
        let made = maker(&self.tables, head.newest.made_seq)?;
        let etag = etag(head.newest.revision, head.withdrawn(), &made);
        let holds = match precondition {
            Precondition::MustNotExist => return Err(Conflict::ArticleExists(name.clone()).into()),
            Precondition::Etag(expected) => *expected == etag,
            Precondition::Revision(expected) => *expected == head.newest.revision,
        };
        let conflict = Conflict::Revision { article: name.clone(), current: head.newest.revision, etag };
        if holds { Ok(()) } else { Err(conflict.into()) }
    }

    fn create(
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
        let (bound_urls, warnings) = self.bind_urls(key, at, &observation.urls)?;
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
        };
        remember(&mut head, seq, observation, &packed);
        let record = RevisionRecord {
            original: original_record(observation),
            ..RevisionRecord::of(&observation.content, observation.digest)
        };
        let entry = ChangeEntry {
            revision: Some(RevisionNumber::FIRST),
            bound_urls,
            made: Some(Box::new(record)),
            article_made: Some(name.clone()),
            ..self.entry(operation, key, ChangeKind::Created, None)
        };
        let mut batch = Batch::default();
        batch.put_name(&name, key, seq);
        self.write_revision(&mut batch, key, newest, observation, packed);
        let effect = self.effect(key, head, batch, entry, Some(loaded(observation)));
        Ok((self.written(operation, name, Outcome::Created, &effect.change, newest.revision, warnings), Some(effect)))
    }

    fn observe(
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
        let (bound_urls, warnings) = self.bind_urls(key, at, &observation.urls)?;
        let mut draft = Draft { head, batch: Batch::default(), content: None };
        let entry = self.entry(operation, key, ChangeKind::Sighted, Some(draft.head.latest_seq));
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
        let effect = self.effect(key, draft.head, draft.batch, entry, draft.content);
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
        self.write_revision(&mut draft.batch, key, step, observation, packed);
        if let Some((step, from)) = restored {
            self.write_step(&mut draft.batch, key, from, step);
        }
        draft.content = Some(loaded(observation));
        let record = RevisionRecord {
            word_delta,
            rollback_of: arrival.rollback_of.map(|(number, _)| number),
            original: original_record(observation),
            ..RevisionRecord::of(&observation.content, observation.digest)
        };
        let kind = if arrival.rollback_of.is_some() { ChangeKind::RolledBack } else { ChangeKind::Revised };
        Ok(ChangeEntry { kind, revision: Some(number), made: Some(Box::new(record)), ..entry })
    }

    fn write_revision(
        &self,
        batch: &mut Batch,
        key: ArticleKey,
        step: InForce,
        observation: &Observation,
        packed: PackedContent,
    ) {
        let seq = self.position.next_seq;
        batch.put_revision(key, step.revision, seq);
        self.write_step(batch, key, step.since, step);
        packed.write(seq, batch);
        if let Some(original) = &observation.original {
            content::write_original(seq, &original.data, batch);
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
            if super::judge::digest_of(&self.tables, recent.seq)? == digest {
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

    fn roll_back(
        &self,
        operation: &Operation,
        existing: Existing,
        number: RevisionNumber,
    ) -> Result<(Written, Option<Effect>), ArchiveError> {
        let seq = self.tables.revision(existing.key, number, ALL)?;
        let missing = || Missing::Revision { article: existing.head.name.clone(), number };
        let seq = seq.ok_or_else(missing)?;
        let made = maker(&self.tables, seq)?;
        let digest = super::judge::digest_of(&self.tables, seq)?;
        let cached = |seq| (self.cached)(seq).map(|content| content.bytes);
        let content = contents::load(self.tables.source(), seq, digest, cached)?;
        debug_assert!(made.entry.made.is_some(), "a revision's change made it");
        let observation = Observation {
            content: content.content,
            digest,
            bytes: content.bytes,
            urls: Vec::new(),
            original: None,
            coalesce_within_micros: 0,
            prepared: None,
        };
        self.observe(operation, existing, &Arrival { observation: &observation, rollback_of: Some((number, seq)) })
    }

    fn mark(
        &self,
        operation: &Operation,
        existing: Existing,
        withdrawn: bool,
        reason: &str,
    ) -> Result<(Written, Option<Effect>), ArchiveError> {
        let Existing { key, mut head } = existing;
        let at = operation.observe_time;
        let step = self.revision_at(key, at)?;
        let made = maker(&self.tables, step.made_seq)?;
        let recorded = self.is_marked(key, at, withdrawn)?;
        let outcome = if recorded { Outcome::Unchanged } else { Outcome::Revised };
        let written = self.written(operation, head.name.clone(), outcome, &made, step.revision, Vec::new());
        if recorded && operation.request.is_none() {
            return Ok((written, None));
        }
        let kind = match (recorded, withdrawn) {
            (true, _) => ChangeKind::MarkRepeated,
            (false, true) => ChangeKind::Withdrawn,
            (false, false) => ChangeKind::Reinstated,
        };
        let entry =
            ChangeEntry { reason: reason.to_owned(), ..self.entry(operation, key, kind, Some(head.latest_seq)) };
        let mut batch = Batch::default();
        if !recorded {
            batch.put_mark(key, Mark { withdrawn, seq: self.position.next_seq, since: at });
            let after = Overlay::new(self.tables.source(), &batch);
            head.mark = Steps::Stored(Tables::new(&after), key).mark(None, ALL)?;
        }
        let effect = self.effect(key, head, batch, entry, None);
        Ok((written, Some(effect)))
    }

    fn is_marked(&self, key: ArticleKey, at: Timestamp, withdrawn: bool) -> Result<bool, StoreError> {
        let exactly = (Bound::Included(at), Bound::Included(at));
        let last = self.tables.marks(key, exactly, Direction::Reverse, ALL).next().transpose()?;
        Ok(last.is_some_and(|mark| mark.withdrawn == withdrawn))
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

    /// The revision in force at `at`.
    fn revision_at(&self, key: ArticleKey, at: Timestamp) -> Result<InForce, ArchiveError> {
        if let Some(step) = Steps::Stored(self.tables, key).in_force(Some(at), ALL)? {
            return Ok(step);
        }
        let head = self.head(key)?;
        Err(Missing::NotYetObserved { article: head.name, first: head.first_observe_time }.into())
    }

    /// The URLs that begin to lead to the article, or lead to it from an earlier time on, and warnings of those
    /// that lead elsewhere.
    fn bind_urls(
        &self,
        article: ArticleKey,
        at: Timestamp,
        urls: &[ArticleUrl],
    ) -> Result<(Vec<ArticleUrl>, Vec<Warning>), StoreError> {
        let (mut bound, mut warnings) = (Vec::new(), Vec::new());
        for url in urls {
            match self.tables.url(&url.key, ALL)? {
                Some(binding) if binding.article != article => {
                    let article = self.head(binding.article)?.name;
                    warnings.push(Warning::UrlBelongsToOther { url: url.original.clone(), article });
                }
                Some(binding) if binding.since <= at => {}
                Some(_) | None => bound.push(url.clone()),
            }
        }
        Ok((bound, warnings))
    }

    fn entry(
        &self,
        operation: &Operation,
        article: ArticleKey,
        kind: ChangeKind,
        previous: Option<Seq>,
    ) -> ChangeEntry {
        ChangeEntry {
            article,
            kind,
            revision: None,
            observe_time: operation.observe_time,
            archive_time: self.archive_time,
            batch_first: self.batch_first,
            previous,
            request: operation.request.clone(),
            bound_urls: Vec::new(),
            made: None,
            article_made: None,
            reason: String::new(),
        }
    }

    fn effect(
        &self,
        article: ArticleKey,
        mut head: Head,
        mut batch: Batch,
        entry: ChangeEntry,
        content: Option<LoadedContent>,
    ) -> Effect {
        let seq = self.position.next_seq;
        head.latest_seq = seq;
        if let Some((id, _)) = &entry.request {
            batch.put_request(article, id, seq);
        }
        if !entry.bound_urls.is_empty() {
            batch.put_url_change(article, seq);
            head.add_url_change(seq);
        }
        for url in &entry.bound_urls {
            batch.put_url(&url.key, UrlBinding { article, since: entry.observe_time, seq });
        }
        let (encoded, change) = encode_next(&self.position, entry);
        Effect { article, head, batch, change, encoded, content }
    }

    fn written(
        &self,
        operation: &Operation,
        article: ArticleName,
        outcome: Outcome,
        made: &Arc<Change>,
        revision: RevisionNumber,
        warnings: Vec<Warning>,
    ) -> Written {
        Written {
            article,
            observe_time: operation.observe_time,
            outcome,
            made: Arc::clone(made),
            revision,
            replayed: false,
            warnings,
            stamp: self.position.stamp(),
        }
    }

    /// The answer that the request got when it was first made.
    fn replay(
        &self,
        operation: &Operation,
        existing: &Existing,
        seq: Seq,
        id: &RequestId,
        digest: RequestDigest,
    ) -> Result<Written, ArchiveError> {
        let missing = || StoreError::damaged_at(seq, "the change that answered a request is missing");
        let change = self.tables.change(seq)?.ok_or_else(missing)?;
        let article = existing.head.name.clone();
        if change.entry.request.as_ref().is_none_or(|(_, recorded)| *recorded != digest) {
            return Err(Conflict::RequestIdReused { article, id: id.clone() }.into());
        }
        let outcome = match change.entry.kind {
            ChangeKind::Created => Outcome::Created,
            ChangeKind::Revised | ChangeKind::RolledBack | ChangeKind::Withdrawn | ChangeKind::Reinstated => {
                Outcome::Revised
            }
            ChangeKind::Sighted | ChangeKind::Repeated | ChangeKind::MarkRepeated | ChangeKind::Aliased => {
                Outcome::Unchanged
            }
        };
        let observe_time = change.entry.observe_time;
        let step = Steps::Stored(self.tables, existing.key).in_force(Some(observe_time), seq.next())?;
        let step = step.ok_or_else(missing)?;
        let mut warnings = Vec::new();
        for url in urls(operation) {
            let binding = self.tables.url(&url.key, seq.next())?;
            if let Some(binding) = binding.filter(|binding| binding.article != existing.key) {
                let article = self.head(binding.article)?.name;
                warnings.push(Warning::UrlBelongsToOther { url: url.original.clone(), article });
            }
        }
        Ok(Written {
            article,
            observe_time,
            outcome,
            made: maker(&self.tables, step.made_seq)?,
            revision: step.revision,
            replayed: true,
            warnings,
            stamp: self.stamp_after_batch_of(&change)?,
        })
    }

    /// The stamp at the end of the atomic batch that a change is of.
    fn stamp_after_batch_of(&self, change: &Change) -> Result<crate::model::ReadStamp, StoreError> {
        let mut last = change.clone();
        while let Some(next) = self.tables.change(last.seq.next())? {
            if next.entry.batch_first != change.entry.batch_first {
                break;
            }
            last = next;
        }
        Ok(crate::model::ReadStamp {
            next_seq: last.seq.next(),
            archive_time: Some(last.entry.archive_time),
            history: last.history,
        })
    }
}

/// The head, writes and content of an operation on an article that is there.
struct Draft {
    head: Head,
    batch: Batch,
    content: Option<LoadedContent>,
}

fn urls(operation: &Operation) -> &[ArticleUrl] {
    match &operation.action {
        Action::Observe(observation) => &observation.urls,
        Action::Rollback(_) | Action::Mark { .. } => &[],
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

fn original_record(observation: &Observation) -> Option<OriginalRecord> {
    observation.original.as_ref().map(|original| OriginalRecord {
        media_type: original.media_type.clone(),
        size_bytes: original.data.len() as u64,
        sha256: Sha256::digest(&original.data).into(),
    })
}
