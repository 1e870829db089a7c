//! Takes a backup's stream to where it goes: pieces come on the async side, and are checked and written on a thread.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::pieces::{self, Pieces};
use crate::backup::{BackupError, BackupFile, Incoming, LogHeader, receive};
use crate::cli::exit::{Exit, Failure, interrupted};
use crate::cli::progress::Progress;
use crate::model::Seq;
use crate::wire::pb;
use crate::wire::pb::stream_backup_response::Part;

/// How long the thread may take to remove what it has begun.
const REMOVED_WITHIN: Duration = Duration::from_secs(2);

/// Reads what a backup will hold.
pub(super) async fn begin(stream: &mut Streaming<pb::StreamBackupResponse>) -> Result<pb::BackUpBegin, Failure> {
    match stream.message().await?.and_then(|message| message.part) {
        Some(Part::Begin(begin)) => Ok(begin),
        Some(Part::Data(_)) | None => Err(Failure::new(Exit::Failed, "the server did not say what it backs up")),
    }
}

/// A backup that comes in.
pub(super) struct Receiving {
    pub(super) stream: Streaming<pb::StreamBackupResponse>,
    pub(super) stopping: CancellationToken,
    /// Its first position, and the one behind its last.
    pub(super) range: (u64, u64),
    pub(super) progress: Progress,
}

/// What was received, its bytes, and how long it took.
type Received<T> = (T, u64, Duration);

impl Receiving {
    /// Writes it to a folder, behind the file that is the latest there; nothing where it has nothing new.
    pub(super) async fn into_folder(
        self,
        incoming: Incoming,
        latest: Option<BackupFile>,
    ) -> Result<Received<Option<BackupFile>>, Failure> {
        self.into_writer(move |pieces, progress| match latest {
            Some(latest) => incoming.take_what_is_new(&latest, pieces, progress),
            None => incoming.take(pieces, progress).map(Some),
        })
        .await
    }

    /// Writes it to standard output.
    pub(super) async fn into_stdout(self) -> Result<Received<LogHeader>, Failure> {
        // A handle of its own: a thread that waits for the reader of a pipe must not hold the lock that ending needs.
        let stdout = io::stdout().as_fd().try_clone_to_owned().map(File::from);
        let stdout =
            stdout.map_err(|error| Failure::new(Exit::Failed, format!("standard output can't be written: {error}")))?;
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
            // What was begun is removed by the thread, unless all had come. One that waits for the reader of a pipe does not
            // see that it should.
            None => match tokio::time::timeout(REMOVED_WITHIN, writing).await {
                Ok(Ok((Ok(written), bytes, elapsed))) => return Ok((written, bytes, elapsed)),
                Ok(_) | Err(_) => {
                    return Err(interrupted("what had come was removed, and the backup is as it was"));
                }
            },
        };
        // Where the stream broke, what was written is cut short, and why is known here.
        forwarded?;
        let ended_early = |error| Failure::new(Exit::Failed, format!("writing the backup ended early: {error}"));
        let (written, bytes, elapsed) = written.map_err(ended_early)?;
        Ok((written?, bytes, elapsed))
    }
}

/// Hands on what comes, until all has come or nobody takes it any more.
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
