//! Receives the stream of a backup: async code forwards it to a thread, which checks and writes it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::pieces::{self, Pieces};
use crate::backup::{BackupError, BackupFile, IncomingBackup, LogHeader, receive};
use crate::cli::exit::{Exit, Failure, interrupted};
use crate::cli::progress::Progress;
use crate::model::Seq;
use crate::wire::pb;
use crate::wire::pb::stream_backup_response::Part;

/// How long the thread may take to remove an incomplete file.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads the first message of the stream, which says what the backup will contain.
pub(super) async fn begin(stream: &mut Streaming<pb::StreamBackupResponse>) -> Result<pb::BackupBegin, Failure> {
    match stream.message().await?.and_then(|message| message.part) {
        Some(Part::Begin(begin)) => Ok(begin),
        Some(Part::Data(_)) | None => Err(Failure::new(Exit::Failed, "the server did not say what it sends")),
    }
}

/// A backup that is being received.
pub(super) struct Receiving {
    pub(super) stream: Streaming<pb::StreamBackupResponse>,
    pub(super) stopping: CancellationToken,
    /// The position of the backup's first change, and the position after its last.
    pub(super) range: (u64, u64),
    pub(super) progress: Progress,
}

/// What was received.
pub(super) struct Received<T> {
    pub(super) result: T,
    /// The size of the backup in bytes.
    pub(super) bytes: u64,
    /// How long receiving it took.
    pub(super) elapsed: Duration,
}

impl Receiving {
    /// Writes the backup to a directory, as the file after `latest`; `None` if the backup has nothing new.
    pub(super) async fn into_folder(
        self,
        incoming: IncomingBackup,
        latest: Option<BackupFile>,
    ) -> Result<Received<Option<BackupFile>>, Failure> {
        self.into_writer(move |pieces, progress| match latest {
            Some(latest) => incoming.take_if_new(&latest, pieces, progress),
            None => incoming.take(pieces, progress).map(Some),
        })
        .await
    }

    /// Writes the backup to standard output.
    pub(super) async fn into_stdout(self) -> Result<Received<LogHeader>, Failure> {
        // Not the shared handle: a thread that waits for the reader of a pipe would hold the lock of standard output,
        // which the end of the process needs.
        let stdout = io::stdout().as_fd().try_clone_to_owned().map(File::from);
        let stdout = stdout
            .map_err(|error| Failure::new(Exit::Failed, format!("standard output cannot be written: {error}")))?;
        self.into_writer(|pieces, progress| {
            receive("standard output", pieces, stdout, progress).map(|(header, _)| header)
        })
        .await
    }

    async fn into_writer<T: Send + 'static>(
        mut self,
        write: impl FnOnce(Pieces, &mut dyn FnMut(Seq, u64)) -> Result<T, BackupError> + Send + 'static,
    ) -> Result<Received<T>, Failure> {
        let (sender, pieces) = pieces::channel();
        let (mut progress, (first, end), began) = (self.progress, self.range, Instant::now());
        let mut writing = tokio::task::spawn_blocking(move || {
            let mut written_bytes = 0;
            let written = write(pieces, &mut |next_seq, bytes| {
                written_bytes = bytes;
                progress.set_bytes(next_seq.0.saturating_sub(first), end - first, bytes);
            });
            (written, written_bytes, began.elapsed())
        });
        let done = tokio::select! {
            biased;
            () = self.stopping.cancelled() => None,
            done = async { (forward(&mut self.stream, sender).await, (&mut writing).await) } => Some(done),
        };
        let (forwarded, written) = match done {
            Some(done) => done,
            // The thread removes the incomplete file, unless everything had arrived. While it waits for the reader of a
            // pipe, the thread does not notice that it should stop.
            None => match tokio::time::timeout(REMOVAL_TIMEOUT, writing).await {
                Ok(Ok((Ok(result), bytes, elapsed))) => return Ok(Received { result, bytes, elapsed }),
                Ok(_) | Err(_) => {
                    return Err(interrupted("what was received was removed, and the backup is unchanged"));
                }
            },
        };
        // If the stream broke, writing failed too, but only the stream's error says why.
        forwarded?;
        let ended_early = |error| Failure::new(Exit::Failed, format!("writing the backup failed: {error}"));
        let (written, bytes, elapsed) = written.map_err(ended_early)?;
        Ok(Received { result: written?, bytes, elapsed })
    }
}

/// Forwards the stream until it ends or the receiver is gone.
async fn forward(
    stream: &mut Streaming<pb::StreamBackupResponse>,
    pieces: mpsc::Sender<io::Result<Bytes>>,
) -> Result<(), Failure> {
    while let Some(message) = stream.message().await? {
        if let Some(Part::Data(data)) = message.part
            && pieces.send(Ok(data.data)).await.is_err()
        {
            break;
        }
    }
    Ok(())
}
