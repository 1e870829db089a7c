//! Bounds the memory of events that wait for their readers, over all subscribers.
//!
//! A subscriber reserves a share before it reads an event, and releases the share when the transport has taken the
//! event; the event then counts as one of the server's unread responses. A subscriber never waits for a share while it
//! holds one. When all memory is in use, subscribers wait in the order in which they asked, and a subscriber that holds
//! a share and whose client reads nothing counts as stalled sooner than otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The memory that the events of all subscribers may take, in bytes.
const BYTES_MAX: usize = 256 << 20;
/// Memory is counted in units of this size, because permits are 32-bit numbers.
const UNIT_BYTES: usize = 1 << 10;
/// A subscriber whose client reads nothing for this long is ended if others wait for its memory.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(15);

/// The event memory shared by all subscribers.
#[derive(Clone, Debug)]
pub struct Memory {
    units: Arc<Semaphore>,
    units_max: u32,
    /// How many subscribers wait for a share.
    waiting: Arc<AtomicUsize>,
}

/// A reserved share of the memory. Dropping it releases the share.
#[derive(Debug)]
pub(super) struct MemoryShare(OwnedSemaphorePermit);

impl Default for Memory {
    fn default() -> Self {
        Self::bounded(BYTES_MAX)
    }
}

impl Memory {
    pub(super) fn bounded(bytes: usize) -> Self {
        let units_max = units(bytes);
        let units = Arc::new(Semaphore::new(usize::try_from(units_max).unwrap_or(Semaphore::MAX_PERMITS)));
        Self { units, units_max, waiting: Arc::default() }
    }

    /// Waits for a share of this many bytes, or of all memory if `bytes` is more than that.
    pub(super) async fn reserve(&self, bytes: usize) -> Option<MemoryShare> {
        let count = units(bytes).min(self.units_max);
        if let Ok(permit) = Arc::clone(&self.units).try_acquire_many_owned(count) {
            return Some(MemoryShare(permit));
        }
        let _waiting = WaitingSubscriber::new(&self.waiting);
        Arc::clone(&self.units).acquire_many_owned(count).await.ok().map(MemoryShare)
    }

    /// Waits until other subscribers need the memory of one that has made no progress since this was called.
    pub(super) async fn shortage(&self) {
        loop {
            tokio::time::sleep(STALLED_AFTER).await;
            if self.waiting.load(Ordering::Relaxed) > 0 {
                return;
            }
        }
    }

    /// Returns whether the share covers `bytes`, or all memory if that is less. Releases what the share does not need.
    pub(super) fn fits(&self, share: &mut MemoryShare, bytes: usize) -> bool {
        let (held, needed) = (share.0.num_permits(), usize::try_from(units(bytes).min(self.units_max)).unwrap_or(0));
        drop(share.0.split(held.saturating_sub(needed)));
        held >= needed
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

/// Counts a subscriber as waiting until this is dropped.
struct WaitingSubscriber<'a>(&'a AtomicUsize);

impl<'a> WaitingSubscriber<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for WaitingSubscriber<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn shares_are_bounded_together_and_unneeded_memory_is_released() {
        let memory = Memory::bounded(1 << 20);
        let mut first = memory.reserve(1 << 20).await.unwrap();
        assert!(memory.reserve(1).now_or_never().is_none(), "all memory is in use");
        assert!(memory.fits(&mut first, 512 << 10));
        let mut second = memory.reserve(512 << 10).now_or_never().flatten().unwrap();
        assert!(!memory.fits(&mut second, 600 << 10), "the share is too small");
        assert!(memory.reserve(1).now_or_never().is_none());
        drop((first, second));
        assert!(memory.reserve(usize::MAX).now_or_never().is_some(), "the largest event fits if it is the only one");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_is_ended_sooner_only_while_others_wait() {
        let memory = Memory::bounded(1 << 20);
        let held = memory.reserve(1 << 20).await;
        assert!(tokio::time::timeout(STALLED_AFTER * 10, memory.shortage()).await.is_err());
        tokio::select! {
            _ = memory.reserve(1) => panic!("all memory is in use"),
            () = memory.shortage() => {}
        }
        drop(held);
        assert_eq!(memory.waiting.load(Ordering::Relaxed), 0);
    }
}
