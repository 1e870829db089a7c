//! What the archive's readers and its writer share.

use std::sync::Arc;

use tokio::sync::watch;

use crate::archive::changefeed::{self, FeedEntry, Recent};
use crate::archive::clock_watch::{ClockFault, ClockWatch};
use crate::archive::read::cache::Caches;
use crate::archive::subscriptions::Subscriptions;
use crate::archive::write::commit_builder::{Position, Writes};
use crate::clock::Clock;
use crate::model::{Snapshot, Timestamp};
use crate::store::Engine;

/// The durable end of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub(crate) position: Position,
    /// No archive time at or before this will be assigned any more.
    pub(crate) clock_floor: Option<Timestamp>,
    /// How many commits there were.
    pub(crate) commits: u64,
    /// Whether the storage failed, so that the end will not move any more.
    pub(crate) failed: bool,
}

impl Tail {
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.position.snapshot()
    }
}

/// What readers and writer share.
pub(crate) struct Shared {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) caches: Caches,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) clock_watch: ClockWatch,
    /// The latest changes, for subscribers.
    pub(crate) recent: Recent<Arc<FeedEntry>>,
    pub(crate) subscriptions: Subscriptions,
    tail: watch::Sender<Tail>,
}

impl Shared {
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        caches: Caches,
        (clock, clock_watch): (Arc<dyn Clock>, ClockWatch),
        tail: Tail,
        subscriptions: Subscriptions,
    ) -> Self {
        let recent =
            Recent::new(tail.position.next_seq.0, changefeed::RECENT_CHANGES_MAX, changefeed::RECENT_BYTES_MAX);
        Self { engine, caches, clock, clock_watch, recent, subscriptions, tail: watch::Sender::new(tail) }
    }

    /// What is wrong with the clock.
    pub(crate) fn clock_fault(&self) -> Option<ClockFault> {
        self.clock_watch.look(self.clock.as_ref(), self.tail().position.archive_time)
    }

    pub(crate) fn tail(&self) -> Tail {
        *self.tail.borrow()
    }

    pub(crate) fn watch_tail(&self) -> watch::Receiver<Tail> {
        self.tail.subscribe()
    }

    /// Takes in what a commit made durable. Its end must not be announced before this returns.
    pub(crate) fn take_in(&self, mut writes: Writes) {
        self.recent.push(changefeed::entries(&writes));
        self.subscriptions.take_in(std::mem::take(&mut writes.subscriptions));
        self.caches.take_in(writes);
    }

    pub(crate) fn announce(&self, change: impl FnOnce(&mut Tail)) {
        self.tail.send_modify(change);
    }
}
