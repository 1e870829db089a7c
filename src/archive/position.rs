//! The end of the log: of its durable part, or of a commit that is still being built.

use std::sync::Arc;

use crate::model::{ArticleKey, Change, ChangeEntry, LogDigest, Seq, Snapshot, Timestamp};
use crate::store::record;

/// The end of a log, durable or still to be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogPosition {
    /// The position of the next change.
    pub(crate) next_seq: Seq,
    /// The log digest below `next_seq`.
    pub(crate) log_digest: LogDigest,
    /// The archive time of the last change; `None` if the log is empty.
    pub(crate) archive_time: Option<Timestamp>,
    /// The number that the next new article gets.
    pub(crate) next_article: ArticleKey,
    /// The log digest of the empty log, which depends on the archive's id.
    pub(crate) origin: LogDigest,
}

impl LogPosition {
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot { next_seq: self.next_seq, archive_time: self.archive_time, log_digest: self.log_digest }
    }

    /// Encodes `entry` as the change at this position.
    pub(crate) fn encode(&self, entry: ChangeEntry) -> (record::EncodedChange, Arc<Change>) {
        let seq = self.next_seq;
        let encoded = record::encode(seq, self.log_digest, &entry);
        let change = Arc::new(Change { seq, log_digest: encoded.log_digest, entry });
        (encoded, change)
    }
}

/// The snapshot just after a change.
pub(crate) fn snapshot_after(change: &Change) -> Snapshot {
    Snapshot {
        next_seq: change.seq.next(),
        archive_time: Some(change.entry.archive_time),
        log_digest: change.log_digest,
    }
}

/// The durable end of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub(crate) position: LogPosition,
    /// The closed time: no later commit gets an archive time at or before it.
    pub(crate) closed_time: Option<Timestamp>,
    /// The number of commits since the archive was created.
    pub(crate) commits: u64,
    /// Whether the storage failed. The tail does not move after that.
    pub(crate) failed: bool,
}

impl Tail {
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.position.snapshot()
    }
}
