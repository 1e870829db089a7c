//! A cache that counts how often it had what was looked up.
//!
//! A miss is counted by the caller, once it reads storage: a read first runs with the caches alone and then again with
//! the engine, and both runs look for what is missing.

use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

/// What a cache has done since the archive was opened, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Lookups that found something. A read that goes to storage for something else repeats its lookups.
    pub hits: u64,
    /// Reads of storage because something was not cached.
    pub misses: u64,
    /// The memory that the entries take, in bytes, as far as it is known.
    pub bytes: u64,
}

/// A cache, bounded in bytes.
pub(super) struct CountedCache<Key, Value, W> {
    pub(super) entries: Cache<Key, Value, W>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl<Key: Eq + Hash, Value: Clone, W: Weighter<Key, Value> + Clone> CountedCache<Key, Value, W> {
    /// Creates a cache of `bytes` bytes for entries of about `typical` bytes each, with the fraction `hot` of it
    /// reserved for entries that are used again.
    pub(super) fn new(bytes: u64, typical: u64, hot: f64, weighter: W) -> Self {
        let items = usize::try_from(bytes / typical).unwrap_or(usize::MAX).max(16);
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity(items).weight_capacity(bytes).hot_allocation(hot);
        let entries = match options.build() {
            Ok(options) => {
                Cache::with_options(options, weighter, DefaultHashBuilder::default(), DefaultLifecycle::default())
            }
            // Building fails only if a capacity is missing, and both are set.
            Err(_) => Cache::with_weighter(items, bytes, weighter),
        };
        Self { entries, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// Looks up a value, and counts it if it is there.
    pub(super) fn get(&self, key: &Key) -> Option<Value> {
        let found = self.entries.get(key);
        if found.is_some() {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    /// Counts a value that was looked up, was not there, and is read from storage.
    pub(super) fn missed(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            bytes: self.entries.weight(),
        }
    }
}
