//! The directory of an archive: its entries, and how it is created, locked and identified.
//!
//! | entry | what |
//! | --- | --- |
//! | `VERSION` | one line, `dateline archive, layout 1`; this file makes a directory an archive |
//! | `LOCK` | the lock of the process that uses the archive ([`super::lock`]) |
//! | `ID` | the archive's id in hexadecimal, by which a process that does not hold the archive recognises its server |
//! | `socket` | the socket of the server that holds the archive, or of the last one, on which nothing listens any more |
//! | `WATERMARK` | how much of the log was durable ([`super::watermark`]) |
//! | `RESERVE` | disk space reserved for opening the database on a full disk; it has no content ([`super::sled`]) |
//! | `db/` | the database |
//! | `db.new/` | a database that is being created or rebuilt |
//! | `db.compact/` | a database that is being written by a compaction |
//! | `db.replaced/` | the database that a compaction replaced, until it is deleted |
//! | `before-opening/` | while a database is being opened: the copy to restore if that fails |
//! | `EXPUNGED` | the register of destructions, for restores; written once something was destroyed |
//! | `quarantine/` | files that were moved out of the way; they are never read, and deleted only with text that was destroyed |
//!
//! A directory becomes an archive when the complete and synced `VERSION` is renamed into place. If the process is
//! killed before that, the directory counts as empty, since it contains only `LOCK` and `VERSION.new`; afterwards, it
//! opens.

mod copy;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rustix::fs::{Access, CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use self::copy::CopyFolder;
use super::lock::{Holder, Lock, LockError};
use super::{OpenError, own_file, own_folder};

/// The layout that this build writes, and the highest that it can open.
pub const LAYOUT: u32 = 1;

/// The file with the archive's id, and its name while it is being written.
const ID: &str = "ID";

const VERSION_PREFIX: &str = "dateline archive, layout ";

/// The maximum number of bytes that are read from `VERSION` or `ID`.
const IDENTITY_BYTES_MAX: u64 = 4096;

/// The folder in which a new archive is built, inside a directory that is not an archive. So a new archive that is
/// complete but does not have its final name yet cannot be mistaken for an archive that somebody put there.
const UNFINISHED: &str = "unfinished";

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inspection {
    /// The path does not exist.
    Missing,
    /// A directory in which an archive may be created.
    Empty,
    /// An archive, perhaps of a layout that this build does not know.
    Archive {
        /// The version of the archive's layout.
        layout: u32,
    },
    /// Something else, with the reason why it is not an archive.
    Foreign(String),
}

/// An archive directory that this process holds.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    lock: Lock,
    /// Set if this is a private copy of an archive. Dropped last, which removes it.
    _copy: Option<CopyFolder>,
}

impl Directory {
    /// Determines what is at `path`, without changing anything.
    pub fn inspect(path: &Path) -> Result<Inspection, OpenError> {
        inspect(path).map_err(OpenError::io("look into", path))
    }

    /// Checks that an archive could be opened at `path`, or created there, as far as that shows without locking or
    /// changing anything. The database is not opened, so neither its format nor its content is checked.
    pub fn check(path: &Path) -> Result<(), OpenError> {
        must_be_archive_or_empty(path)?;
        // Of a path that does not exist yet, its closest parent is where it would be created.
        let existing = std::iter::successors(Some(path), |path| Some(parent(path))).find(|path| path.exists());
        let existing = existing.unwrap_or(path);
        if existing == path {
            own_folder::check(path).map_err(OpenError::io("open", path))?;
        }
        rustix::fs::access(existing, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| OpenError::io("write to", existing)(error.into()))
    }

    /// Locks the archive at `path`, which must exist.
    pub fn open(path: &Path, holder: Holder) -> Result<Self, OpenError> {
        if !must_be_archive_or_empty(path)? {
            return Err(OpenError::Missing { path: path.to_path_buf() });
        }
        Self::acquire(path, holder)
    }

    /// Locks the archive at `path`. If the path does not exist or is an empty directory, creates the archive.
    pub fn open_or_create(path: &Path, holder: Holder) -> Result<Self, OpenError> {
        must_be_archive_or_empty(path)?;
        create_directory(path).map_err(OpenError::io("create", path))?;
        let directory = Self::acquire(path, holder)?;
        // Another process may have created the archive, or put something else here, before we got the lock.
        if !must_be_archive_or_empty(path)? {
            write_version(path).map_err(OpenError::io("create an archive in", path))?;
        }
        Ok(directory)
    }

    /// Locks `path` as the place in which to build a new archive, which [`Self::finish`] then renames. Removes the
    /// remains of an earlier process that did not finish.
    pub fn begin(path: &Path, holder: Holder) -> Result<Self, OpenError> {
        must_be_unfinished_or_empty(path)?;
        create_directory(path).map_err(OpenError::io("create", path))?;
        let Self { lock, .. } = Self::acquire(path, holder)?;
        // The previous holder may have put something else here before we got the lock.
        must_be_unfinished_or_empty(path)?;
        let unfinished = path.join(UNFINISHED);
        remove_directory(&unfinished).map_err(OpenError::io("remove", &unfinished))?;
        create_directory(&unfinished).map_err(OpenError::io("create", &unfinished))?;
        Ok(Self { path: unfinished, lock, _copy: None })
    }

    /// Checks, before anything is built, that the new archive can be renamed to `to`. If `to` is an empty directory, it
    /// may be impossible to replace: a mount point, or another user's directory in a sticky folder. So the exchange is
    /// tried and undone. On a file system that cannot exchange two names, a problem shows only at the end.
    pub fn try_name(&self, to: &Path) -> io::Result<()> {
        if !to.is_dir() {
            return Ok(());
        }
        let exchange = || renameat_with(CWD, &self.path, CWD, to, RenameFlags::EXCHANGE);
        match exchange() {
            Err(Errno::INVAL | Errno::NOSYS) => Ok(()),
            tried => Ok(tried.and_then(|()| exchange())?),
        }
    }

    /// Completes the new archive and renames it to `to`, which must not exist or be an empty directory. Its database
    /// must be closed.
    pub fn finish(&self, to: &Path) -> io::Result<()> {
        write_version(&self.path)?;
        fs::rename(&self.path, to)?;
        sync_directory(parent(to))?;
        // If this fails, what remains is a folder with nothing but the lock, which does no harm.
        drop(self.discard());
        Ok(())
    }

    /// Removes the unfinished archive and the directory it is in.
    pub fn discard(&self) -> io::Result<()> {
        remove_directory(&self.path)?;
        fs::remove_dir_all(parent(&self.path))
    }

    fn acquire(path: &Path, holder: Holder) -> Result<Self, OpenError> {
        own_folder::claim(path).map_err(OpenError::io("open", path))?;
        let path = path.to_path_buf();
        match Lock::acquire(&path.join("LOCK"), &holder) {
            Ok(lock) => Ok(Self { path, lock, _copy: None }),
            Err(LockError::Held(holder)) => Err(OpenError::InUse { path, holder: holder.map(Box::new) }),
            Err(LockError::Io(source)) => Err(OpenError::Io { action: "lock", path, source }),
        }
    }

    /// The path of the archive directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path.join("db")
    }

    /// The path at which a database is created, before it is renamed to [`Self::database`].
    #[must_use]
    pub fn new_database(&self) -> PathBuf {
        self.path.join("db.new")
    }

    /// The path at which a compaction writes the new database.
    #[must_use]
    pub fn compact_database(&self) -> PathBuf {
        self.path.join("db.compact")
    }

    /// The path of the database that a compaction replaced, until it is deleted.
    #[must_use]
    pub fn replaced_database(&self) -> PathBuf {
        self.path.join("db.replaced")
    }

    /// What everything in the directory takes on the disk, in bytes.
    pub fn disk_bytes(&self) -> io::Result<u64> {
        disk_bytes(&self.path)
    }

    /// The free space on its disk, in bytes.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.path)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// The path of the copy of everything that opening the database may overwrite. It exists until opening has
    /// succeeded.
    #[must_use]
    pub fn before_opening(&self) -> PathBuf {
        self.path.join("before-opening")
    }

    /// Stores the archive's id for [`Self::read_id`], unless it is already stored.
    pub fn store_id(&self, id: &[u8; 16]) -> io::Result<()> {
        if Self::read_id(&self.path)?.as_ref() == Some(id) {
            return Ok(());
        }
        self.replace_file(ID, format!("{}\n", HEXLOWER.encode(id)).as_bytes())
    }

    /// Creates or replaces a file next to the database, durably: it has either its old bytes or all of the new ones.
    pub fn replace_file(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        own_file::replace(&self.path.join(name), bytes)
    }

    /// Opens a file next to the database for reading; `None` if it does not exist.
    pub fn read_file(&self, name: &str) -> io::Result<Option<File>> {
        match own_file::read(&self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => file.map(Some),
        }
    }

    /// The id of the archive at `path`, which another process may hold. `None` if the file is missing, because no
    /// version of Dateline that writes it has opened the archive, or if it is malformed.
    pub fn read_id(path: &Path) -> io::Result<Option<[u8; 16]>> {
        let file = match own_file::read(&path.join(ID)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut line = Vec::new();
        file.take(IDENTITY_BYTES_MAX).read_to_end(&mut line)?;
        Ok(HEXLOWER.decode(line.trim_ascii_end()).ok().and_then(|id| id.try_into().ok()))
    }

    /// The path of the socket on which the server of the archive in `path` listens.
    #[must_use]
    pub fn socket(path: &Path) -> PathBuf {
        path.join("socket")
    }

    /// Moves `path`, a file or folder of this archive, to `quarantine/` and returns the new path.
    pub fn quarantine(&self, path: &Path) -> io::Result<PathBuf> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let quarantine = self.path.join("quarantine");
        create_directory(&quarantine)?;
        if !fs::symlink_metadata(&quarantine)?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "quarantine is a symbolic link; remove it"));
        }
        let destination = create_numbered(&quarantine)?.join(name);
        fs::rename(path, &destination)?;
        for changed in [destination.parent(), Some(&quarantine), Some(&self.path), path.parent()].into_iter().flatten()
        {
            sync_directory(changed)?;
        }
        tracing::info!(from = %path.display(), to = %destination.display(), "moved out of the way");
        Ok(destination)
    }

    /// Deletes everything that was moved to `quarantine/`, which may have text that was destroyed.
    pub fn empty_quarantine(&self) -> io::Result<()> {
        let quarantine = self.path.join("quarantine");
        if !quarantine.is_dir() {
            return Ok(());
        }
        remove_directory(&quarantine)?;
        tracing::warn!(path = %quarantine.display(), "deleted what was moved out of the way, with destroyed text");
        sync_directory(&self.path)
    }
}

/// What a directory and everything in it take on the disk, in bytes. Files that disappear meanwhile do not count.
fn disk_bytes(path: &Path) -> io::Result<u64> {
    let mut bytes = fs::symlink_metadata(path)?.blocks() * 512;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path())?,
            Ok(metadata) => metadata.blocks() * 512,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(bytes)
}

/// Makes the entries of a directory durable.
pub(in crate::store) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// True if the path is an archive of a layout that this build can open; false if an archive can be created there.
fn must_be_archive_or_empty(path: &Path) -> Result<bool, OpenError> {
    let found = Directory::inspect(path)?;
    let path = path.to_path_buf();
    match found {
        Inspection::Missing | Inspection::Empty => Ok(false),
        Inspection::Archive { layout: LAYOUT } => Ok(true),
        Inspection::Archive { layout } => Err(OpenError::UnknownLayout { path, layout, known: LAYOUT }),
        Inspection::Foreign(reason) => Err(OpenError::Foreign { path, reason }),
    }
}

fn inspect(path: &Path) -> io::Result<Inspection> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Inspection::Missing),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.is_dir() => return Ok(Inspection::Foreign("it is not a directory".to_owned())),
        Ok(_) => {}
    }
    if let Some(version) = inspect_version(path)? {
        return Ok(version);
    }
    let unversioned = inspect_unversioned(path)?;
    // Another process may have created an archive in the meantime. It writes VERSION before anything that would look
    // foreign without it, so looking for VERSION again is enough.
    let created = if unversioned == Inspection::Empty { None } else { inspect_version(path)? };
    Ok(created.unwrap_or(unversioned))
}

/// What the file VERSION says; `None` if there is no such file.
fn inspect_version(path: &Path) -> io::Result<Option<Inspection>> {
    let version = match own_file::read(&path.join("VERSION")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        version => version?,
    };
    let mut line = Vec::new();
    version.take(IDENTITY_BYTES_MAX).read_to_end(&mut line)?;
    Ok(Some(parse_version(&line)))
}

fn parse_version(content: &[u8]) -> Inspection {
    let line = std::str::from_utf8(content).unwrap_or_default().trim_end();
    let layout = line.strip_prefix(VERSION_PREFIX).and_then(|layout| layout.parse().ok());
    layout.map_or_else(
        || Inspection::Foreign(format!("its file VERSION does not say `{VERSION_PREFIX}{LAYOUT}`")),
        |layout| Inspection::Archive { layout },
    )
}

fn inspect_unversioned(path: &Path) -> io::Result<Inspection> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        // An interrupted creation leaves these two files.
        if name != "LOCK" && name != "VERSION.new" {
            let name = name.to_string_lossy();
            return Ok(Inspection::Foreign(format!("it contains `{name}`, but no file VERSION")));
        }
    }
    Ok(Inspection::Empty)
}

fn must_be_unfinished_or_empty(path: &Path) -> Result<(), OpenError> {
    let foreign = |reason| OpenError::Foreign { path: path.to_path_buf(), reason };
    match Directory::inspect(path)? {
        Inspection::Missing | Inspection::Empty => Ok(()),
        Inspection::Foreign(_) if is_unfinished(path).map_err(OpenError::io("look into", path))? => Ok(()),
        Inspection::Foreign(reason) => Err(foreign(reason)),
        Inspection::Archive { .. } => Err(OpenError::Exists { path: path.to_path_buf() }),
    }
}

/// Whether a directory that is not an archive contains only what [`Directory::begin`] creates.
fn is_unfinished(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if name != "LOCK" && name != UNFINISHED {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes a directory and everything in it, if it exists.
pub(in crate::store) fn remove_directory(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

/// Creates `path` and its missing parents, each durably.
fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = parent(path);
    create_directory(parent)?;
    match own_folder::create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => sync_directory(parent),
    }
}

fn write_version(path: &Path) -> io::Result<()> {
    let new = path.join("VERSION.new");
    let mut file = own_file::create(&new)?;
    // A killed process may have left a part of the file.
    file.set_len(0)?;
    writeln!(file, "{VERSION_PREFIX}{LAYOUT}")?;
    file.sync_all()?;
    fs::rename(new, path.join("VERSION"))?;
    sync_directory(path)
}

/// Creates the folder with the lowest free number. It is ours alone, because creating an existing folder fails.
fn create_numbered(parent: &Path) -> io::Result<PathBuf> {
    let mut number = 1_u64;
    loop {
        let path = parent.join(format!("{number:06}"));
        match own_folder::create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

    use super::*;

    fn holder() -> Holder {
        Holder { pid: 1, command: "test".to_owned(), since: "2026-01-01T00:00:00Z".to_owned() }
    }

    #[test]
    fn a_directory_is_missing_then_empty_then_an_archive() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert_eq!(Directory::inspect(&path).unwrap(), Inspection::Missing);
        assert!(matches!(Directory::open(&path, holder()), Err(OpenError::Missing { .. })));
        assert!(!path.exists());

        fs::create_dir_all(&path).unwrap();
        assert_eq!(Directory::inspect(&path).unwrap(), Inspection::Empty);
        assert!(matches!(Directory::open(&path, holder()), Err(OpenError::Missing { .. })));

        drop(Directory::open_or_create(&path, holder()).unwrap());
        assert_eq!(Directory::inspect(&path).unwrap(), Inspection::Archive { layout: LAYOUT });
        assert_eq!(fs::read_to_string(path.join("VERSION")).unwrap(), "dateline archive, layout 1\n");
        drop(Directory::open_or_create(&path, holder()).unwrap());
        Directory::open(&path, holder()).unwrap();
    }

    #[test]
    fn an_interrupted_creation_is_resumed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("LOCK"), b"{\"pid\"").unwrap();
        fs::write(dir.path().join("VERSION.new"), b"datel").unwrap();
        assert_eq!(Directory::inspect(dir.path()).unwrap(), Inspection::Empty);
        drop(Directory::open_or_create(dir.path(), holder()).unwrap());
        assert_eq!(Directory::inspect(dir.path()).unwrap(), Inspection::Archive { layout: 1 });
    }

    /// A directory looked foreign if VERSION appeared after the check for VERSION and before the check of everything
    /// else.
    #[test]
    fn an_archive_that_is_being_created_is_never_foreign() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("archive");
        for _ in 0..200 {
            let created = std::sync::atomic::AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    drop(Directory::open_or_create(&path, holder()).unwrap());
                    fs::create_dir(path.join("db")).unwrap();
                    created.store(true, std::sync::atomic::Ordering::Release);
                });
                while !created.load(std::sync::atomic::Ordering::Acquire) {
                    let found = Directory::inspect(&path).unwrap();
                    assert!(!matches!(found, Inspection::Foreign(_)), "{found:?}");
                }
            });
            fs::remove_dir_all(&path).unwrap();
        }
    }

    #[test]
    fn foreign_directories_are_rejected_and_left_untouched() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("holiday.jpg"), b"x").unwrap();
        let error = Directory::open_or_create(dir.path(), holder()).unwrap_err();
        assert!(error.to_string().contains("it contains `holiday.jpg`"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

        let file = dir.path().join("holiday.jpg");
        assert!(matches!(Directory::open_or_create(&file, holder()), Err(OpenError::Foreign { .. })));

        fs::write(dir.path().join("VERSION"), b"17\n").unwrap();
        assert!(matches!(Directory::open_or_create(dir.path(), holder()), Err(OpenError::Foreign { .. })));
    }

    #[test]
    fn a_newer_layout_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("VERSION"), b"dateline archive, layout 2\n").unwrap();
        assert_eq!(Directory::inspect(dir.path()).unwrap(), Inspection::Archive { layout: 2 });
        let error = Directory::open_or_create(dir.path(), holder()).unwrap_err();
        assert!(matches!(error, OpenError::UnknownLayout { layout: 2, known: 1, .. }));
        assert!(!dir.path().join("LOCK").exists());
    }

    #[test]
    fn one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = Directory::open_or_create(dir.path(), holder()).unwrap();
        let error = Directory::open(dir.path(), holder()).unwrap_err();
        let OpenError::InUse { holder: Some(seen), .. } = &error else { panic!("{error}") };
        assert_eq!(**seen, holder());
        assert!(error.to_string().contains("is in use by `test` (process 1,"), "{error}");
        drop(first);
        Directory::open(dir.path(), holder()).unwrap();
    }

    #[test]
    fn quarantine_keeps_files_of_the_same_name_apart() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open_or_create(dir.path(), holder()).unwrap();
        let stray = dir.path().join("stray");
        let kept = ["one", "two"].map(|content| {
            fs::write(&stray, content).unwrap();
            directory.quarantine(&stray).unwrap()
        });
        assert_eq!(kept.map(|path| fs::read_to_string(path).unwrap()), ["one", "two"]);
        assert!(!stray.exists());
    }

    #[test]
    fn a_symbolic_link_named_lock_leaves_its_target_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let (archive, victim) = (dir.path().join("archive"), dir.path().join("victim"));
        fs::create_dir(&archive).unwrap();
        fs::write(&victim, b"kept").unwrap();
        std::os::unix::fs::symlink(&victim, archive.join("LOCK")).unwrap();
        assert!(Directory::open_or_create(&archive, holder()).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"kept");
    }

    #[test]
    fn the_id_of_an_archive_can_be_read_while_it_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open_or_create(dir.path(), holder()).unwrap();
        assert_eq!(Directory::read_id(dir.path()).unwrap(), None);
        for id in [[7; 16], [7; 16], [9; 16]] {
            directory.store_id(&id).unwrap();
            assert_eq!(Directory::read_id(dir.path()).unwrap(), Some(id));
        }
        fs::write(dir.path().join("ID"), "0707").unwrap();
        assert_eq!(Directory::read_id(dir.path()).unwrap(), None);
    }

    #[test]
    fn only_the_owner_can_access_a_new_archive() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("archive");
        let _held = Directory::open_or_create(&path, holder()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("LOCK")), 0o600);
        assert_eq!(mode(&path.join("VERSION")), 0o600);
    }
}
