//! A point of both axes, resolved once: every look-up of a read takes the same bound.

use std::cmp::Ordering;

use crate::archive::error::{ArchiveError, BadBound};
use crate::archive::read::reader::{ReadError, Reader};
use crate::archive::shared::Tail;
use crate::archive::write::commit_builder::Position;
use crate::model::{LogDigest, Seq, Snapshot, Timestamp};

/// A resolved point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPoint {
    /// The point of the observe axis; `None` is its end.
    pub observe_time: Option<Timestamp>,
    /// What the read is answered from.
    pub snapshot: Snapshot,
}

impl ReadPoint {
    /// All changes below this position are known, and nothing else.
    pub fn below(&self) -> Seq {
        self.snapshot.next_seq
    }
}

/// The stamp for "the changes below `next_seq`". A bound inside an atomic batch is lowered to its beginning.
pub(crate) fn at_seq(
    reader: &Reader<'_>,
    tail: &Tail,
    next_seq: Seq,
    log_digest: Option<LogDigest>,
) -> Result<Snapshot, ReadError> {
    let position = &tail.position;
    if next_seq > position.next_seq {
        return Err(ArchiveError::from(BadBound::SeqInFuture { next_seq, tail: position.next_seq }).into());
    }
    if log_digest.is_some() {
        exactly(reader, tail, next_seq, log_digest)?;
    }
    if next_seq == position.next_seq {
        return Ok(position.snapshot());
    }
    let lowered = reader.change(next_seq)?.entry.batch_first.min(next_seq);
    snapshot_below(reader, position, lowered)
}

/// The stamp for "the changes archived at or before `archive_time`", which must not be able to change any more.
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

/// The stamp at exactly this position, inside an atomic batch or not, of a log that has this history where one is given.
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
        // A position that this log has never reached is of another one.
        Ordering::Greater => None,
    };
    let diverged = || ArchiveError::from(BadBound::HistoryDiverged { next_seq });
    Ok(snapshot
        .filter(|snapshot| log_digest.is_none_or(|log_digest| snapshot.log_digest == log_digest))
        .ok_or_else(diverged)?)
}

fn snapshot_below(reader: &Reader<'_>, position: &Position, next_seq: Seq) -> Result<Snapshot, ReadError> {
    match next_seq.previous() {
        None => Ok(Snapshot { next_seq, archive_time: None, log_digest: position.origin }),
        Some(last) => {
            let last = reader.change(last)?;
            Ok(Snapshot { next_seq, archive_time: Some(last.entry.archive_time), log_digest: last.log_digest })
        }
    }
}
