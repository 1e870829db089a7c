//! The archive: what the product does, over a store.
//!
//! | folder | its job |
//! | --- | --- |
//! | [`write`] | one queue and one writer thread, which commits many writes at once |
//! | [`decide`] | what one operation does, given everything before it: one change of the log, or none |
//! | [`project`] | what follows from the log: heads, timelines, figures of sources |
//! | [`read`] | a read resolves its point on both time axes once, and reads everything below that position |
//! | [`changefeed`] | the log as pages of changes, for subscribers |
//! | [`recover`] | restore, verification, and rebuilding a database from its log |
//!
//! This layer is the bridge between the synchronous store and async callers. It knows nothing of gRPC. A caller may drop
//! its future at any await: a write that was queued still finishes.

pub mod backup;
pub mod changefeed;
mod clock_watch;
mod decide;
pub mod error;
mod open;
mod pools;
mod project;
pub mod read;
pub mod recover;
pub mod request;
mod shared;
pub mod subscriptions;
mod write;

use std::sync::Arc;
use std::time::Duration;

pub use crate::archive::clock_watch::ClockFault;
pub use crate::archive::error::{ArchiveError, BatchError};
use crate::archive::error::{BadBound, Unavailable};
pub use crate::archive::open::{ArchiveInfo, OpenArchiveError, Options};
pub use crate::archive::pools::VERIFICATIONS_MAX;
use crate::archive::pools::{Pool, Pools};
use crate::archive::read::article::{ArticleAt, RevisionAt, View};
use crate::archive::read::compare::{Comparison, StateSelector};
use crate::archive::read::list::{ArticleQuery, Page, RevisionEntry, RevisionOrder};
pub use crate::archive::read::point::ReadPoint;
use crate::archive::read::reader::{ReadError, Reader};
use crate::archive::read::{article, compare, list, point};
use crate::archive::request::Operation;
use crate::archive::shared::Shared;
use crate::archive::write::queue::Queue;
pub use crate::archive::write::queue::{Pending, Share};
pub use crate::archive::write::writer::BatchResult;
use crate::clock::Clock;
use crate::model::{
    ArticleName, AsOf, KnownAt, RevisionNumber, RevisionSelector, Seq, Snapshot, SourceId, Timestamp, UrlKey,
};
pub use crate::store::engine::OpenError;
pub use crate::store::engine::directory::Directory;
pub use crate::store::engine::lock::Holder;
pub use crate::store::format::FORMAT_VERSION;
use crate::store::stats::SourceStats;

/// How long a read waits for a position to become visible.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// An open archive.
pub struct Archive {
    shared: Arc<Shared>,
    queue: Queue,
    /// Where it reads and works without holding up the async threads.
    pools: Pools,
    info: ArchiveInfo,
}

impl Archive {
    /// What does not change while it is open.
    pub fn info(&self) -> &ArchiveInfo {
        &self.info
    }

    /// Its clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// What is wrong with its clock, as far as the log and the time that has passed show that. What begins or ends is logged.
    pub fn clock_fault(&self) -> Option<ClockFault> {
        self.shared.clock_fault()
    }

    /// What a person should know of its clock: what is wrong with it, or that the last change is long ago.
    pub fn clock_message(&self) -> Option<String> {
        let fault = self.clock_fault().map(|fault| fault.to_string());
        let last = self.tail().archive_time;
        fault.or_else(|| self.shared.clock_watch.long_pause(last).map(|pause| pause.to_string()))
    }

    /// The durable end of the log.
    pub fn tail(&self) -> Snapshot {
        self.shared.tail().snapshot()
    }

    /// How many articles there are.
    pub fn article_count(&self) -> u64 {
        self.shared.tail().position.next_article.0
    }

    /// Whether the storage failed, so that no more writes are taken.
    pub fn has_failed(&self) -> bool {
        self.shared.tail().failed
    }

    /// Whether a write of ordinary size would be taken now. If not, [`Unavailable::StorageFailed`], or
    /// [`Unavailable::StorageFull`], which ends by itself when there is room.
    pub async fn takes_writes(&self) -> Result<(), ArchiveError> {
        if self.has_failed() {
            return Err(Unavailable::StorageFailed.into());
        }
        let engine = Arc::clone(&self.shared.engine);
        self.pools.reads.run(move || Ok(engine.has_room()?)).await
    }

    /// Waits until the storage fails. Does not return while it is well.
    pub async fn failed(&self) {
        let mut tail = self.shared.watch_tail();
        // The sender lives as long as this archive, so waiting ends only with a failure.
        drop(tail.wait_for(|tail| tail.failed).await);
    }

    /// How many writes wait.
    pub fn queued_writes(&self) -> usize {
        self.queue.waiting()
    }

    /// Bytes on disk.
    pub async fn disk_bytes(&self) -> Result<u64, ArchiveError> {
        let engine = Arc::clone(&self.shared.engine);
        self.pools.reads.run(move || Ok(engine.disk_bytes()?)).await
    }

    /// Carries out operations, all or none, each judged on what those before it did; durably, when it returns.
    ///
    /// Where one is refused, nothing is written, and the error says which it was. With `validate_only`
    /// nothing is written either way. A full queue is [`Unavailable::QueueFull`].
    pub async fn write(&self, operations: Vec<Operation>, validate_only: bool) -> BatchResult {
        self.write_in(&Arc::default(), operations, validate_only).await
    }

    /// As [`Archive::write`], for a caller that has a share of the queue together with others. Where that is used up,
    /// [`Unavailable::ShareUsed`].
    pub async fn write_in(
        &self,
        share: &Arc<Share>,
        mut operations: Vec<Operation>,
        validate_only: bool,
    ) -> BatchResult {
        self.prepare(&self.pools.writes, &mut operations).await?;
        self.queue.submit(share, operations, validate_only)?.answer().await
    }

    /// As [`Archive::write`], in two steps, for a writer that has more to write before the answer comes. Writes are
    /// judged in the order in which they are begun. A full queue is waited for, by one writer of each share at a time.
    pub async fn begin_write(
        &self,
        share: &Arc<Share>,
        mut operations: Vec<Operation>,
        validate_only: bool,
    ) -> Result<Pending, ArchiveError> {
        self.prepare(&self.pools.imports, &mut operations).await?;
        self.queue.submit_imported(share, operations, validate_only).await
    }

    /// Resolves a point of both axes.
    pub async fn read_point(&self, as_of: AsOf, min_next_seq: Seq) -> Result<ReadPoint, ArchiveError> {
        self.wait_for(min_next_seq).await?;
        let snapshot = match as_of.known_at {
            KnownAt::Newest => self.shared.tail().snapshot(),
            KnownAt::NextSeq { next_seq, log_digest } => {
                let tail = self.shared.tail();
                self.read(move |reader| point::at_seq(reader, &tail, next_seq, log_digest)).await?
            }
            KnownAt::ArchiveTime(at) => {
                self.close_until(at).await?;
                let tail = self.shared.tail();
                self.read(move |reader| point::at_archive_time(reader, &tail, at)).await?
            }
        };
        Ok(ReadPoint { observe_time: as_of.observe_time, snapshot })
    }

    /// Waits until the changes below `next_seq` are durable, for at most [`WAIT_MAX`].
    pub async fn wait_for(&self, next_seq: Seq) -> Result<(), ArchiveError> {
        if self.shared.tail().position.next_seq >= next_seq {
            return Ok(()); // Most reads ask for nothing, and need no subscription.
        }
        let mut tail = self.shared.watch_tail();
        let reached = tail.wait_for(|tail| tail.position.next_seq >= next_seq || tail.failed);
        let reached = matches!(tokio::time::timeout(WAIT_MAX, reached).await, Ok(Ok(_)));
        let tail = self.shared.tail();
        match tail.position.next_seq {
            end if reached && end >= next_seq => Ok(()),
            _ if tail.failed => Err(Unavailable::StorageFailed.into()),
            end => Err(BadBound::SeqInFuture { next_seq, tail: end }.into()),
        }
    }

    /// Makes sure that no change will ever be archived at or before `at` any more, so that a read as known then
    /// can be repeated.
    async fn close_until(&self, at: Timestamp) -> Result<(), ArchiveError> {
        let tail = self.shared.tail();
        if tail.position.archive_time.max(tail.clock_floor).is_some_and(|closed| at <= closed) {
            return Ok(());
        }
        let now = self.shared.clock.now();
        if at > now {
            return Err(BadBound::TimeInFuture { archive_time: at, now }.into());
        }
        self.queue.raise_floor(at).await
    }

    /// Reads an article at a cut.
    pub async fn article(&self, point: ReadPoint, name: ArticleName, view: View) -> Result<ArticleAt, ArchiveError> {
        self.read(move |reader| article::article(reader, &point, &name, view)).await
    }

    /// Reads many articles at one cut; `None` for each that is not there. Those after the one that takes them beyond
    /// a page of a list are left out, and so there may be fewer answers than names.
    pub async fn articles(
        &self,
        point: ReadPoint,
        names: Vec<ArticleName>,
        view: View,
    ) -> Result<Vec<Option<ArticleAt>>, ArchiveError> {
        self.read(move |reader| {
            let (mut read, mut bytes) = (Vec::new(), 0);
            for name in &names {
                if bytes > list::PAGE_CONTENT_BYTES {
                    break;
                }
                read.push(match article::article(reader, &point, name, view) {
                    Ok(article) => {
                        bytes += article.weight_bytes();
                        Some(article)
                    }
                    Err(ReadError::Failed(ArchiveError::Missing(_))) => None,
                    Err(error) => return Err(error),
                });
            }
            Ok(read)
        })
        .await
    }

    /// Reads one revision, with the bytes of its original where `with_original` is set.
    pub async fn revision(
        &self,
        point: ReadPoint,
        name: ArticleName,
        selector: RevisionSelector,
        view: View,
        with_original: bool,
    ) -> Result<RevisionAt, ArchiveError> {
        self.read(move |reader| {
            let mut revision = article::revision(reader, &point, &name, selector, view)?;
            if with_original {
                revision.original = article::original(reader, &revision)?;
            }
            Ok(revision)
        })
        .await
    }

    /// Reads the article that a URL leads to.
    pub async fn article_by_url(
        &self,
        point: ReadPoint,
        url: String,
        key: UrlKey,
        view: View,
    ) -> Result<ArticleAt, ArchiveError> {
        self.read(move |reader| {
            let name = article::by_url(reader, &point, &url, &key)?;
            article::article(reader, &point, &name, view)
        })
        .await
    }

    /// Lists articles by name, after `after`.
    pub async fn articles_by_name(
        &self,
        point: ReadPoint,
        query: ArticleQuery,
        after: Option<ArticleName>,
    ) -> Result<Page<ArticleAt, ArticleName>, ArchiveError> {
        self.read(move |reader| list::by_name(reader, &point, &query, after.as_ref())).await
    }

    /// Lists articles by latest change, the latest first, those below `before`.
    pub async fn articles_by_latest_change(
        &self,
        point: ReadPoint,
        query: ArticleQuery,
        before: Option<Seq>,
    ) -> Result<Page<ArticleAt, Seq>, ArchiveError> {
        self.read(move |reader| list::by_latest_change(reader, &point, &query, before)).await
    }

    /// Lists the revisions of an article after `after`, in the given order of their numbers.
    pub async fn revisions(
        &self,
        point: ReadPoint,
        name: ArticleName,
        order: RevisionOrder,
        after: Option<RevisionNumber>,
        (page_size, view): (usize, View),
    ) -> Result<Page<RevisionEntry, RevisionNumber>, ArchiveError> {
        self.read(move |reader| list::revisions(reader, &point, &name, order, after, (page_size, view))).await
    }

    /// Lists sources after `after`.
    pub async fn sources(
        &self,
        point: ReadPoint,
        after: Option<SourceId>,
        page_size: usize,
    ) -> Result<Page<(SourceId, SourceStats), SourceId>, ArchiveError> {
        self.read(move |reader| list::sources(reader, point.below(), after.as_ref(), page_size)).await
    }

    /// Compares two states of an article.
    pub async fn compare(
        &self,
        point: ReadPoint,
        name: ArticleName,
        base: Option<StateSelector>,
        target: Option<StateSelector>,
    ) -> Result<Comparison, ArchiveError> {
        // Comparing is work for a blocking thread, wherever the contents come from.
        self.on_engine(&self.pools.comparisons, move |reader| compare::compare(reader, &point, &name, base, target))
            .await
    }

    /// Finishes what was accepted, and closes the store. Later writes are [`Unavailable::Draining`].
    pub async fn close(&self) {
        self.queue.close().await;
    }

    /// Tries `read` on what is in memory, then on a blocking thread with the engine.
    async fn read<T, F>(&self, read: F) -> Result<T, ArchiveError>
    where
        T: Send + 'static,
        F: Fn(&Reader<'_>) -> Result<T, ReadError> + Send + 'static,
    {
        self.read_in(&self.pools.reads, read).await
    }

    /// As [`Archive::read`], on a blocking thread of another pool.
    async fn read_in<T, F>(&self, pool: &Pool, read: F) -> Result<T, ArchiveError>
    where
        T: Send + 'static,
        F: Fn(&Reader<'_>) -> Result<T, ReadError> + Send + 'static,
    {
        match read(&Reader::cached(&self.shared)) {
            Ok(answer) => Ok(answer),
            Err(ReadError::Failed(error)) => Err(error),
            Err(ReadError::NotCached) => self.on_engine(pool, read).await,
        }
    }

    async fn on_engine<T, F>(&self, pool: &Pool, read: F) -> Result<T, ArchiveError>
    where
        T: Send + 'static,
        F: Fn(&Reader<'_>) -> Result<T, ReadError> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        pool.run(move || match read(&Reader::engine(&shared)) {
            Ok(answer) => Ok(answer),
            Err(ReadError::Failed(error)) => Err(error),
            Err(ReadError::NotCached) => {
                tracing::error!("the engine was asked, and its answer is missing in a cache");
                Err(ArchiveError::Internal)
            }
        })
        .await
    }
}
