//! The engine on disk: sled 0.34.7, with workarounds for what it does not guarantee by itself.
//!
//! What sled does not do by itself, and what this module does about it:
//! - `flush` syncs neither metadata nor the drive's cache. A commit also syncs the data of the file `db` through a
//!   handle of our own, and returns only then.
//! - A page above a quarter of a segment goes to a file in `blobs/` that is never synced. Segments are large enough to
//!   hold every page ([`super::VALUE_BYTES_MAX`]), and a file in that folder fails the opening or the commit.
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
//! - sled panics where it should return errors. Each call runs under `catch_unwind`. The panic hook is global and
//!   belongs to the binary, so it still reports the panic before the error is returned.
//! - sled silently drops the parts of the log that it cannot read, even from the middle of acknowledged data. The log
//!   is read before it is opened ([`segments`]). If something will be dropped, [`SledEngine::recovery_warning`] says
//!   so, and the layers above check whether anything is missing. If sled would continue to write to a segment that it
//!   cannot read at the next opening, opening is rejected. Data from before the last opening is not at risk: sled's
//!   snapshot refers to it, and if it is damaged, reading it fails with [`EngineError::Damaged`].
//!
//! Reads take no lock of this module, so a commit that hangs in a sync does not block them. sled's own lock is held
//! only during `apply_batch`.

mod blobs;
mod preimage;
mod replacement;
mod reserve;
mod segments;

use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::blobs::{BlobsFolder, first_blob};
use self::preimage::Preimage;
use self::reserve::Reserve;
use self::segments::Survey;
use super::directory::{Directory, sync_directory};
use super::poison::Poison;
use super::watermark::Watermark;
use super::{Batch, Direction, Engine, EngineError, Entry, KeyRange, OpenError, Read, Scan, own_file, own_folder};

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

/// An open database. Dropping it closes the database, which waits for sled's threads, and then releases the archive.
pub struct SledEngine {
    // Fields are dropped in order: the database closes, `log` waits until it has, and then the archive is released.
    db: ::sled::Db,
    log: DatabaseFile,
    path: PathBuf,
    blobs: BlobsFolder,
    reserve: Reserve,
    free_space_floor_bytes: u64,
    poison: Poison,
    recovery_warning: Option<String>,
    directory: Arc<Directory>,
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
        if !path.exists() {
            create(&directory, options)?;
        }
        check_complete(&path)?;
        remove_unfinished_snapshots(&path).map_err(OpenError::io("remove unfinished snapshots in", &path))?;
        let recovery_warning = survey_log(&path)?;
        let preimage = save_preimage(&directory, options)?;
        let removed = reserve::release_when_full(directory.path());
        let removed = removed.map_err(OpenError::io("make room in", directory.path()))?;
        // We keep `directory`: if the engine is rejected, the lock must not be released before everything is restored.
        let opened = Self::open_unchecked(Arc::clone(&directory), path.clone(), options);
        reserve::reclaim(directory.path(), removed);
        let opened = opened.and_then(|engine| {
            let engine = Self { recovery_warning, ..engine };
            match check(&engine) {
                Ok(()) => Ok(engine),
                Err(reason) => Err(OpenError::Damaged { path, reason }),
            }
        });
        if let Some(preimage) = preimage {
            if opened.is_err() {
                restore(&directory, &preimage)?;
            }
            preimage.discard().map_err(OpenError::io("remove", preimage.folder()))?;
        }
        opened
    }

    fn open_unchecked(directory: Arc<Directory>, path: PathBuf, options: Options) -> Result<Self, OpenError> {
        let db = open_database(&path, options)?;
        own_folder::restrict_all(&path).map_err(OpenError::io("open", &path))?;
        // sled has just written a snapshot and removed an older one: make both durable.
        sync_directory(&path).map_err(OpenError::io("sync", &path))?;
        let log = DatabaseFile::open(&path).map_err(OpenError::io("open", &path.join("db")))?;
        let (blobs, reserve, poison) = (BlobsFolder::new(&path), Reserve::new(directory.path()), Poison::default());
        let free_space_floor_bytes = options.free_space_floor_bytes;
        Ok(Self { db, log, path, blobs, reserve, free_space_floor_bytes, poison, recovery_warning: None, directory })
    }

    /// Describes the part of the log that sled dropped when it opened the database. It was either torn by a crash and
    /// never acknowledged, or it is lost; only checking the stored data can tell.
    #[must_use]
    pub fn recovery_warning(&self) -> Option<&str> {
        self.recovery_warning.as_deref()
    }

    fn free_bytes(&self) -> Result<u64, EngineError> {
        free_bytes(&self.path).map_err(|error| EngineError::Failed(format!("statvfs failed: {error}")))
    }

    fn write(&self, batch: &Batch) -> Result<(), EngineError> {
        let mut writes = ::sled::Batch::default();
        for (key, value) in &batch.writes {
            match value {
                Some(value) => writes.insert(key.as_slice(), value.as_slice()),
                None => writes.remove(key.as_slice()),
            }
        }
        guarded(|| {
            self.db.apply_batch(writes)?;
            self.db.flush()
        })?;
        self.log.0.sync_data().map_err(|error| EngineError::Failed(format!("sync failed: {error}")))?;
        self.blobs.check()
    }
}

impl Read for SledEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        guarded(|| self.db.get(key)).map(|value| value.map(|value| value.to_vec()))
    }

    fn scan(&self, range: KeyRange, direction: Direction) -> Scan<'_> {
        let iter = self.db.range::<Vec<u8>, (Bound<Vec<u8>>, Bound<Vec<u8>>)>((range.start, range.end));
        Box::new(SledScan { iter, direction, failed: false })
    }
}

impl Engine for SledEngine {
    fn commit(&self, batch: &Batch) -> Result<(), EngineError> {
        self.poison.check()?;
        batch.check_sizes()?;
        let floor_bytes = self.free_space_floor_bytes / if batch.maintenance { MAINTENANCE_SHARE } else { 1 };
        let free_bytes = self.poison.watch(self.free_bytes())?;
        let spare_bytes = spare_bytes(free_bytes, batch.bytes(), floor_bytes)?;
        self.poison.watch(self.write(batch))?;
        self.reserve.grow(&self.log.0, spare_bytes);
        Ok(())
    }

    fn has_room(&self) -> Result<(), EngineError> {
        spare_bytes(self.free_bytes()?, ORDINARY_COMMIT_BYTES, self.free_space_floor_bytes).map(drop)
    }

    fn disk_bytes(&self) -> Result<u64, EngineError> {
        let entries = fs::read_dir(&self.path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(|error| EngineError::Failed(error.to_string()))?;
        // A snapshot may disappear while sizes are added up.
        Ok(entries.iter().filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.blocks() * 512).sum())
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

struct SledScan {
    iter: ::sled::Iter,
    direction: Direction,
    failed: bool,
}

impl Iterator for SledScan {
    type Item = Result<Entry, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let entry = guarded(|| match self.direction {
            Direction::Forward => self.iter.next().transpose(),
            Direction::Reverse => self.iter.next_back().transpose(),
        });
        self.failed = entry.is_err();
        entry.map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec()))).transpose()
    }
}

/// Creates the database under a temporary name and renames it when it is complete and synced, so that a database under
/// the final name is always complete.
fn create(directory: &Directory, options: Options) -> Result<(), OpenError> {
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
    drop(open_database(&new, options)?);
    let closed = DatabaseFile::open(&new).and_then(|log| log.wait_until_closed());
    closed.map_err(OpenError::io("close", &new))?;
    sync_creation(&new).map_err(OpenError::io("sync", &new))?;
    fs::rename(&new, &path).map_err(OpenError::io("rename", &new))?;
    sync_directory(directory.path()).map_err(OpenError::io("sync", directory.path()))
}

fn sync_creation(path: &Path) -> io::Result<()> {
    for name in ["conf", "db", "blobs", "."] {
        File::open(path.join(name))?.sync_all()?;
    }
    Ok(())
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

/// Reads the log that is about to be opened. Returns a description of what sled will drop, if anything.
fn survey_log(path: &Path) -> Result<Option<String>, OpenError> {
    let surveyed = preimage::covered(path).and_then(|covered| segments::survey(path, covered));
    match surveyed.map_err(OpenError::io("read", path))? {
        Survey::Intact => Ok(None),
        Survey::PartlyUnreadable(reason) => Ok(Some(reason)),
        Survey::TailUnreadable(reason) => Err(OpenError::Damaged { path: path.to_path_buf(), reason }),
    }
}

/// Copies what opening may overwrite, after removing the copy of a process that was killed while opening. Returns
/// `None` if there is no space for the copy: an archive must open on a full disk, too.
fn save_preimage(directory: &Directory, options: Options) -> Result<Option<Preimage>, OpenError> {
    let path = directory.database();
    let preimage = Preimage::plan(&path, &directory.before_opening()).map_err(OpenError::io("read", &path))?;
    preimage.discard().map_err(OpenError::io("remove", preimage.folder()))?;
    let free_bytes = free_bytes(&path).map_err(OpenError::io("look at the disk of", &path))?;
    if free_bytes.saturating_sub(preimage.bytes()) < options.free_space_floor_bytes {
        tracing::warn!(free_bytes, needed_bytes = preimage.bytes(), "no space to undo the opening if it fails");
        return Ok(None);
    }
    if !has_inodes(&path, PREIMAGE_INODES).map_err(OpenError::io("look at the disk of", &path))? {
        tracing::warn!("no inodes are free to undo the opening if it fails; `df -i` shows them");
        return Ok(None);
    }
    preimage.save().map_err(OpenError::io("copy the end of", &path))?;
    Ok(Some(preimage))
}

/// Restores everything that a failed opening may have overwritten. If that fails, the copy is moved to quarantine.
fn restore(directory: &Directory, preimage: &Preimage) -> Result<(), OpenError> {
    let closed = DatabaseFile::open(&directory.database()).and_then(|log| log.wait_until_closed());
    closed.and_then(|()| preimage.restore()).map_err(|source| {
        // The copy is all that remains of what was overwritten: the next opening must not replace it.
        let path = directory.quarantine(preimage.folder()).unwrap_or_else(|_| preimage.folder().to_path_buf());
        OpenError::Io { action: "restore the database from the copy in", path, source }
    })
}

/// The free space above the floor that remains after a commit of this many bytes.
fn spare_bytes(free_bytes: u64, commit_bytes: u64, floor_bytes: u64) -> Result<u64, EngineError> {
    let spare_bytes = free_bytes.saturating_sub(commit_bytes).checked_sub(floor_bytes);
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
    // sled's files get the modes of the umask. In a folder with mode 0700 no other user can exploit that, even briefly.
    if !path.exists() {
        own_folder::create(path).map_err(OpenError::io("create", path))?;
    }
    let config = ::sled::Config::new()
        .path(path)
        .segment_size(SEGMENT_BYTES)
        .flush_every_ms(Some(FLUSH_EVERY_MS))
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
