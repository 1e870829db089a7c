//! Streams a backup to its client.

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::sink::{NotTaken, Sink};
use super::status::Refusal;
use crate::archive::ArchiveError;
use crate::archive::backup::Backup;
use crate::archive::changefeed::FeedStart;
use crate::model::Seq;
use crate::wire::{self, pb, snapshot_to_pb};
use pb::stream_backup_response::Part;

/// The maximum number of bytes of the log file in one message.
const DATA_BYTES_MAX: usize = 1 << 20;

/// Validates `since` of a backup request. Without a log digest, only the position is used.
pub(super) fn since(snapshot: Option<pb::Snapshot>) -> Result<FeedStart, Refusal> {
    let Some(snapshot) = snapshot else { return Ok(FeedStart::Beginning) };
    let next_seq = Seq(snapshot.next_seq);
    Ok(match wire::log_digest("since.log_digest", &snapshot.log_digest)? {
        None => FeedStart::Seq(next_seq),
        Some(log_digest) => FeedStart::Exact { next_seq, log_digest },
    })
}

/// Converts the error of a backup that cannot begin at the requested position.
pub(super) fn of_start(error: ArchiveError) -> Refusal {
    Refusal::of_start(
        error,
        "omit `since` for a full backup, or set it to the `end` of the last backup of this archive",
    )
}

/// Why a backup was not sent completely.
enum SendError {
    /// The client did not take a message.
    NotTaken(NotTaken),
    /// The archive could not be read, or the server is stopping.
    Failed(Refusal),
}

impl From<NotTaken> for SendError {
    fn from(not_taken: NotTaken) -> Self {
        Self::NotTaken(not_taken)
    }
}

/// Sends one backup to its client.
pub(super) struct BackupSender {
    sink: Sink<pb::StreamBackupResponse>,
    stopping: CancellationToken,
}

impl BackupSender {
    pub(super) fn new(sink: Sink<pb::StreamBackupResponse>, context: &Context) -> Self {
        Self { sink, stopping: context.stopping.clone() }
    }

    /// Sends the whole backup, or the reason why it ended early. Returns once the client has received everything or is
    /// gone.
    pub(super) async fn send(self, backup: Backup, estimated_bytes: u64) {
        let sent = tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(SendError::Failed(Refusal::draining())),
            sent = self.send_all(backup, estimated_bytes) => sent,
        };
        match sent {
            Ok(()) | Err(SendError::NotTaken(NotTaken::Gone)) => {}
            Err(SendError::NotTaken(NotTaken::Stalled)) => self.sink.end_unread(),
            Err(SendError::Failed(refusal)) => self.sink.end(refusal.into()),
        }
    }

    async fn send_all(&self, mut backup: Backup, estimated_bytes: u64) -> Result<(), SendError> {
        let header = backup.header();
        let begin = pb::BackupBegin {
            archive_id: header.archive_id.to_vec(),
            begin: Some(snapshot_to_pb(&backup.start())),
            end: Some(snapshot_to_pb(&header.end)),
            estimated_bytes,
        };
        let mut next_seq = header.first_seq.0;
        self.part(Part::Begin(begin)).await?;
        loop {
            let piece = match backup.next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => return self.sink.taken().await.map_err(SendError::NotTaken),
                Err(error) => return Err(SendError::Failed(error.into())),
            };
            let mut rest = Bytes::from(piece.data);
            while !rest.is_empty() {
                // Copied, so that a piece waiting for the transport does not keep the whole segment in memory.
                let data = Bytes::copy_from_slice(&rest.split_to(rest.len().min(DATA_BYTES_MAX)));
                if rest.is_empty() {
                    next_seq = piece.next_seq.0;
                }
                self.part(Part::Data(pb::BackupData { data, next_seq })).await?;
            }
        }
    }

    async fn part(&self, part: Part) -> Result<(), NotTaken> {
        self.sink.send(pb::StreamBackupResponse { part: Some(part) }).await
    }
}
