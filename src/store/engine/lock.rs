//! The lock that lets one process at a time into an archive, and says who that is.
//!
//! The lock is an advisory one on an open file, so it goes when its process does, however that ends. The
//! content of the file is for people and for the command line only: a file left behind by a killed process
//! locks nobody out.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::own_file;

/// Who holds an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its command, for people.
    pub command: String,
    /// Where its server listens, once it does.
    pub address: Option<String>,
    /// When it took the lock: an RFC 3339 time.
    pub since: String,
}

/// Why a lock was not taken.
#[derive(Debug)]
pub enum LockError {
    /// Another process has it; none where that one has not written who it is.
    Held(Option<Holder>),
    /// The file could not be opened, locked or written.
    Io(io::Error),
}

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// What the file says.
    holder: Mutex<Holder>,
}

impl Lock {
    /// Takes the lock file at `path`, which it creates if need be, and writes `holder` into it. Does not wait.
    pub fn acquire(path: &Path, holder: Holder) -> Result<Self, LockError> {
        let file = own_file::create(path).map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(read_holder(&file))),
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        write_holder(&file, &holder).map_err(LockError::Io)?;
        Ok(Self { file, holder: Mutex::new(holder) })
    }

    /// Tells others where the server of this process listens.
    pub fn set_address(&self, address: &str) -> io::Result<()> {
        let mut holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        holder.address = Some(address.to_owned());
        write_holder(&self.file, &holder)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The content is a courtesy. If it stays, the next holder overwrites it. It is blanked and not cut, so that the
        // next one has room for its own on a full disk.
        let blanks = self.file.metadata().map_or(0, |metadata| metadata.len());
        let _ = self.file.write_all_at(&vec![b' '; usize::try_from(blanks).unwrap_or(0)], 0);
        // Closing alone is not enough: a child that this process is just starting has the open file too, until it runs
        // its own program. If it cannot be unlocked, it is when that is gone.
        let _ = self.file.unlock();
    }
}

/// Writes first and cuts afterwards, so that a reader never finds the file empty while it is held.
fn write_holder(file: &File, holder: &Holder) -> io::Result<()> {
    let content = serde_json::to_vec(holder)?;
    file.write_all_at(&content, 0)?;
    file.set_len(content.len() as u64)
}

/// Takes the first JSON value and ignores what may follow it: the end of a longer, older content.
fn read_holder(file: &File) -> Option<Holder> {
    let content = io::read_to_string(file).ok()?;
    serde_json::Deserializer::from_str(&content).into_iter().next()?.ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

    use super::*;

    fn holder(command: &str) -> Holder {
        Holder { pid: 7, command: command.to_owned(), address: None, since: "2026-01-02T03:04:05Z".to_owned() }
    }

    #[test]
    fn a_second_holder_learns_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let first = Lock::acquire(&path, holder("dateline serve")).unwrap();
        let Err(LockError::Held(Some(seen))) = Lock::acquire(&path, holder("dateline put")) else { panic!() };
        assert_eq!(seen, holder("dateline serve"));

        first.set_address("[::1]:7070").unwrap();
        let Err(LockError::Held(Some(seen))) = Lock::acquire(&path, holder("dateline put")) else { panic!() };
        assert_eq!(seen.address.as_deref(), Some("[::1]:7070"));
    }

    #[test]
    fn dropping_releases_and_blanks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        drop(Lock::acquire(&path, holder("dateline serve")).unwrap());
        let blank = std::fs::read_to_string(&path).unwrap();
        assert!(!blank.is_empty() && blank.trim().is_empty(), "{blank:?}");
        Lock::acquire(&path, holder("dateline put")).unwrap();
    }

    #[test]
    fn what_a_killed_process_left_locks_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        std::fs::write(&path, serde_json::to_vec(&holder("a command with a longer name")).unwrap()).unwrap();
        let lock = Lock::acquire(&path, holder("dateline")).unwrap();
        let Err(LockError::Held(Some(seen))) = Lock::acquire(&path, holder("other")) else { panic!() };
        assert_eq!(seen.command, "dateline");
        drop(lock);
    }

    #[test]
    fn a_holder_that_has_not_written_yet_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let _lock = Lock::acquire(&path, holder("dateline serve")).unwrap();
        std::fs::write(&path, b"{\"pid\":").unwrap();
        assert!(matches!(Lock::acquire(&path, holder("other")), Err(LockError::Held(None))));
    }
}
