//! That one change of the log may follow another: positions without a gap, the running digest, archive times that rise
//! from commit to commit, atomic batches that lie within one, and articles in order of their numbers.

use crate::model::{ArticleKey, Change, LogDigest, LogKind, Seq, Timestamp};
use crate::store::StoreError;

/// A place in the log, to which the next change is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Succession {
    next_seq: Seq,
    log_digest: LogDigest,
    last: Option<Last>,
    next_article: ArticleKey,
}

/// What matters of the change before.
#[derive(Clone, Copy, Debug)]
struct Last {
    archive_time: Timestamp,
    batch_first: Seq,
}

impl Succession {
    /// The beginning of an archive's log.
    pub(crate) fn of_archive(id: &[u8; 16]) -> Self {
        Self { next_seq: Seq::ZERO, log_digest: LogDigest::of_archive(id), last: None, next_article: ArticleKey(0) }
    }

    /// Behind a change that is taken as it is, with `next_article` articles below.
    pub(crate) fn behind(change: &Change, next_article: ArticleKey) -> Self {
        let Change { seq, log_digest, entry } = change;
        let last = Last { archive_time: entry.archive_time, batch_first: entry.batch_first };
        Self { next_seq: seq.next(), log_digest: *log_digest, last: Some(last), next_article }
    }

    /// The position of the change that comes next.
    pub(crate) fn next_seq(&self) -> Seq {
        self.next_seq
    }

    /// The running digest so far.
    pub(crate) fn log_digest(&self) -> LogDigest {
        self.log_digest
    }

    /// The archive time of the last change.
    pub(crate) fn archive_time(&self) -> Option<Timestamp> {
        self.last.map(|last| last.archive_time)
    }

    /// Whether a change would begin a commit.
    fn begins_commit(&self, change: &Change) -> bool {
        self.archive_time() != Some(change.entry.archive_time)
    }

    /// Goes on behind `change`, whose bytes are `record`, or tells why it cannot be the next: [`StoreError::Damaged`].
    pub(crate) fn follow(&mut self, change: &Change, record: &[u8]) -> Result<(), StoreError> {
        let Change { seq, log_digest, entry } = change;
        let damaged = |detail| Err(StoreError::damaged_at(*seq, detail));
        if *seq != self.next_seq {
            return Err(StoreError::damaged_at(self.next_seq, "a change of the log is missing"));
        }
        if self.log_digest.after(*seq, record) != *log_digest {
            return damaged("the running digest of the log does not match");
        }
        let begins_commit = self.begins_commit(change);
        if self.last.is_some_and(|last| entry.archive_time < last.archive_time) {
            return damaged("an archive time lies before the one before it");
        }
        let goes_on = self.last.is_some_and(|last| !begins_commit && last.batch_first == entry.batch_first);
        if entry.batch_first != *seq && !goes_on {
            return damaged("an atomic batch does not begin where the change says");
        }
        let is_new = entry.kind == LogKind::Created;
        if is_new && entry.article != self.next_article || !is_new && entry.article >= self.next_article {
            return damaged("an article has another number than the log gives it");
        }
        self.next_seq = seq.next();
        self.log_digest = *log_digest;
        self.last = Some(Last { archive_time: entry.archive_time, batch_first: entry.batch_first });
        self.next_article = ArticleKey(self.next_article.0 + u64::from(is_new));
        Ok(())
    }
}
