//! The request that makes a change again: what an archive is copied by.
//!
//! Made on what the changes before it made, it is judged as it was then, and makes the same change.

use std::sync::Arc;

use crate::archive::changefeed::cached_change::FeedEntry;
use crate::archive::changefeed::view;
use crate::archive::project::timeline::Steps;
use crate::archive::read::article::revision_of;
use crate::archive::read::article::{RevisionAt, View};
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{LogKind, RevisionNumber};
use crate::store::StoreError;

/// What a request asks for, beside what its change says of name, time, request id, reason and fetch.
#[derive(Clone, Debug)]
pub enum ReplayRequest {
    /// An observation of this revision's content.
    Observe {
        /// The revision, with its content.
        revision: Box<RevisionAt>,
        /// Whether it is to be no sighting: it was recorded before or coalesced away, and brought URLs.
        coalesce: bool,
    },
    /// A rollback to the revision of this number.
    Rollback(RevisionNumber),
    /// A mark.
    SetState {
        /// Withdraw, or reinstate.
        withdrawn: bool,
    },
}

/// What makes the entry's change again.
pub(crate) fn replay_request(reader: &Reader<'_>, feed_entry: &FeedEntry) -> Result<ReplayRequest, ReadError> {
    let change = &feed_entry.change;
    let entry = &change.entry;
    let publish = |number, made, coalesce| {
        let revision = revision_of(reader, entry.name.clone(), number, made, View::Full)?;
        Ok(ReplayRequest::Observe { revision: Box::new(revision), coalesce })
    };
    match entry.kind {
        LogKind::Created | LogKind::Revised => publish(view::number(change)?, Arc::clone(change), false),
        LogKind::Sighted | LogKind::Repeated => {
            let nothing = || StoreError::damaged_at(change.seq, "an observation has no revision");
            let number = entry.revision.ok_or_else(nothing)?;
            if entry.by_rollback {
                return Ok(ReplayRequest::Rollback(number));
            }
            publish(number, view::made(reader, feed_entry, number)?, false)
        }
        LogKind::Aliased => match entry.revision {
            Some(number) => publish(number, view::made(reader, feed_entry, number)?, true),
            // What was coalesced away at an instant is what is in force there. Older logs do not tell more of what was
            // recorded there either.
            None => {
                let steps = Steps::Stored(reader.tables()?, entry.article);
                let nothing = || StoreError::damaged_at(change.seq, "nothing is in force where URLs were seen");
                let step = steps.in_force(Some(entry.observe_time), change.seq)?.ok_or_else(nothing)?;
                publish(step.revision, reader.change(step.created_seq)?, true)
            }
        },
        LogKind::RolledBack => {
            let record = entry.new_revision.as_deref();
            let nothing = || StoreError::damaged_at(change.seq, "a rollback does not say to which revision");
            Ok(ReplayRequest::Rollback(record.and_then(|record| record.rollback_of).ok_or_else(nothing)?))
        }
        LogKind::Withdrawn => Ok(ReplayRequest::SetState { withdrawn: true }),
        LogKind::Reinstated => Ok(ReplayRequest::SetState { withdrawn: false }),
        LogKind::StateRepeated => {
            let state = Steps::Stored(reader.tables()?, entry.article).state(Some(entry.observe_time), change.seq)?;
            let nothing = || StoreError::damaged_at(change.seq, "the mark that was repeated is missing");
            Ok(ReplayRequest::SetState { withdrawn: state.ok_or_else(nothing)?.withdrawn })
        }
    }
}
