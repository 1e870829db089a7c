//! Archives the entries of syndication feeds, once or repeatedly.
//!
//! Each feed is a task of its own ([`feed`]) and keeps in a state file which entries are archived ([`state_file`]). All
//! feeds send what happens through one channel. A feed or an entry that fails does not delay the others.

mod feed;
mod state_file;

use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

pub use self::feed::Feed;
use self::feed::Run;
use super::pages::Pages;
use super::{CaptureError, Captured};

/// How feeds are followed.
#[derive(Clone, Debug)]
pub struct FollowOptions {
    /// Whether the pages that entries link to are archived, instead of the text in the feed.
    pub pages: bool,
    /// The interval between fetches of a feed; `None` to fetch each feed once.
    pub every: Option<Duration>,
    /// The maximum number of feeds and pages that are fetched concurrently.
    pub jobs: usize,
    /// Whether nothing is written: neither to the archive nor to a state file.
    pub dry_run: bool,
}

/// What happened while following feeds.
#[derive(Debug)]
pub enum FeedEvent {
    /// This many entries will be archived.
    Expect(u64),
    /// This many entries are unchanged.
    Unchanged(u64),
    /// The outcome of an entry, or of the feed itself, after its URL or id for people.
    Done(String, Box<Result<Captured, CaptureError>>),
    /// This many entries were skipped because the run was stopped.
    Remaining(u64),
    /// A note for the user.
    Note(String),
}

/// Follows feeds until each was fetched once, or until `stopping` is cancelled. Entries in progress are then finished.
pub async fn follow(
    feeds: Vec<Feed>,
    pages: &Pages<'_>,
    options: &FollowOptions,
    stopping: &CancellationToken,
    events: mpsc::Sender<FeedEvent>,
) {
    let jobs = Semaphore::new(options.jobs);
    let run = Run { pages, jobs: &jobs, stopping, events, options };
    let following: FuturesUnordered<_> = feeds.into_iter().map(|feed| feed.follow(run.clone())).collect();
    drop(run);
    following.for_each(|()| std::future::ready(())).await;
}
