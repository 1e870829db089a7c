//! The hand-off from catching up to following: what happened lately, and where the durable log ends.
//!
//! The writer makes changes durable, then pushes them here, then announces the new end. A follower waits until the end
//! lies beyond its place ([`beyond`]) and asks for what lies between ([`Recent::range`]). It gets exactly that, or is
//! told to read storage, which has all below the end; so it can neither miss a change nor see one twice, however far
//! behind it is and whatever is pushed out meanwhile. Nothing is kept for a follower, and nobody waits for one.
//!
//! This file knows nothing of changes, and takes its lock from `crate::archive::changefeed::sync`, so that tests/handoff.rs can run it under
//! all orders of events that matter.

use std::collections::VecDeque;
use std::sync::PoisonError;

use tokio::sync::watch;

use super::sync::Mutex;

/// An announced end of the log.
pub(crate) trait End {
    /// All below this position is durable.
    fn next_seq(&self) -> u64;
}

/// The latest items of the log, without a gap, bounded in number and in bytes.
pub(crate) struct Recent<T> {
    ring: Mutex<Ring<T>>,
    items_max: usize,
    bytes_max: usize,
}

struct Ring<T> {
    /// The position of the first item; of the next one, while there is none.
    first: u64,
    items: VecDeque<(T, usize)>,
    bytes: usize,
}

impl<T: Clone> Recent<T> {
    /// Room for so many items and bytes. The first item pushed will be at `next_seq`.
    pub(crate) fn new(next_seq: u64, items_max: usize, bytes_max: usize) -> Self {
        let ring = Ring { first: next_seq, items: VecDeque::new(), bytes: 0 };
        Self { ring: Mutex::new(ring), items_max, bytes_max }
    }

    /// Adds what follows the last items: each with its position, and its size in bytes. They must be durable, and their
    /// end not announced.
    pub(crate) fn push(&self, items: impl IntoIterator<Item = (u64, T, usize)>) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        for (seq, item, bytes) in items {
            // Better none than with a gap.
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

    /// The items from `from` on and below `end`, at most `most` of them; `None` where the first of them is not here.
    pub(crate) fn range(&self, from: u64, end: u64, most: usize) -> Option<Vec<T>> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = usize::try_from(from.checked_sub(ring.first)?).ok()?;
        let count = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX).min(most);
        let items: Vec<T> = ring.items.iter().skip(skipped).take(count).map(|(item, _)| item.clone()).collect();
        (items.len() == count).then_some(items)
    }
}

/// Waits until the announced end lies beyond `next_seq`, and answers it; `None` when there will be no more ends.
pub(crate) async fn beyond<E: End + Clone>(ends: &mut watch::Receiver<E>, next_seq: u64) -> Option<E> {
    ends.wait_for(|end| end.next_seq() > next_seq).await.ok().map(|end| end.clone())
}
