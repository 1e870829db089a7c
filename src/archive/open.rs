//! Opening an archive: on a directory, or on an engine that a test brings.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use crate::archive::Archive;
use crate::archive::clock_watch::ClockWatch;
use crate::archive::pools::Pools;
use crate::archive::read::cache::Caches;
use crate::archive::recover::verify;
use crate::archive::recover::verify::Summary;
use crate::archive::shared::{Shared, Tail};
use crate::archive::subscriptions::Subscriptions;
use crate::archive::write::commit_builder::Position;
use crate::archive::write::queue::{EDITS_MAX, FLOORS_MAX, IMPORTED_MAX, OPERATIONS_MAX, Queue};
use crate::archive::write::writer::Writer;
use crate::clock::Clock;
use crate::model::{ArticleKey, LogDigest, Seq, Timestamp};
use crate::store::engine::directory::Directory;
use crate::store::engine::lock::Holder;
use crate::store::engine::memory::MemoryEngine;
use crate::store::engine::sled::{Options as EngineOptions, SledEngine};
use crate::store::engine::watermark::{Mark, Watermark};
use crate::store::engine::{Engine, EngineError, OpenError};
use crate::store::format::{self, FormatError};
use crate::store::key::meta::MetaKey;
use crate::store::{StoreError, Tables, parts};

/// How to run an archive.
#[derive(Clone, Debug)]
pub struct Options {
    /// Memory for the engine's cache. The engine overshoots it up to 2.6 times. Default 64 MiB.
    pub engine_cache_bytes: u64,
    /// Memory for heads, changes, contents and timelines. Default 64 MiB.
    pub cache_bytes: u64,
    /// Writes stop when less than this is free on the disk; clock floors and subscriptions may still be written down to
    /// a quarter of it. Default 256 MiB.
    pub free_space_floor_bytes: u64,
    /// A commit that takes longer than this poisons the archive. Default 60 s.
    pub flush_deadline: Duration,
    /// Blocking reads at once. Default 16.
    pub readers_max: usize,
    /// Whether writes are taken after the clock has jumped ahead by more than a day. Default no.
    pub clock_jump_allowed: bool,
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
        }
    }
}

impl Options {
    pub(crate) fn engine(&self) -> EngineOptions {
        EngineOptions { cache_bytes: self.engine_cache_bytes, free_space_floor_bytes: self.free_space_floor_bytes }
    }
}

/// What does not change while an archive is open.
#[derive(Clone, Debug)]
pub struct ArchiveInfo {
    /// The archive's id, given when it was made.
    pub id: [u8; 16],
    /// Its directory; none for an engine in memory.
    pub directory: Option<PathBuf>,
    /// When it was opened.
    pub opened: Timestamp,
}

/// Why an archive could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenArchiveError {
    /// The directory or its database could not be opened.
    #[error(transparent)]
    Directory(#[from] OpenError),
    /// The format is not this code's, or could not be read.
    #[error("{}: {source}", .path.display())]
    Format {
        /// The directory.
        path: PathBuf,
        /// What was found.
        source: FormatError,
    },
    /// The system gave no random bytes for a new archive's id.
    #[error("the system gives no random bytes: {0}")]
    Randomness(String),
    /// A thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
}

impl OpenArchiveError {
    /// Whether what is stored is damaged, so that trying again, or elsewhere, would not help.
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
}

impl Archive {
    /// An empty archive in memory, which ends with the process.
    pub fn in_memory(options: &Options, clock: Arc<dyn Clock>) -> Result<Self, OpenArchiveError> {
        Self::over(Arc::new(MemoryEngine::new()), options, clock)
    }

    /// Opens the archive in `path`; where there is none and `create` is set, makes one. `holder` tells others who
    /// has it. Opening reads what was written since the last time: one to two seconds a gigabyte.
    pub fn open(
        path: &Path,
        create: bool,
        options: &Options,
        clock: Arc<dyn Clock>,
        holder: Holder,
    ) -> Result<(Self, Arc<Directory>), OpenArchiveError> {
        let directory = if create { Directory::open_or_create(path, holder)? } else { Directory::open(path, holder)? };
        let directory = Arc::new(directory);
        let watermark = Watermark::open_in(path)?;
        let whole = |engine: &SledEngine| check_whole(engine, &watermark);
        let engine = SledEngine::open_checked(Arc::clone(&directory), options.engine(), whole)?;
        let archive = Self::start(Arc::new(engine), Some((path, watermark)), options, clock)?;
        if let Err(error) = directory.keep_id(&archive.info.id) {
            tracing::warn!(%error, "the archive's id could not be written down; commands cannot find its server by its directory");
        }
        Ok((archive, directory))
    }

    /// Opens an archive over an engine.
    pub fn over(engine: Arc<dyn Engine>, options: &Options, clock: Arc<dyn Clock>) -> Result<Self, OpenArchiveError> {
        Self::start(engine, None, options, clock)
    }

    fn start(
        engine: Arc<dyn Engine>,
        place: Option<(&Path, Watermark)>,
        options: &Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenArchiveError> {
        let path = place.as_ref().map(|(path, _)| path.to_path_buf());
        let in_format = |source| OpenArchiveError::Format { path: path.clone().unwrap_or_default(), source };
        let id = format::open(engine.as_ref(), new_id()?).map_err(in_format)?;
        let tail = read_tail(&Tables::new(engine.as_ref()), &id).map_err(|error| in_format(error.into()))?;
        let opened = clock.now();
        let subscriptions =
            read_subscriptions(&Tables::new(engine.as_ref())).map_err(|error| in_format(error.into()))?;
        let orphan_chunks = orphan_chunks(engine.as_ref(), tail.position.next_seq);
        let caches = Caches::new(options.cache_bytes);
        let clock_watch = ClockWatch::new(clock.as_ref(), options.clock_jump_allowed);
        let shared = Arc::new(Shared::new(engine, caches, (clock, clock_watch), tail, subscriptions));
        // What is wrong with it is logged.
        shared.clock_fault();
        let watermark = place.map(|(_, watermark)| watermark);
        // Room for every operation, edit and floor that the queue lets in, and for what the committer and a close send.
        let (events, received) = sync_channel(OPERATIONS_MAX + IMPORTED_MAX + EDITS_MAX + FLOORS_MAX + 16);
        let writer = Writer::start(
            Arc::clone(&shared),
            (tail, orphan_chunks, watermark),
            received,
            events.clone(),
            options.flush_deadline,
        )
        .map_err(OpenArchiveError::Thread)?;
        let info = ArchiveInfo { id, directory: path, opened };
        let pools = Pools::new(options.readers_max);
        Ok(Self { shared, queue: Queue::new(events, writer), pools, info })
    }
}

/// Reads where the log ends.
fn read_tail(tables: &Tables<'_>, id: &[u8; 16]) -> Result<Tail, StoreError> {
    let origin = LogDigest::of_archive(id);
    let last = tables.last_change()?;
    let next_article = tables.last_article()?.map_or(ArticleKey(0), |last| ArticleKey(last.0 + 1));
    let position = match last {
        None => Position { next_seq: Seq::ZERO, log_digest: origin, archive_time: None, next_article, origin },
        Some(last) => Position {
            next_seq: last.seq.next(),
            log_digest: last.log_digest,
            archive_time: Some(last.entry.archive_time),
            next_article,
            origin,
        },
    };
    let (clock_floor, commits) = (read_clock_floor(tables)?, read_commits(tables)?);
    Ok(Tail { position, clock_floor, commits, failed: false })
}

/// Chunks of a commit that a crash cut short. They are in nobody's way until something is written, and opening is not what
/// writes. What can't be read of them is met by the next write, which goes to the same place.
fn orphan_chunks(engine: &dyn Engine, end: Seq) -> Vec<Vec<u8>> {
    parts::beyond(engine, end).unwrap_or_else(|error| {
        tracing::warn!(%error, "what lies beyond the end of the log cannot be read");
        Vec::new()
    })
}

/// The instant below which no archive time is assigned any more.
pub(crate) fn read_clock_floor(tables: &Tables<'_>) -> Result<Option<Timestamp>, StoreError> {
    let Some(bytes) = tables.meta(MetaKey::ClockFloor)? else { return Ok(None) };
    let floor = bytes.try_into().ok().and_then(|bytes| Timestamp::from_micros(i64::from_be_bytes(bytes)));
    let unreadable = || StoreError::Damaged { seq: None, detail: "the clock floor cannot be read".to_owned() };
    Ok(Some(floor.ok_or_else(unreadable)?))
}

/// How many commits there were.
pub(crate) fn read_commits(tables: &Tables<'_>) -> Result<u64, StoreError> {
    let Some(bytes) = tables.meta(MetaKey::Commits)? else { return Ok(0) };
    let unreadable = |_| StoreError::Damaged { seq: None, detail: "the count of commits cannot be read".to_owned() };
    bytes.try_into().map(u64::from_be_bytes).map_err(unreadable)
}

fn read_subscriptions(tables: &Tables<'_>) -> Result<Subscriptions, StoreError> {
    let records = tables.subscriptions().map(|entry| entry.map(|(id, record)| (id, Arc::new(record))));
    Ok(Subscriptions::new(records.collect::<Result<_, _>>()?))
}

/// Nothing that was acknowledged is missing.
fn check_whole(engine: &SledEngine, watermark: &Watermark) -> Result<(), String> {
    // What another format says of its log is not for this code to judge: it is refused as such once it is open.
    if !matches!(format::read(engine), Err(FormatError::Version { .. })) {
        check_watermark(watermark, &Tables::new(engine))?;
    }
    let Some(recovery_warning) = engine.recovery_warning() else { return Ok(()) };
    tracing::warn!(
        recovery_warning,
        "a part of the database was not taken in; everything is verified before it is used"
    );
    let summary = verify::verify_engine(engine, watermark, &mut |_| ControlFlow::Continue(()));
    match summary.map_err(|error| error.to_string())? {
        Some(Summary { findings: 0, .. }) => Ok(()),
        _ => Err(format!("{recovery_warning}, and something is missing without it: `dateline verify` tells what")),
    }
}

/// A database that lost its end may open without complaint. The watermark beside it knows better.
pub(crate) fn check_watermark(watermark: &Watermark, tables: &Tables<'_>) -> Result<(), String> {
    let Some(Mark { next_seq: recorded, log_digest, commits }) = watermark.read() else { return Ok(()) };
    let found = read_commits(tables).map_err(|error| error.to_string())?;
    if found < commits {
        return Err(format!("it held {commits} commits, and now has {found}"));
    }
    let Some(last) = Seq(recorded).previous() else { return Ok(()) };
    match tables.change(last).map_err(|error| error.to_string())? {
        Some(change) if change.log_digest.0 == log_digest => Ok(()),
        Some(_) => Err(format!("its log has another history below position {recorded} than it once had")),
        None => {
            let end = tables.last_change().map_err(|error| error.to_string())?;
            let end = end.map_or(Seq::ZERO, |last| last.seq.next());
            Err(format!("its log held {recorded} changes, and now ends at {end}"))
        }
    }
}

/// A random id, which tells this archive from any other.
fn new_id() -> Result<[u8; 16], OpenArchiveError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| OpenArchiveError::Randomness(error.to_string()))?;
    Ok(id)
}
