//! An in-memory engine for tests. It can lose unsynced data, and fail on demand.
//!
//! A handle is cheap to clone, and all clones share one state, so that a test keeps one while the archive has another.
//! [`MemoryEngine::restart`] and [`MemoryEngine::lose_unsynced`] act on that state and clear the poison, as reopening
//! does.
#![cfg_attr(not(any(test, feature = "internals")), expect(dead_code, reason = "only tests plan faults"))]

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::poison::Poison;
use super::{Batch, Direction, Engine, EngineError, Entry, KeyRange, Read, Scan};

const FULL: EngineError = EngineError::Full { free_bytes: 0, floor_bytes: 1 };

/// A fault of one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The commit fails, nothing is written, and the engine is poisoned.
    FailBeforeWrite,
    /// The commit fails when its writes are visible but not durable, and the engine is poisoned.
    FailBeforeSync,
    /// The commit fails when some of its writes are visible, and the engine is poisoned. The `n`th write in key order
    /// is visible if bit `n % 64` of this mask is set. After a restart or a power cut none of them is there, since a
    /// commit is atomic across both.
    Short(u64),
    /// The commit fails with [`EngineError::Full`]: nothing is written, and the engine is not poisoned.
    Full,
    /// The writes are visible but not durable, and the commit does not return until [`MemoryEngine::release`].
    Hang,
}

/// An in-memory engine. See the module documentation.
#[derive(Clone, Debug, Default)]
pub struct MemoryEngine {
    shared: Arc<MemoryShared>,
}

#[derive(Debug, Default)]
struct MemoryShared {
    state: Mutex<MemoryState>,
    /// Signalled whenever `hanging` or `released` changes.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct MemoryState {
    visible: BTreeMap<Vec<u8>, Vec<u8>>,
    /// For each key written since the last sync, its value before that. A power cut restores it.
    unsynced: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Whether the unsynced writes are only a part of a commit, which must be gone after reopening.
    torn: bool,
    /// The number of commits so far, not counting those rejected as poisoned or oversized.
    commits: u64,
    /// Planned faults by the number of the commit, from 1.
    faults: BTreeMap<u64, Fault>,
    /// The number of commits that hang.
    hanging: usize,
    /// Whether hanging commits may continue.
    released: bool,
    /// Reads of keys that begin with this prefix fail.
    unreadable: Option<Vec<u8>>,
    poison: Poison,
}

impl MemoryEngine {
    /// An empty engine without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Plans a fault for the `nth` commit from now, where 1 is the next one.
    pub fn fault_at(&self, nth: u64, fault: Fault) {
        let mut state = self.state();
        let commit = state.commits + nth;
        state.faults.insert(commit, fault);
        state.released = false;
    }

    /// Blocks until a commit hangs.
    pub fn wait_until_hanging(&self) {
        let state = self.shared.changed.wait_while(self.state(), |state| state.hanging == 0);
        drop(state.unwrap_or_else(PoisonError::into_inner));
    }

    /// Lets hanging commits continue, now and until another fault is planned.
    pub fn release(&self) {
        self.state().released = true;
        self.shared.changed.notify_all();
    }

    /// Makes reads of keys that begin with `prefix` fail with [`EngineError::Damaged`]; with `None`, no reads fail any
    /// more.
    pub fn fail_reads(&self, prefix: Option<&[u8]>) {
        self.state().unreadable = prefix.map(<[u8]>::to_vec);
    }

    /// Inverts the byte at `index` of the value of `key`. Returns false if there is no such byte.
    pub fn flip_byte(&self, key: &[u8], index: usize) -> bool {
        let mut state = self.state();
        let byte = state.visible.get_mut(key).and_then(|value| value.get_mut(index));
        byte.map(|byte| *byte = !*byte).is_some()
    }

    /// Simulates a restart of the process: visible writes remain, durable or not, except for a part of a commit.
    pub fn restart(&self) {
        let mut state = self.state();
        if state.torn {
            state.undo_unsynced();
        }
        state.unsynced.clear();
        state.poison = Poison::default();
    }

    /// Simulates a power cut and a restart: unsynced writes are lost.
    pub fn lose_unsynced(&self) {
        let mut state = self.state();
        state.undo_unsynced();
        state.poison = Poison::default();
    }

    fn state(&self) -> MutexGuard<'_, MemoryState> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next entry of `range`. The lock is not held between entries, so that a caller may commit while it scans.
    fn next_entry(&self, range: &KeyRange, direction: Direction) -> Option<Result<Entry, EngineError>> {
        if range.is_empty() {
            return None;
        }
        let state = self.state();
        let mut entries = state.visible.range::<Vec<u8>, _>((range.start.as_ref(), range.end.as_ref()));
        let (key, value) = match direction {
            Direction::Forward => entries.next(),
            Direction::Reverse => entries.next_back(),
        }?;
        Some(state.check_readable(key).map(|()| (key.clone(), value.clone())))
    }
}

impl MemoryState {
    fn check_readable(&self, key: &[u8]) -> Result<(), EngineError> {
        match &self.unreadable {
            Some(prefix) if key.starts_with(prefix) => Err(EngineError::Damaged("unreadable on demand".to_owned())),
            Some(_) | None => Ok(()),
        }
    }

    fn write(&mut self, batch: &Batch) {
        self.write_some(batch, u64::MAX);
    }

    /// Makes the writes that `mask` selects visible; see [`Fault::Short`].
    fn write_some(&mut self, batch: &Batch, mask: u64) {
        for (index, (key, value)) in batch.writes.iter().enumerate() {
            if mask.rotate_right(u32::try_from(index % 64).unwrap_or(0)) & 1 == 1 {
                let before = replace(&mut self.visible, key.clone(), value.clone());
                self.unsynced.entry(key.clone()).or_insert(before);
            }
        }
    }

    fn undo_unsynced(&mut self) {
        for (key, before) in std::mem::take(&mut self.unsynced) {
            replace(&mut self.visible, key, before);
        }
        self.torn = false;
    }

    fn fail(&self) -> Result<(), EngineError> {
        self.poison.watch(Err(EngineError::Failed("on demand".to_owned())))
    }
}

impl Read for MemoryEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let state = self.state();
        state.check_readable(key)?;
        Ok(state.visible.get(key).cloned())
    }

    fn scan(&self, mut range: KeyRange, direction: Direction) -> Scan<'_> {
        let mut failed = false;
        Box::new(std::iter::from_fn(move || {
            let entry = if failed { None } else { self.next_entry(&range, direction) };
            match (&entry, direction) {
                (Some(Ok((key, _))), Direction::Forward) => range.start = Bound::Excluded(key.clone()),
                (Some(Ok((key, _))), Direction::Reverse) => range.end = Bound::Excluded(key.clone()),
                (Some(Err(_)) | None, _) => failed = true,
            }
            entry
        }))
    }
}

impl Engine for MemoryEngine {
    fn commit(&self, batch: &Batch) -> Result<(), EngineError> {
        let mut state = self.state();
        state.poison.check()?;
        batch.check_sizes()?;
        state.commits += 1;
        let commit = state.commits;
        match state.faults.remove(&commit) {
            None => state.write(batch),
            Some(Fault::FailBeforeWrite) => return state.fail(),
            Some(Fault::FailBeforeSync) => {
                state.write(batch);
                return state.fail();
            }
            Some(Fault::Short(mask)) => {
                state.write_some(batch, mask);
                state.torn = true;
                return state.fail();
            }
            Some(Fault::Full) => return Err(FULL),
            Some(Fault::Hang) => {
                state.write(batch);
                state.hanging += 1;
                self.shared.changed.notify_all();
                let woken = self.shared.changed.wait_while(state, |state| !state.released);
                state = woken.unwrap_or_else(PoisonError::into_inner);
                state.hanging -= 1;
            }
        }
        state.unsynced.clear();
        Ok(())
    }

    fn has_room(&self) -> Result<(), EngineError> {
        let state = self.state();
        match state.faults.get(&(state.commits + 1)) {
            Some(Fault::Full) => Err(FULL),
            Some(_) | None => Ok(()),
        }
    }

    fn disk_bytes(&self) -> Result<u64, EngineError> {
        let state = self.state();
        Ok(state.visible.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum())
    }
}

/// Sets or removes the value of a key, and returns the previous value.
fn replace(map: &mut BTreeMap<Vec<u8>, Vec<u8>>, key: Vec<u8>, value: Option<Vec<u8>>) -> Option<Vec<u8>> {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    }
}
