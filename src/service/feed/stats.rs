//! The subscribers that are connected, and how far each of them is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::Seq;

/// What a subscriber reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriberKind {
    /// The change feed from a position of its own.
    Feed,
    /// A durable subscription.
    Durable,
}

/// The subscribers of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriberStats {
    /// How many are connected.
    pub count: u64,
    /// The greatest number of changes that one of them still has to examine.
    pub lag_changes: u64,
}

/// The subscribers of a server. They store their positions and wait for no reader of these.
#[derive(Debug, Default)]
pub struct FeedStats(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    next_id: u64,
    by_id: HashMap<u64, (SubscriberKind, Arc<AtomicU64>)>,
}

impl FeedStats {
    /// The subscribers of a kind, compared with the durable tail.
    pub fn of(&self, kind: SubscriberKind, tail: Seq) -> SubscriberStats {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lags = places.by_id.values().filter(|(of, _)| *of == kind);
        let lags = lags.map(|(_, place)| tail.0.saturating_sub(place.load(Ordering::Relaxed)));
        lags.fold(SubscriberStats::default(), |all, lag| SubscriberStats {
            count: all.count + 1,
            lag_changes: all.lag_changes.max(lag),
        })
    }

    /// Counts a subscriber at a position until the result is dropped.
    pub(super) fn enter(self: &Arc<Self>, kind: SubscriberKind, at: Seq) -> SubscriberPlace {
        let place = Arc::new(AtomicU64::new(at.0));
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.next_id += 1;
        let id = places.next_id;
        places.by_id.insert(id, (kind, Arc::clone(&place)));
        drop(places);
        SubscriberPlace { stats: Arc::clone(self), id, place }
    }
}

/// The place of one subscriber.
#[derive(Debug)]
pub(super) struct SubscriberPlace {
    stats: Arc<FeedStats>,
    id: u64,
    place: Arc<AtomicU64>,
}

impl SubscriberPlace {
    /// Stores the position up to which changes were examined.
    pub(super) fn set(&self, at: Seq) {
        self.place.store(at.0, Ordering::Relaxed);
    }
}

impl Drop for SubscriberPlace {
    fn drop(&mut self) {
        self.stats.0.lock().unwrap_or_else(PoisonError::into_inner).by_id.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_lag_of_each_kind_is_that_of_a_connected_subscriber() {
        let stats = Arc::new(FeedStats::default());
        let of = |kind| stats.of(kind, Seq(10));
        let (first, second) = (stats.enter(SubscriberKind::Feed, Seq(2)), stats.enter(SubscriberKind::Feed, Seq(10)));
        let _durable = stats.enter(SubscriberKind::Durable, Seq(7));
        assert_eq!(of(SubscriberKind::Feed), SubscriberStats { count: 2, lag_changes: 8 });
        first.set(Seq(9));
        assert_eq!(of(SubscriberKind::Feed), SubscriberStats { count: 2, lag_changes: 1 });
        drop(first);
        assert_eq!(of(SubscriberKind::Feed), SubscriberStats { count: 1, lag_changes: 0 });
        assert_eq!(of(SubscriberKind::Durable), SubscriberStats { count: 1, lag_changes: 3 });
        drop(second);
        assert_eq!(of(SubscriberKind::Feed), SubscriberStats::default());
    }
}
