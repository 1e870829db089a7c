//! Why an export failed.

use std::io;
use std::path::{Path, PathBuf};

use tonic::Status;

use crate::capture::replace::missing_parent;
use crate::client::ServerError;
use crate::wire::json::JsonError;

/// Why an export, or the document of one article, failed. Each error has a stable [reason](Self::reason).
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The archive rejected a request, or could not be reached.
    #[error(transparent)]
    Server(Box<ServerError>),
    /// A file could not be written.
    #[error("{} cannot be written: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why it could not be written.
        error: io::Error,
    },
    /// The directory that is to contain the output does not exist.
    #[error("{} does not exist", .0.display())]
    NoFolder(PathBuf),
    /// A file could not be read.
    #[error("{} cannot be read: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why it could not be read.
        error: io::Error,
    },
    /// A file is in the way of the export.
    #[error(transparent)]
    Conflict(#[from] FileConflict),
    /// The state of an unfinished export cannot be used.
    #[error("the state of the unfinished export has no valid filter: {0}")]
    State(JsonError),
    /// A selected article does not exist at the point that is read.
    #[error("there is no article {article}{}", if *is_as_of { " at that time" } else { "" })]
    UnknownArticle {
        /// The resource name of the article.
        article: String,
        /// Whether a time was requested.
        is_as_of: bool,
    },
    /// The one article to export is not among the selected ones.
    #[error("the article does not match the other options")]
    NotSelected,
    /// The server returned an article that is not valid.
    #[error("{article}: {problem}")]
    Invalid {
        /// The resource name of the article.
        article: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The server sent a change without the request that reproduces it.
    #[error("the server sent no request with a change; check its version")]
    NoRequest,
    /// Lines could not be compressed.
    #[error("compression failed: {0}")]
    Compression(io::Error),
    /// A task of the export ended by itself, which is a fault of this program.
    #[error("the export failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// A file that an export finds, and does not overwrite on its own.
#[derive(Debug, thiserror::Error)]
pub enum FileConflict {
    /// The target exists.
    #[error("{} exists", .0.display())]
    Exists(PathBuf),
    /// There is an unfinished export, without the state from which it could be continued.
    #[error("{} is left from an export that was killed, and cannot be continued", .0.display())]
    NoState(PathBuf),
    /// The state file of an unfinished export is damaged, or is another file.
    #[error("{} is not the state of an export", .0.display())]
    NotAState(PathBuf),
    /// There is an unfinished export with other options.
    #[error("{} was begun with other options", .0.display())]
    OtherOptions(PathBuf),
    /// A file in the directory of an export was not written by one, or was changed since.
    #[error("{} is not from an export, or was changed since", .0.display())]
    Foreign(PathBuf),
}

impl ExportError {
    /// The stable reason, in the form of the reason in `google.rpc.ErrorInfo`; empty if there is none.
    pub fn reason(&self) -> &str {
        match self {
            Self::Server(error) => &error.reason,
            Self::Write { .. } | Self::NoFolder(_) => "UNWRITABLE",
            Self::Read { .. } | Self::Invalid { .. } => "UNREADABLE",
            Self::Conflict(FileConflict::OtherOptions(_)) => "OTHER_EXPORT",
            Self::Conflict(_) | Self::State(_) => "EXISTS",
            Self::UnknownArticle { .. } => "ARTICLE_UNKNOWN",
            Self::NotSelected => "NOT_CHOSEN",
            Self::NoRequest | Self::Compression(_) | Self::Task(_) => "",
        }
    }

    /// The error of writing `path`.
    pub(super) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| match missing_parent(path) {
            Some(folder) if error.kind() == io::ErrorKind::NotFound => Self::NoFolder(folder.to_owned()),
            Some(_) | None => Self::Write { path: path.to_owned(), error },
        }
    }

    /// The error of reading `path`.
    pub(super) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Read { path: path.to_owned(), error }
    }
}

impl From<Status> for ExportError {
    fn from(status: Status) -> Self {
        Self::Server(Box::new(status.into()))
    }
}
