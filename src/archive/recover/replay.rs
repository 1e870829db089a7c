//! Rebuilds a database by replaying a log; used by restore and by `verify --rebuild`.
//!
//! ```text
//! full changes, in order ──▶ check content and original ──▶ validate as a chain ──▶ project indexes ──▶ engine
//! ```
//!
//! Invariants:
//! - Nothing is written unchecked: each change is validated against the one before it, each content against its digest,
//!   and each original against its SHA-256. A rebuild may keep a damaged payload, which it then reports.
//! - A content's depth in its delta chain follows from its base here, whatever the log file says: if the archive was
//!   compacted between two files of a backup, the later file counts from other chains than the earlier one has.
//! - The log, the payloads and the indexes are the same as those that the writer thread wrote, because both project the
//!   indexes with the same code.
//! - Memory is bounded, however long the log is: writes are committed in batches, and recent contents are cached.
//! - The database is complete only after [`LogReplay::finish`]. Until then, the caller must not let it be opened as an
//!   archive: nothing marks a database as incomplete.
//!
//! This module does not know where the changes come from, nor where the database is.

use std::collections::BTreeMap;

use bytes::Bytes;
use quick_cache::sync::Cache;

use crate::archive::project::projection::reproject;
use crate::archive::project::sources::Sources;
use crate::archive::read::contents;
use crate::archive::recover::chain::LogChain;
use crate::archive::recover::verify::payload;
use crate::model::merkle::Edge;
use crate::model::{Seq, Snapshot, SubscriptionId, Timestamp};
use crate::store::checkpoint::CheckpointRecord;
use crate::store::content::{ContentWeighter, DEPTH_LIMIT, Effort, PackedContent, StoredContent};
use crate::store::format::{self, FormatError};
use crate::store::full_change::FullChange;
use crate::store::key::meta::MetaKey;
use crate::store::overlay::Overlay;
use crate::store::subscription::SubscriptionRecord;
use crate::store::{Batch, Engine, StoreError, Tables};

/// The maximum number of changes in one commit.
const COMMIT_CHANGES_MAX: usize = 256;
/// A commit ends with the change that brings it to at least this many bytes.
const COMMIT_BYTES: u64 = 8 << 20;
/// The size of the cache of recent contents, in bytes. Later contents are often deltas of recent ones.
const CONTENT_CACHE_BYTES: u64 = 64 << 20;

/// State that cannot be derived from the log.
#[derive(Debug, Default)]
pub(crate) struct UnloggedState {
    /// The closed time: no later commit gets an archive time at or before it.
    pub(crate) closed_time: Option<Timestamp>,
    /// The number of commits since the archive was created.
    pub(crate) commits: u64,
    /// What tells the log of a restored archive from the one that was lost.
    pub(crate) log_epoch: Option<[u8; 4]>,
    /// When text was destroyed that the files of the archive still have.
    pub(crate) destruction_pending: Option<Timestamp>,
    /// The checkpoints that were signed of this log.
    pub(crate) checkpoints: Vec<CheckpointRecord>,
    /// The durable subscriptions. Their positions, and those after their parked changes, must be at or below the end of
    /// the log.
    pub(crate) subscriptions: BTreeMap<SubscriptionId, SubscriptionRecord>,
}

/// A database that is being rebuilt.
pub(crate) struct LogReplay<'a> {
    engine: &'a dyn Engine,
    chain: LogChain,
    edge: Edge,
    sources: Sources,
    contents: Cache<Seq, Bytes, ContentWeighter>,
    /// The writes that are not committed yet.
    batch: Batch,
    batch_bytes: u64,
    batch_changes: usize,
}

impl<'a> LogReplay<'a> {
    /// Begins with an empty engine, which becomes a database of the archive `archive_id`. An engine that is not empty
    /// is [`StoreError::Damaged`].
    pub(crate) fn new(engine: &'a dyn Engine, archive_id: [u8; 16]) -> Result<Self, FormatError> {
        let id = format::open(engine, archive_id)?;
        if id != archive_id || Tables::new(engine).last_change()?.is_some() {
            return Err(StoreError::Damaged { seq: None, detail: "the database is not empty".to_owned() }.into());
        }
        let contents = Cache::with_weighter(4096, CONTENT_CACHE_BYTES, ContentWeighter);
        let (chain, sources) = (LogChain::of_archive(&archive_id), Sources::default());
        Ok(Self {
            engine,
            chain,
            edge: Edge::default(),
            sources,
            contents,
            batch: Batch::default(),
            batch_bytes: 0,
            batch_changes: 0,
        })
    }

    /// The snapshot at the end of the log so far.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            next_seq: self.chain.next_seq(),
            archive_time: self.chain.archive_time(),
            log_digest: self.chain.log_digest(),
        }
    }

    /// Adds the next change. If the change does not continue the log, or does not match its payload, the error is
    /// [`StoreError::Damaged`], and nothing is added.
    pub(crate) fn push(&mut self, mut full: FullChange) -> Result<(), StoreError> {
        self.correct_depth(&mut full)?;
        let batch = batch_of(&full);
        self.check_payload(&full, &batch)?;
        self.add(&full, batch)
    }

    /// Like [`Self::push`], but keeps a damaged payload and returns the damage.
    pub(crate) fn push_with_damage(&mut self, full: &FullChange) -> Result<Option<StoreError>, StoreError> {
        let batch = batch_of(full);
        let damage = self.check_payload(full, &batch).err();
        self.add(full, batch)?;
        Ok(damage)
    }

    /// Makes the change's content state its depth in the chain that its base has here. If that is too deep, the content
    /// becomes a keyframe.
    fn correct_depth(&self, full: &mut FullChange) -> Result<(), StoreError> {
        let Some(content) = &mut full.content else { return Ok(()) };
        let Some(base) = content.base() else { return Ok(()) };
        let read = Overlay::new(self.engine, &self.batch);
        // A missing base is reported when the content is read.
        let Some(stored) = StoredContent::read(&read, base)? else { return Ok(()) };
        let depth = stored.depth() + 1;
        if depth == content.depth() {
            return Ok(());
        }
        if depth < DEPTH_LIMIT {
            content.set_depth(depth);
        } else {
            let base = contents::load_bytes(&read, base, |seq| self.contents.get(&seq))?;
            let bytes = content.unpack(Some(&base))?;
            *content = PackedContent::pack(&bytes, None, Effort::Quick).at(full.change.seq);
        }
        Ok(())
    }

    /// Checks the change's payload, which is in `batch`, against what the change records of it.
    fn check_payload(&self, full: &FullChange, batch: &Batch) -> Result<(), StoreError> {
        let seq = full.change.seq;
        let Some(new_revision) = full.change.entry.revision_with_content() else { return Ok(()) };
        let committed = Overlay::new(self.engine, &self.batch);
        let read = Overlay::new(&committed, batch);
        let (content, _) = contents::load(&read, seq, new_revision.digest, |seq| self.contents.get(&seq))?;
        self.contents.insert(seq, content);
        payload::check_depth(&read, seq, full.content.as_ref())?;
        payload::check_original(&full.change, full.original.as_ref())
    }

    /// Adds a change. `batch` has the change and its payload, but no indexes yet.
    fn add(&mut self, full: &FullChange, mut batch: Batch) -> Result<(), StoreError> {
        let mut chain = self.chain;
        chain.advance(&full.change, full.leaf)?;
        self.project(full, &mut batch)?;
        self.chain = chain;
        self.edge.append(full.leaf).iter().for_each(|tile| batch.put_tile(tile));
        self.append(batch)
    }

    /// Writes the last batch, with the state that cannot be derived from the log. Returns the snapshot at the end of
    /// the log.
    pub(crate) fn finish(mut self, unlogged: &UnloggedState) -> Result<Snapshot, StoreError> {
        let snapshot = self.snapshot();
        if let Some(closed_time) = unlogged.closed_time {
            self.batch.put_meta(MetaKey::ClosedTime, closed_time.micros().to_be_bytes().to_vec());
        }
        if unlogged.commits > 0 {
            self.batch.put_meta(MetaKey::Commits, unlogged.commits.to_be_bytes().to_vec());
        }
        if let Some(log_epoch) = unlogged.log_epoch {
            self.batch.put_meta(MetaKey::LogEpoch, log_epoch.to_vec());
        }
        if let Some(time) = unlogged.destruction_pending {
            self.batch.put_destruction_pending(time);
        }
        unlogged.checkpoints.iter().for_each(|checkpoint| self.batch.put_checkpoint(checkpoint));
        for (id, record) in &unlogged.subscriptions {
            self.batch.put_subscription(id, Some(record));
            for (seq, parked) in record.parked.iter() {
                self.batch.put_parked(id, *seq, Some(parked));
            }
        }
        self.commit()?;
        Ok(snapshot)
    }

    /// Adds the index entries that follow from the change.
    fn project(&mut self, full: &FullChange, batch: &mut Batch) -> Result<(), StoreError> {
        let change = &full.change;
        let read = Overlay::new(self.engine, &self.batch);
        let tables = Tables::new(&read);
        let head = tables.head(change.entry.article)?;
        let depth = full.content.as_ref().map(|content| content.depth());
        let projected = reproject(&tables, head, change, depth)?;
        batch.writes.extend(projected.batch.writes);
        let (stats, before) = self.sources.apply(change);
        batch.put_source(&change.entry.name.source, stats, before);
        Ok(())
    }

    /// Adds the writes of one change to the commit, and commits when the commit is large enough.
    fn append(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.batch_bytes += batch.bytes();
        self.batch_changes += 1;
        self.batch.writes.extend(batch.writes);
        if self.batch_changes >= COMMIT_CHANGES_MAX || self.batch_bytes >= COMMIT_BYTES {
            self.commit()
        } else {
            Ok(())
        }
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let batch = std::mem::take(&mut self.batch);
        (self.batch_bytes, self.batch_changes) = (0, 0);
        Ok(self.engine.commit(&batch)?)
    }
}

/// The writes of a change and its payload.
fn batch_of(full: &FullChange) -> Batch {
    let mut batch = Batch::default();
    full.write(&mut batch);
    batch
}
