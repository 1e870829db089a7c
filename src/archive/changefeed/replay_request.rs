//! The replay request of a change: the request that would reproduce it.
//!
//! Sent to an empty archive in log order, the replay requests of all changes reproduce the archive. Each is decided on
//! what the requests before it did, as the original was, and so has the same effect. This is what the JSON Lines export
//! consists of.
//!
//! The request is worked out from the log record and from what was known below the change. What the client originally
//! sent is not stored; where several requests would have had the same effect, this gives one of them.

use std::sync::Arc;

use crate::archive::changefeed::cached_change::{creating_change, number};
use crate::archive::changefeed::entry::FeedEntry;
use crate::archive::project::timeline::TimelineReader;
use crate::archive::read::article::{RevisionAt, View, revision_of};
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{AbsenceLook, ArticleUrl, Change, Content, LogKind, RevisionNumber};
use crate::store::{StoreError, content_encoding};

/// The action of a replay request. Name, time, request id, labels, reason and fetch are those of
/// the change.
#[derive(Clone, Debug)]
pub enum ReplayRequest {
    /// Record an observation of this revision's content.
    Observe {
        /// The revision with its content.
        revision: Box<RevisionAt>,
        /// Whether the observation must be coalesced, so that it adds only URLs and labels: the original one was
        /// recorded before, or was coalesced.
        coalesce: bool,
    },
    /// Roll back to the revision of this number.
    Rollback(RevisionNumber),
    /// Record a state change.
    SetState {
        /// Whether to withdraw the article; otherwise it is reinstated.
        withdrawn: bool,
    },
    /// Record an absence.
    Absent(AbsenceLook),
    /// Add and remove the labels that the change added and removed.
    Label,
    /// Destroy the text of these revisions, or of the whole article.
    Expunge {
        /// The revisions; none if all text of the article was destroyed.
        revisions: Vec<RevisionNumber>,
    },
    /// Move an address to the article, or end it there.
    MoveUrl {
        /// The address, as it was given.
        url: String,
        /// Whether it ends; otherwise it is moved to the article.
        ended: bool,
    },
}

/// Works out the request that would reproduce the entry's change.
pub(crate) fn replay_request(reader: &Reader<'_>, feed_entry: &FeedEntry) -> Result<ReplayRequest, ReadError> {
    let change = &feed_entry.change;
    let entry = &change.entry;
    let publish = |number, created_by, coalesce| {
        let revision = revision_of(reader, entry.name.clone(), number, created_by, View::Full)?;
        Ok(ReplayRequest::Observe { revision: Box::new(placeholder(revision)), coalesce })
    };
    match entry.kind {
        LogKind::Created | LogKind::Revised => publish(number(change)?, Arc::clone(change), false),
        LogKind::Sighted | LogKind::Repeated => {
            let missing = || StoreError::damaged_at(change.seq, "an observation does not say which revision it found");
            let number = entry.revision.ok_or_else(missing)?;
            if entry.by_rollback {
                return Ok(ReplayRequest::Rollback(number));
            }
            publish(number, creating_change(reader, feed_entry, number)?, false)
        }
        LogKind::Aliased => match entry.revision {
            Some(number) => publish(number, creating_change(reader, feed_entry, number)?, true),
            // A coalesced observation found the revision in force at its time. Older logs do not say more about one
            // that was recorded before, either.
            None => {
                let timeline = TimelineReader::Stored(reader.tables()?, entry.article);
                let missing = || StoreError::damaged_at(change.seq, "no revision is in force where URLs were seen");
                let step = timeline.in_force(Some(entry.observe_time), change.seq)?.ok_or_else(missing)?;
                publish(step.revision, reader.change(step.created_seq)?, true)
            }
        },
        LogKind::RolledBack => {
            let record = entry.new_revision.as_deref();
            let missing = || StoreError::damaged_at(change.seq, "a rollback does not say to which revision");
            Ok(ReplayRequest::Rollback(record.and_then(|record| record.rollback_of).ok_or_else(missing)?))
        }
        LogKind::Labelled | LogKind::LabelsRepeated => Ok(ReplayRequest::Label),
        LogKind::Absent | LogKind::AbsenceRepeated => {
            let missing = || StoreError::damaged_at(change.seq, "an absence does not say what it found");
            Ok(ReplayRequest::Absent(entry.absence.as_ref().ok_or_else(missing)?.look))
        }
        LogKind::UrlEnded => moved(change, entry.ended_urls.first().map(|ended| &ended.url), true),
        LogKind::UrlBound => moved(change, entry.bound_urls.first().map(|bound| &bound.url), false),
        LogKind::UrlsRepeated => {
            let repeated = entry.repeated_move.as_deref();
            moved(change, repeated.map(|repeated| &repeated.url), repeated.is_some_and(|repeated| repeated.ended))
        }
        // A copy of the archive has the name that the article has now, so there only the text is left to destroy.
        LogKind::Expunged => Ok(ReplayRequest::Expunge { revisions: expunged_revisions(reader, change)? }),
        LogKind::Withdrawn => Ok(ReplayRequest::SetState { withdrawn: true }),
        LogKind::Reinstated => Ok(ReplayRequest::SetState { withdrawn: false }),
        LogKind::StateRepeated => {
            let state =
                TimelineReader::Stored(reader.tables()?, entry.article).state(Some(entry.observe_time), change.seq)?;
            let missing = || StoreError::damaged_at(change.seq, "the state change that was repeated is missing");
            Ok(ReplayRequest::SetState { withdrawn: state.ok_or_else(missing)?.withdrawn })
        }
    }
}

/// The revisions whose text a change destroyed; none if it destroyed all text of the article, or nothing.
pub(crate) fn expunged_revisions(reader: &Reader<'_>, change: &Change) -> Result<Vec<RevisionNumber>, ReadError> {
    let mut revisions = Vec::new();
    for target in change.entry.expunging.iter().flat_map(|expunging| &expunging.targets) {
        let entry = &reader.change(target.seq)?.entry;
        match entry.revision.filter(|_| entry.new_revision.is_some()) {
            Some(revision) => revisions.push(revision),
            // Only with all text of the article do other changes lose theirs.
            None => return Ok(Vec::new()),
        }
    }
    Ok(revisions)
}

/// Stands for a text that was destroyed, so that in a copy of the archive the revisions keep their numbers.
fn placeholder(revision: RevisionAt) -> RevisionAt {
    if !revision.is_expunged() {
        return revision;
    }
    let content = Content::new(format!("The text of revision {} was destroyed", revision.number));
    RevisionAt { encoded_content: Some(content_encoding::to_bytes(&content).into()), ..revision }
}

fn moved(change: &Change, url: Option<&ArticleUrl>, ended: bool) -> Result<ReplayRequest, ReadError> {
    let missing = || StoreError::damaged_at(change.seq, "the move of an address does not say which address");
    Ok(ReplayRequest::MoveUrl { url: url.ok_or_else(missing)?.original.clone(), ended })
}
