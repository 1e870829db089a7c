//! Finds the files of a backup that a command names: directories, files, and `-` for standard input.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::pieces;
use crate::backup::{self, BackupError, BackupFile};
use crate::cli::exit::{Exit, Failure, interrupted};
use crate::model::ExpungeRegister;

/// Bytes of standard input that are read at once.
const PIECE_BYTES: usize = 256 << 10;

/// Finds the files in these places. Standard input is read once, as it arrives. Reading it ends when `stopping` is
/// cancelled, so that a command does not wait for a sender that sends nothing.
pub(in crate::cli) async fn find(places: &[PathBuf], stopping: &CancellationToken) -> Result<Vec<BackupFile>, Failure> {
    let (inputs, places): (Vec<_>, Vec<_>) = places.iter().cloned().partition(|place| place == Path::new("-"));
    let mut files = backup::find(&places)?;
    if inputs.is_empty() {
        return Ok(files);
    }
    if io::stdin().is_terminal() {
        let message = "a backup cannot be read from a terminal; redirect standard input from a file or a command";
        return Err(Failure::new(Exit::Usage, message));
    }
    let (sender, pieces) = pieces::channel();
    let stopped = stopping.clone();
    tokio::spawn(async move { stopped.run_until_cancelled(forward(sender)).await });
    let opening = tokio::task::spawn_blocking(move || BackupFile::from_stream("standard input", pieces));
    match opening.await.map_err(|error| Failure::new(Exit::Failed, format!("reading failed: {error}")))? {
        Ok(file) => files.push(file),
        Err(_) if stopping.is_cancelled() => return Err(interrupted("nothing was read from standard input")),
        Err(error) => return Err(error.into()),
    }
    Ok(files)
}

/// The registers of destructions in these places, each a file of a backup of the archive, its directory, or the file
/// EXPUNGED of the archive.
pub(in crate::cli) fn register(places: &[PathBuf], archive_id: &[u8; 16]) -> Result<ExpungeRegister, Failure> {
    let mut register = ExpungeRegister::default();
    for file in backup::find(places)? {
        if file.header.archive_id != *archive_id {
            let message = format!("{} is of another archive than the backup", file.path.display());
            return Err(Failure::new(Exit::Usage, message));
        }
        register.merge(file.register);
    }
    Ok(register)
}

/// Forwards standard input until it ends or the receiver is gone.
async fn forward(pieces: mpsc::Sender<io::Result<Bytes>>) {
    let mut stdin = tokio::io::stdin();
    loop {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        let piece = match stdin.read_buf(&mut piece).await {
            Ok(0) => return,
            Ok(_) => Ok(piece.freeze()),
            Err(error) => Err(error),
        };
        if pieces.send(piece).await.is_err() {
            return;
        }
    }
}

/// Whether reading failed only because a signal ended standard input.
pub(in crate::cli) fn is_interruption(error: &BackupError, stopping: &CancellationToken) -> bool {
    stopping.is_cancelled() && matches!(error, BackupError::File(_))
}
