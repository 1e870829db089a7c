//! A private copy of an archive, for a process that must not write to the archive's directory.
//!
//! sled writes when it opens a database, so an archive that has to stay as it is (on a read-only mount, on WORM media, in
//! another user's directory) is read from a copy in a scratch folder. Nothing in the archive's directory is created,
//! changed or removed. What a killed process left to be replayed is replayed in the copy.
//!
//! All files of a copy must be of one moment:
//! - The owner of the archive shares the lock on `LOCK` while it copies. No process can open the archive meanwhile, and
//!   if one has it open, nothing is copied.
//! - Other users must not lock the archive, or they could keep its owner from it. They copy it, and then compare the copy
//!   with it. If no byte differs, then between the end of the copying and the beginning of the comparison all files were
//!   as the copy is: the double collect of Afek et al., "Atomic Snapshots of Shared Memory" (1993). No byte becomes again
//!   what it was, because commits are numbered. If anything differs, the copy is rejected ([`OpenError::Changing`]).
//!
//! Either way, a copy is what a process that was killed at that moment would have left, which has everything that was
//! acknowledged.
//!
//! The owner of the files is not trusted. No link is followed, only regular files are read, and their number and size are
//! bounded. Unlike an archive that is opened for writing, a file may have further names (hard links), as in a backup that
//! links what did not change.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use super::super::lock::read_holder;
use super::super::own_file::rejected;
use super::super::{OpenError, own_file, own_folder};
use super::{
    Directory, Holder, IDENTITY_BYTES_MAX, Inspection, LAYOUT, Lock, LockError, parse_version, remove_directory,
};

/// The files next to the database that are copied.
const FILES: [&str; 4] = ["VERSION", "ID", "WATERMARK", "EXPUNGED"];
/// The folders that may have the database: its own, or the one under which an interrupted compaction left it.
const DATABASES: [&str; 2] = ["db", "db.replaced"];
/// The folders of a copy are named this and a random number, and otherwise until they are locked.
const PREFIX: &str = "dateline-copy-";
const UNLOCKED_PREFIX: &str = ".dateline-copy-";
/// An archive has some thirty files. All of them are open at once.
const FILES_MAX: usize = 256;
/// An archive has folders within folders up to this depth.
const DEPTH_MAX: usize = 3;
/// The folder whose files are read into memory when the archive is opened, and their size in bytes at most. They hardly
/// ever have more than 100 MiB.
const LOG_FOLDER: &str = "db/wal";
const LOG_BYTES_MAX: u64 = 1 << 30;
/// What sled writes to the copy besides what it already has, in bytes.
const SPARE_BYTES: u64 = 64 << 20;
/// How much is copied or compared before it is asked whether to continue.
const STEP_BYTES: u64 = 16 << 20;
/// The size of the buffers for comparing.
const BUFFER_BYTES: usize = 1 << 20;

/// The folder of a copy, which is removed when this is dropped.
#[derive(Debug)]
pub(super) struct CopyFolder(PathBuf);

impl Drop for CopyFolder {
    fn drop(&mut self) {
        // What remains is removed when the next copy is made.
        if let Err(error) = remove_directory(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a private copy of an archive could not be removed");
        }
    }
}

impl Directory {
    /// Copies the archive in `path` to a new folder in `scratch`, locks the copy, and removes it when it is dropped. It
    /// takes as much space as the archive. `is_cancelled` is asked from time to time; if it says so, this fails.
    ///
    /// Fails with [`OpenError::InUse`] if another process of this user has the archive open, with
    /// [`OpenError::Changing`] if one of another user wrote to it meanwhile, and with [`OpenError::NoSpaceForCopy`].
    pub fn copy_of(
        path: &Path,
        scratch: &Path,
        holder: &Holder,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, OpenError> {
        Self::copy_between(path, scratch, holder, is_cancelled, || ())
    }

    /// As [`Self::copy_of`]. `between` runs when everything is copied and nothing is compared yet, for tests.
    fn copy_between(
        path: &Path,
        scratch: &Path,
        holder: &Holder,
        is_cancelled: &dyn Fn() -> bool,
        between: impl FnOnce(),
    ) -> Result<Self, OpenError> {
        let source = open_source(path)?;
        let lock = share_lock(&source, path)?;
        let listed = list(&source).map_err(OpenError::io("read", path))?;
        let needed_bytes = listed.bytes().saturating_add(SPARE_BYTES);
        remove_abandoned(scratch);
        let copy = create(scratch, holder)?;
        let free_bytes = copy.free_bytes().map_err(OpenError::io("look at the disk of", scratch))?;
        if free_bytes < needed_bytes {
            let (path, scratch) = (path.to_path_buf(), scratch.to_path_buf());
            return Err(OpenError::NoSpaceForCopy { path, scratch, needed_bytes, free_bytes });
        }
        let changing = || OpenError::Changing { path: path.to_path_buf() };
        if !listed.copy_to(&copy.path, is_cancelled).map_err(OpenError::io("copy", path))? {
            return Err(changing());
        }
        between();
        if lock.is_none() && !listed.is_still(&source, &copy.path, is_cancelled).map_err(OpenError::io("read", path))? {
            return Err(changing());
        }
        Ok(copy)
    }
}

/// Opens the directory of an archive. `path` itself may contain links: it is the caller's choice.
fn open_source(path: &Path) -> Result<OwnedFd, OpenError> {
    let missing = || OpenError::Missing { path: path.to_path_buf() };
    let foreign = |reason| OpenError::Foreign { path: path.to_path_buf(), reason };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let source = match openat(CWD, path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Err(missing()),
        Err(Errno::NOTDIR) => return Err(foreign("it is not a directory".to_owned())),
        source => source.map_err(|error| OpenError::io("look into", path)(error.into()))?,
    };
    let version = open_file(&source, "VERSION").map_err(OpenError::io("look into", path))?;
    let Some(version) = version else {
        let is_empty = fs::read_dir(path).map_err(OpenError::io("look into", path))?.next().is_none();
        return Err(if is_empty { missing() } else { foreign("it has no file VERSION".to_owned()) });
    };
    let mut line = Vec::new();
    version.take(IDENTITY_BYTES_MAX).read_to_end(&mut line).map_err(OpenError::io("look into", path))?;
    match parse_version(&line) {
        Inspection::Archive { layout: LAYOUT } => Ok(source),
        Inspection::Archive { layout } => {
            Err(OpenError::UnknownLayout { path: path.to_path_buf(), layout, known: LAYOUT })
        }
        Inspection::Foreign(reason) => Err(foreign(reason)),
        Inspection::Missing | Inspection::Empty => Err(missing()),
    }
}

/// Shares the lock of an archive of this user, so that no process opens it. `None` if the archive belongs to another
/// user, has never been opened, or is on a file system without locks.
fn share_lock(source: &OwnedFd, path: &Path) -> Result<Option<File>, OpenError> {
    let file = match open_file(source, "LOCK") {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
        file => file.map_err(OpenError::io("look into", path))?,
    };
    let Some(file) = file else { return Ok(None) };
    let owner = file.metadata().map_err(OpenError::io("look into", path))?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return Ok(None);
    }
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => {
            let holder = read_holder(&file).map(Box::new);
            Err(OpenError::InUse { path: path.to_path_buf(), holder })
        }
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Creates and locks the folder of a copy.
fn create(scratch: &Path, holder: &Holder) -> Result<Directory, OpenError> {
    let failed = |error: io::Error| OpenError::io("create a folder in", scratch)(error);
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| failed(io::Error::other(error.to_string())))?;
    let number = HEXLOWER.encode(&random);
    let (unlocked, path) =
        (scratch.join(format!("{UNLOCKED_PREFIX}{number}")), scratch.join(format!("{PREFIX}{number}")));
    own_folder::create(&unlocked).map_err(failed)?;
    let lock = match Lock::acquire(&unlocked.join("LOCK"), holder) {
        Ok(lock) => lock,
        Err(LockError::Held(_)) => return Err(failed(io::ErrorKind::AlreadyExists.into())),
        Err(LockError::Io(error)) => return Err(failed(error)),
    };
    // It gets its name when it is locked, so that no other process takes it for abandoned.
    fs::rename(&unlocked, &path).map_err(failed)?;
    Ok(Directory { path: path.clone(), lock, _copy: Some(CopyFolder(path)) })
}

/// Removes the copies of this user's processes that were killed: those that nothing locks. What cannot be removed stays.
fn remove_abandoned(scratch: &Path) {
    for entry in fs::read_dir(scratch).into_iter().flatten().flatten() {
        let is_copy = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // Only this user's files are opened, and no link is followed.
        if is_copy
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Ok(lock) = own_file::read(&entry.path().join("LOCK"))
            && lock.try_lock().is_ok()
        {
            drop(remove_directory(&entry.path()));
        }
    }
}

/// A regular file of an archive.
struct SourceFile {
    file: File,
    bytes: u64,
}

/// What there is to copy, by path in the archive.
#[derive(Default)]
struct Listing {
    files: BTreeMap<PathBuf, SourceFile>,
    /// In order, so that each is preceded by the one it is in.
    folders: Vec<PathBuf>,
}

fn list(source: &OwnedFd) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for name in FILES {
        if let Some(file) = open_file(source, name)? {
            listing.add(PathBuf::from(name), file)?;
        }
    }
    for name in DATABASES {
        if let Some(database) = open_folder(source, name)? {
            listing.add_folder(&database, PathBuf::from("db"), DEPTH_MAX)?;
            break;
        }
    }
    let log_bytes = listing.files.iter().filter(|(path, _)| path.starts_with(LOG_FOLDER)).map(|(_, file)| file.bytes);
    if log_bytes.fold(0, u64::saturating_add) > LOG_BYTES_MAX {
        return Err(rejected("db/wal", "has more than 1 GiB, which Dateline never writes"));
    }
    Ok(listing)
}

impl Listing {
    fn add(&mut self, path: PathBuf, file: File) -> io::Result<()> {
        let bytes = file.metadata()?.len();
        self.files.insert(path, SourceFile { file, bytes });
        if self.files.len() > FILES_MAX {
            return Err(rejected("db", &format!("has more than {FILES_MAX} files, which Dateline never writes")));
        }
        Ok(())
    }

    fn add_folder(&mut self, folder: &OwnedFd, path: PathBuf, depth: usize) -> io::Result<()> {
        if depth == 0 || self.folders.len() >= FILES_MAX {
            return Err(rejected(&path.to_string_lossy(), "is a folder that Dateline never creates"));
        }
        self.folders.push(path.clone());
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "." || name == ".." {
                continue;
            }
            let place = path.join(&name);
            match kind_of(folder, &name)? {
                // It was removed after the folder was read.
                None => {}
                Some(FileType::Directory) => {
                    if let Some(within) = open_folder(folder, &name)? {
                        self.add_folder(&within, place, depth - 1)?;
                    }
                }
                Some(_) => {
                    if let Some(file) = open_file(folder, &name)? {
                        self.add(place, file)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).fold(0, u64::saturating_add)
    }

    /// Copies everything to the folder `to`. False if a file became shorter meanwhile.
    fn copy_to(&self, to: &Path, is_cancelled: &dyn Fn() -> bool) -> io::Result<bool> {
        for folder in &self.folders {
            own_folder::create(&to.join(folder))?;
        }
        for (path, SourceFile { file, bytes }) in &self.files {
            let mut target = own_file::create(&to.join(path))?;
            let mut left = *bytes;
            while left > 0 {
                check_cancelled(is_cancelled)?;
                // The kernel copies, and shares the blocks if the file system can.
                let copied = io::copy(&mut file.take(left.min(STEP_BYTES)), &mut target)?;
                if copied == 0 {
                    return Ok(false);
                }
                left -= copied;
            }
        }
        Ok(true)
    }

    /// Whether the archive has the same files with the same bytes as the copy.
    fn is_still(&self, source: &OwnedFd, copy: &Path, is_cancelled: &dyn Fn() -> bool) -> io::Result<bool> {
        let now = list(source)?;
        let is_listed = |(path, file): (&PathBuf, &SourceFile)| {
            now.files.get(path).is_some_and(|current| current.bytes == file.bytes)
        };
        if now.folders.len() != self.folders.len()
            || now.files.len() != self.files.len()
            || !self.files.iter().all(is_listed)
        {
            return Ok(false);
        }
        for (path, SourceFile { file, bytes }) in &now.files {
            if !has_same_bytes(file, &own_file::read(&copy.join(path))?, *bytes, is_cancelled)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn has_same_bytes(file: &File, copy: &File, bytes: u64, is_cancelled: &dyn Fn() -> bool) -> io::Result<bool> {
    let (mut ours, mut theirs) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    let mut at = 0;
    while at < bytes {
        check_cancelled(is_cancelled)?;
        let length = usize::try_from(bytes - at).map_or(BUFFER_BYTES, |rest| rest.min(BUFFER_BYTES));
        let (ours, theirs) = (ours.get_mut(..length).unwrap_or_default(), theirs.get_mut(..length).unwrap_or_default());
        match copy.read_exact_at(ours, at).and_then(|()| file.read_exact_at(theirs, at)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        if ours != theirs {
            return Ok(false);
        }
        at += length as u64;
    }
    Ok(true)
}

fn check_cancelled(is_cancelled: &dyn Fn() -> bool) -> io::Result<()> {
    if is_cancelled() { Err(io::Error::new(io::ErrorKind::Interrupted, "it was cancelled")) } else { Ok(()) }
}

/// The kind of an entry, which is not followed if it is a link. `None` if there is none.
fn kind_of(folder: &OwnedFd, name: &str) -> io::Result<Option<FileType>> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        stat => Ok(Some(FileType::from_raw_mode(stat?.st_mode))),
    }
}

/// Opens a folder for reading; `None` if there is none of this name.
fn open_folder(folder: &OwnedFd, name: &str) -> io::Result<Option<OwnedFd>> {
    match kind_of(folder, name)? {
        None => Ok(None),
        Some(FileType::Directory) => open(folder, name, OFlags::DIRECTORY),
        Some(kind) => Err(rejected(name, not(kind, "a folder"))),
    }
}

/// Opens a regular file for reading; `None` if there is none of this name. Nothing else is even opened: that could wait,
/// or do something.
fn open_file(folder: &OwnedFd, name: &str) -> io::Result<Option<File>> {
    match kind_of(folder, name)? {
        None => return Ok(None),
        Some(FileType::RegularFile) => {}
        Some(kind) => return Err(rejected(name, not(kind, "a regular file"))),
    }
    // It may have been replaced since.
    let Some(file) = open(folder, name, OFlags::NONBLOCK)?.map(File::from) else { return Ok(None) };
    if file.metadata()?.is_file() { Ok(Some(file)) } else { Err(rejected(name, "is not a regular file")) }
}

fn not(kind: FileType, wanted: &str) -> &'static str {
    match (kind, wanted) {
        (FileType::Symlink, _) => "is a symbolic link, which is not followed in an archive",
        (_, "a folder") => "is not a folder",
        _ => "is not a regular file",
    }
}

fn open(folder: &OwnedFd, name: &str, flags: OFlags) -> io::Result<Option<OwnedFd>> {
    match openat(folder, name, flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::LOOP) => Err(rejected(name, not(FileType::Symlink, ""))),
        Err(error) => Err(io::Error::new(io::Error::from(error).kind(), format!("{name}: {}", io::Error::from(error)))),
        Ok(opened) => Ok(Some(opened)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

    use std::os::unix::fs::symlink;

    use rustix::fs::{FileType, mknodat};

    use super::*;

    fn holder() -> Holder {
        Holder { pid: 1, command: "test".to_owned(), since: "2026-01-01T00:00:00Z".to_owned() }
    }

    /// A directory with what an archive has, and a scratch folder.
    struct Case {
        archive: tempfile::TempDir,
        scratch: tempfile::TempDir,
    }

    impl Case {
        fn new() -> Self {
            let archive = tempfile::tempdir().unwrap();
            fs::create_dir_all(archive.path().join("db/sled/blobs")).unwrap();
            fs::create_dir(archive.path().join("db/wal")).unwrap();
            for name in ["ID", "WATERMARK", "LOCK", "db/sled/conf", "db/sled/db", "db/wal/secret", "db/wal/000000"] {
                fs::write(archive.path().join(name), name.repeat(1_000)).unwrap();
            }
            fs::write(archive.path().join("VERSION"), "dateline archive, layout 1\n").unwrap();
            Self { archive, scratch: tempfile::tempdir().unwrap() }
        }

        /// One that this process does not lock, as if it were another user's.
        fn unlocked() -> Self {
            let case = Self::new();
            fs::remove_file(case.path("LOCK")).unwrap();
            case
        }

        fn path(&self, name: &str) -> PathBuf {
            self.archive.path().join(name)
        }

        fn copy(&self) -> Result<Directory, OpenError> {
            self.copy_between(|| ())
        }

        fn copy_between(&self, between: impl FnOnce()) -> Result<Directory, OpenError> {
            Directory::copy_between(self.archive.path(), self.scratch.path(), &holder(), &|| false, between)
        }

        fn rejected(&self) -> String {
            let error = self.copy().unwrap_err().to_string();
            assert_eq!(self.copies(), 0, "{error}");
            error
        }

        /// The number of folders in the scratch folder.
        fn copies(&self) -> usize {
            fs::read_dir(self.scratch.path()).unwrap().count()
        }

        /// The names, modes, sizes, times and inodes of all entries of the archive.
        fn state(&self) -> BTreeMap<PathBuf, (u32, u64, i64, i64, u64)> {
            let (mut state, mut folders) = (BTreeMap::new(), vec![self.archive.path().to_path_buf()]);
            while let Some(folder) = folders.pop() {
                for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).chain([folder.clone()]) {
                    let found = fs::symlink_metadata(&path).unwrap();
                    if found.is_dir() && path != folder {
                        folders.push(path.clone());
                    }
                    state
                        .insert(path, (found.mode(), found.len(), found.mtime_nsec(), found.ctime_nsec(), found.ino()));
                }
            }
            state
        }
    }

    #[test]
    fn a_copy_is_complete_and_private_and_removed_when_it_is_dropped() {
        for case in [Case::new(), Case::unlocked()] {
            let before = case.state();
            let copy = case.copy().unwrap();
            for name in ["ID", "WATERMARK", "VERSION", "db/sled/conf", "db/sled/db", "db/wal/secret", "db/wal/000000"] {
                assert_eq!(fs::read(copy.path().join(name)).unwrap(), fs::read(case.path(name)).unwrap(), "{name}");
            }
            assert!(copy.path().join("db/sled/blobs").is_dir());
            assert_eq!(fs::metadata(copy.path()).unwrap().mode() & 0o777, 0o700);
            assert_eq!(case.state(), before, "nothing in the archive was touched");
            drop(copy);
            assert_eq!(case.copies(), 0);
        }
    }

    #[test]
    fn the_owner_keeps_the_archive_locked_only_while_it_copies() {
        let case = Case::new();
        let open = || Directory::open(case.archive.path(), holder());
        let copy = case.copy_between(|| assert!(matches!(open(), Err(OpenError::InUse { .. })))).unwrap();
        let held = open().unwrap();
        let Err(OpenError::InUse { holder: Some(found), .. }) = case.copy() else { panic!() };
        assert_eq!(*found, holder());
        drop((copy, held));
        case.copy().unwrap();
    }

    /// A copy of a moment at which the archive was never as it is there could lack what was acknowledged.
    #[test]
    fn an_archive_that_changes_while_it_is_copied_without_its_lock_is_rejected() {
        let change: [fn(&Case); 5] = [
            |case| fs::write(case.path("WATERMARK"), "WATERMARX".repeat(1_000)).unwrap(),
            |case| fs::write(case.path("db/wal/000000"), "more").unwrap(),
            |case| fs::write(case.path("db/wal/000001"), "another").unwrap(),
            |case| fs::remove_file(case.path("db/wal/000000")).unwrap(),
            |case| fs::rename(case.path("db/sled"), case.path("db/other")).unwrap(),
        ];
        for change in change {
            let case = Case::unlocked();
            let error = case.copy_between(|| change(&case)).unwrap_err();
            assert!(matches!(error, OpenError::Changing { .. }), "{error}");
            assert_eq!(case.copies(), 0);
        }
        let case = Case::unlocked();
        // What is not copied does not matter.
        case.copy_between(|| fs::write(case.path("RESERVE"), "").unwrap()).unwrap();
    }

    #[test]
    fn links_and_special_files_are_rejected_by_name_without_being_opened() {
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("secret"), "kept").unwrap();
        for name in ["VERSION", "ID", "db", "db/wal", "db/wal/000000", "db/sled/db", "db/sled/blobs"] {
            for special in [FileType::Symlink, FileType::Fifo, FileType::Socket] {
                let case = Case::new();
                let path = case.path(name);
                drop(fs::remove_file(&path));
                drop(fs::remove_dir_all(&path));
                if special == FileType::Symlink {
                    symlink(elsewhere.path().join("secret"), &path).unwrap();
                } else {
                    mknodat(CWD, &path, special, Mode::from_raw_mode(0o600), 0).unwrap();
                }
                let (error, last) = (case.rejected(), name.rsplit('/').next().unwrap());
                assert!(
                    error.contains(&format!("{last} is not")) || error.contains(&format!("{last} is a sym")),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn hard_links_are_copied_as_what_they_are() {
        let (case, elsewhere) = (Case::new(), tempfile::tempdir().unwrap());
        fs::hard_link(case.path("db/sled/db"), elsewhere.path().join("db")).unwrap();
        case.copy().unwrap();
    }

    #[test]
    fn neither_size_nor_number_of_files_is_unlimited() {
        let case = Case::new();
        File::options().write(true).open(case.path("db/sled/db")).unwrap().set_len(1 << 42).unwrap();
        let error = case.copy().unwrap_err();
        let OpenError::NoSpaceForCopy { needed_bytes, free_bytes, .. } = error else { panic!("{error}") };
        assert!(needed_bytes > 1 << 42 && free_bytes < needed_bytes);
        assert_eq!(case.copies(), 0);

        let case = Case::new();
        File::options().write(true).open(case.path("db/wal/000000")).unwrap().set_len(2 << 30).unwrap();
        assert!(case.rejected().contains("db/wal has more than 1 GiB"));

        let case = Case::new();
        for number in 0..=FILES_MAX {
            fs::write(case.path("db/wal").join(number.to_string()), "").unwrap();
        }
        assert!(case.rejected().contains("files, which Dateline never writes"));

        let case = Case::new();
        fs::create_dir_all(case.path("db/sled/blobs/deep")).unwrap();
        assert!(case.rejected().contains("is a folder that Dateline never creates"));
    }

    #[test]
    fn what_is_no_archive_is_not_copied() {
        let case = Case::new();
        fs::write(case.path("VERSION"), "dateline archive, layout 9\n").unwrap();
        assert!(matches!(case.copy(), Err(OpenError::UnknownLayout { layout: 9, .. })));
        fs::remove_file(case.path("VERSION")).unwrap();
        assert!(matches!(case.copy(), Err(OpenError::Foreign { .. })));
        let empty = tempfile::tempdir().unwrap();
        for path in [empty.path(), &empty.path().join("missing")] {
            let copied = Directory::copy_of(path, case.scratch.path(), &holder(), &|| false);
            assert!(matches!(copied, Err(OpenError::Missing { .. })));
        }
    }

    #[test]
    fn an_interrupted_compaction_is_undone_in_the_copy() {
        let case = Case::new();
        fs::rename(case.path("db"), case.path("db.replaced")).unwrap();
        fs::create_dir(case.path("db.compact")).unwrap();
        let copy = case.copy().unwrap();
        assert!(copy.path().join("db/sled/db").exists() && !copy.path().join("db.compact").exists());
    }

    #[test]
    fn a_cancelled_copy_is_removed() {
        let case = Case::new();
        assert!(Directory::copy_of(case.archive.path(), case.scratch.path(), &holder(), &|| true).is_err());
        assert_eq!(case.copies(), 0);
    }

    #[test]
    fn the_copies_of_killed_processes_are_removed_and_those_in_use_are_not() {
        let case = Case::new();
        let used = case.copy().unwrap();
        let (abandoned, unlocked) = (case.scratch.path().join("dateline-copy-00"), case.scratch.path().join("mine"));
        for folder in [&abandoned, &unlocked] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("LOCK"), "").unwrap();
        }
        let link = case.scratch.path().join("dateline-copy-01");
        symlink(&unlocked, &link).unwrap();
        let another = case.copy().unwrap();
        assert!(used.path().exists() && another.path().exists() && unlocked.exists() && link.is_symlink());
        assert!(!abandoned.exists());
    }
}
