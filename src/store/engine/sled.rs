//! The engine on disk: sled 0.34.7, used so that it keeps its promises.
//!
//! What sled does not do by itself, and this module does:
//! - `flush` syncs neither metadata nor the drive's cache. A commit also syncs the data of the file `db`
//!   through a handle of ours, and only then returns;
//! - a page above a quarter of a segment goes to a file in `blobs/` that is never synced. Segments are as large
//!   as keeps every page inside ([`super::VALUE_BYTES_MAX`]), and a file there fails the opening or the commit;
//! - a process killed while it opens leaves `snap.*.generating`, which the next opening takes for the newest
//!   snapshot and fails on. It is removed, for all that it holds is in the log, and the room may be needed for the next
//!   one. A finished `snap.*` is never touched;
//! - sled silently starts an empty database where files of an old one are gone. That is refused;
//! - sled recovers by cutting off what it cannot read, also when it then fails to open, and also when that was
//!   acknowledged. An opening that fails puts everything back ([`preimage`]);
//! - dropping a database leaves tasks of sled's thread pool behind that still hold, and may still cut, its file.
//!   Closing waits until they have let go of sled's own lock, before anything else touches the file;
//! - sled writes when it opens and when it reads, and fails where a disk has no room for that. Some is kept ([`reserve`]);
//! - sled panics where it should return errors. Each call runs under `catch_unwind`. The panic hook is global
//!   and belongs to the binary, so it still reports the panic before the error comes back.
//!
//! - sled drops what it cannot read of the log, also from the midst of what was acknowledged, and says nothing. The log is
//!   read before it is opened ([`segments`]), and where something will be dropped, [`SledEngine::recovery_warning`] tells it, so that
//!   the layers above look whether anything is missing. Where sled would go on writing to a segment that it cannot read
//!   at the next opening, opening is refused. What was written before the last opening is safe from that: sled's snapshot
//!   points at it, and reading it fails with [`EngineError::Damaged`].
//!
//! Reads take no lock of this module, so a commit that hangs in a sync does not hold them up. sled's own
//! lock is held during `apply_batch` only.

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

use self::blobs::{Blobs, first_blob};
use self::preimage::Preimage;
use self::reserve::Reserve;
use self::segments::Survey;
use super::directory::{Directory, sync_directory};
use super::poison::Poison;
use super::watermark::Watermark;
use super::{Batch, Direction, Engine, EngineError, Entry, KeyRange, OpenError, Read, Scan, own_file, own_folder};

/// Fixed when a database is created. A page above a quarter of it would leave the log.
const SEGMENT_BYTES: usize = 8 << 20;
/// Upkeep may leave this part of the floor. What is left is for sled, which moves pages by itself.
const UPKEEP_SHARE: u64 = 4;
/// Hardly an article is larger, so that none is refused where there is said to be room.
const ORDINARY_COMMIT_BYTES: u64 = 1 << 20;
/// sled collects garbage in its flush thread, and nowhere else.
const FLUSH_EVERY_MS: u64 = 500;
/// What the copy of what an opening may overwrite takes: a folder, a file, and a link for each of two snapshots; and one more
/// for the snapshot that the opening writes.
const PREIMAGE_INODES: u64 = 5;
/// How long sled's tasks may take to let go of a database that was closed.
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);
const CLOSE_POLL: Duration = Duration::from_millis(1);

/// How to run the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The size of sled's cache, which overshoots it up to 2.6 times. Default 64 MiB.
    pub cache_bytes: u64,
    /// Commits are refused when they would leave less than this free on the disk, and those of [maintenance](Batch::maintenance)
    /// when they would leave less than a quarter of it. Default 256 MiB.
    pub free_space_floor_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, free_space_floor_bytes: 256 << 20 }
    }
}

/// An open database. Dropping it closes it, which waits for sled's thread; the archive is then free for others.
pub struct SledEngine {
    // These are dropped in order: the database is closed, then waited for, then the archive is let go.
    db: ::sled::Db,
    log: Log,
    path: PathBuf,
    blobs: Blobs,
    reserve: Reserve,
    free_space_floor_bytes: u64,
    poison: Poison,
    recovery_warning: Option<String>,
    directory: Arc<Directory>,
}

impl SledEngine {
    /// Opens the database of `directory`, and creates it if this archive never had one.
    ///
    /// Fails with [`OpenError::Damaged`], [`OpenError::Incompatible`] or [`OpenError::Io`]. The files are then as
    /// they were before, so that what is wrong with them can still be mended. They are not if there was no room to
    /// copy what opening may overwrite, which is logged.
    ///
    /// A database that lost its tail to damage opens as if that had never been: see [`Self::open_checked`].
    pub fn open(directory: Arc<Directory>, options: Options) -> Result<Self, OpenError> {
        Self::open_checked(directory, options, |_| Ok(()))
    }

    /// As [`Self::open`], and gives the caller a say before anything is lost for good: `check` compares the end of
    /// the log with the [watermark](super::watermark::Watermark). Its error becomes the reason of
    /// [`OpenError::Damaged`]. It may read, and must not commit.
    pub fn open_checked(
        directory: Arc<Directory>,
        options: Options,
        check: impl FnOnce(&Self) -> Result<(), String>,
    ) -> Result<Self, OpenError> {
        let path = directory.database();
        if !path.exists() {
            create(&directory, options)?;
        }
        refuse_incomplete(&path)?;
        remove_unfinished_snapshots(&path).map_err(OpenError::io("remove unfinished snapshots in", &path))?;
        let recovery_warning = survey_log(&path)?;
        let preimage = save_preimage(&directory, options)?;
        let removed = reserve::give_up_when_full(directory.path());
        let removed = removed.map_err(OpenError::io("make room in", directory.path()))?;
        // `directory` is held on to: the lock must not go with an engine that is refused, before all is put back.
        let opened = Self::open_as_it_is(Arc::clone(&directory), path.clone(), options);
        reserve::take_back(directory.path(), removed);
        let opened = opened.and_then(|engine| {
            let engine = Self { recovery_warning, ..engine };
            match check(&engine) {
                Ok(()) => Ok(engine),
                Err(reason) => Err(OpenError::Damaged { path, reason }),
            }
        });
        if let Some(preimage) = preimage {
            settle(&directory, &preimage, opened.is_err())?;
        }
        opened
    }

    fn open_as_it_is(directory: Arc<Directory>, path: PathBuf, options: Options) -> Result<Self, OpenError> {
        let db = open_database(&path, options)?;
        own_folder::narrow_all(&path).map_err(OpenError::io("open", &path))?;
        // The snapshot that sled has just written replaced an older one: make both durable.
        sync_directory(&path).map_err(OpenError::io("sync", &path))?;
        let log = Log::open(&path).map_err(OpenError::io("open", &path.join("db")))?;
        let (blobs, reserve, poison) = (Blobs::of(&path), Reserve::of(directory.path()), Poison::default());
        let free_space_floor_bytes = options.free_space_floor_bytes;
        Ok(Self { db, log, path, blobs, reserve, free_space_floor_bytes, poison, recovery_warning: None, directory })
    }

    /// What of the log was not taken in when it was opened. It was torn by a crash and never acknowledged, or it is lost:
    /// what is stored tells.
    #[must_use]
    pub fn recovery_warning(&self) -> Option<&str> {
        self.recovery_warning.as_deref()
    }

    /// The archive that this database belongs to.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
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
        batch.refuse_oversized()?;
        let floor_bytes = self.free_space_floor_bytes / if batch.maintenance { UPKEEP_SHARE } else { 1 };
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
        // A snapshot may go while it is counted.
        Ok(entries.iter().filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.blocks() * 512).sum())
    }
}

/// A handle of ours on the file `db`: to sync it, and to see when sled has closed its own. Dropping waits for that.
struct Log(File);

impl Log {
    fn open(database: &Path) -> io::Result<Self> {
        own_file::write(&database.join("db")).map(Self)
    }

    /// Waits until the lock is free that sled has on the file, which is when the last of its tasks is done.
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

impl Drop for Log {
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

/// Creates the database under another name and renames it when it is complete and synced, so that what bears
/// the name is complete.
fn create(directory: &Directory, options: Options) -> Result<(), OpenError> {
    let path = directory.database();
    let watermark =
        Watermark::open(directory.path()).map_err(OpenError::io("read the watermark in", directory.path()))?;
    if watermark.read().is_some() {
        return Err(OpenError::Damaged { path, reason: "the folder is gone".to_owned() });
    }
    let new = directory.new_database();
    if new.exists() {
        directory.quarantine(&new).map_err(OpenError::io("move away", &new))?;
    }
    drop(open_database(&new, options)?);
    let closed = Log::open(&new).and_then(|log| log.wait_until_closed());
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

/// Opening makes an empty file of whatever is missing, so what is incomplete is found before.
fn refuse_incomplete(path: &Path) -> Result<(), OpenError> {
    let damaged = |reason: String| OpenError::Damaged { path: path.to_path_buf(), reason };
    // Up to these sizes sled takes a file for empty: a configuration, and the header of a first segment.
    for (name, empty_bytes) in [("conf", 8), ("db", 20)] {
        match fs::metadata(path.join(name)) {
            Ok(metadata) if metadata.len() > empty_bytes => {}
            Ok(_) => return Err(damaged(format!("the file `{name}` is empty"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged(format!("the file `{name}` is gone")));
            }
            Err(error) => return Err(OpenError::io("read", &path.join(name))(error)),
        }
    }
    match first_blob(path) {
        Ok(None) => Ok(()),
        Ok(Some(blob)) => Err(damaged(format!("it holds {}, which Dateline never writes", blob.display()))),
        Err(error) => Err(OpenError::io("list", &path.join("blobs"))(error)),
    }
}

fn remove_unfinished_snapshots(path: &Path) -> io::Result<()> {
    let snapshots = preimage::snapshots(path)?.into_iter();
    snapshots.filter(|path| path.extension().is_some_and(|end| end == "generating")).try_for_each(fs::remove_file)
}

/// Reads the log that is about to be opened. Answers what will not be taken in.
fn survey_log(path: &Path) -> Result<Option<String>, OpenError> {
    let surveyed = preimage::covered(path).and_then(|covered| segments::survey(path, covered));
    match surveyed.map_err(OpenError::io("read", path))? {
        Survey::Whole => Ok(None),
        Survey::Doubtful(reason) => Ok(Some(reason)),
        Survey::Severed(reason) => Err(OpenError::Damaged { path: path.to_path_buf(), reason }),
    }
}

/// Copies what opening may overwrite. None if there is no room for it: an archive opens on a full disk, too. What a process
/// that was killed while opening left is removed.
fn save_preimage(directory: &Directory, options: Options) -> Result<Option<Preimage>, OpenError> {
    let path = directory.database();
    let preimage = Preimage::plan(&path, &directory.before_opening()).map_err(OpenError::io("read", &path))?;
    preimage.discard().map_err(OpenError::io("remove", preimage.folder()))?;
    let free_bytes = free_bytes(&path).map_err(OpenError::io("look at the disk of", &path))?;
    if free_bytes.saturating_sub(preimage.bytes()) < options.free_space_floor_bytes {
        tracing::warn!(free_bytes, needed_bytes = preimage.bytes(), "no room to undo the opening if it should fail");
        return Ok(None);
    }
    if !has_inodes(&path, PREIMAGE_INODES).map_err(OpenError::io("look at the disk of", &path))? {
        tracing::warn!("no inodes are free to undo the opening if it should fail; `df -i` shows them");
        return Ok(None);
    }
    preimage.save().map_err(OpenError::io("copy the end of", &path))?;
    Ok(Some(preimage))
}

/// Puts everything back after a failure, and removes the copy.
fn settle(directory: &Directory, preimage: &Preimage, failed: bool) -> Result<(), OpenError> {
    let restore = || Log::open(&directory.database())?.wait_until_closed().and_then(|()| preimage.restore());
    if failed && let Err(source) = restore() {
        // The copy is all that is left of what was overwritten: the next opening must not replace it.
        let path = directory.quarantine(preimage.folder()).unwrap_or_else(|_| preimage.folder().to_path_buf());
        return Err(OpenError::Io { action: "put the database back as it was from the copy in", path, source });
    }
    preimage.discard().map_err(OpenError::io("remove", preimage.folder()))
}

/// What is still free above the floor after a commit of so many bytes.
fn spare_bytes(free_bytes: u64, commit_bytes: u64, floor_bytes: u64) -> Result<u64, EngineError> {
    let spare_bytes = free_bytes.saturating_sub(commit_bytes).checked_sub(floor_bytes);
    spare_bytes.ok_or(EngineError::Full { free_bytes, floor_bytes })
}

fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Whether this many files can be created. A file system that does not count its inodes has as many as are asked for.
fn has_inodes(path: &Path, count: u64) -> io::Result<bool> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_files == 0 || disk.f_favail >= count)
}

/// Says what is full: for want of inodes the system says the same as for want of room.
fn of_inodes(path: &Path, error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::StorageFull && matches!(has_inodes(path, 1), Ok(false)) {
        return io::Error::new(
            error.kind(),
            format!("{error}: no inodes are free (`df -i` shows them); remove some files"),
        );
    }
    error
}

fn open_database(path: &Path, options: Options) -> Result<::sled::Db, OpenError> {
    // sled's files get the modes of the umask. In a folder of this user alone no other user can use that, even for a moment.
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
        Ok(Err(::sled::Error::Io(error))) => Err(OpenError::io("open", path)(of_inodes(path, error))),
        Ok(Err(::sled::Error::Unsupported(reason))) => {
            Err(OpenError::Incompatible { path: path.to_path_buf(), reason })
        }
        Ok(Err(error)) => Err(damaged(error.to_string())),
        Err(panic) => Err(damaged(panic_message(panic.as_ref()))),
    }
}

/// Runs a call into sled, and makes an error of whatever goes wrong in it.
fn guarded<T>(call: impl FnOnce() -> ::sled::Result<T>) -> Result<T, EngineError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(::sled::Error::Corruption { at, .. })) => {
            let place = at.map_or_else(String::new, |at| format!(" at byte {} of its file", at.lid()));
            Err(EngineError::Damaged(format!("sled found what it cannot read{place}")))
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
