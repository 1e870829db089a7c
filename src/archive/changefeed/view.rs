//! Looks up what a view delivers of a change: the revision that it is about, and the content, the differences or the
//! replay request if the view includes them.
//!
//! Everything is read as known with the change, not as known now, so a change looks the same whenever it is delivered.
//! How it is encoded is not known here. A content that is not in memory is read as part of a scan, because a subscriber
//! that is behind the ring usually reads on.

use std::sync::Arc;

use crate::archive::changefeed::FeedView;
use crate::archive::changefeed::cached_change::{creating_change, labelled_by, newest, number};
use crate::archive::changefeed::entry::FeedEntry;
use crate::archive::changefeed::replay_request::{ReplayRequest, expunged_revisions, replay_request};
use crate::archive::project::timeline::TimelineReader;
use crate::archive::read::article::{RevisionAt, View, labels_of, revision_of};
use crate::archive::read::compare::{self, Comparison};
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{Change, ChangeKind, RevisionNumber};

/// A change with everything that a view delivers of it.
#[derive(Clone, Debug)]
pub struct ChangeAt {
    /// The log entry, with its position and log digest.
    pub change: Arc<Change>,
    /// Its kind, as subscribers select it.
    pub kind: ChangeKind,
    /// The revision that it created or confirmed; for an absence, a state change, or URLs or labels alone, the newest.
    /// It has the article's name.
    pub revision: RevisionAt,
    /// The number of the newest revision, as known with the change.
    pub newest: RevisionNumber,
    /// Whether the revision or state that the change records is the newest. Always true for URLs or labels alone: a
    /// binding is valid whenever it was observed, and labels have no observe time.
    pub is_newest: bool,
    /// The article's labels, as known with the change, sorted.
    pub labels: Vec<String>,
    /// The differences from the revision before, if the view is [`FeedView::Diff`] and the change created a revision.
    pub comparison: Option<Box<Comparison>>,
    /// The revisions whose text the change destroyed; none if it destroyed all text of the article, or nothing.
    pub expunged_revisions: Vec<RevisionNumber>,
    /// The replay request, if the view is [`FeedView::Request`].
    pub replay_request: Option<ReplayRequest>,
}

/// Looks up what `view` delivers of a change.
pub(crate) fn change_at(reader: &Reader<'_>, entry: &FeedEntry, view: FeedView) -> Result<ChangeAt, ReadError> {
    let change = &entry.change;
    let kind = ChangeKind::of(change);
    let newest = newest(reader, change)?;
    let newest_number = number(&newest)?;
    let is_of_article =
        matches!(kind, ChangeKind::Aliased | ChangeKind::Labelled | ChangeKind::UrlMoved | ChangeKind::Expunged);
    let created_by = match change.entry.revision {
        _ if change.entry.new_revision.is_some() => Arc::clone(change),
        // An observation that added nothing but URLs or labels is delivered as a change of these alone.
        _ if is_of_article => newest,
        Some(revision) if revision != newest_number => creating_change(reader, entry, revision)?,
        _ => newest,
    };
    let content = if view == FeedView::Full && kind != ChangeKind::Withdrawn { View::Full } else { View::Basic };
    let number = number(&created_by)?;
    let comparison = match view {
        FeedView::Diff if created_by.seq == change.seq => compared(reader, entry, number)?.map(Box::new),
        FeedView::Basic | FeedView::Full | FeedView::Diff | FeedView::Request => None,
    };
    let replay_request = (view == FeedView::Request).then(|| replay_request(reader, entry)).transpose()?;
    Ok(ChangeAt {
        change: Arc::clone(change),
        kind,
        revision: revision_of(&reader.of_scan(), entry.change.entry.name.clone(), number, created_by, content)?,
        newest: newest_number,
        is_newest: change.entry.latest_state.is_newest || is_of_article,
        labels: labels_of(labelled_by(reader, change)?.as_ref()).to_vec(),
        comparison,
        expunged_revisions: expunged_revisions(reader, change)?,
        replay_request,
    })
}

/// Compares the revision with the one in force before it, as known with the change that created it. `None` if the text
/// of either was destroyed.
fn compared(reader: &Reader<'_>, entry: &FeedEntry, revision: RevisionNumber) -> Result<Option<Comparison>, ReadError> {
    let tables = reader.tables()?; // Comparing takes too long for an async thread.
    let change = &entry.change;
    let scan = reader.of_scan();
    let read = |number, created_by| revision_of(&scan, entry.change.entry.name.clone(), number, created_by, View::Full);
    // The revision came into force at its observe time, so this is a single seek, however long the article's history
    // is.
    let before = change.entry.observe_time.saturating_add_micros(-1);
    let step = TimelineReader::Stored(tables, change.entry.article).in_force(Some(before), change.seq.next())?;
    let base = step.map(|step| read(step.revision, reader.change(step.created_seq)?)).transpose()?;
    let target = read(revision, Arc::clone(change))?;
    let is_expunged = target.is_expunged() || base.as_ref().is_some_and(RevisionAt::is_expunged);
    Ok((!is_expunged).then(|| compare::compare_revisions(base, target)))
}
