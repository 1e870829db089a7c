//! The change feed: the log as pages of changes, for any number of subscribers, each with a filter of its own.
//!
//! ```text
//! writer thread ──▶ ring of recent changes ──▶ announce the durable tail
//!                            │                          │
//!                            ▼                          ▼
//! subscriber:       3. read a page ◀── 2. tail > position ── 1. wait
//!                            ▲
//! storage ───────────────────┘ if the ring no longer has the position
//! ```
//!
//! A subscriber is a position in the log and nothing else. It waits until the durable tail is past its position
//! ([`FeedEnd::beyond`]), then reads a page ([`Archive::feed_page`]).
//!
//! Invariants:
//! - A subscriber misses nothing and sees nothing twice, wherever a page is read from ([`ring`]).
//! - The writer thread does not know subscribers and never waits for one. Nothing is kept for a subscriber that is
//!   slow.
//! - Whether a change matches depends on the log alone ([`filter`]), so a replay gives the same changes as following
//!   live.
//! - A change is encoded once per view, however many subscribers read it from the ring ([`cached_change`]).
//!
//! The feed does not know how a change is encoded; the layer above passes in a function for that (`Render`).

mod cached_change;
pub(crate) mod entry;
mod filter;
mod page;
mod replay_request;
pub(crate) mod ring;
mod start;
mod subscribe;
mod view;

mod sync {
    //! The lock that the ring uses. tests/handoff.rs replaces it with one that explores all interleavings.
    pub(crate) use std::sync::Mutex;
}

use bytes::Bytes;
use tokio::sync::watch;

pub use crate::archive::changefeed::page::PagePlan;
#[cfg(feature = "internals")]
pub use crate::archive::changefeed::page::Render;
pub use crate::archive::changefeed::replay_request::ReplayRequest;
pub(crate) use crate::archive::changefeed::ring::AnnouncedEnd;
pub use crate::archive::changefeed::start::FeedStart;
pub use crate::archive::changefeed::subscribe::{ArticleChange, Changes};
pub use crate::archive::changefeed::view::ChangeAt;
use crate::archive::position::Tail;
use crate::archive::read::reader::Reader;
use crate::archive::{Archive, ArchiveError};
pub use crate::model::FeedView;
use crate::model::{FeedQuery, Position, Seq, Snapshot};

/// A change of a page.
#[derive(Clone, Debug)]
pub struct FeedItem {
    /// The encoded change, as [`PagePlan::render`] produced it.
    pub bytes: Bytes,
    /// The position after the change.
    pub position: Position,
    /// Whether the article matched the filter before the change and no longer does.
    pub left_filter: bool,
    /// Whether this is the last matching change of its atomic batch.
    pub batch_end: bool,
}

/// A page of the feed.
#[derive(Clone, Debug)]
pub struct FeedPage {
    /// The matching changes, in order of position.
    pub items: Vec<FeedItem>,
    /// Where the feed continues. Every matching change below it is in this page or an earlier one.
    pub next: Snapshot,
    /// Whether the page was read from storage, because the ring no longer had all the changes to examine.
    pub from_storage: bool,
}

/// A subscriber's handle on the durable tail.
#[derive(Clone)]
pub struct FeedEnd(watch::Receiver<Tail>);

impl FeedEnd {
    /// The position of the durable tail now.
    pub fn now(&self) -> Seq {
        self.0.borrow().position.next_seq
    }

    /// Waits until the durable tail is past `next_seq`, and returns its position. Never returns once the storage has
    /// failed.
    pub async fn beyond(&mut self, next_seq: Seq) -> Seq {
        match ring::beyond(&mut self.0, next_seq.0).await {
            Some(tail) => tail.position.next_seq,
            // Only dropping the archive ends the channel, and the archive outlives its subscribers.
            None => std::future::pending().await,
        }
    }
}

impl AnnouncedEnd for Tail {
    fn next_seq(&self) -> u64 {
        self.position.next_seq.0
    }
}

/// For the layers above.
#[doc(hidden)]
impl Archive {
    /// Returns a handle on the durable tail, to wait with.
    pub fn feed_end(&self) -> FeedEnd {
        FeedEnd(self.shared.watch_tail())
    }

    /// Reads a page of the feed, from `from` on and below `end`. `end` must be a position that was announced as the
    /// durable tail, so that it is not inside an atomic batch.
    pub async fn feed_page(&self, from: Snapshot, end: Seq, plan: PagePlan) -> Result<FeedPage, ArchiveError> {
        self.read_in(&self.pools.scans, move |reader| page::page(reader, from, end, &plan)).await
    }

    /// Returns the snapshot at `end`, an announced durable tail, if the data in memory shows that no change from `from`
    /// on and below `end` matches. `None` if one matches, or if that cannot be decided from memory; the caller then
    /// reads a page.
    pub fn feed_without_match(&self, from: Snapshot, end: Seq, query: &FeedQuery) -> Option<Snapshot> {
        page::without_match(&Reader::cached(&self.shared), from, end, query)
    }
}
