//! The ordered key-value engine that stores everything.
//!
//! An engine is synchronous and small: it reads a key, scans a range in either direction, and commits a batch. There
//! are two: [`sled`], on disk, and [`memory`], for tests, which can lose unsynced data and fail on demand. An engine
//! does not know what its keys and values mean.
//!
//! Guarantees of every engine:
//! - A commit is atomic: after a crash all of its writes are there, or none.
//! - When `commit` returns `Ok`, the batch survives a crash of the process or the machine.
//! - After a failed commit the engine is poisoned: every later commit fails with [`EngineError::Poisoned`], while reads
//!   continue as far as they can. Some, all or none of the failed commit's writes may be readable. Two failures happen
//!   before anything is written and do not poison: [`EngineError::Full`] and [`EngineError::TooLarge`]. A failed read
//!   does not poison either; otherwise one damaged page would stop all writes.
//! - A read may see a commit that is not durable yet. So callers limit their reads to positions that are durable.

pub mod directory;
pub mod lock;
pub mod memory;
mod open_error;
pub(crate) mod own_file;
pub(crate) mod own_folder;
mod poison;
pub(crate) mod private_file;
pub mod sled;
#[cfg(test)]
mod tests;
mod wal;
pub mod watermark;

use std::ops::Bound;
use std::time::Duration;

pub use open_error::OpenError;

/// The maximum length of a value in bytes: more than a chunk of 60 KiB and its checksum.
///
/// sled moves a page above 2 MiB to a file that it never syncs. It splits a leaf that has more than 16 entries, and an
/// inner page that has more than 256. This limit and [`KEY_BYTES_MAX`] keep every page well below 2 MiB.
pub const VALUE_BYTES_MAX: usize = 65 * 1024;

/// The maximum length of a key in bytes.
pub const KEY_BYTES_MAX: usize = 6 * 1024;

/// An error of the engine. `Display` is for the log; the layers above tell users what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// A write or sync failed or took too long. The engine accepts no more commits.
    #[error("the storage engine failed: {0}")]
    Failed(String),
    /// An earlier commit failed. The text is that of the first failure.
    #[error("the storage engine is closed to writes since an earlier failure: {0}")]
    Poisoned(String),
    /// Free space is below the floor. Nothing was written, and the engine is not poisoned.
    #[error("{free_bytes} bytes are free on the disk, and writes stop below {floor_bytes}")]
    Full {
        /// The free space in bytes.
        free_bytes: u64,
        /// The free space that must remain, in bytes.
        floor_bytes: u64,
    },
    /// A key or value exceeds its maximum length. Nothing was written, and the engine is not poisoned.
    #[error("a key or value has {size} bytes, and at most {size_max} are allowed")]
    TooLarge {
        /// The length of the key or value in bytes.
        size: usize,
        /// The maximum length in bytes.
        size_max: usize,
    },
    /// The engine read something that it cannot have written.
    #[error("the storage engine found damage: {0}")]
    Damaged(String),
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Entries in key order, or in reverse. An error ends the iteration.
pub type Scan<'a> = Box<dyn Iterator<Item = Result<Entry, EngineError>> + 'a>;

/// The order of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key to the largest.
    Forward,
    /// From the largest key to the smallest.
    Reverse,
}

/// A range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The lower bound, whatever the direction of a scan.
    pub start: Bound<Vec<u8>>,
    /// The upper bound, whatever the direction of a scan.
    pub end: Bound<Vec<u8>>,
}

impl KeyRange {
    /// Whether the range is empty or inverted. `BTreeMap::range` panics on some of these.
    pub(in crate::store) fn is_empty(&self) -> bool {
        match (&self.start, &self.end) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(start), Bound::Included(end)) => start > end,
            (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => {
                start >= end
            }
        }
    }
}

/// Writes that become durable together. A later write of a key replaces an earlier one in the batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Key to new value; `None` removes the key.
    pub writes: std::collections::BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Whether this is a maintenance write: small, and needed by reads or consumers. It is accepted down to a lower
    /// free-space floor.
    pub maintenance: bool,
}

impl Batch {
    /// The total size of all keys and values in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let bytes = self.writes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len));
        bytes.sum::<usize>() as u64
    }

    /// Rejects keys above [`KEY_BYTES_MAX`] and values above [`VALUE_BYTES_MAX`]. Writing one is a bug in the layer
    /// above, never a user's mistake.
    fn check_sizes(&self) -> Result<(), EngineError> {
        for (key, value) in &self.writes {
            let value_bytes = value.as_ref().map_or(0, Vec::len);
            for (size, size_max) in [(key.len(), KEY_BYTES_MAX), (value_bytes, VALUE_BYTES_MAX)] {
                if size > size_max {
                    return Err(EngineError::TooLarge { size, size_max });
                }
            }
        }
        Ok(())
    }
}

/// A source of entries: an engine, or a view of one with pending writes applied.
pub trait Read {
    /// The value of `key`; `None` if there is none.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// The entries in `range`. An empty or inverted range contains none.
    fn scan(&self, range: KeyRange, direction: Direction) -> Scan<'_>;
}

/// The write-ahead log of an engine, and how far the database is behind it. All zero if the engine has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// The size of the files of the write-ahead log, in bytes.
    pub log_bytes: u64,
    /// The memory of the writes that are in the write-ahead log and not in the database, in bytes.
    pub pending_bytes: u64,
    /// How long the oldest of these writes has waited.
    pub pending_for: Duration,
}

/// An ordered key-value store. The module documentation lists its guarantees.
pub trait Engine: Read + Send + Sync + 'static {
    /// Writes `batch`, which is durable when this returns. The caller must not commit concurrently.
    fn commit(&self, batch: &Batch) -> Result<(), EngineError>;

    /// Fails with [`EngineError::Full`] if there is not enough space for a commit of ordinary size.
    fn has_room(&self) -> Result<(), EngineError>;

    /// The size of the database on disk, in bytes.
    fn disk_bytes(&self) -> Result<u64, EngineError>;

    /// The free space of its disk that this process may use, in bytes; `None` if it has no disk.
    fn free_bytes(&self) -> Result<Option<u64>, EngineError> {
        Ok(None)
    }

    /// What an operator should know. Does not touch the disk, and waits for no commit.
    fn stats(&self) -> EngineStats {
        EngineStats::default()
    }

    /// Waits until nothing is written to disk any more by itself, for tests that copy or damage files.
    #[cfg(any(test, feature = "internals"))]
    fn settle(&self) -> Result<(), EngineError> {
        Ok(())
    }
}
