//! The archive: what Dateline does, on top of a store.
//!
//! | folder | its job |
//! | --- | --- |
//! | [`write`](mod@write) | takes writes through one queue to one writer thread, which commits many of them at once |
//! | [`decide`] | decides what one operation does, given everything before it: one log change, or none |
//! | [`project`] | computes what follows from the log: heads, timelines, source stats |
//! | [`read`] | resolves a point of both time axes to one position, and reads only what is below it |
//! | [`changefeed`] | serves the log to subscribers as pages of changes |
//! | [`subscriptions`] | keeps a position and an epoch for each durable subscription |
//! | [`recover`] | restores an archive, verifies it, and rebuilds a database from its log |
//!
//! [`stats`] has the counts that an operator sees, and [`embed`] has the methods for programs that embed an archive; the service uses those below it.
//!
//! This layer is the bridge between the synchronous store and async callers. It does not know gRPC. A caller may drop
//! its future at any await; a write that is already queued is carried out regardless.

pub mod backup;
pub mod changefeed;
pub mod checkpoints;
mod clock_watch;
mod decide;
mod embed;
pub mod error;
pub mod expunge;
pub mod observation;
mod open;
mod pools;
mod position;
mod project;
pub mod read;
pub mod recover;
pub mod request;
mod shared;
pub mod stats;
pub mod subscriptions;
mod write;
mod writes;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub use crate::archive::clock_watch::ClockFault;
pub use crate::archive::embed::{Articles, EditOptions};
pub use crate::archive::error::{ArchiveError, BatchError};
use crate::archive::error::{InvalidReadPoint, Missing, Unavailable};
use crate::archive::expunge::register_file::RegisterFile;
pub use crate::archive::open::{ArchiveInfo, OpenArchiveError, Options};
pub use crate::archive::pools::VERIFICATIONS_MAX;
use crate::archive::pools::{Pool, Pools};
use crate::archive::read::activity::{self, Activity};
use crate::archive::read::article::{ArticleAt, RevisionAt, View};
use crate::archive::read::calendar::{self, Calendar};
use crate::archive::read::compare::{Comparison, StateSelector};
use crate::archive::read::list::{ArticleQuery, ListPage, RevisionEntry, RevisionQuery};
pub use crate::archive::read::point::ReadPoint;
use crate::archive::read::proof::{self, LogTree, ProvenChange, ProvenContinuation};
use crate::archive::read::reader::{ReadError, Reader};
use crate::archive::read::{article, compare, list, point};
use crate::archive::request::{Operation, WriteMode, WriteOrigin};
use crate::archive::shared::Shared;
use crate::archive::write::forecast::Forecasts;
pub use crate::archive::write::messages::BatchResult;
use crate::archive::write::queue::Queue;
pub use crate::archive::write::queue::{Pending, QueueShare};
use crate::clock::Clock;
use crate::model::{
    ArticleName, ArticleUrl, AsOf, KnownAt, Limits, RevisionNumber, RevisionSelector, Seq, Snapshot, SourceId,
    SourceScope, Timestamp, UrlKey,
};
pub use crate::store::engine::OpenError;
pub use crate::store::engine::directory::Directory;
pub use crate::store::engine::lock::Holder;
pub use crate::store::format::FORMAT_VERSION;
use crate::store::stats::SourceStats;

/// How long a read waits for a position to become durable.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// An open archive. Cloning is cheap, and clones are the same archive. It holds the lock on its directory until the
/// last clone is dropped.
///
/// The methods need a tokio runtime. A write is durable when it returns. Writes are fastest when many are awaited at
/// once: all that are waiting are committed together. [`Archive::close`] finishes them in an orderly way.
#[derive(Clone)]
pub struct Archive {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    /// Threads for blocking work, so that async threads are never blocked.
    pools: Arc<Pools>,
    /// What articles are expected to contain once queued imports are carried out.
    forecasts: Arc<Forecasts>,
    info: Arc<ArchiveInfo>,
    /// `None` if the engine is in memory.
    register_file: Option<Arc<RegisterFile>>,
    /// The limits on what a program that embeds the archive may write. A server has its own.
    limits: Limits,
    /// Cancelled when the archive is closed.
    closed: CancellationToken,
}

impl Archive {
    /// The facts that stay constant while the archive is open.
    pub fn info(&self) -> &ArchiveInfo {
        &self.info
    }

    /// The durable tail: every change below its position can be read, and nothing at or after it can.
    pub fn tail(&self) -> Snapshot {
        self.shared.tail().snapshot()
    }

    /// The number of articles at the durable tail, withdrawn ones included.
    pub fn article_count(&self) -> u64 {
        self.shared.tail().position.next_article.0
    }

    /// Finishes the writes that were accepted, and releases the store. Later writes are [`Unavailable::Draining`], and
    /// subscriptions end. The lock on the directory is released when the last clone is dropped.
    pub async fn close(&self) {
        self.queue.close().await;
        self.closed.cancel();
    }
}

/// For the layers above.
#[doc(hidden)]
impl Archive {
    /// The clock that archive times come from.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// The clock's fault, if comparing it with the log and with elapsed time shows one. The beginning and end of a
    /// fault are logged.
    pub fn clock_fault(&self) -> Option<ClockFault> {
        self.shared.clock_fault()
    }

    /// What an operator should know about the clock: its fault, or that the last change was long ago.
    pub fn clock_message(&self) -> Option<String> {
        let fault = self.clock_fault().map(|fault| fault.to_string());
        let last = self.tail().archive_time;
        fault.or_else(|| self.shared.clock_watch.long_pause(last).map(|pause| pause.to_string()))
    }

    /// Whether the storage failed. From then on the archive accepts no writes.
    pub fn has_failed(&self) -> bool {
        self.shared.tail().failed
    }

    /// Checks that a write of ordinary size would be accepted now. The error is [`Unavailable::StorageFailed`], or
    /// [`Unavailable::StorageFull`], which clears by itself once the disk has room.
    pub async fn check_writable(&self) -> Result<(), ArchiveError> {
        if self.has_failed() {
            return Err(Unavailable::StorageFailed.into());
        }
        let engine = Arc::clone(&self.shared.engine);
        self.pools.reads.run(move || Ok(engine.has_room()?)).await
    }

    /// Waits until the storage fails. Does not return before that.
    pub async fn failed(&self) {
        let mut tail = self.shared.watch_tail();
        // The sender lives as long as this archive, so waiting ends only with a failure.
        drop(tail.wait_for(|tail| tail.failed).await);
    }

    /// The number of operations that are queued and not yet answered.
    pub fn queued_writes(&self) -> usize {
        self.queue.waiting()
    }

    /// The size of the database on disk, in bytes.
    pub async fn disk_bytes(&self) -> Result<u64, ArchiveError> {
        let engine = Arc::clone(&self.shared.engine);
        self.pools.reads.run(move || Ok(engine.disk_bytes()?)).await
    }

    /// Carries out operations atomically: all or none. Each is decided as if those before it were already recorded.
    /// They are durable when this returns.
    ///
    /// If one is rejected, nothing is written, and the error has the index of that operation. In
    /// [`WriteMode::Validate`], nothing is written in any case. A full queue is [`Unavailable::QueueFull`].
    pub async fn write(&self, operations: Vec<Operation>, mode: WriteMode) -> BatchResult {
        self.write_from(&WriteOrigin::default(), operations, mode).await
    }

    /// Like [`Archive::write`], for a caller that shares its part of the queue with others of the same origin. If they
    /// have used it up, the error is [`Unavailable::ShareUsed`].
    pub async fn write_from(
        &self,
        origin: &WriteOrigin,
        mut operations: Vec<Operation>,
        mode: WriteMode,
    ) -> BatchResult {
        origin.sign(&mut operations);
        self.prepare(&self.pools.writes, &mut operations, None).await?;
        self.queue.submit(&origin.share, operations, mode)?.reply().await
    }

    /// Like [`Archive::write`], in two steps, for a caller that queues more writes before the first reply arrives.
    /// Writes are decided in the order in which they are queued. If the queue is full, this waits instead of failing,
    /// and only one caller of each origin waits at a time.
    pub async fn begin_write(
        &self,
        origin: &WriteOrigin,
        mut operations: Vec<Operation>,
        mode: WriteMode,
    ) -> Result<Pending, ArchiveError> {
        origin.sign(&mut operations);
        self.prepare_imported(&mut operations, mode).await?;
        self.queue.submit_imported(&origin.share, operations, mode).await
    }

    /// Like [`Archive::begin_write`], for operations that are carried out one by one, in order: one that is rejected
    /// does not affect the others. Returns the pending reply of each.
    pub async fn begin_writes(
        &self,
        origin: &WriteOrigin,
        mut operations: Vec<Operation>,
        mode: WriteMode,
    ) -> Result<Vec<Pending>, ArchiveError> {
        origin.sign(&mut operations);
        self.prepare_imported(&mut operations, mode).await?;
        self.queue.submit_each_imported(&origin.share, operations, mode).await
    }

    async fn prepare_imported(&self, operations: &mut [Operation], mode: WriteMode) -> Result<(), ArchiveError> {
        let forecasts = (mode == WriteMode::Commit).then_some(&self.forecasts);
        self.prepare(&self.pools.imports, operations, forecasts).await
    }

    /// Applies `work` to each item of a batch or an import, divided among the cores. Returns the results in the order of
    /// the items.
    pub async fn divided<I, T>(
        &self,
        items: Vec<I>,
        work: impl Fn(I) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, ArchiveError>
    where
        I: Send + 'static,
        T: Send + 'static,
    {
        self.pools.imports.map(items, work).await
    }

    /// Resolves a point of both time axes to a read point. First waits, for at most [`WAIT_MAX`], until the changes
    /// below `min_next_seq` are durable.
    ///
    /// A point that the archive has not reached, and a log digest that is not this log's, are [`ArchiveError::Bound`].
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
            return Ok(()); // Most reads do not have to wait, and so need no subscription to the tail.
        }
        let mut tail = self.shared.watch_tail();
        let reached = tail.wait_for(|tail| tail.position.next_seq >= next_seq || tail.failed);
        let reached = matches!(tokio::time::timeout(WAIT_MAX, reached).await, Ok(Ok(_)));
        let tail = self.shared.tail();
        match tail.position.next_seq {
            durable if reached && durable >= next_seq => Ok(()),
            _ if tail.failed => Err(Unavailable::StorageFailed.into()),
            durable => Err(InvalidReadPoint::SeqInFuture { next_seq, tail: durable }.into()),
        }
    }

    /// Makes sure that no later commit gets an archive time at or before `at`, so that a read known at `at` is
    /// repeatable.
    async fn close_until(&self, at: Timestamp) -> Result<(), ArchiveError> {
        let tail = self.shared.tail();
        if tail.position.archive_time.max(tail.closed_time).is_some_and(|closed| at <= closed) {
            return Ok(());
        }
        let now = self.shared.clock.now();
        if at > now {
            return Err(InvalidReadPoint::TimeInFuture { archive_time: at, now }.into());
        }
        self.queue.raise_closed_time(at).await
    }

    /// Reads an article at a read point. An article that does not exist there is [`ArchiveError::Missing`].
    pub async fn article(&self, point: ReadPoint, name: ArticleName, view: View) -> Result<ArticleAt, ArchiveError> {
        self.read(move |reader| article::article(reader, &point, &name, view)).await
    }

    /// Reads several articles at one read point, in the order of `names`; `None` for each that does not exist there.
    /// Stops after the article that takes the result over [`list::PAGE_CONTENT_BYTES`], so there may be fewer results
    /// than names.
    pub async fn articles(
        &self,
        point: ReadPoint,
        names: Vec<ArticleName>,
        view: View,
    ) -> Result<Vec<Option<ArticleAt>>, ArchiveError> {
        self.read(move |reader| {
            let (mut results, mut bytes) = (Vec::new(), 0);
            for name in &names {
                if bytes > list::PAGE_CONTENT_BYTES {
                    break;
                }
                results.push(match article::article(reader, &point, name, view) {
                    Ok(article) => {
                        bytes += article.weight_bytes();
                        Some(article)
                    }
                    Err(ReadError::Failed(ArchiveError::Missing(_))) => None,
                    Err(error) => return Err(error),
                });
            }
            Ok(results)
        })
        .await
    }

    /// Reads one revision, without its original.
    pub async fn revision(
        &self,
        point: ReadPoint,
        name: ArticleName,
        selector: RevisionSelector,
        view: View,
    ) -> Result<RevisionAt, ArchiveError> {
        self.read(move |reader| article::revision(reader, &point, &name, selector, view)).await
    }

    /// Reads one revision, with the bytes of its original if one was kept.
    pub async fn revision_with_original(
        &self,
        point: ReadPoint,
        name: ArticleName,
        selector: RevisionSelector,
        view: View,
    ) -> Result<RevisionAt, ArchiveError> {
        self.read(move |reader| {
            let mut revision = article::revision(reader, &point, &name, selector, view)?;
            revision.original = article::original(reader, &revision)?;
            Ok(revision)
        })
        .await
    }

    /// Reads the article that a URL leads to at the read point. `key` is the key of `url`, which only error messages
    /// use.
    pub async fn article_by_url(
        &self,
        point: ReadPoint,
        url: String,
        key: UrlKey,
        within: SourceScope,
        view: View,
    ) -> Result<ArticleAt, ArchiveError> {
        self.read(move |reader| {
            let unknown = || ReadError::from(Missing::Url(url.clone()));
            let name = match article::by_url(reader, &point, &url, &key) {
                Ok(name) if !within.has(&name.source) => return Err(unknown()),
                Err(ReadError::Failed(ArchiveError::Missing(Missing::UrlEnded { article, .. })))
                    if !within.has(&article.source) =>
                {
                    return Err(unknown());
                }
                found => found?,
            };
            article::article(reader, &point, &name, view)
        })
        .await
    }

    /// The article that a URL leads to at a read point; `None` if it leads nowhere there.
    pub async fn url_leads_to(&self, point: ReadPoint, url: ArticleUrl) -> Result<Option<ArticleName>, ArchiveError> {
        let found = self.read(move |reader| article::by_url(reader, &point, &url.original, &url.key)).await;
        match found {
            Ok(name) => Ok(Some(name)),
            Err(ArchiveError::Missing(Missing::Url(_) | Missing::UrlEnded { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists articles in order of name, starting after `after`.
    pub async fn articles_by_name(
        &self,
        point: ReadPoint,
        query: ArticleQuery,
        after: Option<ArticleName>,
    ) -> Result<ListPage<ArticleAt, ArticleName>, ArchiveError> {
        self.read(move |reader| list::by_name(reader, &point, &query, after.as_ref())).await
    }

    /// Lists articles in order of their latest change, newest first, starting below the position `before`.
    pub async fn articles_by_latest_change(
        &self,
        point: ReadPoint,
        query: ArticleQuery,
        before: Option<Seq>,
    ) -> Result<ListPage<ArticleAt, Seq>, ArchiveError> {
        self.read(move |reader| list::by_latest_change(reader, &point, &query, before)).await
    }

    /// Lists the revisions of an article in order of number, starting after `after`.
    pub async fn revisions(
        &self,
        point: ReadPoint,
        name: ArticleName,
        query: RevisionQuery,
        after: Option<RevisionNumber>,
    ) -> Result<ListPage<RevisionEntry, RevisionNumber>, ArchiveError> {
        self.read(move |reader| list::revisions(reader, &point, &name, query, after)).await
    }

    /// Counts the looks at an article on each day of `period`, which is on the observe axis.
    pub async fn calendar(
        &self,
        point: ReadPoint,
        name: ArticleName,
        period: Range<Timestamp>,
    ) -> Result<Calendar, ArchiveError> {
        self.read_in(&self.pools.scans, move |reader| calendar::calendar(reader, &point, &name, &period)).await
    }

    /// Counts the revisions of each source on each of the last days.
    pub async fn activity(&self) -> Result<Activity, ArchiveError> {
        let (below, now) = (self.tail().next_seq, self.now());
        self.read_in(&self.pools.scans, move |reader| activity::activity(reader, below, now)).await
    }

    /// Lists sources in order of name, starting after `after`.
    pub async fn sources(
        &self,
        point: ReadPoint,
        after: Option<SourceId>,
        within: SourceScope,
        page_size: usize,
    ) -> Result<ListPage<(SourceId, SourceStats), SourceId>, ArchiveError> {
        self.read(move |reader| list::sources(reader, point.below(), after.as_ref(), &within, page_size)).await
    }

    /// Compares two states of an article, word by word. The default target is the state at the read point, and the
    /// default base is what was in force before the target.
    pub async fn compare(
        &self,
        point: ReadPoint,
        name: ArticleName,
        base: Option<StateSelector>,
        target: Option<StateSelector>,
    ) -> Result<Comparison, ArchiveError> {
        // Comparing takes too long for an async thread even if the caches have both contents.
        self.on_engine(&self.pools.comparisons, move |reader| compare::compare(reader, &point, &name, base, target))
            .await
    }

    /// The tree of the durable log.
    pub fn tree(&self) -> LogTree {
        LogTree(self.shared.edge())
    }

    /// Proves that the change at `seq` is in the tree of the first `size` changes. `seq` must be below `size`, and `size`
    /// must not exceed that of `tree`.
    pub async fn prove(
        &self,
        tree: LogTree,
        size: u64,
        seq: Seq,
        with_content: bool,
    ) -> Result<ProvenChange, ArchiveError> {
        self.on_engine(&self.pools.reads, move |reader| proof::inclusion(reader, &tree, size, seq, with_content)).await
    }

    /// Proves that the tree of the first `to` changes continues that of the first `from`. `from` must not exceed `to`,
    /// nor `to` the size of `tree`.
    pub async fn prove_continuation(
        &self,
        tree: LogTree,
        from: u64,
        to: u64,
    ) -> Result<ProvenContinuation, ArchiveError> {
        self.on_engine(&self.pools.reads, move |reader| proof::continuation(reader, &tree, from, to)).await
    }

    /// The time by the archive's clock.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Waits until nothing is written to disk any more by itself; see the engine.
    #[cfg(any(test, feature = "internals"))]
    pub fn settle(&self) {
        if let Err(error) = self.shared.engine.settle() {
            tracing::error!(%error, "the engine could not settle");
        }
    }

    /// Tries `read` with the caches alone; if anything is missing there, runs it again on a blocking thread, with the
    /// engine.
    async fn read<T, F>(&self, read: F) -> Result<T, ArchiveError>
    where
        T: Send + 'static,
        F: Fn(&Reader<'_>) -> Result<T, ReadError> + Send + 'static,
    {
        self.read_in(&self.pools.reads, read).await
    }

    /// Like [`Archive::read`]: tries the caches first, and uses a thread of `pool` only if anything is missing there.
    async fn read_in<T, F>(&self, pool: &Pool, read: F) -> Result<T, ArchiveError>
    where
        T: Send + 'static,
        F: Fn(&Reader<'_>) -> Result<T, ReadError> + Send + 'static,
    {
        match read(&Reader::cached(&self.shared)) {
            Ok(result) => Ok(result),
            Err(ReadError::Failed(error)) => Err(error),
            Err(ReadError::NotCached) => {
                let span = tracing::trace_span!(target: "dateline::trace", "read");
                self.on_engine(pool, read).instrument(span).await
            }
        }
    }

    /// Runs `read` on a blocking thread of `pool`, with the engine.
    async fn on_engine<T, F>(&self, pool: &Pool, read: F) -> Result<T, ArchiveError>
    where
        T: Send + 'static,
        F: Fn(&Reader<'_>) -> Result<T, ReadError> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        pool.run(move || match read(&Reader::engine(&shared)) {
            Ok(result) => Ok(result),
            Err(ReadError::Failed(error)) => Err(error),
            Err(ReadError::NotCached) => {
                tracing::error!("a read that may use the engine reported a cache miss");
                Err(ArchiveError::Internal)
            }
        })
        .await
    }
}
