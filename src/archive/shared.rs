//! What the archive's readers and its writer share.

use std::sync::Arc;

use tokio::sync::watch;

use super::assembly::{Position, Writes};
use super::cache::Caches;
use super::clock_watch::{ClockFault, ClockWatch};
use super::feed::{self, FeedEntry, Recent};
use super::subscriptions::Subscriptions;
use crate::clock::Clock;
use crate::model::{Snapshot, Timestamp};
use crate::store::Engine;

/// The durable end of the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail {
    pub(super) position: Position,
    /// No archive time at or before this will be assigned any more.
    pub(super) clock_floor: Option<Timestamp>,
    /// How many commits there were.
    pub(super) commits: u64,
    /// Whether the storage failed, so that the end will not move any more.
    pub(super) failed: bool,
}

impl Tail {
    pub(super) fn snapshot(&self) -> Snapshot {
        self.position.snapshot()
    }
}

/// What readers and writer share.
pub(super) struct Shared {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) caches: Caches,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) clock_watch: ClockWatch,
    /// The latest changes, for subscribers.
    pub(super) recent: Recent<Arc<FeedEntry>>,
    pub(super) subscriptions: Subscriptions,
    tail: watch::Sender<Tail>,
}

impl Shared {
    pub(super) fn new(
        engine: Arc<dyn Engine>,
        caches: Caches,
        (clock, clock_watch): (Arc<dyn Clock>, ClockWatch),
        tail: Tail,
        subscriptions: Subscriptions,
    ) -> Self {
        let recent = Recent::new(tail.position.next_seq.0, feed::RECENT_CHANGES_MAX, feed::RECENT_BYTES_MAX);
        Self { engine, caches, clock, clock_watch, recent, subscriptions, tail: watch::Sender::new(tail) }
    }

    /// What is wrong with the clock.
    pub(super) fn clock_fault(&self) -> Option<ClockFault> {
        self.clock_watch.look(self.clock.as_ref(), self.tail().position.archive_time)
    }

    pub(super) fn tail(&self) -> Tail {
        *self.tail.borrow()
    }

    pub(super) fn watch_tail(&self) -> watch::Receiver<Tail> {
        self.tail.subscribe()
    }

    /// Takes in what a commit made durable. Its end must not be announced before this returns.
    pub(super) fn take_in(&self, mut writes: Writes) {
        self.recent.push(feed::entries(&writes));
        self.subscriptions.take_in(std::mem::take(&mut writes.subscriptions));
        self.caches.take_in(writes);
    }

    pub(super) fn announce(&self, change: impl FnOnce(&mut Tail)) {
        self.tail.send_modify(change);
    }
}
