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

mod listing;
#[cfg(test)]
mod tests;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use self::listing::{list, open_file};
use super::super::lock::read_holder;
use super::super::{OpenError, own_file, own_folder};
use super::{
    Directory, Holder, IDENTITY_BYTES_MAX, Inspection, LAYOUT, Lock, LockError, parse_version, remove_directory,
};

/// The folders of a copy are named this and a random number, and otherwise until they are locked.
const PREFIX: &str = "dateline-copy-";
const UNLOCKED_PREFIX: &str = ".dateline-copy-";
/// What sled writes to the copy besides what it already has, in bytes.
const SPARE_BYTES: u64 = 64 << 20;

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
