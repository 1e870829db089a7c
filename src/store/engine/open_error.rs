//! Why an archive directory could not be opened, in words for its owner.

use std::io;
use std::path::{Path, PathBuf};

use super::lock::Holder;

/// Why an archive could not be opened. `Display` says what to do, and may be shown as it is.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing is there, or an empty directory, and it was not to be created.
    #[error("there is no archive in {}; check the path, or create one there", .path.display())]
    Missing {
        /// The archive directory.
        path: PathBuf,
    },
    /// The directory holds something else.
    #[error("{} is not a Dateline archive: {reason}; name an archive, or an empty or new directory", .path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The directory was to become an archive, and is one.
    #[error("there is an archive in {} already; name a directory that does not exist, or is empty", .path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// Another process holds the archive.
    #[error("{} is in use by {}", .path.display(), describe(.path, .holder.as_deref()))]
    InUse {
        /// The archive directory.
        path: PathBuf,
        /// Who holds it. None where it has not said so: it is still starting, or no Dateline.
        holder: Option<Box<Holder>>,
    },
    /// The directory was written by a newer Dateline.
    #[error(
        "the archive in {} has layout {layout}, and this Dateline knows layouts up to {known}; use a newer Dateline",
        .path.display()
    )]
    UnknownLayout {
        /// The archive directory.
        path: PathBuf,
        /// Its layout.
        layout: u32,
        /// The highest layout that can be opened.
        known: u32,
    },
    /// The database was made with settings, or by a version of the engine, that this build does not open.
    #[error("the database in {} cannot be opened by this Dateline: {reason}", .path.display())]
    Incompatible {
        /// The database directory.
        path: PathBuf,
        /// What the engine said.
        reason: String,
    },
    /// The database is damaged.
    #[error(
        "the database in {} is damaged: {reason}; leave the directory as it is, and restore a backup into a new one",
        .path.display()
    )]
    Damaged {
        /// The database directory.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The operating system refused something.
    #[error("could not {action} {}: {source}", .path.display())]
    Io {
        /// What was tried, as an infinitive.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    /// For `map_err`: an I/O error and what it hindered.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

fn describe(path: &Path, holder: Option<&Holder>) -> String {
    let Some(Holder { pid, command, address, since }) = holder else {
        let lock = path.join("LOCK");
        return format!(
            "a process that has not written who it is: a Dateline that is just starting, or another program that has locked \
             {0}; try again in a moment, and look with `fuser -v {0}` if it stays so",
            lock.display()
        );
    };
    let todo = match address {
        Some(address) => format!("use its server at {address}, or stop it first"),
        None => "stop it first, or wait for it".to_owned(),
    };
    format!("`{command}` (process {pid}, since {since}); {todo}")
}
