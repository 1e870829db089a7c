//! The applier: the thread that moves commits from the write-ahead log to sled.
//!
//! It waits until enough has gathered, or, once sled has a database, has waited long enough. Then it writes to sled
//! what is pending, in order of key and in slices, each of them synced and then removed from memory; then, in the tree
//! `applied`, the number of the last commit that sled has now, and syncs that; and only then are the files of the log
//! released. If the process dies anywhere in between, the next opening reads the commits from the log again:
//! writing them twice does no harm, so a slice need not be a whole commit.
//!
//! On a disk that is too full for what sled would write, it waits: sled does not survive a failed write, and the commits
//! are safe in the log and in memory. Commits are then rejected before memory runs out, since they need more space.

use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::{EngineError, EngineStats};
use super::pending::CopyLimits;
use super::{Shared, database};

/// The pending writes that make the applier begin, in bytes of memory.
const ENOUGH_BYTES: usize = 4 << 20;
/// The full files of the log that make the applier begin, in bytes. Writes of the same keys replace each other in memory,
/// and their records stay in the log.
const ENOUGH_LOG_BYTES: u64 = 16 << 20;
/// The longest that a commit waits for the applier, if not enough gathers.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// The pending writes beyond which commits wait for the applier, in bytes of memory.
const PENDING_BYTES_MAX: usize = 48 << 20;
/// What is written to sled at once. sled's lock stops readers during that; and what sled then writes to its own log,
/// more than three times as much, must stay well below a segment, since a write across several of them is not safe from
/// a power cut before it is synced.
const SLICE: CopyLimits = CopyLimits { writes: 1_000, bytes: 1 << 20 };

/// How far the log and the applier are.
#[derive(Debug)]
pub(super) struct Progress {
    state: Mutex<State>,
    /// Notified when there is something to do: a commit, a waiting one, or the end.
    work: Condvar,
    /// Notified when something was applied.
    applied: Condvar,
}

#[derive(Debug)]
struct State {
    /// The number of the last commit.
    last: u64,
    /// The number of the last commit that sled has.
    applied: u64,
    /// When the oldest commit that is not applied was added.
    waiting_since: Option<Instant>,
    /// Whether to apply what is there without waiting for more.
    is_urgent: bool,
    /// Whether it waits for disk space, which was logged.
    is_out_of_space: bool,
    is_ending: bool,
}

/// What the applier has to do.
enum Task {
    /// Apply the commits up to this number.
    Apply(u64),
    End,
}

impl Progress {
    /// The progress of a log whose last commit is `last`, and of which sled has those up to `applied`.
    pub(super) fn new(last: u64, applied: u64) -> Self {
        let waiting_since = (last > applied).then(Instant::now);
        let state = State { last, applied, waiting_since, is_urgent: false, is_out_of_space: false, is_ending: false };
        Self { state: Mutex::new(state), work: Condvar::new(), applied: Condvar::new() }
    }

    /// Announces a commit.
    fn committed(&self, last: u64, is_enough: bool) {
        let mut state = self.lock();
        state.last = last;
        let is_first = state.waiting_since.is_none();
        state.waiting_since.get_or_insert_with(Instant::now);
        drop(state);
        if is_first || is_enough {
            self.work.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Adds a commit, which is in the log, to the pending writes.
    pub(super) fn add_pending(&self, commit: u64, batch: &super::Batch) {
        self.pending.add(commit, batch);
        self.progress.committed(commit, self.has_enough());
    }

    /// Whether enough has gathered that it is worth applying.
    fn has_enough(&self) -> bool {
        self.pending.bytes() >= ENOUGH_BYTES || self.log.full_bytes() >= ENOUGH_LOG_BYTES
    }

    /// Waits until there is room for more pending writes. Fails with [`EngineError::Full`] if less than `floor_bytes`
    /// would be free once they are applied.
    pub(super) fn wait_for_room(&self, floor_bytes: u64) -> Result<(), EngineError> {
        if self.pending.bytes() < PENDING_BYTES_MAX {
            return Ok(());
        }
        let mut state = self.progress.lock();
        while self.pending.bytes() >= PENDING_BYTES_MAX {
            self.poison.check()?;
            state.is_urgent = true;
            self.progress.work.notify_one();
            let (waited, timeout) =
                self.progress.applied.wait_timeout(state, WAIT_MAX).unwrap_or_else(PoisonError::into_inner);
            state = waited;
            if timeout.timed_out() {
                self.check_space(0, floor_bytes)?;
            }
        }
        Ok(())
    }

    /// The size of the write-ahead log, and how far sled is behind it.
    pub(super) fn stats(&self) -> EngineStats {
        let waiting_since = self.progress.lock().waiting_since;
        EngineStats {
            log_bytes: self.log.bytes(),
            pending_bytes: u64::try_from(self.pending.bytes()).unwrap_or(u64::MAX),
            pending_for: waiting_since.map_or(Duration::ZERO, |since| since.elapsed()),
        }
    }

    /// Waits until sled has everything that is committed.
    #[cfg(any(test, feature = "internals"))]
    pub(super) fn settle(&self) -> Result<(), EngineError> {
        let mut state = self.progress.lock();
        let last = state.last;
        while state.applied < last {
            self.poison.check()?;
            state.is_urgent = true;
            self.progress.work.notify_one();
            state = self.progress.applied.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    fn next_task(&self) -> Task {
        let mut state = self.progress.lock();
        loop {
            if state.is_ending {
                return Task::End;
            }
            let is_enough = state.is_urgent || self.has_enough();
            // Before there is a database of sled, only a lot of commits is worth creating one.
            let rest = match state.waiting_since {
                Some(_) if is_enough => Some(Duration::ZERO),
                Some(since) if self.database.get().is_some() => Some(WAIT_MAX.saturating_sub(since.elapsed())),
                Some(_) | None => None,
            };
            match rest {
                Some(Duration::ZERO) if self.has_space_to_apply() => {
                    (state.is_urgent, state.is_out_of_space) = (false, false);
                    return Task::Apply(state.last);
                }
                Some(Duration::ZERO) => {
                    if !std::mem::replace(&mut state.is_out_of_space, true) {
                        tracing::warn!("no space to move commits from the write-ahead log to the database; waiting");
                    }
                    let woken = self.progress.work.wait_timeout(state, WAIT_MAX);
                    state = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
                Some(rest) => {
                    let woken = self.progress.work.wait_timeout(state, rest);
                    state = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => state = self.progress.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Whether the disk has the space that sled needs for what is pending. If that is unknown, applying shows it.
    fn has_space_to_apply(&self) -> bool {
        self.free_bytes().map_or(true, |free_bytes| free_bytes >= self.bytes_to_apply())
    }

    /// Applies the commits up to number `last`. Stops early if the engine closes.
    fn apply(&self, last: u64) -> Result<(), EngineError> {
        let begun = Instant::now();
        let database = self.database()?;
        let mut applied: Option<Vec<u8>> = None;
        loop {
            let after = applied.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let slice = self.pending.applicable(after, last, SLICE);
            let mut writes = ::sled::Batch::default();
            for (key, value) in &slice.writes {
                match value {
                    Some(value) => writes.insert(key.as_slice(), value.as_ref()),
                    None => writes.remove(key.as_slice()),
                }
            }
            self.write(database, &database.db, writes)?;
            self.pending.remove(slice.writes.iter().map(|(key, _)| key), last);
            // A commit that waits for room need not wait for the other slices.
            drop(self.progress.lock());
            self.progress.applied.notify_all();
            if !slice.has_more {
                break;
            }
            applied = slice.writes.into_iter().next_back().map(|(key, _)| key);
            if self.progress.lock().is_ending {
                return Ok(());
            }
        }
        self.blobs.check()?;
        self.write(database, &database.applied, database::applied(last))?;
        self.log.release(last);
        let mut state = self.progress.lock();
        state.applied = last;
        state.waiting_since = (state.last > last).then_some(begun);
        drop(state);
        self.progress.applied.notify_all();
        Ok(())
    }
}

/// The running applier of an engine. Dropping it ends the thread, and leaves in the log what is not applied.
pub(super) struct Applier {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Applier {
    pub(super) fn start(shared: &Arc<Shared>) -> std::io::Result<Self> {
        let thread = {
            let shared = Arc::clone(shared);
            std::thread::Builder::new().name("dateline-applier".to_owned()).spawn(move || run(&shared))?
        };
        Ok(Self { shared: Arc::clone(shared), thread: Some(thread) })
    }
}

impl Drop for Applier {
    fn drop(&mut self) {
        self.shared.progress.lock().is_ending = true;
        self.shared.progress.work.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that applies the write-ahead log ended unexpectedly");
        }
    }
}

fn run(shared: &Shared) {
    while let Task::Apply(last) = shared.next_task() {
        if let Err(error) = shared.poison.watch(shared.apply(last)) {
            tracing::error!(%error, "the write-ahead log could not be applied; no more commits are accepted");
            // Commits that wait for room see that the engine is poisoned.
            drop(shared.progress.lock());
            shared.progress.applied.notify_all();
            return;
        }
    }
}
