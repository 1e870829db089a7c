//! The preimage: a copy of everything that opening a database may overwrite, kept until it is certain that nothing was
//! lost.
//!
//! sled recovers by truncation: it overwrites the log after the first message that it cannot read, zeroes segments that
//! are not connected, shortens the file, and replaces its snapshot. After a crash that is right, because nothing after
//! the tear was ever acknowledged. After damage it destroys acknowledged data, and it does so even if opening then
//! fails. So everything that it may touch is copied first, and restored if opening fails.
//!
//! The copy contains each segment that the snapshot does not cover yet, and each segment whose header cannot be read,
//! since sled treats those as free and zeroes them. Of the other segments only the headers can change, when sled reuses
//! a segment that it treats as free. The copy is as large as the data written since the last opening. It is not synced:
//! it serves this process only.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::directory::remove_directory;
use super::super::{own_file, own_folder};
use super::SEGMENT_BYTES;
use super::segments::{HEADER_BYTES, SegmentState, read, segment};

/// The state of a database before it was opened.
#[derive(Debug)]
pub(super) struct Preimage {
    database: PathBuf,
    /// The folder of the copy: `log` with the copied segments in order, and links to the snapshots.
    folder: PathBuf,
    log_bytes: u64,
    /// The offset of each segment in the log, with its header or as much of it as there is.
    headers: Vec<(u64, Vec<u8>)>,
    /// The offsets of the copied segments in the log.
    copied: Vec<u64>,
}

impl Preimage {
    /// Examines the database, without copying anything yet. `folder` must be on the same disk.
    pub(super) fn plan(database: &Path, folder: &Path) -> io::Result<Self> {
        let log = own_file::read(&database.join("db"))?;
        let log_bytes = log.metadata()?.len();
        let covered = covered(database)?;
        let (mut headers, mut copied) = (Vec::new(), Vec::new());
        for offset in (0..log_bytes).step_by(SEGMENT_BYTES) {
            headers.push((offset, read(&log, offset, HEADER_BYTES)?));
            if may_be_overwritten(segment(&log, offset)?, covered) {
                copied.push(offset);
            }
        }
        Ok(Self { database: database.to_path_buf(), folder: folder.to_path_buf(), log_bytes, headers, copied })
    }

    /// The folder of the copy.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The size that the copy will have, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.copied.len() as u64 * SEGMENT_BYTES as u64
    }

    /// Makes the copy. Its folder must not exist yet.
    pub(super) fn save(&self) -> io::Result<()> {
        own_folder::create(&self.folder)?;
        link_all(snapshots(&self.database)?, &self.folder)?;
        let copy = own_file::create(&self.folder.join("log"))?;
        let log = own_file::read(&self.database.join("db"))?;
        for (index, offset) in (0_u64..).zip(&self.copied) {
            copy_segment(&log, *offset, &copy, index * SEGMENT_BYTES as u64)?;
        }
        Ok(())
    }

    /// Restores the database from the copy. The database must be closed.
    pub(super) fn restore(&self) -> io::Result<()> {
        let copy = own_file::read(&self.folder.join("log"))?;
        let log = own_file::write(&self.database.join("db"))?;
        for (offset, header) in &self.headers {
            log.write_all_at(header, *offset)?;
        }
        for (index, offset) in (0_u64..).zip(&self.copied) {
            copy_segment(&copy, index * SEGMENT_BYTES as u64, &log, *offset)?;
        }
        log.set_len(self.log_bytes)?;
        log.sync_all()?;
        for snapshot in snapshots(&self.database)? {
            fs::remove_file(snapshot)?;
        }
        link_all(snapshots(&self.folder)?, &self.database)?;
        File::open(&self.database)?.sync_all()
    }

    /// Removes the copy, or what an earlier process left of one.
    pub(super) fn discard(&self) -> io::Result<()> {
        remove_directory(&self.folder)
    }
}

/// The snapshots in a folder, finished or not.
pub(super) fn snapshots(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snap."));
    paths.filter(|path| path.as_ref().map_or(true, named)).collect()
}

/// The position up to which the latest snapshot in `database` covers the log.
pub(super) fn covered(database: &Path) -> io::Result<u64> {
    Ok(snapshots(database)?.iter().filter_map(|path| covered_by(path)).max().unwrap_or(0))
}

/// The position up to which a snapshot covers the log. The file name's extension states it in hexadecimal.
fn covered_by(snapshot: &Path) -> Option<u64> {
    u64::from_str_radix(snapshot.extension()?.to_str()?, 16).ok()
}

/// Whether opening may truncate or zero the segment.
fn may_be_overwritten(segment: SegmentState, covered: u64) -> bool {
    match segment {
        SegmentState::Empty => false,
        SegmentState::Unreadable => true,
        SegmentState::Log { position, .. } => position >= covered / SEGMENT_BYTES as u64 * SEGMENT_BYTES as u64,
    }
}

/// Copies a segment, or as much of it as there is.
fn copy_segment(from: &File, from_offset: u64, to: &File, to_offset: u64) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    while done < SEGMENT_BYTES {
        let read = from.read_at(&mut buffer, from_offset + done as u64)?;
        if read == 0 {
            return Ok(());
        }
        let read = read.min(SEGMENT_BYTES - done);
        to.write_all_at(buffer.get(..read).unwrap_or_default(), to_offset + done as u64)?;
        done += read;
    }
    Ok(())
}

/// Links files into a folder. sled replaces a snapshot but never modifies it, so a hard link preserves it. If the file
/// system does not support links, the files are copied.
fn link_all(files: Vec<PathBuf>, folder: &Path) -> io::Result<()> {
    files.iter().try_for_each(|file| {
        let link = folder.join(file.file_name().unwrap_or_default());
        fs::hard_link(file, &link).or_else(|_| fs::copy(file, &link).map(drop))
    })
}
