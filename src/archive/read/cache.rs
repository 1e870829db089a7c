//! What is hot, in memory: heads by name, changes, contents, timelines. Each is bounded in bytes.
//!
//! Changes and contents never change, so they are good for ever. A head is put in by the writer, after its commit
//! is durable and before the new end of the log is announced; a reader that loads one takes the place first, so
//! that an older head can never displace a newer one. A timeline says how far it is complete, and is good for a
//! bound beyond that as long as the head says that nothing came after.

use std::hash::Hash;
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle, GuardResult};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::archive::project::timeline::Timeline;
use crate::archive::read::contents::LoadedContent;
use crate::archive::write::commit_builder::Writes;
use crate::model::{ArticleKey, ArticleName, Change, Seq};
use crate::store::StoreError;
use crate::store::head::Head;

/// An article's number and newest state.
#[derive(Clone, Debug)]
pub(crate) struct HeadEntry {
    pub(crate) article: ArticleKey,
    pub(crate) head: Arc<Head>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<ArticleName, HeadEntry> for ByBytes {
    fn weight(&self, _: &ArticleName, entry: &HeadEntry) -> u64 {
        (400 + entry.head.recent.len() * 24) as u64
    }
}

impl Weighter<Seq, Arc<Change>> for ByBytes {
    fn weight(&self, _: &Seq, change: &Arc<Change>) -> u64 {
        let made = change.entry.new_revision.as_ref();
        let text = made.map_or(0, |made| 400 + made.headline.len() + made.canonical_url.len() + made.labels.len() * 40);
        let fetch = change.entry.fetch.as_ref().map_or(0, |fetch| 100 + fetch.text_bytes());
        (400 + text + fetch + change.entry.bound_urls.len() * 200) as u64
    }
}

impl Weighter<Seq, LoadedContent> for ByBytes {
    fn weight(&self, _: &Seq, content: &LoadedContent) -> u64 {
        content.weight_bytes() as u64
    }
}

impl Weighter<ArticleKey, Arc<Timeline>> for ByBytes {
    fn weight(&self, _: &ArticleKey, timeline: &Arc<Timeline>) -> u64 {
        timeline.weight_bytes() as u64
    }
}

/// The share of a cache for what was asked for again after it came in.
///
/// What is kept by name or number stays the same entry while its article lives on, so what was asked for often is
/// worth the most.
const FREQUENT: f64 = 0.97;
/// What is kept by position is asked for until it is superseded, however often that was. With a larger share what is
/// superseded holds out against each newest revision, which is then gone before it is revised or read.
const RECENT: f64 = 0.5;

/// The caches.
pub(crate) struct Caches {
    heads: Cache<ArticleName, HeadEntry, ByBytes>,
    changes: Cache<Seq, Arc<Change>, ByBytes>,
    contents: Cache<Seq, LoadedContent, ByBytes>,
    timelines: Cache<ArticleKey, Arc<Timeline>, ByBytes>,
}

impl Caches {
    /// Caches that take `bytes` of memory together: half of it for contents.
    pub(crate) fn new(bytes: u64) -> Self {
        let (half, sixth) = (bytes / 2, bytes / 6);
        Self {
            heads: cache(sixth, 600, FREQUENT),
            changes: cache(sixth, 900, RECENT),
            contents: cache(half, 12_000, RECENT),
            timelines: cache(sixth, 1_000, FREQUENT),
        }
    }

    pub(crate) fn head(&self, name: &ArticleName) -> Option<HeadEntry> {
        self.heads.get(name)
    }

    /// The head of this name, loaded where it is not there.
    pub(crate) fn head_or_load(
        &self,
        name: &ArticleName,
        load: impl FnOnce() -> Result<Option<HeadEntry>, StoreError>,
    ) -> Result<Option<HeadEntry>, StoreError> {
        match self.heads.get_value_or_guard(name, None) {
            GuardResult::Value(entry) => Ok(Some(entry)),
            GuardResult::Timeout => load(),
            GuardResult::Guard(place) => {
                let loaded = load()?;
                if let Some(entry) = &loaded {
                    // Refused where the writer has put in a newer one meanwhile. What was loaded is still good
                    // for this read, whose bound is older.
                    drop(place.insert(entry.clone()));
                }
                Ok(loaded)
            }
        }
    }

    pub(crate) fn change(&self, seq: Seq) -> Option<Arc<Change>> {
        self.changes.get(&seq)
    }

    pub(crate) fn content(&self, seq: Seq) -> Option<LoadedContent> {
        self.contents.get(&seq)
    }

    pub(crate) fn timeline(&self, article: ArticleKey) -> Option<Arc<Timeline>> {
        self.timelines.get(&article)
    }

    pub(crate) fn put_change(&self, change: &Arc<Change>) {
        self.changes.insert(change.seq, Arc::clone(change));
    }

    pub(crate) fn put_content(&self, seq: Seq, content: LoadedContent) {
        self.contents.insert(seq, content);
    }

    pub(crate) fn put_timeline(&self, article: ArticleKey, timeline: Arc<Timeline>) {
        self.timelines.insert(article, timeline);
    }

    /// Takes in what a commit wrote. Its end must not be announced before this returns.
    pub(crate) fn take_in(&self, writes: Writes) {
        for (seq, content) in writes.contents {
            self.contents.insert(seq, content);
        }
        for change in writes.changes {
            self.changes.insert(change.seq, change);
        }
        for (article, (name, head)) in writes.heads {
            self.heads.insert(name, HeadEntry { article, head: Arc::new(head) });
        }
    }
}

/// A cache of `bytes` bytes, for entries of about `typical` bytes.
fn cache<Key: Eq + Hash, Value: Clone>(bytes: u64, typical: u64, hot: f64) -> Cache<Key, Value, ByBytes>
where
    ByBytes: Weighter<Key, Value>,
{
    let items = usize::try_from(bytes / typical).unwrap_or(usize::MAX).max(16);
    let mut options = OptionsBuilder::new();
    options.estimated_items_capacity(items).weight_capacity(bytes).hot_allocation(hot);
    match options.build() {
        Ok(options) => {
            Cache::with_options(options, ByBytes, DefaultHashBuilder::default(), DefaultLifecycle::default())
        }
        // Only a capacity that is not given is refused.
        Err(_) => Cache::with_weighter(items, bytes, ByBytes),
    }
}
