//! Room that an archive keeps for itself, so that it can be read on a disk that somebody else has filled to the last byte.
//!
//! sled writes where nobody asked it to: whenever it opens it overwrites the rest of the log's last segment, and writes a
//! snapshot beside the one before; and it splits pages while it reads. Where there is no room for that it does not open,
//! or fails at the next commit. So room is taken in advance, by commits, while there is some:
//! - blocks for the log behind its end, which it grows into;
//! - the file `RESERVE`. An opening that finds less room than it has gives its blocks up, and takes them back at once:
//!   sled has removed the snapshot before then, so that there is as much room as there was. The file keeps its length,
//!   which tells the next opening how much to take where one was killed between the two.
//!
//! A snapshot is a new file, and where the file system has no inode free the reserve gives up its own: it is removed, and
//! made again when the snapshot before is gone.
//!
//! Whoever else waits for room may snatch it while a database is being opened.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FallocateFlags, fallocate};

use super::super::directory::sync_directory;
use super::super::own_file;
use super::{SEGMENT_BYTES, free_bytes, has_inodes};

const SEGMENT: u64 = SEGMENT_BYTES as u64;
/// A snapshot takes a hundredth of the log. Two must fit, since the next one is written before the last is removed.
const SHARE_OF_LOG: u64 = 32;

/// The reserve of an open database.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    /// Up to where the log has blocks. Zero until the first commit.
    log_ahead: AtomicU64,
}

impl Reserve {
    /// The reserve of the archive in a directory.
    pub(super) fn of(archive: &Path) -> Self {
        Self { path: path(archive), log_ahead: AtomicU64::new(0) }
    }

    /// Takes what the log as it is now needs, once `spare_bytes` are enough for it.
    pub(super) fn grow(&self, log: &File, spare_bytes: u64) {
        if let Err(error) = self.try_to_grow(log, spare_bytes) {
            tracing::info!(%error, "no room could be reserved to open the archive on a full disk");
        }
    }

    fn try_to_grow(&self, log: &File, spare_bytes: u64) -> io::Result<()> {
        let log_bytes = log.metadata()?.len();
        let log_ahead = (log_bytes + SEGMENT / 2).next_multiple_of(SEGMENT);
        if log_ahead == self.log_ahead.load(Ordering::Relaxed) {
            return Ok(());
        }
        let reserve = own_file::create(&self.path)?;
        let (bytes, taken_bytes) = (SEGMENT + log_ahead / SHARE_OF_LOG, reserve.metadata()?.blocks() * 512);
        if bytes.saturating_sub(taken_bytes) + 2 * SEGMENT > spare_bytes {
            return Ok(());
        }
        self.log_ahead.store(log_ahead, Ordering::Relaxed);
        // The length goes first: the next opening takes blocks for all of it, whatever becomes of these.
        reserve.set_len(bytes)?;
        fallocate(&reserve, FallocateFlags::empty(), 0, bytes)?;
        // Other systems cannot do without changing the length, which is sled's.
        #[cfg(target_os = "linux")]
        fallocate(log, FallocateFlags::KEEP_SIZE, log_bytes, log_ahead - log_bytes)?;
        Ok(())
    }
}

/// Gives the blocks of the reserve up where there is less room besides, and its inode where there is none. Answers the
/// length of a reserve that was removed.
pub(super) fn give_up_when_full(archive: &Path) -> io::Result<Option<u64>> {
    let bytes = match fs::metadata(path(archive)) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !has_inodes(archive, 1)? {
        fs::remove_file(path(archive))?;
        sync_directory(archive)?;
        return Ok(Some(bytes));
    }
    if free_bytes(archive)? >= bytes {
        return Ok(None);
    }
    let reserve = own_file::write(&path(archive))?;
    reserve.set_len(0)?;
    reserve.set_len(bytes)?;
    // The blocks are not free before that is written down.
    reserve.sync_all()?;
    Ok(None)
}

/// Takes blocks for the whole length of the reserve, if there is one, or for as much of it as there is room for. One that was
/// `removed`, and had this length, is made again first; where that fails, a commit does it.
pub(super) fn take_back(archive: &Path, removed: Option<u64>) {
    let made_again = removed.map(|bytes| own_file::create(&path(archive))?.set_len(bytes));
    if let Some(Err(error)) = made_again {
        tracing::info!(%error, "the file that the archive keeps to open on a full disk could not be made again");
    }
    let Ok(reserve) = own_file::write(&path(archive)) else { return };
    let bytes = reserve.metadata().map_or(0, |metadata| metadata.len());
    let taken = |eighths: u64| fallocate(&reserve, FallocateFlags::empty(), 0, bytes * eighths / 8).is_ok();
    if bytes > 0 && !taken(8) {
        tracing::info!(bytes, "the room to open the archive on a full disk is gone, or a part of it");
        (1..8).rev().any(taken);
    }
}

fn path(archive: &Path) -> PathBuf {
    archive.join("RESERVE")
}
