//! What opening a database may overwrite, kept until it is known that nothing was lost.
//!
//! sled recovers by cutting: it fills the log behind the first message that it cannot read, empties segments that
//! do not connect, shortens the file, and replaces its snapshot. After a crash that is right, for nothing behind
//! the tear was ever acknowledged. After damage it destroys what was, and it does so even when opening then fails.
//! So whatever it may touch is copied aside before, and put back when the opening fails.
//!
//! That is each segment that the snapshot does not cover yet, and each whose header cannot be read, which sled takes for
//! free and empties; of the others only the header can change, since they are reused when sled takes them for free. The copy is as large as what
//! was written since the last opening, and it is not synced: it serves this process only.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::directory::remove_directory;
use super::super::{own_file, own_folder};
use super::SEGMENT_BYTES;
use super::segments::{HEADER_BYTES, Segment, read, segment};

/// The state of a database before it was opened.
#[derive(Debug)]
pub(super) struct Preimage {
    database: PathBuf,
    /// Holds `log`, the copied segments one after the other, and links to the snapshots.
    folder: PathBuf,
    log_bytes: u64,
    /// Where segments begin in the log, each with its header or what there is of it.
    headers: Vec<(u64, Vec<u8>)>,
    /// Where the copied segments begin in the log.
    copied: Vec<u64>,
}

impl Preimage {
    /// Looks at the database and copies nothing yet. `folder` must be on the same disk.
    pub(super) fn plan(database: &Path, folder: &Path) -> io::Result<Self> {
        let log = own_file::read(&database.join("db"))?;
        let log_bytes = log.metadata()?.len();
        let covered = covered(database)?;
        let (mut headers, mut copied) = (Vec::new(), Vec::new());
        for offset in (0..log_bytes).step_by(SEGMENT_BYTES) {
            headers.push((offset, read(&log, offset, HEADER_BYTES)?));
            if may_be_cut(segment(&log, offset)?, covered) {
                copied.push(offset);
            }
        }
        Ok(Self { database: database.to_path_buf(), folder: folder.to_path_buf(), log_bytes, headers, copied })
    }

    /// Where the copy is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The size that the copy will have.
    pub(super) fn bytes(&self) -> u64 {
        self.copied.len() as u64 * SEGMENT_BYTES as u64
    }

    /// Copies, into a folder that is not there yet.
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

    /// Puts everything back as it was. The database must be closed.
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

    /// Removes the copy.
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

/// Up to where the latest snapshot in `database` covers the log.
pub(super) fn covered(database: &Path) -> io::Result<u64> {
    Ok(snapshots(database)?.iter().filter_map(|path| covered_by(path)).max().unwrap_or(0))
}

/// The position up to which a snapshot covers the log: its name, in hexadecimal.
fn covered_by(snapshot: &Path) -> Option<u64> {
    u64::from_str_radix(snapshot.extension()?.to_str()?, 16).ok()
}

/// Whether opening may cut the segment, or empty it.
fn may_be_cut(segment: Segment, covered: u64) -> bool {
    match segment {
        Segment::Empty => false,
        Segment::Unreadable => true,
        Segment::Of { position, .. } => position >= covered / SEGMENT_BYTES as u64 * SEGMENT_BYTES as u64,
    }
}

/// Copies a segment, or what there is of it.
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

/// A snapshot is replaced and never written to, so a link keeps it. Where the disk knows no links, a copy does.
fn link_all(files: Vec<PathBuf>, folder: &Path) -> io::Result<()> {
    files.iter().try_for_each(|file| {
        let link = folder.join(file.file_name().unwrap_or_default());
        fs::hard_link(file, &link).or_else(|_| fs::copy(file, &link).map(drop))
    })
}
