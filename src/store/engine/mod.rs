//! The ordered key-value engine that everything is kept in.
//!
//! An engine is synchronous and small: it reads a key, scans a range in either direction, and commits a
//! batch. There are two: [`sled`], for the disk, and [`memory`], for tests, which can lose what was not
//! synced and fail on order. An engine knows nothing of what its keys and values mean.
//!
//! Guarantees of every engine:
//! - a commit is atomic: after a crash all of its writes are there, or none;
//! - when `commit` returns `Ok`, the batch survives a crash of process and machine;
//! - after a failed commit the engine is poisoned: each later commit fails with [`EngineError::Poisoned`],
//!   while reads go on as far as they can. What the failed commit wrote may or may not be there. Two failures
//!   happen before anything is written and do not poison: [`EngineError::Full`], and the refusal of a key
//!   or value that is too long. A failed read does not poison either, or one damaged page would stop
//!   all writes;
//! - a read may see a commit that is not durable yet. Its caller bounds reads by position.

pub mod directory;
pub mod lock;
pub mod memory;
mod open_error;
pub(crate) mod own_file;
pub(crate) mod own_folder;
mod poison;
pub mod sled;
#[cfg(test)]
mod tests;
pub mod watermark;

use std::ops::Bound;

pub use open_error::OpenError;

/// The longest value that a commit takes: a chunk of 64 KiB and its header.
///
/// sled puts a page above 2 MiB into a file that it never syncs, and splits a leaf above 16 entries, an inner
/// page above 256. This and [`KEY_BYTES_MAX`] keep each page well below.
pub const VALUE_BYTES_MAX: usize = 65 * 1024;

/// The longest key that a commit takes.
pub const KEY_BYTES_MAX: usize = 6 * 1024;

/// An engine error. `Display` is for the log; a user is told what to do by the layers above.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// A write or sync failed, or took too long; the engine takes no more commits.
    #[error("the storage engine failed: {0}")]
    Failed(String),
    /// An earlier commit failed.
    #[error("the storage engine is closed to writes since an earlier failure: {0}")]
    Poisoned(String),
    /// Free space is below the floor. Nothing was written, and the engine is not poisoned.
    #[error("{free_bytes} bytes are free on the disk, and writes stop below {floor_bytes}")]
    Full {
        /// What is free.
        free_bytes: u64,
        /// What must stay free.
        floor_bytes: u64,
    },
    /// A key or value is larger than an engine takes. Nothing was written, and the engine is not poisoned.
    #[error("a key or value has {size} bytes, and at most {size_max} are allowed")]
    TooLarge {
        /// Its bytes.
        size: usize,
        /// The most that is taken.
        size_max: usize,
    },
    /// What was read back is not what can have been written.
    #[error("the storage engine found damage: {0}")]
    Damaged(String),
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Entries in key order, or in reverse.
pub type Scan<'a> = Box<dyn Iterator<Item = Result<Entry, EngineError>> + 'a>;

/// The order of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Reverse,
}

/// A range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// Where it begins.
    pub start: Bound<Vec<u8>>,
    /// Where it ends.
    pub end: Bound<Vec<u8>>,
}

/// Writes that become durable together. A later write of a key replaces an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Key to new value; `None` removes the key.
    pub writes: std::collections::BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// What reads and consumers cannot do without, and takes next to no room: a full disk refuses it later than the rest.
    pub maintenance: bool,
}

impl Batch {
    /// The bytes of all keys and values.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let bytes = self.writes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len));
        bytes.sum::<usize>() as u64
    }

    /// Refuses a key above [`KEY_BYTES_MAX`] or a value above [`VALUE_BYTES_MAX`]: to write one is a mistake
    /// in the layer above, and never the user's.
    fn refuse_oversized(&self) -> Result<(), EngineError> {
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

/// What can be read from: an engine, or an engine under writes that it does not have yet.
pub trait Read {
    /// The value of `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// The entries of `range`. An empty or inverted range gives none.
    fn scan(&self, range: KeyRange, direction: Direction) -> Scan<'_>;
}

/// An ordered key-value store. See the module for what it guarantees.
pub trait Engine: Read + Send + Sync + 'static {
    /// Writes `batch`, durably when it returns. Commits are not concurrent: the caller has one at a time.
    fn commit(&self, batch: &Batch) -> Result<(), EngineError>;

    /// Whether a commit of ordinary size would be taken now, as far as room goes: [`EngineError::Full`] if not.
    fn has_room(&self) -> Result<(), EngineError>;

    /// Bytes on disk.
    fn disk_bytes(&self) -> Result<u64, EngineError>;
}
