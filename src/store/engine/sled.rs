//! The engine on disk: sled 0.34.7, with workarounds for what it does not guarantee by itself.
//!
//! What sled does not do by itself, and what this module does about it:
//! - A small commit costs sled some forty wake-ups of its threads and rewrites whole leaves. So a commit goes to a
//!   write-ahead log of our own ([`super::wal`]), whose sync makes it durable, and to memory, where reads find it
//!   ([`pending`]). A thread writes to sled what has gathered ([`applier`]).
//! - Opening takes sled some tens of milliseconds even if it has next to nothing, because it reads the last segment of
//!   its log twice and overwrites the rest of it. So sled's database is created only when enough has gathered
//!   ([`database`]).
//! - `flush` syncs neither metadata nor the drive's cache. The applier also syncs the data of the file `db` through a
//!   handle of our own, and releases the write-ahead log only then.
//! - A page above a quarter of a segment goes to a file in `blobs/` that is never synced. Segments are large enough to
//!   hold every page ([`super::VALUE_BYTES_MAX`]), and a file in that folder fails the opening, or poisons the engine.
//! - A process that is killed during opening leaves `snap.*.generating`, which the next opening mistakes for the newest
//!   snapshot and fails on. The file is removed: everything in it is in the log, and its space may be needed for the
//!   next one. A finished `snap.*` is never touched.
//! - sled silently starts an empty database if files of an existing one are missing. That is rejected.
//! - sled recovers by truncating whatever it cannot read, even if opening then fails, and even if the data was
//!   acknowledged. If opening fails, everything is restored ([`preimage`]).
//! - Dropping a database leaves tasks in sled's thread pool that still hold its file and may still truncate it. Closing
//!   waits until they have released sled's own lock, before anything else touches the file.
//! - sled writes when it opens and when it reads, and fails if the disk has no space for that. Some space is reserved
//!   ([`reserve`]).
//! - sled's file takes three to four times what is stored, even if it is written in order of key. A compaction writes the
//!   file without sled ([`bulk`], [`compact`]).
//! - sled fills the last segment with zeros when it opens, even one that nothing was written to. Such a segment is
//!   removed before.
//! - sled panics where it should return errors. Each call runs under `catch_unwind`. The panic hook is global and
//!   belongs to the binary, so it still reports the panic before the error is returned.
//! - sled silently drops the parts of the log that it cannot read, even from the middle of acknowledged data. The log
//!   is read before it is opened ([`segments`]). If something will be dropped, [`SledEngine::recovery_warning`] says
//!   so, and the layers above check whether anything is missing. If sled would continue to write to a segment that it
//!   cannot read at the next opening, opening is rejected. Data from before the last opening is not at risk: sled's
//!   snapshot refers to it, and if it is damaged, reading it fails with [`EngineError::Damaged`].
//!
//! A commit that hangs in a sync does not block reads: they take no lock that is held during one. sled's own lock is
//! held only during `apply_batch`.

mod applier;
mod blobs;
mod bulk;
mod compact;
mod database;
mod pending;
mod preimage;
mod replacement;
mod reserve;
mod scan;
mod segments;

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use self::applier::{Applier, Progress};
use self::blobs::{BlobsFolder, first_blob};
pub use self::compact::CompactDatabase;
use self::database::Database;
use self::pending::PendingWrites;
use self::preimage::Preimage;
use self::reserve::Reserve;
use self::scan::SledScan;
use self::segments::{Survey, Surveyed};
use super::directory::{Directory, sync_directory};
use super::poison::Poison;
use super::wal::{AppendError, LogError, WriteAheadLog};
use super::watermark::Watermark;
use super::{
    Batch, Direction, Engine, EngineError, EngineStats, KeyRange, OpenError, Read, Scan, own_file, own_folder,
};

/// The size of a segment of sled's log, fixed when a database is created. A page above a quarter of it is stored
/// outside the log.
const SEGMENT_BYTES: usize = 8 << 20;
/// Maintenance writes may use free space down to the floor divided by this. The rest is for sled, which moves pages by
/// itself.
const MAINTENANCE_SHARE: u64 = 4;
/// The size of commit for which [`Engine::has_room`] checks, in bytes. Hardly any article is larger.
const ORDINARY_COMMIT_BYTES: u64 = 1 << 20;
/// The interval of sled's flush thread, which is the only thread that collects garbage.
const FLUSH_EVERY_MS: u64 = 500;
/// The free space that must remain for creating sled's database, in bytes: the first segment of its log, the blocks
/// after it, and the reserve.
const CREATION_BYTES: u64 = 4 * SEGMENT_BYTES as u64;
/// What sled writes for each byte that is pending: each entry is written about three times until its leaf is full.
const APPLIED_PER_PENDING: u64 = 3;
/// The number of inodes that the copy made before opening takes: a folder, a file, a link for each of two snapshots,
/// and one for the snapshot that the opening writes.
const PREIMAGE_INODES: u64 = 5;
/// How long to wait for sled's tasks to release a closed database.
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);
const CLOSE_POLL: Duration = Duration::from_millis(1);

/// The settings of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The size of sled's cache in bytes. sled may use up to 2.6 times as much. Default 64 MiB.
    pub cache_bytes: u64,
    /// Commits that would leave less free disk space than this, in bytes, are rejected;
    /// [maintenance writes](Batch::maintenance) only if they would leave less than a quarter of it. Default 256 MiB.
    pub free_space_floor_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, free_space_floor_bytes: 256 << 20 }
    }
}

/// The folder of the write-ahead log, in the folder of the database.
const LOG_FOLDER: &str = "wal";

/// An open database. Dropping it closes the database, which waits for sled's threads, and then releases the archive.
/// Commits that sled does not have yet stay in the write-ahead log.
pub struct SledEngine {
    // Fields are dropped in order: the applier ends, the database closes, and then the archive is released.
    applier: Option<Applier>,
    shared: Arc<Shared>,
    recovery_warning: Option<String>,
    directory: Arc<Directory>,
}

/// What the engine and its applier share.
struct Shared {
    /// sled's database, once the applier has created it. It is set before a write leaves `pending`.
    database: OnceLock<Database>,
    path: PathBuf,
    log: WriteAheadLog,
    pending: PendingWrites,
    progress: Progress,
    blobs: BlobsFolder,
    reserve: Reserve,
    options: Options,
    poison: Poison,
}

impl SledEngine {
    /// Opens the database of `directory`, and creates it if the archive has never had one.
    ///
    /// Fails with [`OpenError::Damaged`], [`OpenError::Incompatible`] or [`OpenError::Io`]. The files are then restored
    /// to their state before opening, so that repair remains possible, unless there was no space to copy what opening
    /// may overwrite. A warning is logged in that case.
    ///
    /// A database that lost its tail to damage opens as if the tail had never existed: see [`Self::open_checked`].
    pub fn open(directory: Arc<Directory>, options: Options) -> Result<Self, OpenError> {
        Self::open_checked(directory, options, |_| Ok(()))
    }

    /// As [`Self::open`], but lets the caller reject the database before anything is lost permanently: `check` compares
    /// the end of the log with the [watermark](super::watermark::Watermark). Its error becomes the reason of
    /// [`OpenError::Damaged`]. It may read but must not commit.
    pub fn open_checked(
        directory: Arc<Directory>,
        options: Options,
        check: impl FnOnce(&Self) -> Result<(), String>,
    ) -> Result<Self, OpenError> {
        let path = directory.database();
        compact::finish_replacement(&directory)?;
        if !path.exists() {
            create(&directory)?;
        }
        let folder = database::folder(&path);
        if !folder.exists() {
            // Nothing was ever applied, and opening changes nothing.
            return Self::open_unchecked(directory, path, options)?.start(None, check);
        }
        check_complete(&folder)?;
        remove_unfinished_snapshots(&folder).map_err(OpenError::io("remove unfinished snapshots in", &folder))?;
        let Surveyed { condition, overwritten } = survey_log(&folder)?;
        let recovery_warning = match condition {
            Survey::Intact => None,
            Survey::PartlyUnreadable(reason) => Some(reason),
            Survey::TailUnreadable(reason) => return Err(OpenError::Damaged { path: folder, reason }),
        };
        let preimage = Preimage::plan(&folder, &directory.before_opening(), overwritten);
        let preimage = save_preimage(preimage.map_err(OpenError::io("read", &folder))?, &folder, options)?;
        let trimmed = preimage::covered(&folder).and_then(|covered| segments::remove_unused(&folder, covered));
        trimmed.map_err(OpenError::io("shorten the log in", &folder))?;
        let removed = reserve::release_when_full(directory.path());
        let removed = removed.map_err(OpenError::io("make room in", directory.path()))?;
        // We keep `directory`: if the engine is rejected, the lock must not be released before everything is restored.
        let opened = Self::open_unchecked(Arc::clone(&directory), path, options);
        reserve::reclaim(directory.path(), removed);
        let opened = opened.and_then(|engine| engine.start(recovery_warning, check));
        if let Some(preimage) = preimage {
            if opened.is_err() {
                restore(&directory, &folder, &preimage)?;
            }
            preimage.discard().map_err(OpenError::io("remove", preimage.folder()))?;
        }
        opened
    }

    /// Opens the database at `path`. Nothing is applied before [`Self::start_applier`].
    fn open_unchecked(directory: Arc<Directory>, path: PathBuf, options: Options) -> Result<Self, OpenError> {
        let folder = database::folder(&path);
        let opened = folder.exists().then(|| Database::open(&folder, options)).transpose()?;
        let (database, applied) = opened.map_or((None, 0), |(database, applied)| (Some(database), applied));
        let (log, lacking) = WriteAheadLog::open(&path.join(LOG_FOLDER), applied).map_err(|error| match error {
            LogError::Io(error) => OpenError::io("read", &path.join(LOG_FOLDER))(error),
            LogError::Damaged(reason) => {
                OpenError::Damaged { path: path.clone(), reason: format!("the write-ahead log is damaged: {reason}") }
            }
        })?;
        let pending = PendingWrites::default();
        for (number, writes) in lacking {
            pending.add_logged(number, writes);
        }
        let shared = Shared {
            database: database.map_or_else(OnceLock::new, OnceLock::from),
            progress: Progress::new(log.last(), applied),
            blobs: BlobsFolder::new(&folder),
            reserve: Reserve::new(directory.path()),
            poison: Poison::default(),
            path,
            log,
            pending,
            options,
        };
        Ok(Self { applier: None, shared: Arc::new(shared), recovery_warning: None, directory })
    }

    /// Starts the applier, if `check` accepts what was opened.
    fn start(
        mut self,
        recovery_warning: Option<String>,
        check: impl FnOnce(&Self) -> Result<(), String>,
    ) -> Result<Self, OpenError> {
        self.recovery_warning = recovery_warning;
        check(&self).map_err(|reason| OpenError::Damaged { path: self.shared.path.clone(), reason })?;
        self.start_applier()?;
        Ok(self)
    }

    fn start_applier(&mut self) -> Result<(), OpenError> {
        let applier = Applier::start(&self.shared);
        self.applier = Some(applier.map_err(OpenError::io("start a thread for", &self.shared.path))?);
        Ok(())
    }

    /// Describes the part of the log that sled dropped when it opened the database. It was either torn by a crash and
    /// never acknowledged, or it is lost; only checking the stored data can tell.
    #[must_use]
    pub fn recovery_warning(&self) -> Option<&str> {
        self.recovery_warning.as_deref()
    }
}

impl Shared {
    fn free_bytes(&self) -> Result<u64, EngineError> {
        free_bytes(&self.path).map_err(|error| EngineError::Failed(format!("statvfs failed: {error}")))
    }

    /// Fails with [`EngineError::Full`] unless enough space is free that this many bytes can be written and applied.
    fn check_space(&self, bytes: u64, floor_bytes: u64) -> Result<(), EngineError> {
        let needed_bytes = bytes.saturating_add(self.bytes_to_apply());
        spare_bytes(self.free_bytes()?, needed_bytes, floor_bytes).map(drop)
    }

    /// The disk space that sled needs for what is pending.
    fn bytes_to_apply(&self) -> u64 {
        let pending_bytes = u64::try_from(self.pending.bytes()).unwrap_or(u64::MAX);
        let creation_bytes = if self.database.get().is_none() { CREATION_BYTES } else { 0 };
        pending_bytes.saturating_mul(APPLIED_PER_PENDING).saturating_add(creation_bytes)
    }

    /// sled's database, which is created if there is none yet. Only the applier calls this.
    fn database(&self) -> Result<&Database, EngineError> {
        if let Some(database) = self.database.get() {
            return Ok(database);
        }
        let created = Database::create(&self.path, self.options);
        let created = created.map_err(|error| EngineError::Failed(format!("sled's database: {error}")))?;
        Ok(self.database.get_or_init(|| created))
    }

    /// Writes a batch to a tree of sled, and syncs it.
    fn write(&self, database: &Database, tree: &::sled::Tree, writes: ::sled::Batch) -> Result<(), EngineError> {
        guarded(|| {
            tree.apply_batch(writes)?;
            database.db.flush()
        })?;
        database.file.0.sync_data().map_err(|error| EngineError::Failed(format!("sync failed: {error}")))?;
        self.grow_reserve(database);
        Ok(())
    }

    /// Grows the reserve if there is space. If that is unknown, a later write grows it.
    fn grow_reserve(&self, database: &Database) {
        if let Ok(free_bytes) = self.free_bytes() {
            self.reserve.grow(&database.file.0, free_bytes.saturating_sub(self.options.free_space_floor_bytes));
        }
    }
}

impl Read for SledEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        if let Some(pending) = self.shared.pending.get(key) {
            return Ok(pending.map(|value| value.to_vec()));
        }
        let Some(database) = self.shared.database.get() else { return Ok(None) };
        guarded(|| database.db.get(key)).map(|value| value.map(|value| value.to_vec()))
    }

    fn scan(&self, range: KeyRange, direction: Direction) -> Scan<'_> {
        Box::new(SledScan::new(&self.shared.database, &self.shared.pending, range, direction))
    }
}

impl Engine for SledEngine {
    fn commit(&self, batch: &Batch) -> Result<(), EngineError> {
        let shared = &self.shared;
        shared.poison.check()?;
        batch.check_sizes()?;
        let floor_bytes = shared.options.free_space_floor_bytes / if batch.maintenance { MAINTENANCE_SHARE } else { 1 };
        match shared.wait_for_room(floor_bytes).and_then(|()| shared.check_space(batch.bytes(), floor_bytes)) {
            Err(EngineError::Full { free_bytes, floor_bytes }) => {
                return Err(EngineError::Full { free_bytes, floor_bytes });
            }
            checked => shared.poison.watch(checked)?,
        }
        let commit = match shared.log.append(batch) {
            Ok(commit) => commit,
            Err(AppendError::Full(error)) => {
                tracing::warn!(%error, "there is no space for another file of the write-ahead log");
                return Err(EngineError::Full { free_bytes: shared.free_bytes()?, floor_bytes });
            }
            Err(AppendError::Failed(error)) => {
                shared.poison.watch(Err(EngineError::Failed(format!("the write-ahead log: {error}"))))?
            }
        };
        shared.add_pending(commit, batch);
        // Until something is applied, nothing else reserves space for opening sled's database.
        match shared.database.get() {
            Some(database) if shared.reserve.is_unset() => shared.grow_reserve(database),
            Some(_) | None => {}
        }
        Ok(())
    }

    fn has_room(&self) -> Result<(), EngineError> {
        self.shared.check_space(ORDINARY_COMMIT_BYTES, self.shared.options.free_space_floor_bytes)
    }

    fn disk_bytes(&self) -> Result<u64, EngineError> {
        let entries = match fs::read_dir(database::folder(&self.shared.path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self.shared.log.bytes()),
            entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>),
        };
        let entries = entries.map_err(|error| EngineError::Failed(error.to_string()))?;
        // A snapshot may disappear while sizes are added up.
        let database: u64 =
            entries.iter().filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.blocks() * 512).sum();
        Ok(database + self.shared.log.bytes())
    }

    fn free_bytes(&self) -> Result<Option<u64>, EngineError> {
        self.shared.free_bytes().map(Some)
    }

    fn stats(&self) -> EngineStats {
        self.shared.stats()
    }

    #[cfg(any(test, feature = "internals"))]
    fn settle(&self) -> Result<(), EngineError> {
        self.shared.settle()
    }
}

/// Our own handle on the file `db`: to sync it, and to detect when sled has closed its handle. Dropping waits for that.
struct DatabaseFile(File);

impl DatabaseFile {
    fn open(database: &Path) -> io::Result<Self> {
        own_file::write(&database.join("db")).map(Self)
    }

    /// Waits until sled releases its lock on the file, which happens when the last of its tasks has ended.
    fn wait_until_closed(&self) -> io::Result<()> {
        let begun = Instant::now();
        loop {
            match self.0.try_lock() {
                Ok(()) => return self.0.unlock(),
                Err(TryLockError::WouldBlock) if begun.elapsed() < CLOSE_DEADLINE => std::thread::sleep(CLOSE_POLL),
                Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::TimedOut.into()),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

impl Drop for DatabaseFile {
    fn drop(&mut self) {
        if let Err(error) = self.wait_until_closed() {
            tracing::error!(%error, "the database was not closed");
        }
    }
}

/// Creates the database under a temporary name and renames it when it is complete and synced, so that a database under
/// the final name is always complete.
fn create(directory: &Directory) -> Result<(), OpenError> {
    let path = directory.database();
    let watermark =
        Watermark::open(directory.path()).map_err(OpenError::io("read the watermark in", directory.path()))?;
    if watermark.read().is_some() {
        return Err(OpenError::Damaged { path, reason: "the folder is missing".to_owned() });
    }
    let new = directory.new_database();
    if new.exists() {
        directory.quarantine(&new).map_err(OpenError::io("move away", &new))?;
    }
    initialize(&new)?;
    sync_creation(&new).map_err(OpenError::io("sync", &new))?;
    fs::rename(&new, &path).map_err(OpenError::io("rename", &new))?;
    sync_directory(directory.path()).map_err(OpenError::io("sync", directory.path()))
}

/// Creates an empty database at `path`: an empty write-ahead log. The folder is not synced.
fn initialize(path: &Path) -> Result<(), OpenError> {
    let created = own_folder::create(path).and_then(|()| WriteAheadLog::create(&path.join(LOG_FOLDER)));
    created.map_err(OpenError::io("create", path))
}

/// Makes the names in a closed database durable.
fn sync_creation(path: &Path) -> io::Result<()> {
    let folder = database::folder(path);
    if folder.exists() {
        database::sync_names(&folder)?;
    }
    sync_entries(path, &[LOG_FOLDER, "."])
}

fn sync_entries(folder: &Path, names: &[&str]) -> io::Result<()> {
    names.iter().try_for_each(|name| File::open(folder.join(name))?.sync_all())
}

/// Rejects a database with missing files. This must happen before opening, which creates missing files as empty ones.
fn check_complete(path: &Path) -> Result<(), OpenError> {
    let damaged = |reason: String| OpenError::Damaged { path: path.to_path_buf(), reason };
    // sled treats a file of at most this size as empty: 8 bytes of a configuration, 20 of the first segment's header.
    for (name, empty_bytes) in [("conf", 8), ("db", 20)] {
        match fs::metadata(path.join(name)) {
            Ok(metadata) if metadata.len() > empty_bytes => {}
            Ok(_) => return Err(damaged(format!("the file `{name}` is empty"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged(format!("the file `{name}` is missing")));
            }
            Err(error) => return Err(OpenError::io("read", &path.join(name))(error)),
        }
    }
    match first_blob(path) {
        Ok(None) => Ok(()),
        Ok(Some(blob)) => Err(damaged(format!("it contains {}, which Dateline never writes", blob.display()))),
        Err(error) => Err(OpenError::io("list", &path.join("blobs"))(error)),
    }
}

fn remove_unfinished_snapshots(path: &Path) -> io::Result<()> {
    let snapshots = preimage::snapshots(path)?.into_iter();
    let mut unfinished = snapshots.filter(|path| path.extension().is_some_and(|extension| extension == "generating"));
    unfinished.try_for_each(fs::remove_file)
}

/// Reads the log that is about to be opened.
fn survey_log(path: &Path) -> Result<Surveyed, OpenError> {
    let surveyed = preimage::covered(path).and_then(|covered| segments::survey(path, covered));
    surveyed.map_err(OpenError::io("read", path))
}

/// Copies what opening may overwrite, after removing the copy of a process that was killed while opening. Returns
/// `None` if there is no space for the copy: an archive must open on a full disk, too.
fn save_preimage(preimage: Preimage, path: &Path, options: Options) -> Result<Option<Preimage>, OpenError> {
    preimage.discard().map_err(OpenError::io("remove", preimage.folder()))?;
    let free_bytes = free_bytes(path).map_err(OpenError::io("look at the disk of", path))?;
    if free_bytes.saturating_sub(preimage.bytes()) < options.free_space_floor_bytes {
        tracing::warn!(free_bytes, needed_bytes = preimage.bytes(), "no space to undo the opening if it fails");
        return Ok(None);
    }
    if !has_inodes(path, PREIMAGE_INODES).map_err(OpenError::io("look at the disk of", path))? {
        tracing::warn!("no inodes are free to undo the opening if it fails; `df -i` shows them");
        return Ok(None);
    }
    preimage.save().map_err(OpenError::io("copy the end of", path))?;
    Ok(Some(preimage))
}

/// Restores everything that a failed opening may have overwritten. If that fails, the copy is moved to quarantine.
fn restore(directory: &Directory, path: &Path, preimage: &Preimage) -> Result<(), OpenError> {
    let closed = DatabaseFile::open(path).and_then(|log| log.wait_until_closed());
    closed.and_then(|()| preimage.restore()).map_err(|source| {
        // The copy is all that remains of what was overwritten: the next opening must not replace it.
        let path = directory.quarantine(preimage.folder()).unwrap_or_else(|_| preimage.folder().to_path_buf());
        OpenError::Io { action: "restore the database from the copy in", path, source }
    })
}

/// The free space above the floor that remains after a commit of this many bytes.
fn spare_bytes(free_bytes: u64, commit_bytes: u64, floor_bytes: u64) -> Result<u64, EngineError> {
    let spare_bytes = free_bytes.checked_sub(commit_bytes.saturating_add(floor_bytes));
    spare_bytes.ok_or(EngineError::Full { free_bytes, floor_bytes })
}

fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Whether this many files can be created. A file system that does not count inodes has no limit.
fn has_inodes(path: &Path, count: u64) -> io::Result<bool> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_files == 0 || disk.f_favail >= count)
}

/// Clarifies an error about a full disk: the system reports a lack of inodes in the same way as a lack of space.
fn explain_full_disk(path: &Path, error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::StorageFull && matches!(has_inodes(path, 1), Ok(false)) {
        return io::Error::new(
            error.kind(),
            format!("{error}: no inodes are free (`df -i` shows them); remove some files"),
        );
    }
    error
}

fn open_database(path: &Path, options: Options) -> Result<::sled::Db, OpenError> {
    open_collecting(path, options, Some(FLUSH_EVERY_MS))
}

/// Opens a database whose flush thread, which collects garbage, runs at this interval in milliseconds; `None` if it does not.
fn open_collecting(path: &Path, options: Options, flush_every_ms: Option<u64>) -> Result<::sled::Db, OpenError> {
    // sled's files get the modes of the umask. In a folder with mode 0700 no other user can exploit that, even briefly.
    if !path.exists() {
        own_folder::create(path).map_err(OpenError::io("create", path))?;
    }
    let config = ::sled::Config::new()
        .path(path)
        .segment_size(SEGMENT_BYTES)
        .flush_every_ms(flush_every_ms)
        .cache_capacity(options.cache_bytes);
    let damaged = |reason| OpenError::Damaged { path: path.to_path_buf(), reason };
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(::sled::Error::Io(error))) => Err(OpenError::io("open", path)(explain_full_disk(path, error))),
        Ok(Err(::sled::Error::Unsupported(reason))) => {
            Err(OpenError::Incompatible { path: path.to_path_buf(), reason })
        }
        Ok(Err(error)) => Err(damaged(error.to_string())),
        Err(panic) => Err(damaged(panic_message(panic.as_ref()))),
    }
}

/// Runs a call into sled, and turns every failure, including a panic, into an error.
fn guarded<T>(call: impl FnOnce() -> ::sled::Result<T>) -> Result<T, EngineError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(::sled::Error::Corruption { at, .. })) => {
            let place = at.map_or_else(String::new, |at| format!(" at byte {} of its file", at.lid()));
            Err(EngineError::Damaged(format!("sled found data that it cannot read{place}")))
        }
        Ok(Err(error)) => Err(EngineError::Failed(error.to_string())),
        Err(panic) => Err(EngineError::Failed(panic_message(panic.as_ref()))),
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("sled panicked: {}", message.unwrap_or("no message"))
}
