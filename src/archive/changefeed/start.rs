//! Where a feed begins, resolved once to a position in the log.

use crate::archive::read::point;
use crate::archive::{Archive, ArchiveError};
use crate::model::{AsOf, KnownAt, LogDigest, Seq, Snapshot, Timestamp};

/// Where a feed begins, as the client states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedStart {
    /// At the first change of the log.
    Beginning,
    /// At this position. A position inside an atomic batch is lowered to the first of the batch.
    Seq(Seq),
    /// At the first change archived at or after this instant.
    ArchiveTime(Timestamp),
    /// At exactly this position, which may be inside an atomic batch, of a log with this digest.
    Exact {
        /// The position to start at.
        next_seq: Seq,
        /// The log digest below it.
        log_digest: LogDigest,
    },
    /// At the durable tail: after the last durable change.
    Now,
}

/// For the layers above.
#[doc(hidden)]
impl Archive {
    /// The snapshot at a position. A position that this log has not reached is [`ArchiveError::Bound`].
    pub(crate) async fn snapshot_at(&self, next_seq: Seq) -> Result<Snapshot, ArchiveError> {
        let tail = self.shared.tail();
        self.read(move |reader| point::exactly(reader, &tail, next_seq, None)).await
    }

    /// Resolves where a feed begins.
    ///
    /// A position after the durable tail, a time ahead of the clock, and an exact position with a different log digest
    /// are [`ArchiveError::Bound`]. So is an exact position after the end of this log, because only a different log can
    /// have reached it.
    pub async fn feed_start(&self, start: FeedStart) -> Result<Snapshot, ArchiveError> {
        let known_at = match start {
            FeedStart::Now => return Ok(self.tail()),
            FeedStart::Exact { next_seq, log_digest } => {
                let tail = self.shared.tail();
                return self.read(move |reader| point::exactly(reader, &tail, next_seq, Some(log_digest))).await;
            }
            FeedStart::Beginning => KnownAt::NextSeq { next_seq: Seq::ZERO, log_digest: None },
            FeedStart::Seq(next_seq) => KnownAt::NextSeq { next_seq, log_digest: None },
            // Resolving this raises the closed time, so no commit in flight can still get an archive time before
            // `time`.
            FeedStart::ArchiveTime(time) => KnownAt::ArchiveTime(time.saturating_add_micros(-1)),
        };
        Ok(self.read_point(AsOf { observe_time: None, known_at }, Seq::ZERO).await?.snapshot)
    }
}
