//! Backups as files: folders of files, which file continues which, and the changes of a whole chain.
//!
//! A backup consists of log files ([`crate::store::logfile`]): one that begins at the first change, and others that
//! each continue where a previous one ended. The last one may have no changes, only the state that the log does not
//! record: the positions of durable subscriptions. This module knows nothing of an open archive. Everything read is
//! checked, and an error names the place where a file is not what was written.

mod bases;
mod chain;
mod changes;
mod check;
mod file;
mod incoming;
mod scrub;

use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

pub use self::chain::BackupChain;
pub use self::changes::{BackupState, Changes, Until};
pub use self::check::{Checked, check};
pub use self::file::{BackupFile, find};
pub use self::incoming::{IncomingBackup, receive};
pub use self::scrub::{Scrubbed, scrub, with_destroyed_text};
use crate::model::Seq;
pub use crate::store::logfile::{LogFileError, LogHeader};

/// Why a backup could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file is not a valid log file.
    #[error(transparent)]
    File(#[from] LogFileError),
    /// A file or folder could not be read.
    #[error("{} cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A file or folder could not be written, or not be read back.
    #[error("could not {action} {}: {source}", .path.display())]
    Unwritable {
        /// The operation, as an infinitive that precedes the path.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A folder contains no backup files.
    #[error("there is no backup in {}; its files end in .dlog", .0.display())]
    NoFiles(PathBuf),
    /// Another process is writing a backup to the folder.
    #[error("another backup is being written to {}; wait for it, or use another folder", .0.display())]
    InUse(PathBuf),
    /// The files belong to more than one archive.
    #[error(
        "{} belongs to another archive ({}) than {} ({}); use files of one archive",
        .path.display(), HEXLOWER.encode(.archive_id), .other.display(), HEXLOWER.encode(.other_archive_id)
    )]
    OtherArchive {
        /// One of the files.
        path: PathBuf,
        /// The id of the archive that `path` belongs to.
        archive_id: [u8; 16],
        /// A file of another archive.
        other: PathBuf,
        /// The id of the archive that `other` belongs to.
        other_archive_id: [u8; 16],
    },
    /// Changes are missing: they are in none of the files.
    #[error("the changes {from} to {} are in none of the files, and {} starts after them; add the backups that contain them", to.0.saturating_sub(1), .path.display())]
    Gap {
        /// The first missing change.
        from: Seq,
        /// The first change after the gap.
        to: Seq,
        /// The file that begins with that change.
        path: PathBuf,
    },
    /// Files of one archive do not continue one another, because it was restored between them.
    #[error("{} does not continue {}: their changes differ below position {seq}, because the archive was restored to an earlier state between them; use only the files from before the restore, or only those from after it", .path.display(), .before.display())]
    Diverged {
        /// The file that does not continue the one before it.
        path: PathBuf,
        /// The file that comes before it.
        before: PathBuf,
        /// The position at which the two should meet.
        seq: Seq,
    },
    /// The requested position is after the end of the backup.
    #[error("position {requested} is beyond the end of the backup, {end}")]
    Beyond {
        /// The position up to which changes were requested.
        requested: Seq,
        /// The end of the last file.
        end: Seq,
    },
}

impl BackupError {
    /// The file before which changes are missing. An archive cannot be restored from these files, even if each of them
    /// is intact.
    pub fn gap_before(&self) -> Option<&Path> {
        match self {
            Self::Gap { path, .. } | Self::Diverged { path, .. } => Some(path),
            Self::File(_)
            | Self::Unreadable { .. }
            | Self::Unwritable { .. }
            | Self::NoFiles(_)
            | Self::InUse(_)
            | Self::OtherArchive { .. }
            | Self::Beyond { .. } => None,
        }
    }

    /// Whether a file could be read but is not what was written.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::File(error) if error.is_damage())
    }

    /// For `map_err`: adds the path to an error of reading.
    fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Unreadable { path, source }
    }

    /// For `map_err`: adds the operation and the path to an error of writing.
    fn unwritable(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Unwritable { action, path, source }
    }
}
