//! What a subscriber is shown of a change.

use std::sync::Arc;

use crate::archive::changefeed::FeedView;
use crate::archive::changefeed::cached_change::FeedEntry;
use crate::archive::changefeed::cached_change::newest;
use crate::archive::changefeed::replay_request::ReplayRequest;
use crate::archive::changefeed::replay_request::replay_request;
use crate::archive::error::{ArchiveError, Missing};
use crate::archive::project::timeline::Steps;
use crate::archive::read::article::revision_of;
use crate::archive::read::article::{RevisionAt, View};
use crate::archive::read::compare::{self, Comparison};
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{Change, ChangeKind, RevisionNumber};
use crate::store::StoreError;

/// A change as it is shown.
#[derive(Clone, Debug)]
pub struct ChangeAt {
    /// The change.
    pub change: Arc<Change>,
    /// What it does.
    pub kind: ChangeKind,
    /// The revision that it made or confirmed; the newest with a mark or URLs. It has the article's name.
    pub revision: RevisionAt,
    /// The revision in force at the end of the observe axis, as known with the change.
    pub newest: RevisionNumber,
    /// Whether what the change says is in force there. Where a URL leads is, however late the look that showed it.
    pub is_newest: bool,
    /// What the revision changed, where the change made it and that was asked for.
    pub comparison: Option<Box<Comparison>>,
    /// What makes the change again, where that was asked for.
    pub again: Option<ReplayRequest>,
}

/// Looks up what a view shows of a change.
pub(crate) fn shown(reader: &Reader<'_>, entry: &FeedEntry, view: FeedView) -> Result<ChangeAt, ReadError> {
    let change = &entry.change;
    let kind = ChangeKind::of(change);
    let newest = newest(reader, change)?;
    let newest_number = number(&newest)?;
    let made = match change.entry.revision {
        _ if change.entry.new_revision.is_some() => Arc::clone(change),
        // A sighting that brought URLs is told as that alone.
        _ if kind == ChangeKind::Aliased => newest,
        Some(revision) if revision != newest_number => made(reader, entry, revision)?,
        _ => newest,
    };
    let content = if view == FeedView::Full && kind != ChangeKind::Withdrawn { View::Full } else { View::Basic };
    let number = number(&made)?;
    let comparison = match view {
        FeedView::Diff if made.seq == change.seq => Some(Box::new(compared(reader, entry, number)?)),
        FeedView::Basic | FeedView::Full | FeedView::Diff | FeedView::Request => None,
    };
    let again = (view == FeedView::Request).then(|| replay_request(reader, entry)).transpose()?;
    Ok(ChangeAt {
        change: Arc::clone(change),
        kind,
        revision: revision_of(reader, entry.change.entry.name.clone(), number, made, content)?,
        newest: newest_number,
        is_newest: change.entry.standing.is_newest || kind == ChangeKind::Aliased,
        comparison,
        again,
    })
}

/// The change that made a revision of the entry's article.
pub(crate) fn made(reader: &Reader<'_>, entry: &FeedEntry, revision: RevisionNumber) -> Result<Arc<Change>, ReadError> {
    let seq = entry.change.seq;
    let created_seq = reader.tables()?.revision(entry.change.entry.article, revision, seq.next())?;
    let missing =
        || ArchiveError::from(Missing::Revision { article: entry.change.entry.name.clone(), number: revision });
    reader.change(created_seq.ok_or_else(missing)?)
}

pub(crate) fn number(made: &Change) -> Result<RevisionNumber, StoreError> {
    let unmade = || StoreError::damaged_at(made.seq, "the change that made a revision has no record of it");
    made.entry.revision.filter(|_| made.entry.new_revision.is_some()).ok_or_else(unmade)
}

/// The revision beside the one in force before it, as known with the change that made it.
fn compared(reader: &Reader<'_>, entry: &FeedEntry, revision: RevisionNumber) -> Result<Comparison, ReadError> {
    let tables = reader.tables()?; // Comparing is for a blocking thread.
    let change = &entry.change;
    let read = |number, made| revision_of(reader, entry.change.entry.name.clone(), number, made, View::Full);
    // What it made came into force where it was observed, so that this is one seek, however long the article's history.
    let before = change.entry.observe_time.saturating_add_micros(-1);
    let step = Steps::Stored(tables, change.entry.article).in_force(Some(before), change.seq.next())?;
    let base = step.map(|step| read(step.revision, reader.change(step.created_seq)?)).transpose()?;
    Ok(compare::beside(base, read(revision, Arc::clone(change))?))
}
