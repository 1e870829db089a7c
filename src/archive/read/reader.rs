//! Look-ups through the caches. Each read is tried on what is in memory first, on the async thread that asks;
//! where that does not do, the same code runs again on a blocking thread, with the engine behind the caches.

use std::sync::Arc;

use crate::archive::changefeed::FeedEntry;
use crate::archive::error::ArchiveError;
use crate::archive::project::timeline::{Steps, Timeline};
use crate::archive::read::cache::HeadEntry;
use crate::archive::read::contents::{self, LoadedContent};
use crate::archive::shared::Shared;
use crate::model::{ArticleKey, ArticleName, Change, ContentDigest, Seq};
use crate::store::{StoreError, Tables};

/// A timeline of more entries is not kept in memory; its article is read from the tables.
const TIMELINE_ENTRIES_MAX: usize = 16_384;

/// Why a look-up has no answer.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It is not in memory, and the engine must not be asked here.
    NotCached,
    /// It failed, or the answer is an error.
    Failed(ArchiveError),
}

impl<E: Into<ArchiveError>> From<E> for ReadError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Where look-ups go.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    shared: &'a Shared,
    mode: ReadMode,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadMode {
    /// What is in memory.
    CacheOnly,
    /// The engine too, whose answers are kept.
    ReadThrough,
    /// The engine too, without keeping what a long scan sees once.
    Bypass,
}

impl<'a> Reader<'a> {
    pub(crate) fn cached(shared: &'a Shared) -> Self {
        Self { shared, mode: ReadMode::CacheOnly }
    }

    pub(crate) fn engine(shared: &'a Shared) -> Self {
        Self { shared, mode: ReadMode::ReadThrough }
    }

    /// The same, without keeping what is read.
    pub(crate) fn unkept(self) -> Self {
        let mode = if self.mode == ReadMode::ReadThrough { ReadMode::Bypass } else { self.mode };
        Self { mode, ..self }
    }

    pub(crate) fn tables(&self) -> Result<Tables<'a>, ReadError> {
        match self.mode {
            ReadMode::CacheOnly => Err(ReadError::NotCached),
            ReadMode::ReadThrough | ReadMode::Bypass => Ok(Tables::new(self.shared.engine.as_ref())),
        }
    }

    /// The article of this name, whatever the bound. One that no durable change made is not there, though a commit may
    /// have left its name.
    pub(crate) fn head(&self, name: &ArticleName) -> Result<Option<HeadEntry>, ReadError> {
        if let Some(entry) = self.shared.caches.head(name) {
            return Ok(Some(entry));
        }
        let tables = self.tables()?;
        let durable_end = self.shared.tail().position.next_seq;
        let load = || match tables.article(name, durable_end)? {
            Some(article) => load_head(&tables, article).map(Some),
            None => Ok(None),
        };
        let entry =
            if self.mode == ReadMode::ReadThrough { self.shared.caches.head_or_load(name, load) } else { load() };
        Ok(entry?)
    }

    /// The article of this number, whatever the bound.
    pub(crate) fn head_of(&self, article: ArticleKey) -> Result<HeadEntry, ReadError> {
        Ok(load_head(&self.tables()?, article)?)
    }

    /// The change at `seq`, which is below the durable tail.
    pub(crate) fn change(&self, seq: Seq) -> Result<Arc<Change>, ReadError> {
        if let Some(change) = self.shared.caches.change(seq) {
            return Ok(change);
        }
        let missing = || StoreError::damaged_at(seq, "a change of the log is missing");
        let change = Arc::new(self.tables()?.change(seq)?.ok_or_else(missing)?);
        if self.mode == ReadMode::ReadThrough {
            self.shared.caches.put_change(&change);
        }
        Ok(change)
    }

    /// Recent changes from `from` on and below `end`, at most `most`; `None` where the first is not in memory.
    pub(crate) fn recent(&self, from: Seq, end: Seq, most: usize) -> Option<Vec<Arc<FeedEntry>>> {
        self.shared.recent.range(from.0, end.0, most)
    }

    /// The changes from `from` on and below `end`, from storage.
    pub(crate) fn log(
        self,
        from: Seq,
        end: Seq,
    ) -> Result<impl Iterator<Item = Result<FeedEntry, ReadError>> + use<'a>, ReadError> {
        let changes = self.tables()?.changes(from, end);
        Ok(changes.map(|change| Ok(FeedEntry::unshared(Arc::new(change?)))))
    }

    /// The change at `seq`, if it is durable.
    pub(crate) fn durable_change(&self, seq: Seq) -> Result<Option<Arc<Change>>, ReadError> {
        if seq >= self.shared.tail().position.next_seq {
            return Ok(None);
        }
        self.change(seq).map(Some)
    }

    /// The change at `seq`, of a commit that may not be durable yet. It is not kept. `None` where a commit that failed
    /// left but a part of itself.
    pub(crate) fn change_of_any_commit(&self, seq: Seq) -> Result<Option<Arc<Change>>, ReadError> {
        // Asked for first: what is durable now must be there when it is read.
        let durable = seq < self.shared.tail().position.next_seq;
        if durable || self.shared.caches.change(seq).is_some() {
            return self.unkept().change(seq).map(Some);
        }
        Ok(self.tables()?.change(seq)?.map(Arc::new))
    }

    /// The content that the change at `seq` brought.
    pub(crate) fn content(&self, seq: Seq, digest: ContentDigest) -> Result<LoadedContent, ReadError> {
        if let Some(content) = self.shared.caches.content(seq) {
            return Ok(content);
        }
        let tables = self.tables()?;
        let cached = |seq| self.shared.caches.content(seq).map(|content| content.bytes);
        let content = contents::load(tables.source(), seq, digest, cached)?;
        if self.mode == ReadMode::ReadThrough {
            self.shared.caches.put_content(seq, content.clone());
        }
        Ok(content)
    }

    /// Calls `read` with where the steps of an article are to be read for a bound.
    pub(crate) fn with_steps<T>(
        &self,
        entry: &HeadEntry,
        below: Seq,
        read: impl FnOnce(Steps<'_>) -> Result<T, StoreError>,
    ) -> Result<T, ReadError> {
        let loaded = self.shared.caches.timeline(entry.article);
        let good =
            |timeline: &Arc<Timeline>| below <= timeline.known_below || entry.head.latest_seq < timeline.known_below;
        if let Some(timeline) = loaded.filter(good) {
            return Ok(read(Steps::Loaded(&timeline))?);
        }
        let tables = self.tables()?;
        if self.mode == ReadMode::ReadThrough && worth_loading(entry) {
            let known_below = self.shared.tail().position.next_seq;
            if let Some(timeline) = Timeline::load(&tables, entry.article, known_below, TIMELINE_ENTRIES_MAX)? {
                let timeline = Arc::new(timeline);
                self.shared.caches.put_timeline(entry.article, Arc::clone(&timeline));
                return Ok(read(Steps::Loaded(&timeline))?);
            }
        }
        Ok(read(Steps::Stored(tables, entry.article))?)
    }
}

/// A long timeline is not even tried.
fn worth_loading(entry: &HeadEntry) -> bool {
    entry.head.revision_count.get() as usize <= TIMELINE_ENTRIES_MAX
}

fn load_head(tables: &Tables<'_>, article: ArticleKey) -> Result<HeadEntry, StoreError> {
    let missing = || StoreError::Damaged { seq: None, detail: format!("article {} has no head", article.0) };
    let head = Arc::new(tables.head(article)?.ok_or_else(missing)?);
    Ok(HeadEntry { article, head })
}
