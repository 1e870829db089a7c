//! Disk space that an archive reserves for itself, so that it can be opened and read on a disk that others filled to
//! the last byte.
//!
//! sled writes even when nothing is committed: each opening overwrites the rest of the log's last segment and writes a
//! new snapshot before it removes the old one, and reads can split pages. Without space for that, sled does not open,
//! or fails at the next commit. So commits reserve space in advance, while there is some:
//! - Blocks after the end of the log, into which the log grows.
//! - The file `RESERVE`. If there is less free space than its size, an opening releases its blocks and allocates them
//!   again right afterwards: sled has removed the old snapshot by then, so there is as much space as before. The file
//!   keeps its length, which tells the next opening how much to allocate if the process is killed in between.
//!
//! A snapshot is a new file. If the file system has no free inode, the reserve releases its own: the file is removed,
//! and created again when the old snapshot is gone.
//!
//! While a database is being opened, other processes can use up the space that was released.

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
/// The reserve is the log's size divided by this, plus [`LEAST_BYTES`]. It has to hold a snapshot, which is written before
/// the old one is removed, and takes a hundredth of the log.
const SHARE_OF_LOG: u64 = 32;
/// What the reserve of a small log has to hold besides: blocks that the file system needs for names and for lists of
/// blocks.
const LEAST_BYTES: u64 = 256 << 10;

/// The reserve of an open database.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    /// The offset up to which the log has allocated blocks. Zero until something was reserved.
    log_allocated: AtomicU64,
}

impl Reserve {
    /// The reserve of the archive in the directory `archive`.
    pub(super) fn new(archive: &Path) -> Self {
        Self { path: path(archive), log_allocated: AtomicU64::new(0) }
    }

    /// Whether [`Self::grow`] has not reserved anything yet.
    pub(super) fn is_unset(&self) -> bool {
        self.log_allocated.load(Ordering::Relaxed) == 0
    }

    /// Grows the reserve to what a log of the current size needs, if `spare_bytes` are enough for that.
    pub(super) fn grow(&self, log: &File, spare_bytes: u64) {
        if let Err(error) = self.try_to_grow(log, spare_bytes) {
            tracing::info!(%error, "could not reserve space for opening the archive on a full disk");
        }
    }

    fn try_to_grow(&self, log: &File, spare_bytes: u64) -> io::Result<()> {
        let log_bytes = log.metadata()?.len();
        let log_allocated = log_allocated(log_bytes);
        if log_allocated == self.log_allocated.load(Ordering::Relaxed) {
            return Ok(());
        }
        let reserve = own_file::create(&self.path)?;
        let reserve_bytes = reserve_bytes(log_allocated);
        let missing_bytes = reserve_bytes.saturating_sub(reserve.metadata()?.blocks() * 512);
        // Two segments are more than the blocks for the log.
        if missing_bytes + 2 * SEGMENT > spare_bytes {
            return Ok(());
        }
        self.log_allocated.store(log_allocated, Ordering::Relaxed);
        // The length is set first: even if allocation fails, the next opening tries to allocate all of it.
        reserve.set_len(reserve_bytes)?;
        fallocate(&reserve, FallocateFlags::empty(), 0, reserve_bytes)?;
        // Other systems cannot allocate without changing the file's length, which sled relies on.
        #[cfg(target_os = "linux")]
        fallocate(log, FallocateFlags::KEEP_SIZE, log_bytes, log_allocated - log_bytes)?;
        Ok(())
    }
}

/// Shrinks the reserve to what sled's database in `folder` needs, which has just become smaller, or removes it if sled
/// has no database. If that fails, the space stays reserved until the next commit.
pub(super) fn shrink(archive: &Path, folder: &Path) {
    let path = path(archive);
    let shrunk = match fs::metadata(folder.join("db")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(log) => own_file::write(&path).and_then(|reserve| {
            let bytes = reserve_bytes(log_allocated(log.len()));
            if reserve.metadata()?.len() > bytes { reserve.set_len(bytes) } else { Ok(()) }
        }),
    };
    match shrunk {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::info!(%error, "could not shrink the reserve for opening the archive on a full disk");
        }
        Ok(()) | Err(_) => {}
    }
}

/// Up to where a log of this length has blocks: half a segment to one and a half segments after its end.
fn log_allocated(log_bytes: u64) -> u64 {
    (log_bytes + SEGMENT / 2).next_multiple_of(SEGMENT)
}

/// The size of the reserve for a log with blocks up to this offset.
fn reserve_bytes(log_allocated: u64) -> u64 {
    LEAST_BYTES + log_allocated / SHARE_OF_LOG
}

/// Releases the blocks of the reserve if there is less free space than its size, or the whole file if there is no free
/// inode. Returns the length of a reserve that was removed.
pub(super) fn release_when_full(archive: &Path) -> io::Result<Option<u64>> {
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
    // The blocks are free only when the truncation is durable.
    reserve.sync_all()?;
    Ok(None)
}

/// Allocates the whole length of the reserve, if there is one, or as much of it as there is space for. `removed` is the
/// length of a reserve that [`release_when_full`] removed: it is created again first. If that fails, a later commit
/// creates it.
pub(super) fn reclaim(archive: &Path, removed: Option<u64>) {
    let recreated = removed.map(|bytes| own_file::create(&path(archive))?.set_len(bytes));
    if let Some(Err(error)) = recreated {
        tracing::info!(%error, "could not create the reserve for opening the archive on a full disk again");
    }
    let Ok(reserve) = own_file::write(&path(archive)) else { return };
    let bytes = reserve.metadata().map_or(0, |metadata| metadata.len());
    let allocate = |eighths: u64| fallocate(&reserve, FallocateFlags::empty(), 0, bytes * eighths / 8).is_ok();
    if bytes > 0 && !allocate(8) {
        tracing::info!(bytes, "the reserve for opening the archive on a full disk could not be fully allocated");
        (1..8).rev().any(allocate);
    }
}

fn path(archive: &Path) -> PathBuf {
    archive.join("RESERVE")
}
