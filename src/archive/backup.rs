//! Backups: the log with its contents and originals, written as a log file while the archive is in use.
//!
//! A backup ends where the durable tail is when the backup begins. Nothing below that position ever changes, so a
//! backup is one consistent state, however long it takes and whatever is written in the meantime. The log is read one
//! segment at a time, each on a blocking thread. Between segments a backup holds no thread, so a slow receiver delays
//! nobody.
//!
//! The bytes of a log file are encoded by the store; this module does not know the format.

use std::sync::Arc;

use crate::archive::changefeed::FeedStart;
use crate::archive::shared::Shared;
use crate::archive::{Archive, ArchiveError};
use crate::model::{Seq, Snapshot};
use crate::store::format::FORMAT_VERSION;
use crate::store::full_change::FullChange;
use crate::store::logfile::{LogEnd, LogHeader, LogWriter};
use crate::store::{StoreError, Tables};

/// The number of changes that are sampled to estimate the size of a backup.
const SAMPLES_MAX: u64 = 32;
/// The approximate size of a header, an end and a frame together.
const FRAMING_BYTES: u64 = 256;

/// A piece of a log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupPiece {
    /// The bytes that follow those of the previous piece. A change is never split, so a large change makes a large
    /// piece.
    pub data: Vec<u8>,
    /// With this piece, the file has all changes below this position.
    pub next_seq: Seq,
}

/// A backup in progress. Dropping it cancels it.
pub struct Backup {
    archive: Arc<Archive>,
    start: Snapshot,
    header: LogHeader,
    next: NextPart,
}

/// The part of the file that the next piece is from.
enum NextPart {
    Header,
    Changes(LogWriter),
    /// No part: the backup is complete, has failed, or was interrupted.
    Nothing,
}

/// For the layers above.
#[doc(hidden)]
impl Archive {
    /// Begins a backup of the changes from `since` up to the durable tail. A start that belongs to a different history,
    /// or is after the tail, is [`ArchiveError::Bound`].
    pub async fn stream_backup(self: &Arc<Self>, since: FeedStart) -> Result<Backup, ArchiveError> {
        let start = self.feed_start(since).await?;
        // Read after the start is resolved, so that the end cannot be below it.
        let archive = Arc::clone(self);
        let header = self.pools.scans.run(move || Ok(archive.log_header(start)?)).await?;
        Ok(Backup { archive: Arc::clone(self), start, header, next: NextPart::Header })
    }

    /// The header of a log file that has the changes from `start` to the durable tail.
    pub(crate) fn log_header(&self, start: Snapshot) -> Result<LogHeader, StoreError> {
        let tail = self.shared.tail();
        let mut register = Tables::new(self.shared.engine.as_ref()).register()?;
        // It may have more: what was destroyed in a log that was restored to an earlier position.
        match self.register_file.as_ref().map(|file| file.read()).transpose() {
            Ok(saved) => register.merge(saved.unwrap_or_default()),
            Err(error) => tracing::error!(%error, "a backup is made without what only the file EXPUNGED has"),
        }
        Ok(LogHeader {
            format_version: FORMAT_VERSION,
            archive_id: self.info().id,
            first_seq: start.next_seq,
            first_log_digest: start.log_digest,
            end: tail.snapshot(),
            create_time: self.clock().now(),
            writer: concat!("dateline ", env!("CARGO_PKG_VERSION")).to_owned(),
            commits: tail.commits,
            register,
        })
    }
}

impl Backup {
    /// The position at which the backup begins.
    pub fn start(&self) -> Snapshot {
        self.start
    }

    /// The header of the log file. It has the positions at which the file begins and ends.
    pub fn header(&self) -> &LogHeader {
        &self.header
    }

    /// Estimates the size of the file in bytes, from a sample of changes spread evenly over it.
    pub async fn estimated_bytes(&self) -> Result<u64, ArchiveError> {
        let shared = Arc::clone(&self.archive.shared);
        let (first, changes) = (self.header.first_seq, self.header.changes());
        self.archive.pools.scans.run(move || Ok(estimate(&shared, first, changes)?)).await
    }

    /// Returns the next piece of the file; `None` once it is complete. A damaged or missing change is
    /// [`ArchiveError::Damaged`] and ends the backup. If this future is dropped before it returns, the backup cannot be
    /// continued.
    pub async fn next(&mut self) -> Result<Option<BackupPiece>, ArchiveError> {
        let (writer, data) = match std::mem::replace(&mut self.next, NextPart::Nothing) {
            NextPart::Header => LogWriter::begin(&self.header),
            NextPart::Nothing => return Ok(None),
            NextPart::Changes(writer) => {
                let (shared, end) = (Arc::clone(&self.archive.shared), self.header.end.next_seq);
                let (writer, piece) = self.archive.pools.scans.run(move || Ok(segment(&shared, writer, end)?)).await?;
                match piece {
                    Some(data) => (writer, data),
                    None => return Ok(Some(self.last_piece(writer))),
                }
            }
        };
        let next_seq = writer.next_seq();
        self.next = NextPart::Changes(writer);
        Ok(Some(BackupPiece { data, next_seq }))
    }

    fn last_piece(&self, writer: LogWriter) -> BackupPiece {
        let shared = &self.archive.shared;
        let subscriptions = shared.subscriptions.after(None, usize::MAX);
        let end = LogEnd {
            closed_time: shared.tail().closed_time,
            subscriptions: subscriptions.into_iter().map(|(id, record)| (id, (*record).clone())).collect(),
        };
        let next_seq = writer.next_seq();
        BackupPiece { data: writer.finish(&end), next_seq }
    }
}

/// Reads changes below `end` until they fill a segment, and returns it as a piece of the file. `None` if the remaining
/// changes do not fill one; they stay in the writer, for the last piece.
fn segment(shared: &Shared, mut writer: LogWriter, end: Seq) -> Result<(LogWriter, Option<Vec<u8>>), StoreError> {
    while writer.next_seq() < end {
        let seq = writer.next_seq();
        let change = full_change(shared, seq)?;
        if writer.log_digest().after(change.leaf) != change.change.log_digest {
            return Err(StoreError::damaged_at(seq, "the log digest does not match the changes before it"));
        }
        if let Some(piece) = writer.push(change) {
            return Ok((writer, Some(piece)));
        }
    }
    Ok((writer, None))
}

fn full_change(shared: &Shared, seq: Seq) -> Result<FullChange, StoreError> {
    let change = FullChange::read(shared.engine.as_ref(), seq)?;
    change.ok_or_else(|| StoreError::damaged_at(seq, "a change of the log is missing"))
}

/// Estimates the size of a backup. Contents and originals are stored compressed; the log's records compress to about
/// half.
fn estimate(shared: &Shared, first: Seq, changes: u64) -> Result<u64, StoreError> {
    let samples = changes.min(SAMPLES_MAX);
    let mut bytes = 0;
    for sample in 0..samples {
        let offset = u128::from(changes) * u128::from(sample) / u128::from(samples);
        let change = full_change(shared, Seq(first.0 + u64::try_from(offset).unwrap_or(0)))?;
        bytes += change.record.len() / 2 + change.payload_bytes();
    }
    let total = (bytes as u128).saturating_mul(changes.into()) / u128::from(samples.max(1));
    Ok(u64::try_from(total).unwrap_or(u64::MAX).saturating_add(FRAMING_BYTES))
}
