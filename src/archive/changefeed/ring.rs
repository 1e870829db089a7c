//! The ring of recent changes, and the hand-over from catching up to following.
//!
//! ```text
//! position   0 ··················· 90 ······ 120 ─────────── 128
//! storage    [ everything that is durable                  ]
//! ring                             [ the latest, no gap    ]
//! tail                                                     ▲ announced last
//!
//! subscriber at 40:   `range` → None       reads storage up to the tail
//! subscriber at 120:  `range` → 120..128   reads the ring
//! subscriber at 128:  waits in `beyond`
//! ```
//!
//! The writer thread works in this order: (1) make the changes durable, (2) push them here, (3) announce the new tail.
//! A subscriber works the other way round: it waits until the announced tail is past its position, then requests the
//! changes between the two. It gets either exactly those or `None`. In the second case it reads storage, which, because
//! of (1), has everything below the tail. So it can neither miss a change nor see one twice, however far it is behind,
//! and whatever is evicted in the meantime.
//!
//! Invariants:
//! - The ring has no gaps: a push that would create one empties it first.
//! - `range` returns all of the requested changes or none. A shorter result would look like the end of the log.
//! - Nothing is kept for a subscriber, and nobody waits for one. The lock is held only while pointers are copied.
//!
//! This file does not know what it stores. It takes its lock from `super::sync`, so that tests/handoff.rs can run it
//! under all relevant interleavings.

use std::collections::VecDeque;
use std::sync::PoisonError;

use tokio::sync::watch;

use super::sync::Mutex;

/// An announced end of the log.
pub(crate) trait AnnouncedEnd {
    /// Everything below this position is durable.
    fn next_seq(&self) -> u64;
}

/// The latest items of the log, without gaps, bounded in number and in bytes.
pub(crate) struct Recent<T> {
    ring: Mutex<Ring<T>>,
    items_max: usize,
    bytes_max: usize,
}

struct Ring<T> {
    /// The position of the first item; if the ring is empty, that of the next one to be pushed.
    first: u64,
    items: VecDeque<(T, usize)>,
    bytes: usize,
}

impl<T: Clone> Recent<T> {
    /// Creates an empty ring with room for `items_max` items and `bytes_max` bytes. The first item pushed is at
    /// `next_seq`.
    pub(crate) fn new(next_seq: u64, items_max: usize, bytes_max: usize) -> Self {
        let ring = Ring { first: next_seq, items: VecDeque::new(), bytes: 0 };
        Self { ring: Mutex::new(ring), items_max, bytes_max }
    }

    /// Forgets all items. Subscribers read storage until there are new ones.
    pub(crate) fn clear(&self) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let end = ring.first + ring.items.len() as u64;
        *ring = Ring { first: end, items: VecDeque::new(), bytes: 0 };
    }

    /// Appends items, each with its position and its size in bytes, and evicts the oldest ones while the ring exceeds a
    /// maximum. The items must be durable, and their end not yet announced.
    pub(crate) fn push(&self, items: impl IntoIterator<Item = (u64, T, usize)>) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        for (seq, item, bytes) in items {
            // An empty ring is correct, because subscribers then read storage. A ring with a gap is not.
            if ring.first + ring.items.len() as u64 != seq {
                *ring = Ring { first: seq, items: VecDeque::new(), bytes: 0 };
            }
            ring.items.push_back((item, bytes));
            ring.bytes = ring.bytes.saturating_add(bytes);
            while ring.items.len() > self.items_max || ring.bytes > self.bytes_max {
                let Some((_, bytes)) = ring.items.pop_front() else { break };
                ring.first += 1;
                ring.bytes -= bytes;
            }
        }
    }

    /// Returns the items from `from` on and below `end`, at most the first `count_max` of them. `None` if the ring does
    /// not have them all.
    pub(crate) fn range(&self, from: u64, end: u64, count_max: usize) -> Option<Vec<T>> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = usize::try_from(from.checked_sub(ring.first)?).ok()?;
        let count = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX).min(count_max);
        let items: Vec<T> = ring.items.iter().skip(offset).take(count).map(|(item, _)| item.clone()).collect();
        (items.len() == count).then_some(items)
    }
}

/// Waits until the announced tail is past `next_seq`, and returns it; `None` if the sender is gone.
pub(crate) async fn beyond<E: AnnouncedEnd + Clone>(ends: &mut watch::Receiver<E>, next_seq: u64) -> Option<E> {
    ends.wait_for(|end| end.next_seq() > next_seq).await.ok().map(|end| end.clone())
}
