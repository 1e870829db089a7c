//! Captures articles for the archive and takes them out again: pages, feeds, whole collections and exports.
//!
//! It knows the archive as a [`Client`](crate::client::Client) does, and neither terminal nor exit status: the caller
//! passes options, receives events, and decides what to print.
//!
//! - [`pages`]: fetches pages and records what they say;
//! - [`follow`]: archives the entries of syndication feeds, once or repeatedly;
//! - [`import`]: archives whole collections: JSON Lines, web archives, git repositories;
//! - [`export`]: writes articles as JSON Lines or as documents;
//! - [`state_file`]: what a run keeps for the next one, outside the archive.

mod error;
pub mod export;
pub mod follow;
pub mod import;
pub mod originals;
mod own_page;
pub mod pages;
pub mod replace;
pub mod state_file;

pub use self::error::{CaptureError, PageError};
use crate::ingest::Document;
use crate::wire::pb;

/// What was recorded.
#[derive(Debug)]
pub enum Recorded {
    /// An observation, with the archive's response.
    Observation(Box<pb::RecordObservationResponse>),
    /// An absence: the page of an archived article is missing. With the archive's response.
    Absence(Box<pb::RecordAbsenceResponse>),
    /// Nothing: a further address of this article is missing, which does not say that its page is.
    Nothing(Box<pb::Article>),
}

impl Default for Recorded {
    fn default() -> Self {
        Self::Observation(Box::default())
    }
}

/// The outcome of one document, and the remarks on it.
#[derive(Debug, Default)]
pub struct Captured {
    /// What was recorded.
    pub recorded: Recorded,
    /// What the reader inferred because the document did not state it, one line each.
    pub guesses: Vec<String>,
    /// Other remarks for the user, one line each.
    pub notes: Vec<String>,
}

impl Captured {
    /// The remarks on a document that is not archived yet.
    pub fn of(document: &Document) -> Self {
        Self { guesses: document.guesses.iter().map(ToString::to_string).collect(), ..Self::default() }
    }

    /// The resource name of the article; empty before it is archived.
    pub fn article(&self) -> String {
        match &self.recorded {
            Recorded::Observation(response) => {
                let revision = response.revision.as_ref();
                revision.map(|revision| article_of_revision(&revision.name).to_owned()).unwrap_or_default()
            }
            Recorded::Absence(response) => {
                response.article.as_ref().map(|article| article.name.clone()).unwrap_or_default()
            }
            Recorded::Nothing(article) => article.name.clone(),
        }
    }

    /// Whether the page is missing, but not often enough yet for its article to be gone.
    pub fn needs_another_look(&self) -> bool {
        match &self.recorded {
            Recorded::Observation(_) | Recorded::Nothing(_) => false,
            Recorded::Absence(response) => {
                response.article.as_ref().is_some_and(|article| article.state() == pb::ArticleState::Live)
            }
        }
    }
}

/// The name of the article in the name of a revision.
pub fn article_of_revision(name: &str) -> &str {
    name.rsplit_once("/revisions/").map_or(name, |(article, _)| article)
}
