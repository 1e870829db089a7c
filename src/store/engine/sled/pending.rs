//! The writes that are in the write-ahead log and not yet in sled, in memory, for readers.
//!
//! A reader looks here first and then into sled. A write leaves this table only after it is in sled, so a reader that
//! does not find it here finds it there; in the other order it could miss it in both.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::super::wal::LoggedWrite;
use super::super::{Batch, Direction, KeyRange};

/// The memory that a write takes besides its key and value, in bytes: its node in the map.
pub(super) const WRITE_BYTES: usize = 120;

/// The pending writes: the latest of each key.
#[derive(Debug, Default)]
pub(super) struct PendingWrites(RwLock<Table>);

#[derive(Debug, Default)]
struct Table {
    writes: BTreeMap<Vec<u8>, PendingWrite>,
    bytes: usize,
}

/// The latest write of a key.
#[derive(Debug)]
struct PendingWrite {
    /// The number of its commit.
    commit: u64,
    /// The new value; `None` removes the key.
    value: Option<Bytes>,
}

/// A key and its new value; `None` removes the key.
pub(super) type Write = (Vec<u8>, Option<Bytes>);

/// Some writes, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(super) struct Copied {
    pub(super) writes: Vec<Write>,
    /// Whether there are more after them.
    pub(super) has_more: bool,
}

/// How many writes to copy at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct CopyLimits {
    pub(super) writes: usize,
    /// The memory that they take, in bytes. A single write may take more.
    pub(super) bytes: usize,
}

impl PendingWrites {
    /// Adds the writes of a commit, which has a higher number than all before.
    pub(super) fn add(&self, commit: u64, batch: &Batch) {
        let mut table = self.write();
        for (key, value) in &batch.writes {
            let value = value.as_deref().map(Bytes::copy_from_slice);
            table.insert(key.clone(), PendingWrite { commit, value });
        }
    }

    /// Adds the writes of a commit that was read from the log.
    pub(super) fn add_logged(&self, commit: u64, writes: Vec<LoggedWrite>) {
        let mut table = self.write();
        for (key, value) in writes {
            table.insert(key.to_vec(), PendingWrite { commit, value });
        }
    }

    /// The pending write of a key: its new value, or `Some(None)` if it is removed. `None` if there is none.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        self.read().writes.get(key).map(|write| write.value.clone())
    }

    /// The memory that the writes take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.read().bytes
    }

    /// The first writes in `range`, in this direction.
    pub(super) fn first(&self, range: &KeyRange, direction: Direction, limits: CopyLimits) -> Copied {
        if range.is_empty() {
            return Copied::default();
        }
        let table = self.read();
        let bounds = (range.start.as_ref(), range.end.as_ref());
        let bounds = (bounds.0.map(Vec::as_slice), bounds.1.map(Vec::as_slice));
        let within = table.writes.range::<[u8], (Bound<&[u8]>, Bound<&[u8]>)>(bounds);
        match direction {
            Direction::Forward => copy(within, limits),
            Direction::Reverse => copy(within.rev(), limits),
        }
    }

    /// The first writes after the key `after` of commits up to number `commit`, in order of key.
    pub(super) fn applicable(&self, after: Bound<&[u8]>, commit: u64, limits: CopyLimits) -> Copied {
        let table = self.read();
        let within = table.writes.range::<[u8], (Bound<&[u8]>, Bound<&[u8]>)>((after, Bound::Unbounded));
        copy(within.filter(|(_, write)| write.commit <= commit), limits)
    }

    /// Removes the writes of these keys, except those of commits after number `commit`.
    pub(super) fn remove<'a>(&self, keys: impl Iterator<Item = &'a Vec<u8>>, commit: u64) {
        let mut table = self.write();
        for key in keys {
            if table.writes.get(key).is_some_and(|write| write.commit <= commit)
                && let Some(removed) = table.writes.remove(key)
            {
                table.bytes -= weight(key, &removed);
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn insert(&mut self, key: Vec<u8>, write: PendingWrite) {
        let key_bytes = key.len();
        self.bytes += weight(&key, &write);
        if let Some(replaced) = self.writes.insert(key, write) {
            self.bytes -= WRITE_BYTES + key_bytes + replaced.value.map_or(0, |value| value.len());
        }
    }
}

fn weight(key: &[u8], write: &PendingWrite) -> usize {
    WRITE_BYTES + key.len() + write.value.as_ref().map_or(0, Bytes::len)
}

fn copy<'a>(writes: impl Iterator<Item = (&'a Vec<u8>, &'a PendingWrite)>, limits: CopyLimits) -> Copied {
    let (mut copied, mut bytes) = (Copied::default(), 0);
    for (key, write) in writes {
        bytes += weight(key, write);
        let fits = copied.writes.len() < limits.writes && bytes <= limits.bytes;
        if !fits && !copied.writes.is_empty() {
            copied.has_more = true;
            break;
        }
        copied.writes.push((key.clone(), write.value.clone()));
    }
    copied
}
