//! What events that wait for their readers take of memory, bounded over all subscribers.
//!
//! A subscriber takes its share before it reads an event, and gives it back when the transport has taken the event, which
//! counts among the server's unread answers then. It never waits for one while it holds another. Where all is taken,
//! subscribers wait in the order in which they came, and one that holds a share and reads nothing is taken for stalled
//! sooner than it would be otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const BYTES_MAX: usize = 256 << 20;
/// Permits are 32 bits.
const UNIT_BYTES: usize = 1 << 10;
/// A reader that takes nothing for this long ends while others wait for what it holds.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(15);

/// The memory of all subscribers.
#[derive(Clone, Debug)]
pub struct Memory {
    units: Arc<Semaphore>,
    units_max: u32,
    waiting: Arc<AtomicUsize>,
}

/// A share of it, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share(OwnedSemaphorePermit);

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

    /// Waits for this many bytes, or all that there is.
    pub(super) async fn take(&self, bytes: usize) -> Option<Share> {
        let count = units(bytes).min(self.units_max);
        if let Ok(permit) = Arc::clone(&self.units).try_acquire_many_owned(count) {
            return Some(Share(permit));
        }
        let _waiting = Waiting::new(&self.waiting);
        Arc::clone(&self.units).acquire_many_owned(count).await.ok().map(Share)
    }

    /// Waits until a reader that takes nothing is to end for the sake of others.
    pub(super) async fn is_short(&self) {
        loop {
            tokio::time::sleep(STALLED_AFTER).await;
            if self.waiting.load(Ordering::Relaxed) > 0 {
                return;
            }
        }
    }

    /// Whether a share is as large as `bytes`, or as large as one can be. What is beyond that is given back.
    pub(super) fn fits(&self, share: &mut Share, bytes: usize) -> bool {
        let (held, needed) = (share.0.num_permits(), usize::try_from(units(bytes).min(self.units_max)).unwrap_or(0));
        drop(share.0.split(held.saturating_sub(needed)));
        held >= needed
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

/// A reader that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn shares_are_bounded_together_and_what_is_not_needed_is_given_back() {
        let memory = Memory::bounded(1 << 20);
        let mut first = memory.take(1 << 20).await.unwrap();
        assert!(memory.take(1).now_or_never().is_none(), "all is taken");
        assert!(memory.fits(&mut first, 512 << 10));
        let mut second = memory.take(512 << 10).now_or_never().flatten().unwrap();
        assert!(!memory.fits(&mut second, 600 << 10), "it has to be taken again");
        assert!(memory.take(1).now_or_never().is_none());
        drop((first, second));
        assert!(memory.take(usize::MAX).now_or_never().is_some(), "even the largest event has room when it is alone");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_is_given_up_sooner_only_while_others_wait() {
        let memory = Memory::bounded(1 << 20);
        let held = memory.take(1 << 20).await;
        assert!(tokio::time::timeout(STALLED_AFTER * 10, memory.is_short()).await.is_err());
        tokio::select! {
            _ = memory.take(1) => panic!("all is taken"),
            () = memory.is_short() => {}
        }
        drop(held);
        assert_eq!(memory.waiting.load(Ordering::Relaxed), 0);
    }
}
