//! The lock that restricts an archive to one process at a time, and identifies that process.
//!
//! It is an advisory lock on an open file, so it is released when the process ends, however that happens. The content
//! of the file is for people and the command line only: a file left by a killed process does not lock anyone out.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::own_file;
use crate::model::Timestamp;

/// The process that holds an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process id, by which a user can find or stop the process.
    pub pid: u32,
    /// The command line of the process, for people.
    pub command: String,
    /// When the process acquired the lock: an RFC 3339 time.
    pub since: String,
}

impl Holder {
    /// This process, with its command line.
    pub fn this_process(since: Timestamp) -> Self {
        let words: Vec<_> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        Self { pid: std::process::id(), command: words.join(" "), since: since.to_string() }
    }
}

/// Why a lock was not acquired.
#[derive(Debug)]
pub enum LockError {
    /// Another process holds the lock; `None` if that process has not written its details yet.
    Held(Option<Holder>),
    /// The file could not be opened, locked or written.
    Io(io::Error),
}

/// A held lock. Dropping it releases the lock.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Locks the file at `path`, creating it if necessary, and writes `holder` into it. Does not wait.
    pub fn acquire(path: &Path, holder: &Holder) -> Result<Self, LockError> {
        let file = own_file::create(path).map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(read_holder(&file))),
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        write_holder(&file, holder).map_err(LockError::Io)?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The content is informational. If it stays, the next holder overwrites it. It is blanked rather than
        // truncated, so that the next holder has room for its own on a full disk.
        let blanks = self.file.metadata().map_or(0, |metadata| metadata.len());
        let _ = self.file.write_all_at(&vec![b' '; usize::try_from(blanks).unwrap_or(0)], 0);
        // Closing alone is not enough: a child that this process is just starting has the open file, too, until the
        // child executes its own program. If unlocking fails, the lock is released at that moment.
        let _ = self.file.unlock();
    }
}

/// Writes first and truncates afterwards, so that a reader never finds the file empty while it is held.
fn write_holder(file: &File, holder: &Holder) -> io::Result<()> {
    let content = serde_json::to_vec(holder)?;
    file.write_all_at(&content, 0)?;
    file.set_len(content.len() as u64)
}

/// Reads the first JSON value and ignores what follows it, which may be the rest of a longer, older content.
pub(super) fn read_holder(file: &File) -> Option<Holder> {
    let content = io::read_to_string(file).ok()?;
    serde_json::Deserializer::from_str(&content).into_iter().next()?.ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

    use super::*;

    fn holder(command: &str) -> Holder {
        Holder { pid: 7, command: command.to_owned(), since: "2026-01-02T03:04:05Z".to_owned() }
    }

    #[test]
    fn a_second_process_learns_who_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let _first = Lock::acquire(&path, &holder("dateline serve")).unwrap();
        let Err(LockError::Held(Some(seen))) = Lock::acquire(&path, &holder("dateline put")) else { panic!() };
        assert_eq!(seen, holder("dateline serve"));
    }

    #[test]
    fn dropping_releases_and_blanks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        drop(Lock::acquire(&path, &holder("dateline serve")).unwrap());
        let blank = std::fs::read_to_string(&path).unwrap();
        assert!(!blank.is_empty() && blank.trim().is_empty(), "{blank:?}");
        Lock::acquire(&path, &holder("dateline put")).unwrap();
    }

    #[test]
    fn a_file_left_by_a_killed_process_locks_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        std::fs::write(&path, serde_json::to_vec(&holder("a command with a longer name")).unwrap()).unwrap();
        let lock = Lock::acquire(&path, &holder("dateline")).unwrap();
        let Err(LockError::Held(Some(seen))) = Lock::acquire(&path, &holder("other")) else { panic!() };
        assert_eq!(seen.command, "dateline");
        drop(lock);
    }

    #[test]
    fn a_holder_that_has_not_written_yet_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let _lock = Lock::acquire(&path, &holder("dateline serve")).unwrap();
        std::fs::write(&path, b"{\"pid\":").unwrap();
        assert!(matches!(Lock::acquire(&path, &holder("other")), Err(LockError::Held(None))));
    }
}
