//! Backups as files: a folder of them, what continues what, and the changes of a whole chain.
//!
//! A backup is one or more files of the log's export ([`crate::store::export`]): one that begins at the first change,
//! and others that each go on where one before ended. The last one may hold no change, and just what stands beside the log:
//! where the consumers of durable subscriptions are. Here nothing is known of an archive that is open. Whatever is read
//! is checked, and refused with its place where it is not what was written.

mod bases;
mod chain;
mod changes;
mod check;
mod file;
mod incoming;

use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

pub use self::chain::Chain;
pub use self::changes::{Beside, Changes, Until};
pub use self::check::{Checked, check};
pub use self::file::{BackupFile, find};
pub use self::incoming::{Incoming, receive};
use crate::model::Seq;
pub use crate::store::export::{ExportError, LogEnd, LogHeader};
pub use crate::store::whole::WholeChange;

/// Why a backup was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file is not what it must be.
    #[error(transparent)]
    File(#[from] ExportError),
    /// Something could not be read.
    #[error("{} can't be read: {source}", .path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something could not be written, or not be read again.
    #[error("could not {action} {}: {source}", .path.display())]
    Unwritable {
        /// What was tried, as an infinitive.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing was found to read.
    #[error("there is no backup in {}; its files end in .dlog", .0.display())]
    NoFiles(PathBuf),
    /// Another process writes a backup there.
    #[error("another backup is being written to {}; wait for it, or name another folder", .0.display())]
    InUse(PathBuf),
    /// Files of more than one archive.
    #[error(
        "{} is of another archive ({}) than {} ({}); name files of one archive",
        .path.display(), HEXLOWER.encode(.archive_id), .other.display(), HEXLOWER.encode(.other_archive_id)
    )]
    OtherArchive {
        /// One file.
        path: PathBuf,
        /// Its archive.
        archive_id: [u8; 16],
        /// Another file.
        other: PathBuf,
        /// Its archive.
        other_archive_id: [u8; 16],
    },
    /// Changes are in none of the files.
    #[error("the changes {from} to {} are in none of the files, and {} goes on behind them; add the backups that hold them", to.0.saturating_sub(1), .path.display())]
    Gap {
        /// The first that is missing.
        from: Seq,
        /// The first that is there again.
        to: Seq,
        /// The file that begins with it.
        path: PathBuf,
    },
    /// Files of one archive that do not continue one another, since it was restored between them.
    #[error("{} does not continue {}: they have other changes below position {seq}; the archive was restored to an earlier state between them, so name the files from before or after that alone", .path.display(), .before.display())]
    Diverged {
        /// The file that does not continue.
        path: PathBuf,
        /// The file that comes before it.
        before: PathBuf,
        /// The position at which they should meet.
        seq: Seq,
    },
    /// More was asked for than there is.
    #[error("position {asked} is beyond the end of the backup, {end}")]
    Beyond {
        /// The position asked for.
        asked: Seq,
        /// The end of the last file.
        end: Seq,
    },
}

impl BackupError {
    /// The file before which changes are missing: an archive cannot be restored from these files, whole as each may be.
    pub fn hole_before(&self) -> Option<&Path> {
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

    /// Whether what was read is not what was once written.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::File(error) if error.is_damage())
    }

    fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Unreadable { path, source }
    }

    fn unwritable(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Unwritable { action, path, source }
    }
}
