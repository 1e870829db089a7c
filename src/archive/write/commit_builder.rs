//! Builds one commit from many jobs.
//!
//! A *job* is one call's operations, which are carried out all or none. Group commit: all jobs that arrive while the
//! previous commit syncs share the next one, and so one sync, one archive time and one durable batch.
//!
//! ```text
//! engine          in flight       this commit (not sealed)
//! ──────────────┬───────────────┬──────────────────────────────────▶ positions
//! durable       │ being synced  │ job 1 ✓ │ job 2 ✗ │ job 3 …
//!               │               │ kept      dropped   sees job 1, not job 2
//!               │               └─ start
//! ```
//!
//! Invariants:
//! - Each operation is decided on everything before it: the engine, the commit in flight, and the jobs and operations
//!   before it in this commit.
//! - A job that is rejected, or only validated, leaves no trace.
//! - The archive time and the log digests are assigned in [`CommitBuilder::seal`] and nowhere else. Until then, the
//!   changes carry provisional ones: the time at which each was decided, and the digest of the log before the commit.
//!   [`Writes::complete`] replaces them in the receipts.
//!
//! The builder knows neither threads nor callers. What an operation does is the decider's job.

use bytes::Bytes;

use crate::archive::decide::{Decider, StagedChange};
use crate::archive::error::{ArchiveError, BatchError};
use crate::archive::position::LogPosition;
use crate::archive::project::sources;
use crate::archive::request::{Operation, Receipt, WriteMode};
use crate::archive::writes::Writes;
use crate::model::merkle::Edge;
use crate::model::{ArticleName, ChangeEntry, Limits, LogKind, Salt, Seq, Timestamp};
use crate::store::Tables;
use crate::store::engine::Read;
use crate::store::overlay::Overlay;

/// A commit that is not sealed yet.
pub(crate) struct CommitBuilder {
    /// The end of the log before this commit.
    start: LogPosition,
    /// The end of the log after the jobs accepted so far.
    position: LogPosition,
    pub(crate) writes: Writes,
    /// The right edge of the tree of the log before this commit.
    edge: Edge,
}

/// The state that a commit is decided on, except for the commit itself.
#[derive(Clone, Copy)]
pub(crate) struct BaseState<'a> {
    /// The engine, with the commit in flight on top.
    pub(crate) read: &'a dyn Read,
    /// Looks up a content of it in memory.
    pub(crate) cached: &'a dyn Fn(Seq) -> Option<Bytes>,
}

impl CommitBuilder {
    /// Starts an empty commit at `start`, the end of the previous one, where the tree of the log has this edge.
    pub(crate) fn new(start: LogPosition, edge: Edge) -> Self {
        Self { start, position: start, writes: Writes::default(), edge }
    }

    /// The right edge of the tree of the log before this commit.
    pub(crate) fn edge(&self) -> &Edge {
        &self.edge
    }

    /// The end of the log before this commit.
    pub(crate) fn start(&self) -> &LogPosition {
        &self.start
    }

    /// Whether these operations fit too.
    pub(crate) fn has_room_for(&self, operations: &[Operation]) -> bool {
        let changes: usize = operations.iter().map(Operation::changes_max).sum();
        self.writes.changes.len() + changes <= Limits::COMMIT_CHANGES_MAX
    }

    /// Decides the operations of one job at `now`, each on the effects of those before it, and adds the job to the
    /// commit. If an operation is rejected, nothing is added, and the error states the operation's index. In
    /// [`WriteMode::Validate`], nothing is added in any case.
    pub(crate) fn decide(
        &mut self,
        base: BaseState<'_>,
        now: Timestamp,
        operations: &[Operation],
        mode: WriteMode,
    ) -> Result<Vec<Receipt>, BatchError> {
        let mut job = JobEffects { position: self.position, writes: Writes::default() };
        let mut receipts = Vec::with_capacity(operations.len());
        for (index, operation) in operations.iter().enumerate() {
            let receipt = self.decide_one(base, now, &mut job, operation);
            receipts.push(receipt.map_err(|error| BatchError { failed_item: Some(index), error })?);
        }
        // Every receipt gets the snapshot at the end of the job, because a read at a lower position would see only a
        // part of an atomic batch. The exception is a request that repeats one from before this job.
        let snapshot = if mode == WriteMode::Validate { self.position.snapshot() } else { job.position.snapshot() };
        let is_of_this_job =
            |receipt: &&mut Receipt| !receipt.replayed || receipt.snapshot.next_seq > self.position.next_seq;
        for receipt in receipts.iter_mut().filter(is_of_this_job) {
            receipt.snapshot = snapshot;
            if mode == WriteMode::Validate {
                // The state that it would name does not exist, and another write may get the same etag.
                receipt.etag.clear();
            }
        }
        if mode == WriteMode::Commit {
            self.position = job.position;
            self.writes.append(job.writes);
        }
        Ok(receipts)
    }

    /// Decides an operation, and before it the one that it requires: the end of an address where it led before.
    fn decide_one(
        &self,
        base: BaseState<'_>,
        now: Timestamp,
        job: &mut JobEffects,
        operation: &Operation,
    ) -> Result<Receipt, ArchiveError> {
        if let Some(end) = self.with_decider(base, now, job, |decider| decider.end_before(operation))? {
            self.decide_step(base, now, job, &end)?;
        }
        self.decide_step(base, now, job, operation)
    }

    fn decide_step(
        &self,
        base: BaseState<'_>,
        now: Timestamp,
        job: &mut JobEffects,
        operation: &Operation,
    ) -> Result<Receipt, ArchiveError> {
        let (receipt, staged) = self.with_decider(base, now, job, |decider| decider.decide(operation))?;
        let Some(staged) = staged else { return Ok(receipt) };
        let source = &receipt.article.source;
        if ![&self.writes, &job.writes].iter().any(|writes| writes.stats.contains_key(source)) {
            let stats = Tables::new(base.read).source_stats(source)?;
            job.writes.stats.insert(source.clone(), stats);
        }
        job.add(staged, &receipt.article);
        Ok(receipt)
    }

    /// Calls `decide` with a decider on the effects of everything so far.
    fn with_decider<T>(
        &self,
        base: BaseState<'_>,
        now: Timestamp,
        job: &JobEffects,
        decide: impl FnOnce(&Decider<'_>) -> T,
    ) -> T {
        let committed = Overlay::new(base.read, &self.writes.batch);
        let read = Overlay::new(&committed, &job.writes.batch);
        let cached = |seq| {
            let of_commit = || job.writes.content(seq).or_else(|| self.writes.content(seq));
            if seq < self.start.next_seq { (base.cached)(seq) } else { of_commit() }
        };
        decide(&Decider {
            tables: Tables::new(&read),
            cached: &cached,
            position: job.position,
            archive_time: now,
            batch_first: self.position.next_seq,
        })
    }

    /// Gives every change its archive time, salt and log digest, appends its leaf to the tree, and returns the finished
    /// writes. `salts` has one for each change. The builder continues with an empty commit after this one.
    pub(crate) fn seal(&mut self, archive_time: Timestamp, salts: Vec<Salt>) -> Writes {
        let (mut edge, mut writes) = (std::mem::take(&mut self.edge), std::mem::take(&mut self.writes));
        let mut end = self.start;
        for (change, salt) in writes.changes.iter_mut().zip(salts) {
            let entry = ChangeEntry { archive_time, salt, ..change.entry.clone() };
            let (encoded, sealed) = end.encode(entry);
            writes.batch.writes.insert(encoded.key, Some(encoded.value));
            edge.append(encoded.leaf).iter().for_each(|tile| writes.batch.put_tile(tile));
            if let Some(stats) = writes.stats.get_mut(&sealed.entry.name.source) {
                *stats = Some(sources::with_change(*stats, sealed.seq, &sealed.entry));
            }
            end = LogPosition {
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
        *self = Self::new(end, edge);
        writes
    }
}

/// The effects of one job while it is being decided.
struct JobEffects {
    position: LogPosition,
    writes: Writes,
}

impl JobEffects {
    /// Adds the effects of one operation.
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
