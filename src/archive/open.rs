//! Opening an archive, on a directory or on an engine that a test provides.
//!
//! Opening must not lose what was acknowledged. sled drops what it cannot read at the end of its log without an error,
//! so before the archive is used, the end of the log is compared with the watermark, a file outside the database. If
//! sled dropped anything, everything is verified first.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::archive::clock_watch::{ClockWatch, JumpPolicy};
use crate::archive::expunge::register_file::RegisterFile;
use crate::archive::pools::Pools;
use crate::archive::position::{LogPosition, Tail};
use crate::archive::read::cache::Caches;
use crate::archive::read::tree::read_edge;
use crate::archive::recover::verify;
use crate::archive::recover::verify::Summary;
use crate::archive::shared::Shared;
use crate::archive::subscriptions::Subscriptions;
use crate::archive::write::queue::{CHECKPOINTS_MAX, CLOSED_TIMES_MAX, EDITS_MAX, IMPORTED_MAX, OPERATIONS_MAX, Queue};
use crate::archive::write::salts::Salts;
use crate::archive::write::writer::{Writer, WriterStart};
use crate::clock::Clock;
use crate::model::{ArticleKey, Limits, LogDigest, Seq, Timestamp};
use crate::store::engine::directory::Directory;
use crate::store::engine::lock::Holder;
use crate::store::engine::memory::MemoryEngine;
use crate::store::engine::sled::{Options as EngineOptions, SledEngine};
use crate::store::engine::watermark::{DurableState, Watermark};
use crate::store::engine::{Engine, EngineError, OpenError};
use crate::store::format::{self, FormatError};
use crate::store::key::meta::MetaKey;
use crate::store::key::parked::ParkedKey;
use crate::store::{StoreError, Tables};

/// The options for opening an archive.
///
/// ```no_run
/// use dateline::ArchiveOptions;
///
/// let archive = ArchiveOptions { cache_bytes: 256 << 20, ..ArchiveOptions::default() }.open("articles")?;
/// # Ok::<(), dateline::OpenArchiveError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Memory for the engine's cache, in bytes. The engine may use up to 2.6 times as much. Default 64 MiB.
    pub engine_cache_bytes: u64,
    /// Memory for the caches of heads, changes, contents and timelines, in bytes. Default 64 MiB.
    pub cache_bytes: u64,
    /// Writes are rejected while less than this is free on the disk, in bytes. Maintenance writes, such as closed times
    /// and subscriptions, are accepted down to a quarter of it. Default 256 MiB.
    pub free_space_floor_bytes: u64,
    /// A commit that takes longer than this poisons the archive. Default 60 s.
    pub flush_deadline: Duration,
    /// The maximum number of concurrent reads on blocking threads. Default 16.
    pub readers_max: usize,
    /// Whether writes are accepted after the clock has jumped ahead by more than a day. Default no.
    pub clock_jump_allowed: bool,
    /// The limits on what a program that embeds the archive may write, each at most [`Limits::GREATEST`]. A server has
    /// its own.
    pub limits: Limits,
    /// Derives the salts of changes from this seed and their positions, instead of drawing them from the system: for
    /// tests that compare archives.
    #[cfg(any(test, feature = "internals"))]
    #[doc(hidden)]
    pub salt_seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            engine_cache_bytes: 64 << 20,
            cache_bytes: 64 << 20,
            free_space_floor_bytes: 256 << 20,
            flush_deadline: Duration::from_secs(60),
            readers_max: 16,
            clock_jump_allowed: false,
            limits: Limits::default(),
            #[cfg(any(test, feature = "internals"))]
            salt_seed: None,
        }
    }
}

impl Options {
    fn salts(&self) -> Salts {
        #[cfg(any(test, feature = "internals"))]
        if let Some(seed) = self.salt_seed {
            return Salts::seeded(seed);
        }
        Salts::default()
    }

    pub(crate) fn engine(&self) -> EngineOptions {
        EngineOptions { cache_bytes: self.engine_cache_bytes, free_space_floor_bytes: self.free_space_floor_bytes }
    }
}

/// The facts that stay constant while an archive is open.
#[derive(Clone, Debug)]
pub struct ArchiveInfo {
    /// The archive's random id, assigned when it was created. A restored archive keeps it.
    pub id: [u8; 16],
    /// Four random bytes that a restore draws, so that a restored log is not taken for the one that was lost; `None`
    /// if the archive was never restored.
    pub log_epoch: Option<[u8; 4]>,
    /// The archive's directory; `None` if the engine is in memory.
    pub directory: Option<PathBuf>,
    /// When this process opened the archive.
    pub opened: Timestamp,
}

/// Why an archive could not be opened.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(not(feature = "internals"), non_exhaustive)]
pub enum OpenArchiveError {
    /// The directory or its database could not be opened.
    #[error(transparent)]
    Directory(#[from] OpenError),
    /// The database has a format that this version does not know, or its contents could not be read.
    #[error("{}: {source}", .path.display())]
    Format {
        /// The archive's directory; empty if the engine is in memory.
        path: PathBuf,
        /// Why the database could not be used.
        source: FormatError,
    },
    /// The operating system returned no random bytes for a new archive's id.
    #[error("the operating system returned no random bytes: {0}")]
    Randomness(String),
    /// A thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
}

impl OpenArchiveError {
    /// Whether the stored data is damaged, so that trying again, here or on another machine, would not help.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Directory(error) => matches!(error, OpenError::Damaged { .. }),
            Self::Format { source, .. } => matches!(
                source,
                FormatError::Store(StoreError::Damaged { .. } | StoreError::Engine(EngineError::Damaged(_)))
            ),
            Self::Randomness(_) | Self::Thread(_) => false,
        }
    }

    /// The same error in words about the archive `original`, if it is about its copy at `copy`.
    pub(crate) fn about(self, copy: &Path, original: &Path) -> Self {
        match self {
            Self::Directory(error) => Self::Directory(error.about(copy, original)),
            Self::Format { path, source } if path == copy => Self::Format { path: original.to_path_buf(), source },
            error @ (Self::Format { .. } | Self::Randomness(_) | Self::Thread(_)) => error,
        }
    }
}

/// For the layers above.
#[doc(hidden)]
impl Archive {
    /// Creates an empty archive in memory. Nothing of it is on disk.
    pub fn in_memory_with(options: &Options, clock: Arc<dyn Clock>) -> Result<Self, OpenArchiveError> {
        Self::over(Arc::new(MemoryEngine::new()), options, clock)
    }

    /// Opens the archive in the directory `path`, which must exist. `holder` is written next to the lock, so that other
    /// processes can report which process holds the archive.
    ///
    /// Opening reads what was written since the archive was last opened, which takes one to two seconds per gigabyte.
    pub fn open_existing(
        path: &Path,
        options: &Options,
        clock: Arc<dyn Clock>,
        holder: Holder,
    ) -> Result<(Self, Arc<Directory>), OpenArchiveError> {
        Self::in_directory(Directory::open(path, holder)?, options, clock)
    }

    /// Like [`Archive::open_existing`], but creates the archive if there is none.
    pub fn open_or_create(
        path: &Path,
        options: &Options,
        clock: Arc<dyn Clock>,
        holder: Holder,
    ) -> Result<(Self, Arc<Directory>), OpenArchiveError> {
        Self::in_directory(Directory::open_or_create(path, holder)?, options, clock)
    }

    /// Opens `copy`, which is a private copy ([`Directory::copy_of`]) of the archive in `path`. What is written goes to the
    /// copy, and is lost with it.
    pub fn open_copy(
        copy: Directory,
        path: &Path,
        options: &Options,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Arc<Directory>), OpenArchiveError> {
        let place = copy.path().to_path_buf();
        // It is removed soon, so nothing in it needs to be kept free.
        let options = Options { free_space_floor_bytes: 0, ..options.clone() };
        let opened = Self::in_directory(copy, &options, clock);
        let (mut archive, copy) = opened.map_err(|error| error.about(&place, path))?;
        archive.info = Arc::new(ArchiveInfo { directory: Some(path.to_path_buf()), ..(*archive.info).clone() });
        Ok((archive, copy))
    }

    fn in_directory(
        directory: Directory,
        options: &Options,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Arc<Directory>), OpenArchiveError> {
        let directory = Arc::new(directory);
        let path = directory.path();
        let watermark = Watermark::open_in(path)?;
        let check = |engine: &SledEngine| check_complete(engine, &watermark);
        let engine = SledEngine::open_checked(Arc::clone(&directory), options.engine(), check)?;
        let mut archive = Self::start(Arc::new(engine), Some((path, watermark)), options, clock)?;
        archive.register_file = Some(Arc::new(RegisterFile::of(Arc::clone(&directory))));
        archive.save_register();
        if let Err(error) = directory.store_id(&archive.info.id) {
            tracing::warn!(%error, "the archive's id could not be saved; commands cannot find this server by the archive's directory");
        }
        Ok((archive, directory))
    }

    /// Opens an archive on an engine that the caller provides. There is no watermark to check it against.
    pub fn over(engine: Arc<dyn Engine>, options: &Options, clock: Arc<dyn Clock>) -> Result<Self, OpenArchiveError> {
        Self::start(engine, None, options, clock)
    }

    fn start(
        engine: Arc<dyn Engine>,
        files: Option<(&Path, Watermark)>,
        options: &Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenArchiveError> {
        let (path, watermark) = files.map(|(path, watermark)| (path.to_path_buf(), watermark)).unzip();
        let format_error = |source| OpenArchiveError::Format { path: path.clone().unwrap_or_default(), source };
        let id = format::open(engine.as_ref(), new_id()?).map_err(format_error)?;
        let tail = read_tail(&Tables::new(engine.as_ref()), &id).map_err(|error| format_error(error.into()))?;
        let log_epoch = read_log_epoch(&Tables::new(engine.as_ref())).map_err(|error| format_error(error.into()))?;
        let opened = clock.now();
        let subscriptions =
            read_subscriptions(&Tables::new(engine.as_ref())).map_err(|error| format_error(error.into()))?;
        let caches = Caches::new(options.cache_bytes);
        let jump_policy = if options.clock_jump_allowed { JumpPolicy::Accept } else { JumpPolicy::Reject };
        let clock_watch = ClockWatch::new(clock.as_ref(), jump_policy);
        let edge = read_edge(&Tables::new(engine.as_ref()), tail.position.next_seq);
        let edge = edge.map_err(|error| format_error(error.into()))?;
        let shared = Arc::new(Shared::new(engine, caches, clock, clock_watch, tail, edge, subscriptions));
        // Called for its effect: it logs a fault of the clock.
        shared.clock_fault();
        // Room for every message that the queue admits, and 16 more for those of the committer and of closing. Sending
        // therefore never blocks.
        let admitted = OPERATIONS_MAX + IMPORTED_MAX + EDITS_MAX + CLOSED_TIMES_MAX + CHECKPOINTS_MAX;
        let (events, received) = sync_channel(admitted + 16);
        let start = WriterStart { tail, watermark, salts: options.salts(), flush_deadline: options.flush_deadline };
        let writer =
            Writer::start(Arc::clone(&shared), start, received, events.clone()).map_err(OpenArchiveError::Thread)?;
        let info = ArchiveInfo { id, log_epoch, directory: path, opened };
        Ok(Self {
            shared,
            queue: Arc::new(Queue::new(events, writer)),
            pools: Arc::new(Pools::new(options.readers_max)),
            forecasts: Arc::default(),
            info: Arc::new(info),
            register_file: None,
            limits: options.limits.capped(),
            closed: CancellationToken::new(),
        })
    }
}

/// Reads the durable tail from storage.
fn read_tail(tables: &Tables<'_>, id: &[u8; 16]) -> Result<Tail, StoreError> {
    let origin = LogDigest::of_archive(id);
    let last = tables.last_change()?;
    let next_article = tables.last_article()?.map_or(ArticleKey(0), |last| ArticleKey(last.0 + 1));
    let position = match last {
        None => LogPosition { next_seq: Seq::ZERO, log_digest: origin, archive_time: None, next_article, origin },
        Some(last) => LogPosition {
            next_seq: last.seq.next(),
            log_digest: last.log_digest,
            archive_time: Some(last.entry.archive_time),
            next_article,
            origin,
        },
    };
    let (closed_time, commits) = (read_closed_time(tables)?, read_commits(tables)?);
    Ok(Tail { position, closed_time, commits, failed: false })
}

/// Reads the closed time: no later commit gets an archive time at or before it.
pub(crate) fn read_closed_time(tables: &Tables<'_>) -> Result<Option<Timestamp>, StoreError> {
    let Some(bytes) = tables.meta(MetaKey::ClosedTime)? else { return Ok(None) };
    let closed_time = bytes.try_into().ok().and_then(|bytes| Timestamp::from_micros(i64::from_be_bytes(bytes)));
    let unreadable = || StoreError::Damaged { seq: None, detail: "the closed time cannot be read".to_owned() };
    Ok(Some(closed_time.ok_or_else(unreadable)?))
}

/// Reads the number of commits since the archive was created.
pub(crate) fn read_commits(tables: &Tables<'_>) -> Result<u64, StoreError> {
    let Some(bytes) = tables.meta(MetaKey::Commits)? else { return Ok(0) };
    let unreadable = |_| StoreError::Damaged { seq: None, detail: "the commit count cannot be read".to_owned() };
    bytes.try_into().map(u64::from_be_bytes).map_err(unreadable)
}

/// Reads what tells the log of a restored archive from the one that was lost; `None` if the archive was never restored.
pub(crate) fn read_log_epoch(tables: &Tables<'_>) -> Result<Option<[u8; 4]>, StoreError> {
    let Some(bytes) = tables.meta(MetaKey::LogEpoch)? else { return Ok(None) };
    let unreadable = |_| StoreError::Damaged { seq: None, detail: "the log's epoch cannot be read".to_owned() };
    bytes.try_into().map(Some).map_err(unreadable)
}

/// Draws a log epoch.
pub(crate) fn new_log_epoch() -> Result<[u8; 4], getrandom::Error> {
    let mut log_epoch = [0; 4];
    getrandom::fill(&mut log_epoch)?;
    Ok(log_epoch)
}

fn read_subscriptions(tables: &Tables<'_>) -> Result<Subscriptions, StoreError> {
    let mut records = tables.subscriptions().collect::<Result<BTreeMap<_, _>, _>>()?;
    for entry in tables.parked_changes() {
        let (ParkedKey { subscription, seq }, parked) = entry?;
        // Verification reports a parked change without a subscription; no client can reach it.
        if let Some(record) = records.get_mut(&subscription) {
            Arc::make_mut(&mut record.parked).insert(seq, parked);
        }
    }
    Ok(Subscriptions::new(records.into_iter().map(|(id, record)| (id, Arc::new(record))).collect()))
}

/// Checks that nothing that was acknowledged is missing from the database.
pub(crate) fn check_complete(engine: &SledEngine, watermark: &Watermark) -> Result<(), String> {
    // This code cannot interpret the log of another format version. `format::open` rejects it later, with its own
    // error.
    if !matches!(format::read(engine), Err(FormatError::Version { .. })) {
        check_watermark(watermark, &Tables::new(engine))?;
    }
    let Some(recovery_warning) = engine.recovery_warning() else { return Ok(()) };
    tracing::warn!(recovery_warning, "sled dropped a part of its log; verifying everything before the archive is used");
    let summary = verify::verify_engine(engine, watermark, &mut |_| ControlFlow::Continue(()));
    match summary.map_err(|error| error.to_string())? {
        Some(Summary { findings: 0, .. }) => Ok(()),
        _ => Err(format!("{recovery_warning}, and data is missing without it; run `dateline verify` to see what")),
    }
}

/// Compares the database with the watermark. A database that lost its end may open without an error; the watermark, a
/// file outside the database, reveals it. The error says what is missing.
pub(crate) fn check_watermark(watermark: &Watermark, tables: &Tables<'_>) -> Result<(), String> {
    let Some(DurableState { next_seq: recorded, log_digest, commits }) = watermark.read() else { return Ok(()) };
    let found = read_commits(tables).map_err(|error| error.to_string())?;
    if found < commits {
        return Err(format!("the database had {commits} commits, and now has {found}"));
    }
    let Some(last) = Seq(recorded).previous() else { return Ok(()) };
    match tables.change(last).map_err(|error| error.to_string())? {
        Some(change) if change.log_digest.0 == log_digest => Ok(()),
        Some(_) => Err(format!("the log below position {recorded} is not the one that was written")),
        None => {
            let end = tables.last_change().map_err(|error| error.to_string())?;
            let end = end.map_or(Seq::ZERO, |last| last.seq.next());
            Err(format!("the log had {recorded} changes, and now ends at position {end}"))
        }
    }
}

/// Generates a random id, which distinguishes a new archive from all others.
fn new_id() -> Result<[u8; 16], OpenArchiveError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| OpenArchiveError::Randomness(error.to_string()))?;
    Ok(id)
}
