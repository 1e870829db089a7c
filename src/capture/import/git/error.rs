//! Why a git repository could not be read.

use std::io;
use std::path::PathBuf;

/// Why a git repository could not be read.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The `git` command is missing.
    #[error("there is no `git` command on the PATH")]
    NotInstalled,
    /// The `git` command could not be started.
    #[error("git cannot be started: {0}")]
    Start(io::Error),
    /// A git command failed.
    #[error("git cannot read {}: {complaint}", folder.display())]
    Read {
        /// The directory in which it ran.
        folder: PathBuf,
        /// What git said.
        complaint: String,
    },
    /// `git log` printed something that its documentation does not describe.
    #[error("git log printed something unexpected: {0:?}")]
    Output(String),
    /// The repository lacks its first commits.
    #[error("{} is a shallow clone: its first commits are missing", folder.display())]
    Shallow {
        /// The repository.
        folder: PathBuf,
    },
    /// The repository has no such commit.
    #[error("{} has no branch, tag or commit {branch}, or no commit yet", folder.display())]
    NoCommit {
        /// The repository.
        folder: PathBuf,
        /// The requested branch, tag or commit.
        branch: String,
    },
    /// No commit touches a selected file.
    #[error("no commit of {branch} touches a file that matches {patterns}")]
    NoMatch {
        /// The requested branch, tag or commit.
        branch: String,
        /// The patterns of the selected files.
        patterns: String,
    },
    /// The caller named no source, and the name of the repository's directory is not valid as one.
    #[error("the name of the repository's directory cannot be a source")]
    NoSource,
}

impl GitError {
    pub(in crate::capture) fn reason(&self) -> &'static str {
        match self {
            Self::NotInstalled | Self::Start(_) => "NO_GIT",
            Self::Read { .. } | Self::Output(_) => "GIT",
            Self::Shallow { .. } => "SHALLOW",
            Self::NoCommit { .. } | Self::NoMatch { .. } | Self::NoSource => "",
        }
    }
}
