//! The entries of the change log, and the revision attributes that they record.

use std::collections::BTreeSet;

use super::diff::WordDelta;
use super::{
    AbsenceRecord, ArticleName, ArticleState, ArticleUrl, ClaimedTime, Content, ContentDigest, ContentParts, Expunged,
    Expunging, Fetch, LogDigest, PrincipalName, RequestDigest, RequestId, RevisionNumber, Salt, Seq, Timestamp,
};

/// An article's internal number: 0, 1, 2, … in the order of first changes. It is never exposed to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArticleKey(pub u64);

/// One entry of the change log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its position in the log.
    pub seq: Seq,
    /// The log digest up to and including this change.
    pub log_digest: LogDigest,
    /// What the log records about it.
    pub entry: ChangeEntry,
}

/// What the log records about a change, apart from its position and digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeEntry {
    /// The article's internal number.
    pub article: ArticleKey,
    /// The article's name, so that the log can be read without any index.
    pub name: ArticleName,
    /// What happened to the article.
    pub kind: LogKind,
    /// The revision that was created or confirmed; `None` for absences, state changes and URLs.
    pub revision: Option<RevisionNumber>,
    /// When the content was seen, or the page was missing, or from when the state change is effective. Labels have no
    /// observe time: a change of labels alone has the time from which the newest revision is in force.
    pub observe_time: Timestamp,
    /// When the change was committed. All changes of one commit share it.
    pub archive_time: Timestamp,
    /// The first position of the change's atomic batch; its own position if it is not part of a batch.
    pub batch_first: Seq,
    /// The position of the article's previous change; `None` for its first.
    pub previous: Option<Seq>,
    /// The client's request id, with a digest of the request.
    pub request: Option<(RequestId, RequestDigest)>,
    /// The addresses that lead to the article from the observe time on.
    pub bound_urls: Vec<BoundUrl>,
    /// The addresses that no longer lead to the article from the observe time on.
    pub ended_urls: Vec<BoundUrl>,
    /// For [`LogKind::UrlsRepeated`], the move that had been made before.
    pub repeated_move: Option<Box<RepeatedMove>>,
    /// The new revision; `None` if the change creates none.
    pub new_revision: Option<Box<RevisionRecord>>,
    /// The change of the article's labels; `None` if the change leaves them as they are.
    pub labels: Option<Box<LabelChange>>,
    /// The absence; `None` unless the change records or repeats one.
    pub absence: Option<Box<AbsenceRecord>>,
    /// The reason given with a state change, with labels or with the move of an address; empty otherwise.
    pub reason: String,
    /// The HTTP facts of an observation that created a revision or was recorded as a sighting, or of an absence.
    pub fetch: Option<Box<Fetch>>,
    /// Whether a rollback requested the change, which created or confirmed a revision.
    pub by_rollback: bool,
    /// The article's newest state, as known with this change.
    pub latest_state: LatestState,
    /// Who made the change; `None` if callers are not told apart, or its text was destroyed.
    pub principal: Option<PrincipalName>,
    /// What the change destroyed; `None` unless its kind is [`LogKind::Expunged`].
    pub expunging: Option<Box<Expunging>>,
    /// The salt of the commitments in its leaf. It is drawn when the commit is sealed, and destroyed with the text.
    pub salt: Salt,
    /// What is left in place of the change's text, if that was destroyed.
    pub expunged: Option<Box<Expunged>>,
}

/// An address with the period over which a change says where it leads. The period begins at the change's observe time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundUrl {
    /// The address.
    pub url: ArticleUrl,
    /// The observe time at which the period ends, because something else was known from there on; `None` if it has no
    /// end.
    pub until: Option<Timestamp>,
    /// Whether this is all that is known of the address: nothing was before, or it says only that the article had the
    /// address from an earlier time on. It saves reading what else is known.
    pub is_whole: bool,
}

/// A move of an address that a client repeated under a new request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepeatedMove {
    /// The address.
    pub url: ArticleUrl,
    /// Whether the address ended; otherwise it was moved to the article.
    pub ended: bool,
}

/// An article's state at the end of the observe axis, as known with a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatestState {
    /// The change that created the revision in force.
    pub created_seq: Seq,
    /// When that revision came into force, on the observe axis.
    pub since: Timestamp,
    /// The article's state.
    pub state: ArticleState,
    /// The change that last altered that state, or was a withdrawal or reinstatement, in force or not; `None` without
    /// such a change.
    pub state_seq: Option<Seq>,
    /// Whether the change itself is in force there. A late observation, absence or state change is not.
    pub is_newest: bool,
    /// The change that last set the article's labels; `None` if it never had any. Labels have no observe time: they
    /// apply to the article as a whole, from this change on.
    pub labels_seq: Option<Seq>,
}

/// How a change alters the labels of its article. All lists are sorted and unique.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelChange {
    /// The labels that the article did not have before.
    pub added: Vec<String>,
    /// The labels that the article no longer has.
    pub removed: Vec<String>,
    /// All labels of the article after the change, so that no earlier change has to be read to know them.
    pub after: Vec<String>,
}

/// What a change does, with its number in stored data and in leaves. A number is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LogKind {
    /// An observation created the article and its first revision.
    Created = 1,
    /// An observation created a further revision.
    Revised = 2,
    /// A sighting: an observation confirmed a revision.
    Sighted = 3,
    /// A client repeated a recorded observation under a new request id.
    Repeated = 4,
    /// A rollback created a further revision.
    RolledBack = 5,
    /// The article was withdrawn.
    Withdrawn = 6,
    /// The article was reinstated.
    Reinstated = 7,
    /// A client repeated a recorded state change under a new request id.
    StateRepeated = 8,
    /// URLs were added, and perhaps labels, and nothing else.
    Aliased = 9,
    /// Labels were added or removed, and nothing else.
    Labelled = 10,
    /// A client repeated a change of labels that had been made, under a new request id.
    LabelsRepeated = 11,
    /// An absence: a look found the page missing.
    Absent = 12,
    /// A client repeated a recorded absence under a new request id.
    AbsenceRepeated = 13,
    /// An address no longer leads to the article.
    UrlEnded = 14,
    /// An address was moved to the article.
    UrlBound = 15,
    /// A client repeated a move of an address that had been made, under a new request id.
    UrlsRepeated = 16,
    /// The text of earlier changes of the article was destroyed.
    Expunged = 17,
}

impl LatestState {
    /// The latest change of the article's state or labels. With the newest revision, it tells this state of the article
    /// from every earlier one.
    pub fn last_edit(&self) -> Option<Seq> {
        self.state_seq.max(self.labels_seq)
    }
}

impl Change {
    /// Whether the change altered the newest state of its article, or is a withdrawal or reinstatement.
    pub fn alters_state(&self) -> bool {
        self.entry.latest_state.state_seq == Some(self.seq)
    }
}

impl LogKind {
    const ALL: [Self; 17] = [
        Self::Created,
        Self::Revised,
        Self::Sighted,
        Self::Repeated,
        Self::RolledBack,
        Self::Withdrawn,
        Self::Reinstated,
        Self::StateRepeated,
        Self::Aliased,
        Self::Labelled,
        Self::LabelsRepeated,
        Self::Absent,
        Self::AbsenceRepeated,
        Self::UrlEnded,
        Self::UrlBound,
        Self::UrlsRepeated,
        Self::Expunged,
    ];

    /// The number.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number, if there is one.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| u32::from(kind.number()) == number)
    }

    /// Whether a change of this kind has no observe time of its own: it is of labels and nothing else, or destroys text.
    pub fn has_no_observe_time(self) -> bool {
        matches!(self, Self::Labelled | Self::LabelsRepeated | Self::Expunged)
    }
}

/// The attributes of a revision: everything that lists and filters need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionRecord {
    /// The digest of the content, which identifies its text and attributes.
    pub digest: ContentDigest,
    /// The number of words in the body, without captions.
    pub word_count: u32,
    /// The word difference from the previous revision; `None` for an article's first.
    pub word_delta: Option<WordDelta>,
    /// The parts that differ from what was in force before the revision when it was recorded. Empty if nothing was: all
    /// of it is new.
    pub changed_parts: ContentParts,
    /// The revision that was rolled back to; `None` if this revision is not a rollback.
    pub rollback_of: Option<RevisionNumber>,
    /// The headline; never empty.
    pub headline: String,
    /// The section of the publication, such as `World`; empty if unknown.
    pub section: String,
    /// The language as a BCP 47 tag, such as `en-GB`; empty if unknown.
    pub language: String,
    /// The URL that the publisher declares as the article's own; empty if unknown.
    pub canonical_url: String,
    /// When the publisher says the article was published; `None` if unknown.
    pub publish_time: Option<ClaimedTime>,
    /// When the publisher says the article was last modified; `None` if unknown.
    pub modify_time: Option<ClaimedTime>,
    /// The description of the original; `None` if none was kept.
    pub original: Option<OriginalRecord>,
}

/// The description of a kept original, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRecord {
    /// The media type, such as `text/html`.
    pub media_type: String,
    /// The size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
}

/// An original: the bytes that a content was extracted from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// The media type, such as `text/html`.
    pub media_type: String,
    /// The bytes as the client sent them.
    pub data: bytes::Bytes,
}

impl LabelChange {
    /// The change that takes labels from `before` to what they are with `add` added and `remove` removed; `None` if
    /// that is the same. `before` must be sorted and unique; `add` and `remove` must have no label in common.
    pub fn of(before: &[String], add: &[String], remove: &[String]) -> Option<Self> {
        let before: BTreeSet<&String> = before.iter().collect();
        let added: BTreeSet<&String> = add.iter().filter(|label| !before.contains(label)).collect();
        let removed: BTreeSet<&String> = remove.iter().filter(|label| before.contains(label)).collect();
        if added.is_empty() && removed.is_empty() {
            return None;
        }
        let after = before.union(&added).filter(|label| !removed.contains(*label));
        let after = after.map(|label| (*label).clone()).collect();
        let cloned = |labels: BTreeSet<&String>| labels.into_iter().cloned().collect();
        Some(Self { added: cloned(added), removed: cloned(removed), after })
    }

    /// The memory that the labels occupy, in bytes.
    pub fn weight_bytes(&self) -> usize {
        let labels = self.added.iter().chain(&self.removed).chain(&self.after);
        labels.map(|label| label.len() + size_of::<String>()).sum()
    }
}

impl RevisionRecord {
    /// The record of `content`, given its digest and [word count](Content::word_count). It has neither a word delta nor
    /// changed parts, a rollback or an original; the caller sets those.
    pub fn of(content: &Content, digest: ContentDigest, word_count: u32) -> Self {
        Self {
            digest,
            word_count,
            word_delta: None,
            changed_parts: ContentParts::NONE,
            rollback_of: None,
            headline: content.headline.clone(),
            section: content.section.clone(),
            language: content.language.clone(),
            canonical_url: content.canonical_url.clone(),
            publish_time: content.publish_time.clone(),
            modify_time: content.modify_time.clone(),
            original: None,
        }
    }

    /// Whether the revision changed one of these parts. An empty selection selects every revision, and a revision
    /// before which nothing was in force changed every part.
    pub fn has_changed(&self, selected: ContentParts) -> bool {
        selected.is_empty() || self.changed_parts.is_empty() || self.changed_parts.intersects(selected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn only_labels_that_change_something_are_part_of_a_change() {
        let before = labels(&["city", "flood"]);
        let change = LabelChange::of(&before, &labels(&["flood", "draft"]), &labels(&["city", "gone"])).unwrap();
        assert_eq!(change.added, ["draft"]);
        assert_eq!(change.removed, ["city"]);
        assert_eq!(change.after, ["draft", "flood"]);
        assert_eq!(LabelChange::of(&before, &labels(&["flood"]), &labels(&["gone"])), None);
        let emptied = LabelChange::of(&before, &[], &before).unwrap();
        assert_eq!((emptied.after, emptied.removed), (labels(&[]), before));
    }
}
