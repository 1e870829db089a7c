//! Errors of log files, with the place in the file.

use std::io;

use super::LOG_FILE_VERSION;
use crate::model::Seq;

/// Why a log file cannot be used. `file` is the name that the caller gave when opening it.
#[derive(Debug, thiserror::Error)]
pub enum LogFileError {
    /// The file could not be read.
    #[error("{file} cannot be read at byte {offset}: {source}")]
    Unreadable {
        /// The name of the file.
        file: String,
        /// The byte at which reading failed.
        offset: u64,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file is not a log file.
    #[error("{file} is not a backup: its first line does not say `dateline log {LOG_FILE_VERSION}`")]
    NotALogFile {
        /// The name of the file.
        file: String,
    },
    /// The file was written by a newer version of Dateline.
    #[error(
        "{file} was written by a newer version of Dateline ({what} {found}; this version reads up to {known}); use the newer version to read it"
    )]
    Newer {
        /// The name of the file.
        file: String,
        /// The format that is too new: `log file format` or `storage format`.
        what: &'static str,
        /// The version that the file states.
        found: u32,
        /// The highest version that this build reads.
        known: u32,
    },
    /// The file ends before its end frame is complete.
    #[error(
        "{file} is cut short: it ends at byte {offset}, before change {seq} is complete; copy it again, or make another backup"
    )]
    CutShort {
        /// The name of the file.
        file: String,
        /// The length of the file in bytes.
        offset: u64,
        /// The first missing change. If only the end frame is missing, the position after the last change.
        seq: Seq,
    },
    /// The content of the file is not what was written.
    #[error(
        "{file} is damaged at byte {offset}, at or after change {seq}: {detail}; use another copy of it, or another backup"
    )]
    Altered {
        /// The name of the file.
        file: String,
        /// The byte at which the damaged frame begins.
        offset: u64,
        /// The first change that was not read.
        seq: Seq,
        /// What is wrong with that frame, for the message.
        detail: String,
    },
}

impl LogFileError {
    /// Whether the file could be read but is not what was written.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::CutShort { .. } | Self::Altered { .. } => true,
            Self::Unreadable { .. } | Self::NotALogFile { .. } | Self::Newer { .. } => false,
        }
    }
}
