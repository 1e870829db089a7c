//! What an operator sees of a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::calls::Calls;
use crate::service::FeedStats;

/// Counts since the server started. To read them, keep a clone of the `Arc` that the server was given.
#[derive(Debug, Default)]
pub struct Stats {
    /// The calls.
    pub(crate) calls: Arc<Calls>,
    /// The subscribers of the change feed.
    pub(crate) feed: Arc<FeedStats>,
    /// The connections.
    pub(crate) connections: Arc<ConnectionStats>,
}

/// The connections of a server.
#[derive(Debug, Default)]
pub(crate) struct ConnectionStats {
    accepted: AtomicU64,
    closed: AtomicU64,
    rejected: AtomicU64,
}

impl ConnectionStats {
    /// How many connections are open.
    pub(crate) fn open(&self) -> u64 {
        let closed = self.closed.load(Ordering::Acquire);
        self.accepted.load(Ordering::Relaxed).saturating_sub(closed)
    }

    /// How many connections were accepted.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// How many connections were closed at once because of a limit.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Counts a connection over a limit.
    pub(crate) fn reject(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection as open until the result is dropped.
    pub(crate) fn accept(self: &Arc<Self>) -> OpenConnection {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<ConnectionStats>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Ordering::Release);
    }
}
