//! What writers ask of the archive, and what they are told.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::Seq;
use crate::model::{
    ArticleName, ArticleUrl, Change, Content, ContentDigest, Fetch, Original, RequestDigest, RequestId, RevisionNumber,
    Snapshot, SourceId, Timestamp, WordDelta,
};
use crate::store::content::{self, PackedContent, PackedOriginal};

/// One operation on one article.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The article.
    pub target: Target,
    /// Where on the observe axis.
    pub observe_time: Timestamp,
    /// What the newest state must be.
    pub precondition: Option<Precondition>,
    /// The writer's id, with the digest of the request.
    pub request: Option<(RequestId, RequestDigest)>,
    /// What to do.
    pub action: Action,
}

/// How an article is named.
#[derive(Clone, Debug)]
pub enum Target {
    /// By name.
    Named(ArticleName),
    /// By the first of the operation's URLs that leads to an article of the source, else by the derived name.
    Found {
        /// The source.
        source: SourceId,
        /// The name that the article gets if no URL is known.
        derived: ArticleName,
    },
}

/// What to do to an article.
#[derive(Clone, Debug)]
pub enum Action {
    /// Archive an observation.
    Observe(Box<Observation>),
    /// Publish an earlier revision's content again.
    Rollback(RevisionNumber),
    /// Set a mark.
    Mark {
        /// Withdraw, or reinstate.
        withdrawn: bool,
        /// Why.
        reason: String,
    },
}

/// A look at an article that found some content.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The content.
    pub content: Arc<Content>,
    /// Its digest.
    pub digest: ContentDigest,
    /// The words of its body.
    pub word_count: u32,
    /// Its encoded bytes.
    pub bytes: Bytes,
    /// The URLs, the canonical one first, each key once.
    pub urls: Vec<ArticleUrl>,
    /// The bytes it was taken from.
    pub original: Option<Original>,
    /// How the page was had.
    pub fetch: Option<Box<Fetch>>,
    /// How close a sighting may follow the last of the same content and write nothing, in microseconds.
    pub coalesce_within_micros: i64,
    /// What was worked out before the writer's turn, on what was newest then.
    pub prepared: Option<Prepared>,
}

impl Observation {
    /// An observation of `content` under `urls`, without original and fetch, every sighting of which is recorded.
    pub fn new(content: Content, urls: Vec<ArticleUrl>) -> Self {
        Self {
            digest: ContentDigest::of(&content),
            word_count: content.word_count(),
            bytes: content::to_bytes(&content).into(),
            content: Arc::new(content),
            urls,
            original: None,
            fetch: None,
            coalesce_within_micros: 0,
            prepared: None,
        }
    }
}

/// Work done outside the writer, good only if the article has not moved since.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The content that the words were counted and the bytes packed against; `None` for a new article.
    pub against: Option<Seq>,
    /// The packed content.
    pub packed: PackedContent,
    /// The words that came and went against it.
    pub word_delta: Option<WordDelta>,
    /// The packed original, which is good however the article has moved.
    pub original: Option<PackedOriginal>,
}

/// What the newest state must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The article must not exist.
    MustNotExist,
    /// Its etag must be this.
    Etag(String),
    /// Its newest revision must have this number.
    Revision(RevisionNumber),
}

/// What an operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It made an article.
    Created,
    /// It made a revision, or set a mark.
    Revised,
    /// It confirmed what was there.
    Unchanged,
}

/// The answer to an operation.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The article.
    pub article: ArticleName,
    /// Where on the observe axis.
    pub observe_time: Timestamp,
    /// What was done.
    pub outcome: Outcome,
    /// The change that made the revision in force at `observe_time`.
    pub made: Arc<Change>,
    /// The number of that revision.
    pub revision: RevisionNumber,
    /// The tag of the article's newest state after it; after the earlier request where this is the answer to that.
    pub etag: String,
    /// Whether this is the answer to an earlier request.
    pub replayed: bool,
    /// What the writer should know.
    pub warnings: Vec<Warning>,
    /// A stamp at which a read sees the write.
    pub snapshot: Snapshot,
}

/// Something a writer should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A URL stays with the article that it leads to already.
    UrlBelongsToOther {
        /// The URL as given.
        url: String,
        /// The article it leads to.
        article: ArticleName,
    },
    /// A URL does not lead to the article, since as many do already as may.
    TooManyUrls {
        /// The URL as given.
        url: String,
    },
}
