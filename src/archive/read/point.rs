//! Resolves the archive side of a read point to a position, once, so that every lookup of a read has the same bound.
//!
//! | the client gives | the position |
//! | --- | --- |
//! | nothing | the durable tail |
//! | a position | that position, lowered to the start of the batch if it is inside an atomic batch |
//! | a position with its log digest | the same, if this log has that digest there |
//! | an archive time | the end of the last commit at or before it, found by binary search |
//!
//! Invariants:
//! - A resolved point never changes its meaning. So a position must be durable, and an archive time must be closed
//!   before it is resolved here; closing it is the caller's job.
//! - A read never sees a part of an atomic batch. The one exception is [`exactly`], for feeds, which may resume inside
//!   a batch.
//!
//! The observe side needs no resolving, and this module does not look at it.

use std::cmp::Ordering;

use crate::archive::error::{ArchiveError, InvalidReadPoint};
use crate::archive::position::{LogPosition, Tail, snapshot_after};
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{LogDigest, Seq, Snapshot, Timestamp};

/// A point of both time axes, resolved to one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPoint {
    /// The instant on the observe axis; `None` is the end of the axis.
    pub observe_time: Option<Timestamp>,
    /// The state of the log that the read sees.
    pub snapshot: Snapshot,
}

impl ReadPoint {
    /// The bound of all lookups: changes below this position are visible, and no others.
    pub fn below(&self) -> Seq {
        self.snapshot.next_seq
    }
}

/// Resolves "known below `next_seq`". A position inside an atomic batch is lowered to the first of the batch. A
/// position after the tail is [`InvalidReadPoint::SeqInFuture`], and a log digest other than this log's
/// [`InvalidReadPoint::HistoryDiverged`].
pub(crate) fn at_seq(
    reader: &Reader<'_>,
    tail: &Tail,
    next_seq: Seq,
    log_digest: Option<LogDigest>,
) -> Result<Snapshot, ReadError> {
    let position = &tail.position;
    if next_seq > position.next_seq {
        return Err(ArchiveError::from(InvalidReadPoint::SeqInFuture { next_seq, tail: position.next_seq }).into());
    }
    if log_digest.is_some() {
        exactly(reader, tail, next_seq, log_digest)?;
    }
    if next_seq == position.next_seq {
        return Ok(position.snapshot());
    }
    let batch_start = reader.change(next_seq)?.entry.batch_first.min(next_seq);
    snapshot_below(reader, position, batch_start)
}

/// Resolves "known at `archive_time`". The time must be closed: no later commit may get an archive time at or before
/// it.
pub(crate) fn at_archive_time(
    reader: &Reader<'_>,
    tail: &Tail,
    archive_time: Timestamp,
) -> Result<Snapshot, ReadError> {
    let position = &tail.position;
    if position.archive_time.is_none_or(|last| last <= archive_time) {
        return Ok(position.snapshot());
    }
    let (mut low, mut high) = (Seq::ZERO, position.next_seq);
    while low < high {
        let middle = Seq(low.0 + (high.0 - low.0) / 2);
        if reader.change(middle)?.entry.archive_time <= archive_time {
            low = middle.next();
        } else {
            high = middle;
        }
    }
    snapshot_below(reader, position, low)
}

/// Returns the snapshot at exactly this position, which may be inside an atomic batch. A log digest other than this
/// log's, or a position after the tail, is [`InvalidReadPoint::HistoryDiverged`].
pub(crate) fn exactly(
    reader: &Reader<'_>,
    tail: &Tail,
    next_seq: Seq,
    log_digest: Option<LogDigest>,
) -> Result<Snapshot, ReadError> {
    let position = &tail.position;
    let snapshot = match next_seq.cmp(&position.next_seq) {
        Ordering::Less => Some(snapshot_below(reader, position, next_seq)?),
        Ordering::Equal => Some(position.snapshot()),
        // The client got the position from a log that had reached it, so that was not this log.
        Ordering::Greater => None,
    };
    let diverged = || ArchiveError::from(InvalidReadPoint::HistoryDiverged { next_seq });
    Ok(snapshot
        .filter(|snapshot| log_digest.is_none_or(|log_digest| snapshot.log_digest == log_digest))
        .ok_or_else(diverged)?)
}

fn snapshot_below(reader: &Reader<'_>, position: &LogPosition, next_seq: Seq) -> Result<Snapshot, ReadError> {
    match next_seq.previous() {
        None => Ok(Snapshot { next_seq, archive_time: None, log_digest: position.origin }),
        Some(last) => Ok(snapshot_after(&*reader.change(last)?)),
    }
}
