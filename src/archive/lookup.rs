//! Look-ups through the caches. Each read is tried on what is in memory first, on the async thread that asks;
//! where that does not do, the same code runs again on a blocking thread, with the engine behind the caches.

use std::sync::Arc;

use super::cache::HeadEntry;
use super::contents::{self, LoadedContent};
use super::error::ArchiveError;
use super::feed::FeedEntry;
use super::shared::Shared;
use super::steps::{Steps, Timeline};
use crate::model::{ArticleKey, ArticleName, Change, ContentDigest, Seq};
use crate::store::{StoreError, Tables};

/// A timeline of more entries is not kept in memory; its article is read from the tables.
const TIMELINE_ENTRIES_MAX: usize = 16_384;

/// Why a look-up has no answer.
#[derive(Debug)]
pub(super) enum LookupError {
    /// It is not in memory, and the engine must not be asked here.
    NotCached,
    /// It failed, or the answer is an error.
    Failed(ArchiveError),
}

impl<E: Into<ArchiveError>> From<E> for LookupError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Where look-ups go.
#[derive(Clone, Copy)]
pub(super) struct Lookup<'a> {
    shared: &'a Shared,
    reach: Reach,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// What is in memory.
    Caches,
    /// The engine too, whose answers are kept.
    Engine,
    /// The engine too, without keeping what a long scan sees once.
    EngineUnkept,
}

impl<'a> Lookup<'a> {
    pub(super) fn cached(shared: &'a Shared) -> Self {
        Self { shared, reach: Reach::Caches }
    }

    pub(super) fn engine(shared: &'a Shared) -> Self {
        Self { shared, reach: Reach::Engine }
    }

    /// The same, without keeping what is read.
    pub(super) fn unkept(self) -> Self {
        let reach = if self.reach == Reach::Engine { Reach::EngineUnkept } else { self.reach };
        Self { reach, ..self }
    }

    pub(super) fn tables(&self) -> Result<Tables<'a>, LookupError> {
        match self.reach {
            Reach::Caches => Err(LookupError::NotCached),
            Reach::Engine | Reach::EngineUnkept => Ok(Tables::new(self.shared.engine.as_ref())),
        }
    }

    /// The article of this name, whatever the bound. One that no durable change made is not there, though a commit may
    /// have left its name.
    pub(super) fn head(&self, name: &ArticleName) -> Result<Option<HeadEntry>, LookupError> {
        if let Some(entry) = self.shared.caches.head(name) {
            return Ok(Some(entry));
        }
        let tables = self.tables()?;
        let durable_end = self.shared.tail().position.next_seq;
        let load = || match tables.article(name, durable_end)? {
            Some(article) => load_head(&tables, article).map(Some),
            None => Ok(None),
        };
        let entry = if self.reach == Reach::Engine { self.shared.caches.head_or_load(name, load) } else { load() };
        Ok(entry?)
    }

    /// The article of this number, whatever the bound.
    pub(super) fn head_of(&self, article: ArticleKey) -> Result<HeadEntry, LookupError> {
        Ok(load_head(&self.tables()?, article)?)
    }

    /// The change at `seq`, which is below the durable tail.
    pub(super) fn change(&self, seq: Seq) -> Result<Arc<Change>, LookupError> {
        if let Some(change) = self.shared.caches.change(seq) {
            return Ok(change);
        }
        let missing = || StoreError::damaged_at(seq, "a change of the log is missing");
        let change = Arc::new(self.tables()?.change(seq)?.ok_or_else(missing)?);
        if self.reach == Reach::Engine {
            self.shared.caches.put_change(&change);
        }
        Ok(change)
    }

    /// Recent changes from `from` on and below `end`, at most `most`; `None` where the first is not in memory.
    pub(super) fn recent(&self, from: Seq, end: Seq, most: usize) -> Option<Vec<Arc<FeedEntry>>> {
        self.shared.recent.range(from.0, end.0, most)
    }

    /// The changes from `from` on and below `end`, from storage.
    pub(super) fn log(
        self,
        from: Seq,
        end: Seq,
    ) -> Result<impl Iterator<Item = Result<FeedEntry, LookupError>> + use<'a>, LookupError> {
        let changes = self.tables()?.changes(from, end);
        Ok(changes.map(|change| Ok(FeedEntry::unshared(Arc::new(change?)))))
    }

    /// The change at `seq`, if it is durable.
    pub(super) fn durable_change(&self, seq: Seq) -> Result<Option<Arc<Change>>, LookupError> {
        if seq >= self.shared.tail().position.next_seq {
            return Ok(None);
        }
        self.change(seq).map(Some)
    }

    /// The change at `seq`, of a commit that may not be durable yet. It is not kept. `None` where a commit that failed
    /// left but a part of itself.
    pub(super) fn change_of_any_commit(&self, seq: Seq) -> Result<Option<Arc<Change>>, LookupError> {
        // Asked for first: what is durable now must be there when it is read.
        let durable = seq < self.shared.tail().position.next_seq;
        if durable || self.shared.caches.change(seq).is_some() {
            return self.unkept().change(seq).map(Some);
        }
        Ok(self.tables()?.change(seq)?.map(Arc::new))
    }

    /// The content that the change at `seq` brought.
    pub(super) fn content(&self, seq: Seq, digest: ContentDigest) -> Result<LoadedContent, LookupError> {
        if let Some(content) = self.shared.caches.content(seq) {
            return Ok(content);
        }
        let tables = self.tables()?;
        let cached = |seq| self.shared.caches.content(seq).map(|content| content.bytes);
        let content = contents::load(tables.source(), seq, digest, cached)?;
        if self.reach == Reach::Engine {
            self.shared.caches.put_content(seq, content.clone());
        }
        Ok(content)
    }

    /// Calls `read` with where the steps of an article are to be read for a bound.
    pub(super) fn with_steps<T>(
        &self,
        entry: &HeadEntry,
        bound: Seq,
        read: impl FnOnce(Steps<'_>) -> Result<T, StoreError>,
    ) -> Result<T, LookupError> {
        let loaded = self.shared.caches.timeline(entry.article);
        let good =
            |timeline: &Arc<Timeline>| bound <= timeline.known_below || entry.head.latest_seq < timeline.known_below;
        if let Some(timeline) = loaded.filter(good) {
            return Ok(read(Steps::Loaded(&timeline))?);
        }
        let tables = self.tables()?;
        if self.reach == Reach::Engine && worth_loading(entry) {
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
