//! A commit being put together: the writes of many jobs, each atomic, that become durable as one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::archive::decide::decider::{Decider, StagedChange};
use crate::archive::error::{ArchiveError, BatchError};
use crate::archive::project::sources::{self, Figures};
use crate::archive::read::contents::LoadedContent;
use crate::archive::request::{Operation, Receipt};
use crate::archive::subscriptions::Edited;
use crate::model::{
    ArticleKey, ArticleName, Change, ChangeEntry, Limits, LogDigest, LogKind, Seq, Snapshot, SourceId, Timestamp,
};
use crate::store::engine::Read;
use crate::store::head::Head;
use crate::store::overlay::Overlay;
use crate::store::{Batch, StoreError, Tables, record};

/// The end of a log, durable or to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The position of the next change.
    pub(crate) next_seq: Seq,
    /// The running digest so far.
    pub(crate) log_digest: LogDigest,
    /// The archive time of the last change.
    pub(crate) archive_time: Option<Timestamp>,
    /// The next article's number.
    pub(crate) next_article: ArticleKey,
    /// The running digest of the empty log.
    pub(crate) origin: LogDigest,
}

impl Position {
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot { next_seq: self.next_seq, archive_time: self.archive_time, log_digest: self.log_digest }
    }
}

/// What the writes of a commit, or a part of one, do.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    pub(crate) batch: Batch,
    pub(crate) changes: Vec<Arc<Change>>,
    /// The newest heads, for the cache.
    pub(crate) heads: BTreeMap<ArticleKey, (ArticleName, Head)>,
    /// The contents brought, for the cache.
    pub(crate) contents: Vec<(Seq, LoadedContent)>,
    /// The durable subscriptions as it leaves them.
    pub(crate) subscriptions: Edited,
    /// The figures of the sources that it changes, as they were before the commit.
    stats: BTreeMap<SourceId, Option<Figures>>,
}

impl Writes {
    /// Corrects an answer that was given before the commit was sealed: the changes in it, and the stamp within it, are
    /// those of the sealed one.
    pub(crate) fn complete(&self, answer: &mut Receipt) {
        let sealed = |seq: Seq| {
            let first = self.changes.first()?.seq;
            let index = usize::try_from(seq.0.checked_sub(first.0)?).ok()?;
            self.changes.get(index)
        };
        // Beyond the stamp is a change that was only validated.
        let is_written = answer.made.seq < answer.snapshot.next_seq;
        if let Some(made) = sealed(answer.made.seq).filter(|_| is_written) {
            answer.made = Arc::clone(made);
        }
        if let Some(last) = answer.snapshot.next_seq.previous().and_then(sealed) {
            answer.snapshot.archive_time = Some(last.entry.archive_time);
            answer.snapshot.log_digest = last.log_digest;
        }
    }

    fn append(&mut self, later: Self) {
        self.batch.writes.extend(later.batch.writes);
        self.changes.extend(later.changes);
        self.heads.extend(later.heads);
        self.contents.extend(later.contents);
        self.subscriptions.extend(later.subscriptions);
        self.stats.extend(later.stats);
    }
}

/// A commit being assembled. Its changes have no archive time of their own, and so no running digest, before it is
/// sealed: until then theirs are the time at which each was judged, and the digest of the log before it.
pub(crate) struct CommitBuilder {
    /// Where the log ends before it.
    start: Position,
    /// Where the log will end.
    position: Position,
    pub(crate) writes: Writes,
}

/// What an assembly is judged on, beside itself.
#[derive(Clone, Copy)]
pub(crate) struct BaseState<'a> {
    /// The engine and the commit in flight.
    pub(crate) read: &'a dyn Read,
    /// Contents in memory.
    pub(crate) cached: &'a dyn Fn(Seq) -> Option<LoadedContent>,
}

impl CommitBuilder {
    /// A commit that follows `start`.
    pub(crate) fn new(start: Position) -> Self {
        Self { start, position: start, writes: Writes::default() }
    }

    /// Where the log ends before it.
    pub(crate) fn start(&self) -> &Position {
        &self.start
    }

    /// Whether `operations` more changes fit.
    pub(crate) fn has_room_for(&self, operations: usize) -> bool {
        self.writes.changes.len() + operations <= Limits::COMMIT_CHANGES_MAX
    }

    /// Judges operations at `now`, all or none, each on what those before it did. Where one is refused, the error says which
    /// and nothing is added; nor is anything where `validate_only` is set.
    pub(crate) fn decide(
        &mut self,
        base: BaseState<'_>,
        now: Timestamp,
        operations: &[Operation],
        validate_only: bool,
    ) -> Result<Vec<Receipt>, BatchError> {
        let mut job = Job { position: self.position, writes: Writes::default() };
        let mut written = Vec::with_capacity(operations.len());
        for (index, operation) in operations.iter().enumerate() {
            let answer = self.decide_one(base, now, &mut job, operation);
            written.push(answer.map_err(|error| BatchError { failed_item: Some(index), error })?);
        }
        // What was answered from this very job is known only with all of it; and what is only validated, never.
        let snapshot = if validate_only { self.position.snapshot() } else { job.position.snapshot() };
        let of_this_job = |answer: &&mut Receipt| !answer.replayed || answer.snapshot.next_seq > self.position.next_seq;
        for answer in written.iter_mut().filter(of_this_job) {
            answer.snapshot = snapshot;
        }
        if !validate_only {
            self.position = job.position;
            self.writes.append(job.writes);
        }
        Ok(written)
    }

    fn decide_one(
        &self,
        base: BaseState<'_>,
        now: Timestamp,
        job: &mut Job,
        operation: &Operation,
    ) -> Result<Receipt, ArchiveError> {
        let committed = Overlay::new(base.read, &self.writes.batch);
        let read = Overlay::new(&committed, &job.writes.batch);
        let decider = Decider {
            tables: Tables::new(&read),
            cached: base.cached,
            position: job.position,
            archive_time: now,
            batch_first: self.position.next_seq,
        };
        let (written, staged) = decider.take(operation)?;
        let Some(staged) = staged else { return Ok(written) };
        let source = &written.article.source;
        if ![&self.writes, &job.writes].iter().any(|writes| writes.stats.contains_key(source)) {
            let stats = Tables::new(base.read).source_figures(source)?;
            job.writes.stats.insert(source.clone(), stats);
        }
        job.add(staged, &written.article);
        Ok(written)
    }

    /// Gives all changes their archive time and running digest, answers what the commit writes, and continues with an
    /// empty one that follows it.
    pub(crate) fn seal(&mut self, archive_time: Timestamp) -> Writes {
        let mut writes = std::mem::take(&mut self.writes);
        let mut end = self.start;
        for change in &mut writes.changes {
            let entry = ChangeEntry { archive_time, ..change.entry.clone() };
            let (encoded, sealed) = encode_next(&end, entry);
            writes.batch.writes.insert(encoded.key, Some(encoded.value));
            if let Some(stats) = writes.stats.get_mut(&sealed.entry.name.source) {
                *stats = Some(sources::with_change(*stats, sealed.seq, &sealed.entry));
            }
            end = Position {
                next_seq: sealed.seq.next(),
                log_digest: sealed.log_digest,
                archive_time: Some(archive_time),
                ..self.position
            };
            *change = sealed;
        }
        for (source, (stats, before)) in writes.stats.iter().filter_map(|(source, stats)| Some((source, (*stats)?))) {
            writes.batch.put_source(source, stats, before);
        }
        *self = Self::new(end);
        writes
    }
}

/// The part of one atomic job.
struct Job {
    position: Position,
    writes: Writes,
}

impl Job {
    /// Adds the effect of an operation.
    fn add(&mut self, staged: StagedChange, name: &ArticleName) {
        let StagedChange { article, head, mut batch, change, encoded, content } = staged;
        let (seq, is_new) = (change.seq, change.entry.kind == LogKind::Created);
        self.position.next_seq = seq.next();
        self.position.next_article.0 += u64::from(is_new);
        batch.writes.insert(encoded.key, Some(encoded.value));
        self.writes.batch.writes.extend(batch.writes);
        self.writes.changes.push(change);
        self.writes.heads.insert(article, (name.clone(), head));
        self.writes.contents.extend(content.map(|content| (seq, content)));
    }
}

/// Encodes the change that comes next.
pub(crate) fn encode_next(position: &Position, entry: ChangeEntry) -> (record::EncodedChange, Arc<Change>) {
    let seq = position.next_seq;
    let encoded = record::encode(seq, position.log_digest, &entry);
    let change = Arc::new(Change { seq, log_digest: encoded.log_digest, entry });
    (encoded, change)
}

/// The change that made a revision.
pub(crate) fn creating_change(tables: &Tables<'_>, seq: Seq) -> Result<Arc<Change>, StoreError> {
    let change = tables.change(seq)?.filter(|change| change.entry.made.is_some());
    let missing = || StoreError::damaged_at(seq, "the change that made a revision is missing");
    Ok(Arc::new(change.ok_or_else(missing)?))
}
