//! Why an archive could not be opened, in words for its operator.

use std::io;
use std::path::{Path, PathBuf};

use super::lock::Holder;

/// Why an archive could not be opened. `Display` says what to do, and may be shown to users as it is.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The path does not exist or is an empty directory, and the caller did not ask to create an archive.
    #[error("there is no archive in {}; check the path, or create one there", .path.display())]
    Missing {
        /// The directory in which an archive was expected.
        path: PathBuf,
    },
    /// The path is something other than an archive.
    #[error("{} is not a Dateline archive: {reason}; use an archive, or an empty or new directory", .path.display())]
    Foreign {
        /// The path at which an archive was expected.
        path: PathBuf,
        /// What was found there.
        reason: String,
    },
    /// The directory where an archive should be created is already one.
    #[error("there is an archive in {} already; use a directory that does not exist or is empty", .path.display())]
    Exists {
        /// The directory of the existing archive.
        path: PathBuf,
    },
    /// Another process holds the archive.
    #[error("{} is in use by {}", .path.display(), describe(.path, .holder.as_deref()))]
    InUse {
        /// The directory that the other process has locked.
        path: PathBuf,
        /// The process that holds it; `None` if it has not written its details: it is still starting, or is not
        /// Dateline.
        holder: Option<Box<Holder>>,
    },
    /// Another user's process wrote to the archive while this one copied it to read it.
    #[error(
        "{} was written to while it was being copied; try again when no process writes to it, or ask its owner for access \
         to a server (`dateline serve`)",
        .path.display()
    )]
    Changing {
        /// The directory of the archive.
        path: PathBuf,
    },
    /// The scratch folder has no space for the copy of an archive that is only to be read.
    #[error(
        "reading {} without writing to it needs {needed_bytes} bytes for a copy, and {free_bytes} bytes are free in {}",
        .path.display(), .scratch.display()
    )]
    NoSpaceForCopy {
        /// The directory of the archive.
        path: PathBuf,
        /// The folder in which the copy was to be made.
        scratch: PathBuf,
        /// The space that a copy needs, in bytes.
        needed_bytes: u64,
        /// The space that is free there, in bytes.
        free_bytes: u64,
    },
    /// The directory has a layout that only a newer Dateline knows.
    #[error(
        "the archive in {} has layout {layout}, and this version of Dateline supports layouts up to {known}; use a newer version",
        .path.display()
    )]
    UnknownLayout {
        /// The directory of the archive.
        path: PathBuf,
        /// The layout that its file `VERSION` states.
        layout: u32,
        /// The highest layout that this build can open.
        known: u32,
    },
    /// The database was created with settings, or by an engine version, that this build does not support.
    #[error("this version of Dateline cannot open the database in {}: {reason}", .path.display())]
    Incompatible {
        /// The directory of the database, inside the archive.
        path: PathBuf,
        /// The storage engine's own message.
        reason: String,
    },
    /// The database is damaged.
    #[error(
        "the database in {} is damaged: {reason}; leave the directory as it is, and restore a backup into a new one",
        .path.display()
    )]
    Damaged {
        /// The directory of the database, inside the archive.
        path: PathBuf,
        /// What is damaged, for the message.
        reason: String,
    },
    /// An operation of the operating system failed.
    #[error("could not {action} {}: {source}", .path.display())]
    Io {
        /// The operation, as an infinitive that precedes the path.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

impl OpenError {
    /// For `map_err`: adds the operation and the path to an I/O error.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// The same error in words about the archive `original`, if it is about its copy at `copy`.
    pub(crate) fn about(mut self, copy: &Path, original: &Path) -> Self {
        let (Self::Missing { path }
        | Self::Foreign { path, .. }
        | Self::Exists { path }
        | Self::InUse { path, .. }
        | Self::Changing { path }
        | Self::NoSpaceForCopy { path, .. }
        | Self::UnknownLayout { path, .. }
        | Self::Incompatible { path, .. }
        | Self::Damaged { path, .. }
        | Self::Io { path, .. }) = &mut self;
        if let Ok(within) = path.strip_prefix(copy) {
            *path = original.join(within);
        }
        self
    }
}

fn describe(path: &Path, holder: Option<&Holder>) -> String {
    let Some(Holder { pid, command, since }) = holder else {
        let lock = path.join("LOCK");
        return format!(
            "a process that has not written who it is: Dateline while it is starting or copies the archive to read it, or \
             another program that locked {0}; try again in a moment, and find the process with `fuser -v {0}` if the message persists",
            lock.display()
        );
    };
    format!("`{command}` (process {pid}, since {since}); stop it first, or wait for it")
}
