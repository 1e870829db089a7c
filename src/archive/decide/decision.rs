//! The observation rules: what an observation does, given all that is recorded.
//!
//! Order on the observe axis decides, not arrival. Let p be what is in force at the observation's time and s the
//! earliest observation after it. The same time and content as a recorded observation is that one; p's content
//! again is a sighting; s's content was live earlier than known; anything else is a new revision, even where an
//! older one has the same text.

use std::ops::Bound;

use crate::archive::project::timeline::Steps;
use crate::model::{ArticleKey, ContentDigest, RevisionNumber, Seq, Timestamp};
use crate::store::engine::Direction;
use crate::store::head::{Head, InForce};
use crate::store::key::article::TimeTable;
use crate::store::tables::Observed;
use crate::store::{StoreError, Tables};

/// The writer judges on all there is.
pub(crate) const ALL: Seq = Seq(u64::MAX);

/// What an observation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The same one was recorded before, and found this revision: not always the one in force at its time, which is the
    /// one recorded last.
    Recorded(RevisionNumber),
    /// A sighting so close to the last one that the writer asked for nothing to be written.
    Coalesced,
    /// The content in force, seen again.
    Sighting(InForce),
    /// The content of the observation after it, which was live earlier than known.
    Earlier(InForce),
    /// A new revision.
    New {
        /// What was in force before it.
        before: Option<InForce>,
    },
}

/// An observation to be judged.
pub(crate) struct Candidate<'a> {
    pub(crate) article: ArticleKey,
    pub(crate) head: &'a Head,
    pub(crate) observe_time: Timestamp,
    pub(crate) digest: ContentDigest,
    pub(crate) coalesce_within_micros: i64,
}

/// Judges an observation of an article that exists.
pub(crate) fn decide(tables: &Tables<'_>, candidate: &Candidate<'_>) -> Result<Decision, StoreError> {
    let Candidate { article, head, observe_time: at, digest, .. } = *candidate;
    let in_order = at > head.latest_observe_time;
    if !in_order && let Some(revision) = recorded(tables, article, at, digest)? {
        return Ok(Decision::Recorded(revision));
    }
    let steps = Steps::Stored(*tables, article);
    let before = if in_order { Some(head.newest) } else { steps.in_force(Some(at), ALL)? };
    if let Some(before) = before
        && may_be(head, before.created_seq, digest)
        && digest_of(tables, before.created_seq)? == digest
    {
        return sighting(tables, candidate, before, in_order);
    }
    let next = if in_order { None } else { next_observation(tables, article, at, ALL)? };
    let after = match next {
        None => None,
        Some(next) => steps.in_force(Some(next), ALL)?,
    };
    match after {
        Some(after) if digest_of(tables, after.created_seq)? == digest => Ok(Decision::Earlier(after)),
        Some(_) | None => Ok(Decision::New { before }),
    }
}

/// Whether the digest of the revision that the change at `seq` made may be `digest`, as far as the head remembers.
fn may_be(head: &Head, seq: Seq, digest: ContentDigest) -> bool {
    let remembered = head.recent.iter().rev().find(|recent| recent.seq == seq);
    remembered.is_none_or(|recent| digest.0.starts_with(&recent.digest_start))
}

/// The digest of the revision that the change at `seq` made.
pub(crate) fn digest_of(tables: &Tables<'_>, seq: Seq) -> Result<ContentDigest, StoreError> {
    let change = tables.change(seq)?;
    let made = change.and_then(|change| change.entry.made);
    made.map(|made| made.digest)
        .ok_or_else(|| StoreError::damaged_at(seq, "the change that made a revision is missing"))
}

/// The revision that an observation of this content at exactly this time found, if one is recorded.
fn recorded(
    tables: &Tables<'_>,
    article: ArticleKey,
    at: Timestamp,
    digest: ContentDigest,
) -> Result<Option<RevisionNumber>, StoreError> {
    let exactly = (Bound::Included(at), Bound::Included(at));
    let mut last_checked: Option<RevisionNumber> = None;
    for table in [TimeTable::Time, TimeTable::Sighting] {
        for entry in tables.observed(table, article, exactly, Direction::Forward, ALL) {
            let Observed { revision, created_seq, .. } = entry?;
            if last_checked == Some(revision) {
                continue; // Many entries at one instant are mostly of one revision.
            }
            last_checked = Some(revision);
            if digest_of(tables, created_seq)? == digest {
                return Ok(Some(revision));
            }
        }
    }
    Ok(None)
}

fn sighting(
    tables: &Tables<'_>,
    candidate: &Candidate<'_>,
    in_force: InForce,
    in_order: bool,
) -> Result<Decision, StoreError> {
    if candidate.coalesce_within_micros > 0 {
        let last = if in_order {
            Some(candidate.head.latest_observe_time)
        } else {
            last_observation(tables, candidate.article, candidate.observe_time)?
        };
        let near = |last| candidate.observe_time.micros_since(last) <= candidate.coalesce_within_micros;
        if last.is_some_and(near) {
            return Ok(Decision::Coalesced);
        }
    }
    Ok(Decision::Sighting(in_force))
}

/// When the article was observed next after `at`, as known below `below`.
pub(crate) fn next_observation(
    tables: &Tables<'_>,
    article: ArticleKey,
    at: Timestamp,
    below: Seq,
) -> Result<Option<Timestamp>, StoreError> {
    let later = (Bound::Excluded(at), Bound::Unbounded);
    nearest(tables, (article, below), later, Direction::Forward, Timestamp::min)
}

fn last_observation(tables: &Tables<'_>, article: ArticleKey, at: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let earlier = (Bound::Unbounded, Bound::Included(at));
    nearest(tables, (article, ALL), earlier, Direction::Reverse, Timestamp::max)
}

/// Every step begins at an observation, so the observations are the entries of both tables.
fn nearest(
    tables: &Tables<'_>,
    (article, below): (ArticleKey, Seq),
    times: (Bound<Timestamp>, Bound<Timestamp>),
    direction: Direction,
    nearer: fn(Timestamp, Timestamp) -> Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let first = |table| -> Result<Option<Timestamp>, StoreError> {
        let entry = tables.observed(table, article, times, direction, below).next().transpose()?;
        Ok(entry.map(|entry| entry.point.observe_time))
    };
    let (step, sighting) = (first(TimeTable::Time)?, first(TimeTable::Sighting)?);
    Ok(match (step, sighting) {
        (Some(step), Some(sighting)) => Some(nearer(step, sighting)),
        (step, sighting) => step.or(sighting),
    })
}
