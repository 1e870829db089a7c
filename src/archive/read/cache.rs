//! In-memory caches of heads, changes, contents and timelines, each bounded in bytes.
//!
//! Every cached value is correct without expiry, each for its own reason:
//!
//! | value | why it cannot be wrong |
//! | --- | --- |
//! | change, content | it never changes once it is written, unless its text is destroyed |
//! | head | the writer thread replaces it after the commit is durable and before the tail is announced |
//! | timeline | it is used up to the position to which it is complete, or further if the head shows no later change |
//!
//! Long scans have a cache of contents of their own, so that they do not displace what other reads use. A scan that goes
//! up the log needs of each article the content before, as the base of the next, so that is what it keeps.
//!
//! The delicate case is a reader that loads a head while the writer thread replaces it. The reader reserves the slot
//! before it loads; the writer thread's insert takes the slot away, and the reader's older head is then discarded:
//!
//! ```text
//! reader    reserve slot ── load head v1 ───────────── insert v1: fails
//! writer                          insert head v2 ──┘
//! ```
//!
//! When text is destroyed, all caches are emptied. A reader that has read it before must not put it back: a value is
//! cached only if the caches were not emptied since the read began, which is checked again after it was put there.
//!
//! The caches know neither the engine nor the durable tail; callers pass in how to load what is missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::GuardResult;

use crate::archive::project::timeline::Timeline;
use crate::archive::read::counted_cache::{CacheStats, CountedCache};
use crate::archive::writes::Writes;
use crate::model::{ArticleKey, ArticleName, Change, Seq};
use crate::store::StoreError;
use crate::store::content::ContentWeighter;
use crate::store::head::ArticleHead;

/// An article's number and newest state.
#[derive(Clone, Debug)]
pub(crate) struct HeadEntry {
    pub(crate) article: ArticleKey,
    pub(crate) head: Arc<ArticleHead>,
}

#[derive(Clone)]
struct CacheWeighter;

impl Weighter<ArticleName, HeadEntry> for CacheWeighter {
    fn weight(&self, _: &ArticleName, entry: &HeadEntry) -> u64 {
        (400 + entry.head.recent.len() * 24 + entry.head.labels.iter().map(|label| 24 + label.len()).sum::<usize>())
            as u64
    }
}

impl Weighter<Seq, Arc<Change>> for CacheWeighter {
    fn weight(&self, _: &Seq, change: &Arc<Change>) -> u64 {
        let new_revision = change.entry.new_revision.as_ref();
        let text = new_revision.map_or(0, |revision| 400 + revision.headline.len() + revision.canonical_url.len());
        let fetch = change.entry.fetch.as_ref().map_or(0, |fetch| 100 + fetch.text_bytes());
        let labels = change.entry.labels.as_ref().map_or(0, |labels| labels.weight_bytes());
        let urls = change.entry.bound_urls.len() + change.entry.ended_urls.len();
        (400 + text + fetch + labels + urls * 200) as u64
    }
}

impl Weighter<ArticleKey, Arc<Timeline>> for CacheWeighter {
    fn weight(&self, _: &ArticleKey, timeline: &Arc<Timeline>) -> u64 {
        timeline.weight_bytes() as u64
    }
}

/// The fraction of a cache that is reserved for entries used again after they were inserted: for values by article.
///
/// An entry by name or number stays in use as long as its article is, so the most frequently used are worth the most.
const FREQUENT: f64 = 0.97;
/// The same fraction, for values by position.
///
/// A change or content is used until its revision is superseded, however often it was used before. With a larger
/// fraction, superseded entries would stay and evict each newest revision before it is revised or read.
const RECENT: f64 = 0.5;

/// Which of the caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheKind {
    Heads,
    Changes,
    Contents,
    Timelines,
    Scanned,
}

/// The caches of one archive.
pub(crate) struct Caches {
    heads: CountedCache<ArticleName, HeadEntry, CacheWeighter>,
    changes: CountedCache<Seq, Arc<Change>, CacheWeighter>,
    /// Encoded contents.
    contents: CountedCache<Seq, Bytes, ContentWeighter>,
    timelines: CountedCache<ArticleKey, Arc<Timeline>, CacheWeighter>,
    /// Encoded contents that scans have read, each until a delta of it is.
    scanned: CountedCache<Seq, Bytes, ContentWeighter>,
    /// How often the caches were emptied.
    generation: AtomicU64,
}

impl Caches {
    /// Creates caches that occupy `bytes` of memory together, half of it for contents.
    pub(crate) fn new(bytes: u64) -> Self {
        let sixth = bytes / 6;
        Self {
            heads: CountedCache::new(sixth, 600, FREQUENT, CacheWeighter),
            changes: CountedCache::new(sixth, 900, RECENT, CacheWeighter),
            contents: CountedCache::new(2 * sixth, 4_000, RECENT, ContentWeighter),
            timelines: CountedCache::new(sixth, 1_000, FREQUENT, CacheWeighter),
            scanned: CountedCache::new(sixth, 4_000, RECENT, ContentWeighter),
            generation: AtomicU64::new(0),
        }
    }

    /// Counts a value that is read from storage because it was not cached.
    pub(crate) fn missed(&self, cache: CacheKind) {
        match cache {
            CacheKind::Heads => self.heads.missed(),
            CacheKind::Changes => self.changes.missed(),
            CacheKind::Contents => self.contents.missed(),
            CacheKind::Timelines => self.timelines.missed(),
            CacheKind::Scanned => self.scanned.missed(),
        }
    }

    /// What each cache has done, by its name.
    pub(crate) fn stats(&self) -> [(&'static str, CacheStats); 5] {
        [
            ("heads", self.heads.stats()),
            ("changes", self.changes.stats()),
            ("contents", self.contents.stats()),
            ("timelines", self.timelines.stats()),
            ("scans", self.scanned.stats()),
        ]
    }

    /// How often the caches were emptied.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.heads.entries.clear();
        self.changes.entries.clear();
        self.contents.entries.clear();
        self.timelines.entries.clear();
        self.scanned.entries.clear();
    }

    pub(crate) fn head(&self, name: &ArticleName) -> Option<HeadEntry> {
        self.heads.get(name)
    }

    /// The head of this name, from the cache or from `load`. A value that is loaded is cached, unless the writer thread
    /// has inserted a newer one in the meantime.
    pub(crate) fn head_or_load(
        &self,
        name: &ArticleName,
        load: impl FnOnce() -> Result<Option<HeadEntry>, StoreError>,
    ) -> Result<Option<HeadEntry>, StoreError> {
        match self.heads.entries.get_value_or_guard(name, None) {
            GuardResult::Value(entry) => Ok(Some(entry)),
            GuardResult::Timeout => load(),
            GuardResult::Guard(guard) => {
                let loaded = load()?;
                if let Some(entry) = &loaded {
                    // Fails if the writer thread has inserted a newer head in the meantime. The loaded one is still
                    // right for this read, whose bound is older than that commit.
                    drop(guard.insert(entry.clone()));
                }
                Ok(loaded)
            }
        }
    }

    pub(crate) fn change(&self, seq: Seq) -> Option<Arc<Change>> {
        self.changes.get(&seq)
    }

    pub(crate) fn content(&self, seq: Seq) -> Option<Bytes> {
        self.contents.get(&seq)
    }

    /// The encoded content of the change at `seq`, if it is in memory, for a scan.
    pub(crate) fn scanned_content(&self, seq: Seq) -> Option<Bytes> {
        self.scanned.get(&seq).or_else(|| self.content(seq))
    }

    pub(crate) fn timeline(&self, article: ArticleKey) -> Option<Arc<Timeline>> {
        self.timelines.get(&article)
    }

    /// Caches a change that a read of this generation has read.
    pub(crate) fn put_change(&self, change: &Arc<Change>, generation: u64) {
        self.changes.entries.insert(change.seq, Arc::clone(change));
        if self.generation() != generation {
            self.changes.entries.remove(&change.seq);
        }
    }

    /// Caches a content that a read of this generation has read.
    pub(crate) fn put_content(&self, seq: Seq, content: Bytes, generation: u64) {
        self.contents.entries.insert(seq, content);
        if self.generation() != generation {
            self.contents.entries.remove(&seq);
        }
    }

    /// Keeps a content that a scan of this generation has read, in place of its base.
    pub(crate) fn put_scanned_content(&self, seq: Seq, base: Option<Seq>, content: Bytes, generation: u64) {
        if let Some(base) = base {
            self.scanned.entries.remove(&base);
        }
        self.scanned.entries.insert(seq, content);
        if self.generation() != generation {
            self.scanned.entries.remove(&seq);
        }
    }

    pub(crate) fn put_timeline(&self, article: ArticleKey, timeline: Arc<Timeline>) {
        self.timelines.entries.insert(article, timeline);
    }

    /// Caches what a durable commit wrote. Its end must not be announced before this returns.
    pub(crate) fn apply(&self, writes: Writes) {
        for (seq, content) in writes.contents {
            self.contents.entries.insert(seq, content);
        }
        for change in writes.changes {
            self.changes.entries.insert(change.seq, change);
        }
        for (article, (name, head)) in writes.heads {
            self.heads.entries.insert(name, HeadEntry { article, head: Arc::new(head) });
        }
    }
}
