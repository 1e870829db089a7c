//! Why something could not be captured.

use std::io;
use std::path::PathBuf;

use tonic::Status;

use super::import::{CollectionError, GitError, ItemError};
use crate::client::ServerError;
use crate::fetch::FetchError;
use crate::ingest::IngestError;

/// Why a page, a document or a collection could not be captured. Each error has a stable [reason](Self::reason).
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The archive rejected a request, or could not be reached.
    #[error(transparent)]
    Server(Box<ServerError>),
    /// A page or a feed could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A document could not be converted to an article.
    #[error(transparent)]
    Unreadable(#[from] IngestError),
    /// What was fetched is not the page of an article.
    #[error(transparent)]
    Page(#[from] PageError),
    /// An item of a collection could not be read.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// A git repository could not be read.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A collection could not be opened.
    #[error("{collection}: cannot be read: {error}")]
    Collection {
        /// The path of the file.
        collection: String,
        /// Why it could not be opened.
        error: CollectionError,
    },
    /// The caller set overrides, but JSON Lines state everything themselves.
    #[error("{collection}: options for documents do not apply to JSON Lines")]
    Overrides {
        /// The path of the file.
        collection: String,
    },
    /// The saved progress of an import, or the state of a feed, could not be read.
    #[error("{what} cannot be read in {}: {error}", folder.display())]
    State {
        /// What could not be read, for people.
        what: &'static str,
        /// The directory of the state files.
        folder: PathBuf,
        /// Why it could not be read.
        error: io::Error,
    },
    /// The server ended an import before it answered all observations.
    #[error("the server broke off the import")]
    BrokenOff,
    /// A thread that read a collection ended by itself, which is a fault of this program.
    #[error("reading failed: {0}")]
    Reader(#[from] tokio::task::JoinError),
}

/// Why something that was fetched is not archived.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Neither the caller nor the document names the publication.
    #[error("the document does not state its publication")]
    NoSource,
    /// The site redirects the page to its front page, so it is probably gone.
    #[error("the site redirects this page to its front page, {url}")]
    FrontPage {
        /// The front page.
        url: String,
    },
    /// The page is a syndication feed.
    #[error("this is a feed")]
    Feed {
        /// The feed's URL.
        url: String,
    },
    /// The document is an image or another medium without text.
    #[error("this is {media_type}, not a page")]
    NotAPage {
        /// The media type that the server stated.
        media_type: String,
    },
    /// An entry of a feed has no link to a page.
    #[error("the entry has no link to a page")]
    NoLink,
    /// What was fetched as a feed is not one.
    #[error(transparent)]
    NotAFeed(IngestError),
}

impl CaptureError {
    /// The stable reason, in the form of the reason in `google.rpc.ErrorInfo`; empty if there is none.
    pub fn reason(&self) -> &str {
        match self {
            Self::Server(error) => &error.reason,
            Self::Fetch(error) => error.reason(),
            Self::Unreadable(_) | Self::Collection { .. } => "UNREADABLE",
            Self::Page(error) => error.reason(),
            Self::Item(error) => error.reason(),
            Self::Git(error) => error.reason(),
            Self::Overrides { .. } | Self::State { .. } | Self::BrokenOff | Self::Reader(_) => "",
        }
    }

    /// Whether the same request may succeed later without any action by the caller.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Server(error) => error.is_passing(),
            Self::Fetch(error) => error.is_transient(),
            Self::BrokenOff => true,
            Self::Unreadable(_)
            | Self::Page(_)
            | Self::Item(_)
            | Self::Git(_)
            | Self::Collection { .. }
            | Self::Overrides { .. }
            | Self::State { .. }
            | Self::Reader(_) => false,
        }
    }
}

impl PageError {
    fn reason(&self) -> &'static str {
        match self {
            Self::NoSource => "",
            Self::FrontPage { .. } => "FRONT_PAGE",
            Self::Feed { .. } | Self::NotAPage { .. } => "NOT_A_PAGE",
            Self::NoLink => "NO_PAGE",
            Self::NotAFeed(_) => "NOT_A_FEED",
        }
    }
}

impl From<ServerError> for CaptureError {
    fn from(error: ServerError) -> Self {
        Self::Server(Box::new(error))
    }
}

impl From<Status> for CaptureError {
    fn from(status: Status) -> Self {
        ServerError::from(status).into()
    }
}
