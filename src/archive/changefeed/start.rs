//! Where a feed begins, resolved once to a place in the log.

use crate::archive::read::point;
use crate::archive::{Archive, ArchiveError};
use crate::model::{AsOf, KnownAt, LogDigest, Seq, Snapshot, Timestamp};

/// Where a feed begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedStart {
    /// At the first change of all.
    Beginning,
    /// At this position; one inside an atomic batch is lowered to the batch's first.
    Seq(Seq),
    /// At the first change archived at or after this instant.
    ArchiveTime(Timestamp),
    /// Exactly here, in a log with this history.
    Place {
        /// The position.
        next_seq: Seq,
        /// The running digest below it.
        log_digest: LogDigest,
    },
    /// Behind the last durable change.
    Now,
}

impl Archive {
    /// The place at a position that this log has reached.
    pub(crate) async fn feed_place(&self, next_seq: Seq) -> Result<Snapshot, ArchiveError> {
        let tail = self.shared.tail();
        self.read(move |reader| point::exactly(reader, &tail, next_seq, None)).await
    }

    /// The place where a feed begins.
    ///
    /// A position beyond the durable end and a time ahead of the clock are [`ArchiveError::Bound`]; so is a place of
    /// another history, also one beyond the end of this log.
    pub async fn feed_start(&self, start: FeedStart) -> Result<Snapshot, ArchiveError> {
        let known_at = match start {
            FeedStart::Now => return Ok(self.tail()),
            FeedStart::Place { next_seq, log_digest } => {
                let tail = self.shared.tail();
                return self.read(move |reader| point::exactly(reader, &tail, next_seq, Some(log_digest))).await;
            }
            FeedStart::Beginning => KnownAt::NextSeq { next_seq: Seq::ZERO, log_digest: None },
            FeedStart::Seq(next_seq) => KnownAt::NextSeq { next_seq, log_digest: None },
            // What was archived before it stays so for ever: no commit under way gets such a time any more.
            FeedStart::ArchiveTime(time) => KnownAt::ArchiveTime(time.saturating_add_micros(-1)),
        };
        Ok(self.read_point(AsOf { observe_time: None, known_at }, Seq::ZERO).await?.snapshot)
    }
}
