//! Validates the log as a chain: whether a change may follow the one before it.
//!
//! The rules that the writer thread follows, and that are checked here:
//! - Positions have no gaps.
//! - The log digest of a change covers its leaf and the digest before it.
//! - Archive times never decrease. Changes with the same archive time belong to the same commit.
//! - An atomic batch is contiguous and within one commit.
//! - Articles get their numbers in the order of their first changes.
//!
//! Only the log is validated: neither contents nor indexes, nor what a change does to the state of its article.

use crate::model::{ArticleKey, Change, LogDigest, LogKind, Seq, Timestamp, TreeHash};
use crate::store::StoreError;

/// The end of the part of the log that has been validated: what the next change is checked against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogChain {
    next_seq: Seq,
    log_digest: LogDigest,
    last: Option<LastChange>,
    next_article: ArticleKey,
}

/// The parts of the previous change that the next one depends on.
#[derive(Clone, Copy, Debug)]
struct LastChange {
    archive_time: Timestamp,
    batch_first: Seq,
}

impl LogChain {
    /// Starts at the beginning of an archive's log.
    pub(crate) fn of_archive(id: &[u8; 16]) -> Self {
        Self { next_seq: Seq::ZERO, log_digest: LogDigest::of_archive(id), last: None, next_article: ArticleKey(0) }
    }

    /// Resumes after a trusted change, with `next_article` articles created so far.
    pub(crate) fn resume_after(change: &Change, next_article: ArticleKey) -> Self {
        let Change { seq, log_digest, entry } = change;
        let last = LastChange { archive_time: entry.archive_time, batch_first: entry.batch_first };
        Self { next_seq: seq.next(), log_digest: *log_digest, last: Some(last), next_article }
    }

    /// The position of the change that comes next.
    pub(crate) fn next_seq(&self) -> Seq {
        self.next_seq
    }

    /// The log digest so far.
    pub(crate) fn log_digest(&self) -> LogDigest {
        self.log_digest
    }

    /// The archive time of the last change; `None` at the beginning of the log.
    pub(crate) fn archive_time(&self) -> Option<Timestamp> {
        self.last.map(|last| last.archive_time)
    }

    /// Whether `change`, as the next one, begins a commit.
    fn begins_commit(&self, change: &Change) -> bool {
        self.archive_time() != Some(change.entry.archive_time)
    }

    /// Validates `change`, whose leaf has the hash `leaf`, as the next log entry and advances past it. If it cannot be the
    /// next, the error is [`StoreError::Damaged`], and the chain stays as it was.
    pub(crate) fn advance(&mut self, change: &Change, leaf: TreeHash) -> Result<(), StoreError> {
        let Change { seq, log_digest, entry } = change;
        let damaged = |detail| Err(StoreError::damaged_at(*seq, detail));
        if *seq != self.next_seq {
            return Err(StoreError::damaged_at(self.next_seq, "a change of the log is missing"));
        }
        if self.log_digest.after(leaf) != *log_digest {
            return damaged("the log digest does not match");
        }
        let begins_commit = self.begins_commit(change);
        if self.last.is_some_and(|last| entry.archive_time < last.archive_time) {
            return damaged("an archive time is earlier than the one before it");
        }
        let same_batch = self.last.is_some_and(|last| !begins_commit && last.batch_first == entry.batch_first);
        if entry.batch_first != *seq && !same_batch {
            return damaged("an atomic batch does not begin where its change says");
        }
        let is_new = entry.kind == LogKind::Created;
        if is_new && entry.article != self.next_article || !is_new && entry.article >= self.next_article {
            return damaged("an article does not have the number that its place in the log gives it");
        }
        self.next_seq = seq.next();
        self.log_digest = *log_digest;
        self.last = Some(LastChange { archive_time: entry.archive_time, batch_first: entry.batch_first });
        self.next_article = ArticleKey(self.next_article.0 + u64::from(is_new));
        Ok(())
    }
}
