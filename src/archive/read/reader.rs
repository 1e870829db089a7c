//! Lookups through the caches.
//!
//! A read is a function of a [`Reader`]. It runs on the async thread first, with a reader that knows only the caches; a
//! lookup that is not cached fails with [`ReadError::NotCached`], and the same function runs again on a blocking
//! thread, with a reader that may use the engine. Most reads never leave the async thread, and none ever blocks it.
//!
//! ```text
//! async thread     read(cached reader) ──▶ result
//!                        │ NotCached
//! blocking thread        └─▶ read(engine reader) ──▶ result, and the caches filled
//! ```
//!
//! Invariants:
//! - A lookup that needs the engine obtains it from [`Reader::tables`], so it cannot run on an async thread by mistake.
//! - The engine may show one commit that is not durable yet. Every lookup is therefore bounded by the durable tail or
//!   by the read point, which is at or below the tail. The exceptions say so in their names.
//! - A long scan does not displace what other reads use: it caches nothing but contents, and those apart
//!   ([`Reader::of_scan`]).
//!
//! The reader does not know what a read is for, and does not resolve points.

use std::sync::Arc;

use bytes::Bytes;

use crate::archive::changefeed::entry::FeedEntry;
use crate::archive::error::ArchiveError;
use crate::archive::project::timeline::{Timeline, TimelineReader};
use crate::archive::read::cache::{CacheKind, HeadEntry};
use crate::archive::read::contents;
use crate::archive::shared::Shared;
use crate::model::{ArticleKey, ArticleName, Change, ContentDigest, Seq};
use crate::store::{StoreError, Tables};

/// The maximum number of entries of a timeline that is kept in memory. Longer ones are read from the tables.
const TIMELINE_ENTRIES_MAX: usize = 16_384;

/// Why a lookup has no result.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The caches do not have it, and this reader may not use the engine. The read must run again with one that may.
    NotCached,
    /// The lookup failed, or the result of the read is an error.
    Failed(ArchiveError),
}

impl<E: Into<ArchiveError>> From<E> for ReadError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Looks up heads, changes, contents and timelines.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    shared: &'a Shared,
    mode: ReadMode,
    /// The generation of the caches when the read began.
    generation: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadMode {
    /// Reads the caches only.
    CacheOnly,
    /// Reads the caches, then the engine, and caches the result.
    ReadThrough,
    /// Reads the caches, then the engine, and caches the result for scans alone.
    Scan,
}

impl<'a> Reader<'a> {
    pub(crate) fn cached(shared: &'a Shared) -> Self {
        Self { shared, mode: ReadMode::CacheOnly, generation: shared.caches.generation() }
    }

    pub(crate) fn engine(shared: &'a Shared) -> Self {
        Self { shared, mode: ReadMode::ReadThrough, generation: shared.caches.generation() }
    }

    /// Returns a reader for scans, which see most of their data once.
    pub(crate) fn of_scan(self) -> Self {
        let mode = if self.mode == ReadMode::ReadThrough { ReadMode::Scan } else { self.mode };
        Self { mode, ..self }
    }

    pub(crate) fn tables(&self) -> Result<Tables<'a>, ReadError> {
        match self.mode {
            ReadMode::CacheOnly => Err(ReadError::NotCached),
            ReadMode::ReadThrough | ReadMode::Scan => Ok(Tables::new(self.shared.engine.as_ref())),
        }
    }

    /// The tables, for what a cache did not have.
    fn missed(&self, cache: CacheKind) -> Result<Tables<'a>, ReadError> {
        let tables = self.tables()?;
        self.shared.caches.missed(cache);
        Ok(tables)
    }

    /// The head of the article with this name, whatever the bound of the read; `None` if no durable change created the
    /// article. The engine may already have its name, from a commit that is not durable yet.
    pub(crate) fn head(&self, name: &ArticleName) -> Result<Option<HeadEntry>, ReadError> {
        if let Some(entry) = self.shared.caches.head(name) {
            return Ok(Some(entry));
        }
        let tables = self.missed(CacheKind::Heads)?;
        let durable_end = self.shared.tail().position.next_seq;
        let load = || match tables.article(name, durable_end)? {
            Some(article) => load_head(&tables, article).map(Some),
            None => Ok(None),
        };
        let entry =
            if self.mode == ReadMode::ReadThrough { self.shared.caches.head_or_load(name, load) } else { load() };
        Ok(entry?)
    }

    /// The head of the article with this name if it is in memory.
    pub(crate) fn cached_head(&self, name: &ArticleName) -> Option<HeadEntry> {
        self.shared.caches.head(name)
    }

    /// The head of the article with this number, whatever the bound of the read.
    pub(crate) fn head_of(&self, article: ArticleKey) -> Result<HeadEntry, ReadError> {
        Ok(load_head(&self.tables()?, article)?)
    }

    /// The change at `seq`, which must be below the durable tail. If it is missing, the database is damaged.
    pub(crate) fn change(&self, seq: Seq) -> Result<Arc<Change>, ReadError> {
        if let Some(change) = self.shared.caches.change(seq) {
            return Ok(change);
        }
        let missing = || StoreError::damaged_at(seq, "a change of the log is missing");
        let change = Arc::new(self.missed(CacheKind::Changes)?.change(seq)?.ok_or_else(missing)?);
        if self.mode == ReadMode::ReadThrough {
            self.shared.caches.put_change(&change, self.generation);
        }
        Ok(change)
    }

    /// The changes from `from` on and below `end`, at most the first `count_max`, from the ring; `None` if the ring
    /// does not have them all.
    pub(crate) fn recent(&self, from: Seq, end: Seq, count_max: usize) -> Option<Vec<Arc<FeedEntry>>> {
        self.shared.recent.range(from.0, end.0, count_max)
    }

    /// The changes from `from` on and below `end`, from storage, without caching them.
    pub(crate) fn log(
        self,
        from: Seq,
        end: Seq,
    ) -> Result<impl Iterator<Item = Result<FeedEntry, ReadError>> + use<'a>, ReadError> {
        let changes = self.tables()?.changes(from, end);
        Ok(changes.map(|change| Ok(FeedEntry::unshared(Arc::new(change?)))))
    }

    /// The change at `seq`; `None` if it is not durable.
    pub(crate) fn durable_change(&self, seq: Seq) -> Result<Option<Arc<Change>>, ReadError> {
        if seq >= self.shared.tail().position.next_seq {
            return Ok(None);
        }
        self.change(seq).map(Some)
    }

    /// The change at `seq`, even if its commit is not durable yet. It is not cached. `None` if a failed commit left
    /// only a part of itself, without this change.
    pub(crate) fn change_of_any_commit(&self, seq: Seq) -> Result<Option<Arc<Change>>, ReadError> {
        // Checked before the read: the read must find a change that is durable at this point.
        let durable = seq < self.shared.tail().position.next_seq;
        if durable || self.shared.caches.change(seq).is_some() {
            return self.of_scan().change(seq).map(Some);
        }
        Ok(self.tables()?.change(seq)?.map(Arc::new))
    }

    /// The encoded content of the change at `seq`, if it is in memory.
    pub(crate) fn cached_content(&self, seq: Seq) -> Option<Bytes> {
        self.shared.caches.content(seq)
    }

    /// The encoded content of the revision that the change at `seq` created, checked against `digest` when it is read
    /// from disk.
    pub(crate) fn content(&self, seq: Seq, digest: ContentDigest) -> Result<Bytes, ReadError> {
        if let Some(content) = self.shared.caches.content(seq) {
            return Ok(content);
        }
        let is_scan = self.mode == ReadMode::Scan;
        let tables = self.missed(if is_scan { CacheKind::Scanned } else { CacheKind::Contents })?;
        let caches = &self.shared.caches;
        if is_scan {
            let (content, base) = contents::load(tables.source(), seq, digest, |seq| caches.scanned_content(seq))?;
            caches.put_scanned_content(seq, base, content.clone(), self.generation);
            return Ok(content);
        }
        let (content, _) = contents::load(tables.source(), seq, digest, |seq| self.cached_content(seq))?;
        caches.put_content(seq, content.clone(), self.generation);
        Ok(content)
    }

    /// The content of the revision that a change created, with the change; no content if its text was destroyed. If that
    /// happens while this reads, the change is returned as it is afterwards.
    pub(crate) fn created_content(&self, change: Arc<Change>) -> Result<(Arc<Change>, Option<Bytes>), ReadError> {
        let Some(record) = change.entry.revision_with_content() else { return Ok((change, None)) };
        let read = self.content(change.seq, record.digest);
        if !matches!(read, Err(ReadError::Failed(ArchiveError::Damaged { .. }))) {
            return read.map(|content| (change, Some(content)));
        }
        match self.tables()?.change(change.seq)? {
            Some(stub) if stub.entry.expunged.is_some() => Ok((Arc::new(stub), None)),
            // What it is stored as a difference from may have been destroyed, and it was stored again.
            Some(_) | None => Ok((Arc::clone(&change), Some(self.content(change.seq, record.digest)?))),
        }
    }

    /// Calls `read` with the timeline of an article: the one in memory if it covers the bound, or else the tables.
    /// Loads the timeline into memory if it is short enough.
    pub(crate) fn with_timeline<T>(
        &self,
        entry: &HeadEntry,
        below: Seq,
        read: impl FnOnce(TimelineReader<'_>) -> Result<T, StoreError>,
    ) -> Result<T, ReadError> {
        let loaded = self.shared.caches.timeline(entry.article);
        let covers =
            |timeline: &Arc<Timeline>| below <= timeline.known_below || entry.head.latest_seq < timeline.known_below;
        if let Some(timeline) = loaded.filter(covers) {
            if self.mode == ReadMode::CacheOnly && !timeline.has_looks() {
                return Err(ReadError::NotCached);
            }
            let tables = Tables::new(self.shared.engine.as_ref());
            return Ok(read(TimelineReader::Loaded(&timeline, tables, entry.article))?);
        }
        let tables = self.missed(CacheKind::Timelines)?;
        if self.mode == ReadMode::ReadThrough && worth_loading(entry) {
            let known_below = self.shared.tail().position.next_seq;
            if let Some(timeline) = Timeline::load(&tables, entry.article, known_below, TIMELINE_ENTRIES_MAX)? {
                let timeline = Arc::new(timeline);
                self.shared.caches.put_timeline(entry.article, Arc::clone(&timeline));
                return Ok(read(TimelineReader::Loaded(&timeline, tables, entry.article))?);
            }
        }
        Ok(read(TimelineReader::Stored(tables, entry.article))?)
    }
}

/// Whether the timeline can be short enough to be kept, judging by the number of revisions.
fn worth_loading(entry: &HeadEntry) -> bool {
    entry.head.revision_count.get() as usize <= TIMELINE_ENTRIES_MAX
}

fn load_head(tables: &Tables<'_>, article: ArticleKey) -> Result<HeadEntry, StoreError> {
    Ok(HeadEntry { article, head: Arc::new(tables.existing_head(article)?) })
}
