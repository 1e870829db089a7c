//! What the archive's readers and its writer share.

use std::sync::Arc;

use tokio::sync::watch;

use super::assembly::Position;
use super::cache::Caches;
use crate::clock::Clock;
use crate::model::{ReadStamp, Timestamp};
use crate::store::Engine;

/// The durable end of the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail {
    pub(super) position: Position,
    /// No archive time at or before this will be assigned any more.
    pub(super) clock_floor: Option<Timestamp>,
    /// Whether the storage failed, so that the end will not move any more.
    pub(super) failed: bool,
}

impl Tail {
    pub(super) fn stamp(&self) -> ReadStamp {
        self.position.stamp()
    }
}

/// What readers and writer share.
pub(super) struct Shared {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) caches: Caches,
    pub(super) clock: Arc<dyn Clock>,
    tail: watch::Sender<Tail>,
}

impl Shared {
    pub(super) fn new(engine: Arc<dyn Engine>, caches: Caches, clock: Arc<dyn Clock>, tail: Tail) -> Self {
        Self { engine, caches, clock, tail: watch::Sender::new(tail) }
    }

    pub(super) fn tail(&self) -> Tail {
        *self.tail.borrow()
    }

    pub(super) fn watch_tail(&self) -> watch::Receiver<Tail> {
        self.tail.subscribe()
    }

    pub(super) fn announce(&self, change: impl FnOnce(&mut Tail)) {
        self.tail.send_modify(change);
    }
}
