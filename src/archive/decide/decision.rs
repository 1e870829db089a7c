//! The observation rules: what an observation of an existing article does, given everything recorded.
//!
//! The order of observe times decides, not the order of arrival. Let `p` be the revision in force at the observe time,
//! and `s` the one found by the earliest observation after it:
//!
//! ```text
//!            p                 ?                    s
//! ───────────●─────────────────●────────────────────●─────────▶ observe time
//!        in force here   the observation     next observation
//! ```
//!
//! | the content | the decision |
//! | --- | --- |
//! | is that of an observation recorded at exactly this time | the observation is already recorded |
//! | equals that of `p` | a sighting of `p`, or nothing if it is coalesced |
//! | equals that of `s` | `s` was live earlier than known: it is in force from here on |
//! | is any other | a new revision, even if an older one has the same text |
//!
//! The rules are applied in this order. They guarantee that the same observations give the same content at every
//! instant, whatever their order of arrival; only the numbers of revisions may differ. Ties, two contents at one
//! instant, are the one exception: the one recorded later is in force.
//!
//! Contents are compared by digest alone. This module reads tables and writes nothing; it does not know state changes,
//! request ids or URLs, and of absences only that they keep sightings from being coalesced.

use std::ops::Bound;

use crate::archive::project::absence::absence_at;
use crate::archive::project::timeline::TimelineReader;
use crate::model::{ArticleKey, ContentDigest, RevisionNumber, Seq, Timestamp};
use crate::store::engine::Direction;
use crate::store::head::{ArticleHead, InForce};
use crate::store::key::article::TimeTable;
use crate::store::tables::TimeEntry;
use crate::store::{StoreError, Tables};

/// The bound that includes every change, durable or not. Only the writer thread may use it.
pub(crate) const ALL: Seq = Seq(u64::MAX);

/// What an observation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing: the same observation was recorded before, and found this revision. In a tie, that need not be the
    /// revision in force at its time.
    Recorded(RevisionNumber),
    /// Nothing: it is a sighting within the coalescing time of the previous one.
    Coalesced,
    /// It confirms the revision in force.
    Sighting(InForce),
    /// It shows that the revision found by the next observation was live earlier than known.
    Earlier(InForce),
    /// It creates a revision.
    New {
        /// The revision in force before it.
        before: Option<InForce>,
    },
}

/// An observation to be decided.
pub(crate) struct ObservationCandidate<'a> {
    pub(crate) article: ArticleKey,
    pub(crate) head: &'a ArticleHead,
    pub(crate) observe_time: Timestamp,
    pub(crate) digest: ContentDigest,
    pub(crate) coalesce_within_micros: i64,
}

/// Decides what an observation of an existing article does.
pub(crate) fn decide(tables: &Tables<'_>, candidate: &ObservationCandidate<'_>) -> Result<Decision, StoreError> {
    let ObservationCandidate { article, head, observe_time: at, digest, .. } = *candidate;
    let in_order = at > head.latest_observe_time;
    if !in_order && let Some(revision) = recorded(tables, article, at, digest)? {
        return Ok(Decision::Recorded(revision));
    }
    let timeline = TimelineReader::Stored(*tables, article);
    let before = if in_order { Some(head.newest) } else { timeline.in_force(Some(at), ALL)? };
    if let Some(before) = before
        && may_have_digest(head, before.created_seq, digest)
        && digest_of(tables, before.created_seq)? == digest
    {
        return sighting(tables, candidate, before, in_order);
    }
    let next = if in_order { None } else { next_observation(tables, article, at, ALL)? };
    let after = match next {
        None => None,
        Some(next) => timeline.in_force(Some(next), ALL)?,
    };
    match after {
        Some(after) if digest_of(tables, after.created_seq)? == digest => Ok(Decision::Earlier(after)),
        Some(_) | None => Ok(Decision::New { before }),
    }
}

/// Whether the revision created at `seq` can have this digest. The head has the first bytes of recent digests, so in
/// most cases the change need not be read to know that it does not.
fn may_have_digest(head: &ArticleHead, seq: Seq, digest: ContentDigest) -> bool {
    let recent = head.recent.iter().rev().find(|recent| recent.seq == seq);
    recent.is_none_or(|recent| digest.0.starts_with(&recent.digest_start))
}

/// Reads the content digest of the revision that the change at `seq` created.
pub(crate) fn digest_of(tables: &Tables<'_>, seq: Seq) -> Result<ContentDigest, StoreError> {
    let change = tables.change(seq)?;
    let new_revision = change.and_then(|change| change.entry.new_revision);
    new_revision
        .map(|revision| revision.digest)
        .ok_or_else(|| StoreError::damaged_at(seq, "the change that created a revision is missing"))
}

/// The revision that a recorded observation of this content at exactly this time found; `None` if there is no such
/// observation.
fn recorded(
    tables: &Tables<'_>,
    article: ArticleKey,
    at: Timestamp,
    digest: ContentDigest,
) -> Result<Option<RevisionNumber>, StoreError> {
    let exactly = (Bound::Included(at), Bound::Included(at));
    let mut last_checked: Option<RevisionNumber> = None;
    for table in [TimeTable::Time, TimeTable::Sighting] {
        for entry in tables.time_entries(table, article, exactly, Direction::Forward, ALL) {
            let TimeEntry { revision, created_seq, .. } = entry?;
            if last_checked == Some(revision) {
                continue; // If one instant has many entries, most are of the same revision.
            }
            last_checked = Some(revision);
            if digest_of(tables, created_seq)? == digest {
                return Ok(Some(revision));
            }
        }
    }
    Ok(None)
}

/// Decides a sighting of the revision in force, which is coalesced if it follows the previous observation closely, with
/// no absence between them. One that ends a run of absences is news.
fn sighting(
    tables: &Tables<'_>,
    candidate: &ObservationCandidate<'_>,
    in_force: InForce,
    in_order: bool,
) -> Result<Decision, StoreError> {
    if candidate.coalesce_within_micros > 0 {
        let last = if in_order {
            Some(candidate.head.latest_observe_time)
        } else {
            last_observation(tables, candidate.article, candidate.observe_time)?
        };
        let is_close = |last| candidate.observe_time.micros_since(last) <= candidate.coalesce_within_micros;
        if last.is_some_and(is_close)
            && absence_at(tables, candidate.article, candidate.head, candidate.observe_time, ALL)?.is_none()
        {
            return Ok(Decision::Coalesced);
        }
    }
    Ok(Decision::Sighting(in_force))
}

/// The time of the earliest observation after `at`, as known below the position `below`.
pub(crate) fn next_observation(
    tables: &Tables<'_>,
    article: ArticleKey,
    at: Timestamp,
    below: Seq,
) -> Result<Option<Timestamp>, StoreError> {
    let later = (Bound::Excluded(at), Bound::Unbounded);
    nearest(tables, article, below, later, Direction::Forward)
}

/// The time of the latest observation at or before `at`.
fn last_observation(tables: &Tables<'_>, article: ArticleKey, at: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let earlier = (Bound::Unbounded, Bound::Included(at));
    nearest(tables, article, ALL, earlier, Direction::Reverse)
}

/// The time of the first observation in `times`, read in this direction. A new revision has an entry in the table
/// `Time` and a sighting one in the table `Sighting`, so both are read.
fn nearest(
    tables: &Tables<'_>,
    article: ArticleKey,
    below: Seq,
    times: (Bound<Timestamp>, Bound<Timestamp>),
    direction: Direction,
) -> Result<Option<Timestamp>, StoreError> {
    let first = |table| -> Result<Option<Timestamp>, StoreError> {
        let entry = tables.time_entries(table, article, times, direction, below).next().transpose()?;
        Ok(entry.map(|entry| entry.point.observe_time))
    };
    let times = [first(TimeTable::Time)?, first(TimeTable::Sighting)?].into_iter().flatten();
    Ok(match direction {
        Direction::Forward => times.min(),
        Direction::Reverse => times.max(),
    })
}
