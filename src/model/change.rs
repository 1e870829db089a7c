//! The change log's entries, and what they say of revisions.

use super::diff::WordDelta;
use super::{
    ArticleName, ArticleUrl, ClaimedTime, Content, ContentDigest, Fetch, History, RequestDigest, RequestId,
    RevisionNumber, Seq, Timestamp,
};

/// An article's internal number, in order of arrival. It never leaves the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArticleKey(pub u64);

/// One entry of the change log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its position.
    pub seq: Seq,
    /// The running digest over the log up to and including it.
    pub history: History,
    /// What is written of it.
    pub entry: ChangeEntry,
}

/// What the log keeps of a change, beside its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeEntry {
    /// The article.
    pub article: ArticleKey,
    /// Its name, so that whoever reads the log needs nothing else.
    pub name: ArticleName,
    /// What happened to it.
    pub kind: ChangeKind,
    /// The revision that was made or confirmed; `None` for marks and URLs.
    pub revision: Option<RevisionNumber>,
    /// Where on the observe axis.
    pub observe_time: Timestamp,
    /// When it was committed.
    pub archive_time: Timestamp,
    /// The first position of the atomic batch it is of; its own where it stands alone.
    pub batch_first: Seq,
    /// The article's change before it.
    pub previous: Option<Seq>,
    /// The writer's id for the request, with the request's digest.
    pub request: Option<(RequestId, RequestDigest)>,
    /// URLs that begin to lead to the article.
    pub bound_urls: Vec<ArticleUrl>,
    /// The revision that the change made.
    pub made: Option<Box<RevisionRecord>>,
    /// The reason given with a mark.
    pub reason: String,
    /// How the page was had, with an observation that made a revision or is recorded as a sighting.
    pub fetch: Option<Box<Fetch>>,
    /// Whether a rollback asked for it: it made a revision, or confirmed one.
    pub by_rollback: bool,
    /// How the article stands with it.
    pub standing: Standing,
}

/// How an article stands at the end of the observe axis, as known with a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The change that made the revision in force.
    pub made_seq: Seq,
    /// Since when that revision is in force.
    pub since: Timestamp,
    /// Whether the article is withdrawn.
    pub withdrawn: bool,
    /// Whether what the change says is itself in force there. A late observation or mark is not.
    pub is_newest: bool,
}

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// An observation made the article and its first revision.
    Created,
    /// An observation made a further revision.
    Revised,
    /// An observation confirmed a revision.
    Sighted,
    /// An observation that was recorded before came again, under a request id of its own.
    Repeated,
    /// A rollback made a further revision.
    RolledBack,
    /// The article was taken down.
    Withdrawn,
    /// The article was put up again.
    Reinstated,
    /// A mark that was recorded before came again, under a request id of its own.
    MarkRepeated,
    /// URLs alone were added.
    Aliased,
}

/// The attributes of a revision: all that lists and filters need of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionRecord {
    /// The digest of its content.
    pub digest: ContentDigest,
    /// The words of its body.
    pub word_count: u32,
    /// What came and went against the revision before it; `None` for an article's first.
    pub word_delta: Option<WordDelta>,
    /// The revision whose content a rollback published again.
    pub rollback_of: Option<RevisionNumber>,
    /// The headline.
    pub headline: String,
    /// The section.
    pub section: String,
    /// The language.
    pub language: String,
    /// The canonical URL.
    pub canonical_url: String,
    /// The labels.
    pub labels: Vec<String>,
    /// The claimed publish time.
    pub publish_time: Option<ClaimedTime>,
    /// The claimed modify time.
    pub modify_time: Option<ClaimedTime>,
    /// What is known of the kept original.
    pub original: Option<OriginalRecord>,
}

/// What is known of a kept original.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRecord {
    /// The media type.
    pub media_type: String,
    /// How many bytes it has.
    pub size_bytes: u64,
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
}

/// A kept original.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// The media type.
    pub media_type: String,
    /// The bytes.
    pub data: bytes::Bytes,
}

impl RevisionRecord {
    /// The record of `content`, whose digest and [word count](Content::word_count) are given, without delta,
    /// rollback or original.
    pub fn of(content: &Content, digest: ContentDigest, word_count: u32) -> Self {
        Self {
            digest,
            word_count,
            word_delta: None,
            rollback_of: None,
            headline: content.headline.clone(),
            section: content.section.clone(),
            language: content.language.clone(),
            canonical_url: content.canonical_url.clone(),
            labels: content.labels.clone(),
            publish_time: content.publish_time.clone(),
            modify_time: content.modify_time.clone(),
            original: None,
        }
    }
}
