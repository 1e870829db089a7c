//! The write requests that the archive accepts, and the receipts that it returns for them.
//!
//! Requests arrive here validated, as far as that is possible without reading the archive: by
//! [`observation`](super::observation), [`embed`](super::embed) and [`check`]. This module does not know the wire
//! format.

use std::sync::Arc;

use bytes::Bytes;

use crate::archive::QueueShare;
use crate::model::diff::DiffSummary;
use crate::model::field_errors::{FieldErrors, all};
use crate::model::{
    AbsenceLook, ArticleName, ArticleState, ArticleUrl, Change, Content, ContentDigest, Expunging, Fetch, Limits,
    Original, PrincipalName, RequestDigest, RequestId, RevisionNumber, Seq, Snapshot, SourceId, SourceScope, Timestamp,
    check,
};
use crate::store::content::{PackedContent, PackedOriginal};
use crate::store::{Batch, content_encoding};

/// Whether a write is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// Every operation is decided, and the batch is written durably.
    Commit,
    /// Every operation is decided, and nothing is written.
    Validate,
}

/// One operation on one article.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The article to write to.
    pub target: ArticleTarget,
    /// The observe time at which the operation takes effect.
    pub observe_time: Timestamp,
    /// A condition on the article's newest state. If it does not hold, the operation is rejected.
    pub precondition: Option<Precondition>,
    /// The request id that the client gave, with a digest of the whole request. The digest distinguishes a repeated
    /// request from a different one with the same id.
    pub request: Option<(RequestId, RequestDigest)>,
    /// Who asks for it, and which articles it may be about.
    pub by: Writer,
    /// What to do to the article.
    pub action: Action,
}

/// Who asks for an operation.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    /// The name that goes into the log; `None` if callers are not told apart. The archive takes it from the
    /// [`WriteOrigin`].
    pub principal: Option<PrincipalName>,
    /// The sources whose articles the operation may write to and name. An article elsewhere is not found.
    pub within: SourceScope,
}

/// Where writes come from: the name that goes into the log, and the part of the queue that they share.
#[derive(Clone, Debug, Default)]
pub struct WriteOrigin {
    /// The name; `None` if callers are not told apart.
    pub principal: Option<PrincipalName>,
    /// The part of the queue.
    pub share: Arc<QueueShare>,
}

/// How the client identifies an article.
#[derive(Clone, Debug)]
pub enum ArticleTarget {
    /// By its full name. The article need not exist.
    Named(ArticleName),
    /// By the first of the operation's URLs that leads to an article of the source at the observe time; if none does,
    /// by the derived name. If an address ended there and that name is in use, a number is appended to the name, so
    /// that a reused address gives a new article.
    ByUrl {
        /// The source that the article belongs to.
        source: SourceId,
        /// The name to use if no URL leads to an article of the source.
        derived: ArticleName,
    },
    /// The article to which this address leads at the observe time; before the first time at which it leads somewhere,
    /// where it leads first. If it leads to none, the operation is rejected.
    AtUrl(ArticleUrl),
    /// The article to which this address leads at the observe time, or led before it ended.
    ByAddress(ArticleUrl),
}

/// What to do to an article.
#[derive(Clone, Debug)]
pub enum Action {
    /// Record an observation, which creates a revision or confirms one.
    Observe(Box<Observation>),
    /// Record the content of an earlier revision again.
    Rollback(RevisionNumber),
    /// Record a state change.
    SetState {
        /// Whether to withdraw the article; otherwise it is reinstated.
        withdrawn: bool,
        /// The client's reason, in words for people. May be empty.
        reason: String,
    },
    /// Record an absence: a look that found the article's page missing.
    Absent(Box<AbsenceLookRequest>),
    /// Add labels to the article, and remove labels from it. The operation's observe time is ignored.
    Label {
        /// The labels to add and to remove.
        edit: LabelEdit,
        /// The reason that the client gave, for people. May be empty.
        reason: String,
    },
    /// Let an address lead to the article from the observe time on. If it leads to another article then, an
    /// [`Action::EndUrl`] at that one is carried out first, in the same batch.
    BindUrl(UrlMove),
    /// Let an address that leads to the article end at the observe time.
    EndUrl(UrlMove),
    /// Destroy text of the article, as was prepared. The operation's observe time is ignored.
    Expunge(Box<PreparedExpunge>),
}

/// The destruction of text, prepared from what the article had at one point. If more changes lose their text than one
/// change can name, several operations of one batch name them; the first writes everything.
#[derive(Clone, Debug)]
pub struct PreparedExpunge {
    /// The article's latest change at that point. If there is a later one, the operation is rejected. `None` for all but
    /// the first operation.
    pub latest_seq: Option<Seq>,
    /// What the change that carries it out records.
    pub expunging: Expunging,
    /// The name that the article gets in place of its own, if that is to be destroyed.
    pub name: Option<ArticleName>,
    /// The stubs in place of the changes, what is removed with their text, and what was stored as a delta of it.
    pub writes: Batch,
}

/// A move of an address to an article, or away from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlMove {
    /// The address.
    pub url: ArticleUrl,
    /// The article that the address must lead to; `None` if any will do. The end of an address that is part of a move has
    /// it, and so is carried out even if the address ended there at the same time before, and began again.
    pub from: Option<ArticleName>,
    /// The reason that the client gave, for people. May be empty.
    pub reason: String,
}

impl WriteOrigin {
    /// Says in operations who asks for them.
    pub(crate) fn sign(&self, operations: &mut [Operation]) {
        for operation in operations {
            operation.by.principal.clone_from(&self.principal);
        }
    }
}

impl Operation {
    /// The most changes that the operation may cause.
    pub(crate) fn changes_max(&self) -> usize {
        if matches!(self.action, Action::BindUrl(_)) { 2 } else { 1 }
    }
}

impl Action {
    /// A change of labels, with the labels and the reason checked.
    pub(crate) fn label(
        add: Vec<String>,
        remove: Vec<String>,
        reason: String,
        limits: &Limits,
    ) -> Result<Self, FieldErrors> {
        let distinct = check::labels_distinct(&add, &remove);
        let add = check::labels("add_labels", add, limits);
        let remove = check::labels("remove_labels", remove, limits);
        let reason = check::reason(reason);
        let (add, remove, (), reason) = all!(add, remove, distinct, reason)?;
        Ok(Self::Label { edit: LabelEdit { add, remove, count_max: limits.labels_max }, reason })
    }
}

/// One look at an article that found its page missing.
#[derive(Clone, Debug)]
pub struct AbsenceLookRequest {
    /// What the look found.
    pub look: AbsenceLook,
    /// The HTTP facts of the fetch.
    pub fetch: Option<Box<Fetch>>,
    /// The absence is not recorded if it follows the previous one within this time, in microseconds, and the article is
    /// gone already. 0 records every absence.
    pub coalesce_within_micros: i64,
}

/// Labels to add to an article and to remove from it. What is so already changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelEdit {
    /// The labels to add, sorted and unique.
    pub add: Vec<String>,
    /// The labels to remove, sorted and unique. None of them is in `add`.
    pub remove: Vec<String>,
    /// The maximum number of labels that the article may have if any is added.
    pub count_max: usize,
}

impl LabelEdit {
    /// Adds these labels, which must be sorted and unique, and removes none.
    pub fn adding(add: Vec<String>, count_max: usize) -> Self {
        Self { add, remove: Vec::new(), count_max }
    }

    /// The memory that the labels occupy, in bytes.
    pub(crate) fn weight_bytes(&self) -> usize {
        self.add.iter().chain(&self.remove).map(|label| label.len() + size_of::<String>()).sum()
    }
}

impl Default for LabelEdit {
    /// Neither adds nor removes a label.
    fn default() -> Self {
        Self::adding(Vec::new(), Limits::default().labels_max)
    }
}

/// One look at an article that found some content.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The content that was found.
    pub content: Arc<Content>,
    /// The digest of `content`.
    pub digest: ContentDigest,
    /// The number of words in the body, not counting captions.
    pub word_count: u32,
    /// `content` in the storage encoding, not yet compressed.
    pub bytes: Bytes,
    /// The URLs under which the article was found, the canonical one first. No two have the same key.
    pub urls: Vec<ArticleUrl>,
    /// The bytes that the content was extracted from, if they are to be kept.
    pub original: Option<Original>,
    /// The HTTP facts of the fetch.
    pub fetch: Option<Box<Fetch>>,
    /// The labels to add to the article.
    pub labels: LabelEdit,
    /// A sighting is not recorded if it follows the previous sighting of the same content within this time, in
    /// microseconds. 0 records every sighting.
    pub coalesce_within_micros: i64,
    /// Work that was done in advance, if any; see [`Prepared`].
    pub prepared: Option<Prepared>,
}

impl Observation {
    /// An observation of `content` under `urls`, without an original, a fetch or labels, and without coalescing.
    pub fn new(content: Content, urls: Vec<ArticleUrl>) -> Self {
        Self {
            digest: ContentDigest::of(&content),
            word_count: content.word_count(),
            bytes: content_encoding::to_bytes(&content).into(),
            content: Arc::new(content),
            urls,
            original: None,
            fetch: None,
            labels: LabelEdit::default(),
            coalesce_within_micros: 0,
            prepared: None,
        }
    }
}

/// Work done before the writer thread decides the operation, against the contents that the article is expected to have
/// then. If it has others, the writer thread repeats all of it except `original`.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The content, packed as a delta of the base or as a keyframe.
    pub packed: PackedContent,
    /// The content that it was packed against; `None` if the article was not expected to exist.
    pub base: Option<PreparedBase>,
    /// The content before this one on the observe axis, and how this one differs from it.
    pub summary: Option<(PreparedContent, DiffSummary)>,
    /// The packed original. It does not depend on other contents.
    pub original: Option<PackedOriginal>,
}

/// The content that another one was packed against.
#[derive(Clone, Debug)]
pub struct PreparedBase {
    /// The content.
    pub content: PreparedContent,
    /// How many contents were expected to be needed before it.
    pub depth: u32,
}

/// A content that other work was done against.
#[derive(Clone, Debug)]
pub enum PreparedContent {
    /// The content that the change at this position created.
    Recorded(Seq),
    /// A content that was still queued, in its storage encoding.
    Queued(Bytes),
}

/// A condition on the newest state of an article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The article must not exist.
    MustNotExist,
    /// Its etag must equal this one.
    Etag(String),
    /// Its newest revision must have this number.
    Revision(RevisionNumber),
}

impl Precondition {
    /// The parts of a request's digest that say what the condition is.
    pub(crate) fn digest_parts(&self) -> Vec<Vec<u8>> {
        match self {
            Self::MustNotExist => vec![b"must not exist".to_vec()],
            Self::Etag(etag) => vec![b"etag".to_vec(), etag.clone().into_bytes()],
            Self::Revision(number) => vec![b"revision".to_vec(), number.get().to_be_bytes().to_vec()],
        }
    }
}

/// What an operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It created the article.
    Created,
    /// It created a revision, recorded an absence, or changed the article's state, labels or addresses.
    Revised,
    /// It confirmed what was already recorded.
    Unchanged,
}

/// The result of an operation.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The article that the operation's target resolved to.
    pub article: ArticleName,
    /// The observe time at which the operation took effect.
    pub observe_time: Timestamp,
    /// What the operation did.
    pub outcome: Outcome,
    /// The change that created the revision in force at `observe_time`.
    pub created_by: Arc<Change>,
    /// The number of that revision.
    pub revision: RevisionNumber,
    /// The etag of the article's newest state after the operation; empty if it was only validated. A repeated request
    /// gets the etag that the first one got.
    pub etag: String,
    /// The article's state at the end of the observe axis, at the same point as `etag`.
    pub state: ArticleState,
    /// Whether this is the result of an earlier request with the same request id, which was not carried out again.
    pub replayed: bool,
    /// What the client should know, such as parts of the request that had no effect.
    pub warnings: Vec<Warning>,
    /// The article from which an address was moved away.
    pub moved_from: Option<ArticleName>,
    /// A snapshot at which a read sees the write.
    pub snapshot: Snapshot,
}

/// What a client should know about an operation that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A URL was not bound to the article because it belongs to another one.
    UrlBelongsToOther {
        /// The URL as the client gave it.
        url: String,
        /// The article that it belongs to; `None` if the operation may not name it.
        article: Option<ArticleName>,
    },
    /// A URL was not bound to the article because the article already has the maximum number of URLs.
    TooManyUrls {
        /// The URL as the client gave it.
        url: String,
    },
    /// The article was found by a URL, under which there now is a wholly different text, while the article's own
    /// address is another one: the publisher probably reused the address.
    UrlReused {
        /// The URL as the client gave it.
        url: String,
        /// The article that the text was recorded under.
        article: ArticleName,
    },
}
