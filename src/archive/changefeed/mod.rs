//! The change feed: the log, read by many from many places, each with a filter of its own.
//!
//! A subscriber is a place in the log and nothing more. It waits until the durable end lies beyond its place
//! ([`Archive::feed_beyond`]) and reads a page ([`Archive::feed_page`]): from what happened lately, which is in memory
//! and encoded once for all ([`recent`], [`entry`]), else from storage. Writers do not know of subscribers.
//!
//! What a change looks like to others is for the layers above: they bring a function that makes its bytes.

mod cached_change;
mod filter;
mod page;
mod replay_request;
mod ring;
mod start;
mod view;

mod sync {
    //! The lock that the hand-off uses. A test puts another in its place.
    pub(crate) use std::sync::Mutex;
}

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

pub(crate) use crate::archive::changefeed::cached_change::FeedEntry;
pub use crate::archive::changefeed::page::{PagePlan, Render};
pub use crate::archive::changefeed::replay_request::ReplayRequest;
pub(crate) use crate::archive::changefeed::ring::{End, Recent};
pub use crate::archive::changefeed::start::FeedStart;
pub use crate::archive::changefeed::view::ChangeAt;
use crate::archive::read::reader::Reader;
use crate::archive::shared::Tail;
use crate::archive::write::commit_builder::Writes;
use crate::archive::{Archive, ArchiveError};
use crate::model::{Change, FeedQuery, Seq, Snapshot};

/// Changes that are kept in memory at most.
pub(crate) const RECENT_CHANGES_MAX: usize = 8_192;
/// Bytes that they may take, with what is made of them: more than one commit of the largest contents.
pub(crate) const RECENT_BYTES_MAX: usize = 96 << 20;
/// What an entry takes by itself, roughly, with its record.
const ENTRY_BYTES: usize = 2_048;
const VIEWS: usize = 3;

/// How much of a change is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedView {
    /// What the log itself has.
    Basic,
    /// The whole content too.
    Full,
    /// What the change changed.
    Diff,
    /// The request that makes the change again.
    Request,
}

/// A change of a page.
#[derive(Clone, Debug)]
pub struct FeedItem {
    /// What [`PagePlan::render`] made of it.
    pub bytes: Bytes,
    /// Whether the article matched before the change and no longer does.
    pub left_filter: bool,
    /// Whether no change of the same atomic batch that matches follows.
    pub batch_end: bool,
}

/// A page of the feed.
#[derive(Clone, Debug)]
pub struct FeedPage {
    /// The changes that match, in order.
    pub items: Vec<FeedItem>,
    /// Where the feed is after them: all below that matches is in this page or in those before.
    pub next: Snapshot,
    /// Whether it was read from storage, since it was not in memory any more.
    pub from_storage: bool,
}

/// A subscriber's view of the durable end of the log.
#[derive(Clone)]
pub struct FeedEnd(watch::Receiver<Tail>);

impl FeedEnd {
    /// The durable end now.
    pub fn now(&self) -> Seq {
        self.0.borrow().position.next_seq
    }

    /// Waits until the durable end lies beyond `next_seq`, and answers it. For ever, once the storage has failed.
    pub async fn beyond(&mut self, next_seq: Seq) -> Seq {
        match ring::beyond(&mut self.0, next_seq.0).await {
            Some(tail) => tail.position.next_seq,
            // The archive outlives its subscribers, so this does not happen while there is one.
            None => std::future::pending().await,
        }
    }
}

impl End for Tail {
    fn next_seq(&self) -> u64 {
        self.position.next_seq.0
    }
}

impl Archive {
    /// The durable end of the log, to be waited for.
    pub fn feed_end(&self) -> FeedEnd {
        FeedEnd(self.shared.watch_tail())
    }

    /// Reads a page of the feed from `from` on, below `end`, which must have been a durable end of the log.
    pub async fn feed_page(&self, from: Snapshot, end: Seq, plan: PagePlan) -> Result<FeedPage, ArchiveError> {
        self.read_in(&self.pools.scans, move |reader| page::page(reader, from, end, &plan)).await
    }

    /// The place at `end`, a durable end of the log, where it can be told from memory at once that nothing from `from` up
    /// to it matches. `None` says nothing but that [`Archive::feed_page`] has to be asked.
    pub fn feed_without_match(&self, from: Snapshot, end: Seq, query: &FeedQuery) -> Option<Snapshot> {
        page::without_match(&Reader::cached(&self.shared), from, end, query)
    }
}

/// The changes of a commit, each with the most that it takes of memory, with what is made of it.
pub(crate) fn entries(writes: &Writes) -> impl Iterator<Item = (u64, Arc<FeedEntry>, usize)> {
    // Both are in the order of the log.
    let mut contents = writes.contents.iter().peekable();
    writes.changes.iter().map(move |change| {
        let content = contents.next_if(|(seq, _)| *seq == change.seq);
        let kept_bytes_max = kept_bytes_max(change, content.map_or(0, |(_, content)| content.bytes.len()));
        let entry = Arc::new(FeedEntry::new(Arc::clone(change), kept_bytes_max));
        (change.seq.0, entry, ENTRY_BYTES + VIEWS * kept_bytes_max)
    })
}

/// What a view of a change may take to be kept: the content that the change brought, with room for what changed in it.
fn kept_bytes_max(change: &Change, content_bytes: usize) -> usize {
    let made = change.entry.new_revision.as_deref();
    let text = made.map_or(0, |made| made.headline.len() + made.canonical_url.len() + 64 * made.labels.len());
    // It is told of the change, and of the revision that it made.
    let fetch = change.entry.fetch.as_ref().map_or(0, |fetch| 2 * fetch.text_bytes());
    1_024 + text + fetch + 256 * change.entry.bound_urls.len() + content_bytes + content_bytes / 2
}
