//! Why a file of the log's export is refused, and where.

use std::io;

use super::EXPORT_VERSION;
use crate::model::Seq;

/// Why a file is refused. `file` is what it was called when it was opened.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It could not be read.
    #[error("{file} can't be read at byte {offset}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
    /// It is something else.
    #[error("{file} is not a backup: its first line does not say `dateline log {EXPORT_VERSION}`")]
    NotAnExport {
        /// The file.
        file: String,
    },
    /// It was written by a later version of Dateline.
    #[error(
        "{file} was written by a newer version of Dateline ({what} {found}, and this one reads {known}); read it with that"
    )]
    Newer {
        /// The file.
        file: String,
        /// What has a version: `export` or `format`.
        what: &'static str,
        /// The version found.
        found: u32,
        /// The highest that is read.
        known: u32,
    },
    /// It ends too early.
    #[error(
        "{file} is cut short: it ends at byte {offset}, before change {seq} is complete; fetch it again, or make another backup"
    )]
    CutShort {
        /// The file.
        file: String,
        /// How long it is.
        offset: u64,
        /// The first change that is not there, or the end of the log where all changes are.
        seq: Seq,
    },
    /// What it holds is not what was written.
    #[error(
        "{file} is damaged at byte {offset}, at change {seq} or behind it: {detail}; take another copy of it, or another backup"
    )]
    Altered {
        /// The file.
        file: String,
        /// Where the frame begins that does not fit.
        offset: u64,
        /// The first change that was not read.
        seq: Seq,
        /// What was found.
        detail: String,
    },
}

impl ExportError {
    /// Whether the file was readable, and is not what was once written.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::CutShort { .. } | Self::Altered { .. } => true,
            Self::Unreadable { .. } | Self::NotAnExport { .. } | Self::Newer { .. } => false,
        }
    }
}
