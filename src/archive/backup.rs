//! Backups: the log with all that it brought, as the log's export, while the archive is in use.
//!
//! A backup's end is the durable end of the log when it begins. Below that nothing changes any more, so what is read
//! is one state, however long the reading takes and whatever is written meanwhile. It is read a segment at a time, each on
//! a blocking thread of its own: between two of them a backup holds no thread, so that one whose
//! receiver is slow, or gone, costs others nothing.

use std::sync::Arc;

use crate::archive::changefeed::FeedStart;
use crate::archive::shared::Shared;
use crate::archive::{Archive, ArchiveError};
use crate::model::{Seq, Snapshot};
use crate::store::StoreError;
use crate::store::export::{LogEnd, LogHeader, LogWriter};
use crate::store::format::FORMAT_VERSION;
use crate::store::whole::WholeChange;

/// How many changes are looked at to judge how large a backup will be.
const SAMPLES_MAX: u64 = 32;
/// What a header, an end and a frame take, roughly.
const FRAMING_BYTES: u64 = 256;

/// A piece of a backup's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupPiece {
    /// The bytes. A large change makes a large piece.
    pub data: Vec<u8>,
    /// All changes below this are complete with it.
    pub next_seq: Seq,
}

/// A backup that is being made. Dropping it ends it.
pub struct Backup {
    archive: Arc<Archive>,
    start: Snapshot,
    header: LogHeader,
    next: Next,
}

/// What comes next of a file.
enum Next {
    Header,
    Changes(LogWriter),
    Nothing,
}

impl Archive {
    /// Begins a backup of the changes from `since` on. A start that is of another history, or beyond the durable end, is
    /// [`ArchiveError::Bound`].
    pub async fn stream_backup(self: &Arc<Self>, since: FeedStart) -> Result<Backup, ArchiveError> {
        let start = self.feed_start(since).await?;
        // Read after the start, so that it is not below it.
        let tail = self.shared.tail();
        let header = LogHeader {
            format_version: FORMAT_VERSION,
            archive_id: self.info().id,
            first_seq: start.next_seq,
            first_log_digest: start.log_digest,
            end: tail.snapshot(),
            create_time: self.clock().now(),
            writer: concat!("dateline ", env!("CARGO_PKG_VERSION")).to_owned(),
            commits: tail.commits,
        };
        Ok(Backup { archive: Arc::clone(self), start, header, next: Next::Header })
    }
}

impl Backup {
    /// Where it begins.
    pub fn start(&self) -> Snapshot {
        self.start
    }

    /// What it will hold.
    pub fn header(&self) -> &LogHeader {
        &self.header
    }

    /// About how many bytes it will have, judged from a few changes all over it.
    pub async fn estimated_bytes(&self) -> Result<u64, ArchiveError> {
        let shared = Arc::clone(&self.archive.shared);
        let (first, changes) = (self.header.first_seq, self.header.changes());
        self.archive.pools.scans.run(move || Ok(estimate(&shared, first, changes)?)).await
    }

    /// The next piece of the file; `None` when it is complete. A change that is damaged, or missing, is
    /// [`ArchiveError::Damaged`] and ends the backup. Cancelled, it can't be gone on with.
    pub async fn next(&mut self) -> Result<Option<BackupPiece>, ArchiveError> {
        let (writer, data) = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Header => LogWriter::begin(&self.header),
            Next::Nothing => return Ok(None),
            Next::Changes(writer) => {
                let (shared, end) = (Arc::clone(&self.archive.shared), self.header.end.next_seq);
                let (writer, piece) = self.archive.pools.scans.run(move || Ok(segment(&shared, writer, end)?)).await?;
                match piece {
                    Some(data) => (writer, data),
                    None => return Ok(Some(self.last_piece(writer))),
                }
            }
        };
        let next_seq = writer.next_seq();
        self.next = Next::Changes(writer);
        Ok(Some(BackupPiece { data, next_seq }))
    }

    fn last_piece(&self, writer: LogWriter) -> BackupPiece {
        let shared = &self.archive.shared;
        let subscriptions = shared.subscriptions.after(None, usize::MAX);
        let end = LogEnd {
            clock_floor: shared.tail().clock_floor,
            subscriptions: subscriptions.into_iter().map(|(id, record)| (id, (*record).clone())).collect(),
        };
        let next_seq = writer.next_seq();
        BackupPiece { data: writer.finish(&end), next_seq }
    }
}

/// Reads changes below `end` until they fill a segment; none when there are no more that would.
fn segment(shared: &Shared, mut writer: LogWriter, end: Seq) -> Result<(LogWriter, Option<Vec<u8>>), StoreError> {
    while writer.next_seq() < end {
        let seq = writer.next_seq();
        let change = read(shared, seq)?;
        if writer.log_digest().after(seq, &change.record) != change.change.log_digest {
            return Err(StoreError::damaged_at(seq, "a change does not follow the history before it"));
        }
        if let Some(piece) = writer.push(change) {
            return Ok((writer, Some(piece)));
        }
    }
    Ok((writer, None))
}

fn read(shared: &Shared, seq: Seq) -> Result<WholeChange, StoreError> {
    let change = WholeChange::read(shared.engine.as_ref(), seq)?;
    change.ok_or_else(|| StoreError::damaged_at(seq, "a change of the log is missing"))
}

/// Contents and originals are compressed already; of what the log itself says about half is left.
fn estimate(shared: &Shared, first: Seq, changes: u64) -> Result<u64, StoreError> {
    let samples = changes.min(SAMPLES_MAX);
    let mut bytes = 0;
    for sample in 0..samples {
        let offset = u128::from(changes) * u128::from(sample) / u128::from(samples);
        let change = read(shared, Seq(first.0 + u64::try_from(offset).unwrap_or(0)))?;
        bytes += change.record.len() / 2 + change.brought_bytes();
    }
    let all = (bytes as u128).saturating_mul(changes.into()) / u128::from(samples.max(1));
    Ok(u64::try_from(all).unwrap_or(u64::MAX).saturating_add(FRAMING_BYTES))
}
