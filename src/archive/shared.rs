//! The state that the writer thread and all readers share.
//!
//! Only the writer thread makes a commit visible, in a fixed order: once the commit is durable, [`Shared::apply`]
//! updates the ring of recent changes, the subscriptions and the caches, and only then does [`Shared::announce`] move
//! the durable tail. Readers read only below the tail, so they never see a position before its data is in place.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use crate::archive::changefeed::entry::{self, FeedEntry};
use crate::archive::changefeed::ring::Recent;
use crate::archive::clock_watch::{ClockFault, ClockWatch};
use crate::archive::position::Tail;
use crate::archive::read::cache::Caches;
use crate::archive::stats::CommitHistograms;
use crate::archive::subscriptions::registry::Subscriptions;
use crate::archive::writes::Writes;
use crate::clock::Clock;
use crate::model::merkle::Edge;
use crate::store::Engine;

/// One instance per open archive.
pub(crate) struct Shared {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) caches: Caches,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) clock_watch: ClockWatch,
    /// The ring of recent changes. Subscribers that keep up read from it instead of from storage.
    pub(crate) recent: Recent<Arc<FeedEntry>>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) commits: Arc<CommitHistograms>,
    /// The right edge of the tree of the durable log.
    edge: RwLock<Arc<Edge>>,
    tail: watch::Sender<Tail>,
}

impl Shared {
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        caches: Caches,
        clock: Arc<dyn Clock>,
        clock_watch: ClockWatch,
        tail: Tail,
        edge: Edge,
        subscriptions: Subscriptions,
    ) -> Self {
        let recent = Recent::new(tail.position.next_seq.0, entry::RECENT_CHANGES_MAX, entry::RECENT_BYTES_MAX);
        let edge = RwLock::new(Arc::new(edge));
        let (commits, tail) = (Arc::default(), watch::Sender::new(tail));
        Self { engine, caches, clock, clock_watch, recent, subscriptions, commits, edge, tail }
    }

    /// What is wrong with the clock, judged by the archive time of the last change; `None` if it is plausible.
    pub(crate) fn clock_fault(&self) -> Option<ClockFault> {
        self.clock_watch.check(self.clock.as_ref(), self.tail().position.archive_time)
    }

    pub(crate) fn tail(&self) -> Tail {
        *self.tail.borrow()
    }

    pub(crate) fn watch_tail(&self) -> watch::Receiver<Tail> {
        self.tail.subscribe()
    }

    /// The right edge of the tree of the durable log, which may have grown since the tail was last announced.
    pub(crate) fn edge(&self) -> Arc<Edge> {
        Arc::clone(&self.edge.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Applies a durable commit to the data in memory; `edge` is that of the tree after it. The caller must not
    /// announce its end before this returns.
    pub(crate) fn apply(&self, mut writes: Writes, edge: Arc<Edge>) {
        *self.edge.write().unwrap_or_else(PoisonError::into_inner) = edge;
        if writes.changes.iter().any(|change| change.entry.expunging.is_some()) {
            self.caches.clear();
            self.recent.clear();
        }
        self.recent.push(entry::entries(&writes));
        self.subscriptions.apply(std::mem::take(&mut writes.subscriptions));
        self.caches.apply(writes);
    }

    /// Changes the durable tail and wakes every task that waits for it to move.
    pub(crate) fn announce(&self, change: impl FnOnce(&mut Tail)) {
        self.tail.send_modify(change);
    }
}
