//! Compaction: rewrites the database of an archive into a smaller one.
//!
//! ```text
//! old database ──▶ articles, on all cores: contents and originals, compressed harder ──▶ staging file
//!       │                                                                                     │
//!       └──▶ every entry, in order of key, with what is staged in the place of its payload ◀──┘ ──▶ new database
//!                                                                                                       │
//!                                                    takes the old one's place, which is deleted ◀──────┘
//! ```
//!
//! A database grows by what was replaced in it, and its contents are compressed while a client waits. Here no client does:
//! each content becomes a delta of the best of its article's recent contents, and all are compressed as well as zstd
//! can. Then every entry is written once, in order of key, which fills the pages of the new database.
//!
//! Invariants:
//! - Nothing but the compression of contents and originals changes, and the depths that heads repeat of it. All other
//!   entries are copied byte for byte, so positions, digests, tokens and subscriptions stay as they are.
//! - Every entry is checked against its checksum before it is copied and, if they are compressed again, every content
//!   against its digest and every original against its SHA-256: damage is never carried over. An archive with damage is
//!   left as it is.
//! - The old database is not written to. A process that is killed leaves either database complete; the next opening
//!   deletes the other ([`SledEngine::open`]).
//! - Text that was destroyed is in no file of the archive afterwards: the old database is deleted, and if it had such
//!   text, so is what is in quarantine.
//! - Memory is bounded by the largest article's recent contents, not by the archive.

mod contents;
mod copy;
mod staging;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive::open::check_complete;
use crate::archive::recover::compact::contents::stage_payloads;
use crate::archive::recover::compact::copy::copy;
use crate::archive::recover::compact::staging::Staging;
use crate::archive::{OpenArchiveError, Options};
use crate::store::engine::directory::Directory;
use crate::store::engine::lock::Holder;
use crate::store::engine::sled::{CompactDatabase, SledEngine};
use crate::store::engine::watermark::Watermark;
use crate::store::engine::{Engine, EngineError, OpenError};
use crate::store::format::{self, FormatError};
use crate::store::{StoreError, Tables};

/// Why an archive was not compacted. It is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// The archive could not be opened, or the new database could not be put in the place of the old one.
    #[error(transparent)]
    Open(#[from] OpenArchiveError),
    /// There is not enough space for a second database.
    #[error(
        "compacting {} needs {needed_bytes} bytes of free space, and {free_bytes} bytes are free", .path.display()
    )]
    NoSpace {
        /// The directory of the archive.
        path: PathBuf,
        /// The free space that is needed, in bytes.
        needed_bytes: u64,
        /// The free space that there is, in bytes.
        free_bytes: u64,
    },
    /// Something in the archive is damaged.
    #[error("the archive is damaged: {0}; nothing was changed")]
    Damaged(StoreError),
    /// The new database could not be written.
    #[error("the new database could not be written: {0}")]
    Write(String),
}

/// The result of a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// What the archive's directory took on the disk before, in bytes.
    pub bytes_before: u64,
    /// What it takes now, in bytes.
    pub bytes_after: u64,
    /// How many contents were compressed.
    pub contents: u64,
    /// How many originals were compressed.
    pub originals: u64,
}

/// What a compaction does with contents and originals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactMode {
    /// Compresses them again, as well as zstd can. This takes the most time.
    Compress,
    /// Copies them as they are stored, which is many times faster: for taking destroyed text out of the files.
    Copy,
}

/// The steps of a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactPhase {
    /// Compresses contents and originals. The unit is articles.
    Compressing,
    /// Writes the new database. The unit is entries.
    Writing,
}

/// How far a compaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactProgress {
    /// The current step.
    pub phase: CompactPhase,
    /// How many units of it are done.
    pub done: u64,
    /// How many there are.
    pub total: u64,
}

/// Receives the progress. Returns whether to continue.
pub type CompactListener<'a> = dyn FnMut(CompactProgress) -> ControlFlow<()> + 'a;

/// Compacts the archive in `path`. Returns `None` if `listener` requested a stop; the archive is then unchanged.
///
/// With [`CompactMode::Compress`], this needs one and a half times the disk space that the database takes, and the time
/// to compress every content again; with [`CompactMode::Copy`], the space and the time of a copy.
pub fn compact_directory(
    path: &Path,
    mode: CompactMode,
    options: &Options,
    holder: Holder,
    listener: &mut CompactListener<'_>,
) -> Result<Option<Compacted>, CompactError> {
    let directory = Arc::new(Directory::open(path, holder).map_err(OpenArchiveError::from)?);
    let watermark = Watermark::open_in(path).map_err(OpenArchiveError::from)?;
    let bytes_before = directory.disk_bytes().map_err(OpenError::io("read", path)).map_err(OpenArchiveError::from)?;
    let (mut outcome, mut has_destroyed_text) = (None, false);
    let opened = SledEngine::open_checked(Arc::clone(&directory), options.engine(), |old| {
        check_complete(old, &watermark)?;
        has_destroyed_text = Tables::new(old).destruction_pending().map_err(|error| error.to_string())?.is_some();
        outcome = Some(fill(old, &directory, mode, options, listener));
        // Whatever the result, the old database must stay as it was found.
        Err("it was opened only to be read".to_owned())
    });
    let filled = match (outcome, opened) {
        // The old database could not be restored to what it was. Its replacement is complete, if there is one.
        (Some(Err(_)), Err(error @ OpenError::Io { .. })) => return Err(OpenArchiveError::from(error).into()),
        (Some(filled), _) => filled,
        (None, opened) => return opened.map(|_| None).map_err(|error| OpenArchiveError::from(error).into()),
    };
    match filled {
        Ok((new, counts)) => {
            if has_destroyed_text {
                let emptied = directory.empty_quarantine();
                emptied.map_err(OpenError::io("empty the quarantine of", path)).map_err(OpenArchiveError::from)?;
            }
            new.replace_database().map_err(OpenArchiveError::from)?;
            let bytes_after = directory.disk_bytes();
            let bytes_after = bytes_after.map_err(OpenError::io("read", path)).map_err(OpenArchiveError::from)?;
            let Counts { contents, originals } = counts;
            Ok(Some(Compacted { bytes_before, bytes_after, contents, originals }))
        }
        Err(Stop::Requested) => Ok(None),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// How many payloads were compressed.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    contents: u64,
    originals: u64,
}

/// Why the new database was not filled.
enum Stop {
    /// The listener requested it.
    Requested,
    Failed(CompactError),
}

impl<E: Into<CompactError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl From<StoreError> for CompactError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { .. } | StoreError::Engine(EngineError::Damaged(_)) => Self::Damaged(error),
            StoreError::Engine(error) => Self::Write(error.to_string()),
        }
    }
}

impl From<EngineError> for CompactError {
    fn from(error: EngineError) -> Self {
        StoreError::from(error).into()
    }
}

impl From<OpenError> for CompactError {
    fn from(error: OpenError) -> Self {
        OpenArchiveError::from(error).into()
    }
}

/// Builds the new database, and completes it. If that fails, nothing of it remains.
fn fill(
    old: &SledEngine,
    directory: &Arc<Directory>,
    mode: CompactMode,
    options: &Options,
    listener: &mut CompactListener<'_>,
) -> Result<(CompactDatabase, Counts), Stop> {
    let path = directory.path();
    let format_error = |source: FormatError| OpenArchiveError::Format { path: path.to_path_buf(), source };
    if format::read(old).map_err(format_error)?.is_none() {
        return Err(CompactError::Write("the database is empty".to_owned()).into());
    }
    check_space(old, directory, mode, options)?;
    let mut new = CompactDatabase::create(Arc::clone(directory), options.engine())?;
    let counts = match mode {
        CompactMode::Compress => {
            let mut staging = Staging::create(new.path()).map_err(OpenError::io("create a file in", new.path()))?;
            let counts = stage_payloads(old, &mut staging, listener)?;
            copy(old, Some(&staging), &mut new, listener)?;
            counts
        }
        CompactMode::Copy => {
            copy(old, None, &mut new, listener)?;
            Counts::default()
        }
    };
    new.complete()?;
    Ok((new, counts))
}

/// Fails unless a second database and the staging file fit on the disk, above the floor of free space.
fn check_space(
    old: &SledEngine,
    directory: &Directory,
    mode: CompactMode,
    options: &Options,
) -> Result<(), CompactError> {
    let path = directory.path();
    let free_bytes = directory.free_bytes().map_err(OpenError::io("look at the disk of", path))?;
    let database_bytes = old.disk_bytes()?;
    let staged_bytes = match mode {
        CompactMode::Compress => database_bytes / 2,
        CompactMode::Copy => 0,
    };
    let needed_bytes = (database_bytes + staged_bytes).saturating_add(options.free_space_floor_bytes);
    if free_bytes < needed_bytes {
        return Err(CompactError::NoSpace { path: path.to_path_buf(), needed_bytes, free_bytes });
    }
    Ok(())
}

/// The number of articles.
fn article_count(tables: &Tables<'_>) -> Result<u64, StoreError> {
    Ok(tables.last_article()?.map_or(0, |last| last.0.saturating_add(1)))
}
