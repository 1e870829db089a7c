//! The preimage: a copy of everything that opening a database may overwrite, kept until it is certain that nothing was
//! lost.
//!
//! sled recovers by truncation: it overwrites the log after the first message that it cannot read, zeroes segments that
//! are not connected, shortens the file, and replaces its snapshot. After a crash that is right, because nothing after
//! the tear was ever acknowledged. After damage it destroys acknowledged data, and it does so even if opening then
//! fails. So everything that it may touch is copied first, and restored if opening fails.
//!
//! Nearly always sled replays everything that the log has, and overwrites only what is after it in its last segment,
//! which is zeros, of a torn message, or of an earlier use of the segment. [`super::segments`] finds that out, and the
//! copy contains only that, without the zeros. Otherwise the copy contains each segment that the snapshot does not
//! cover yet, and each segment whose header cannot be read, since sled treats those as free and zeroes them. Of the
//! other segments only the headers can change, when sled reuses a segment that it treats as free. The copy is at most
//! as large as the data written since the last opening. It is not synced: it serves this process only.
//!
//! From the first moment on, sled's flush thread moves pages out of sparse segments. That may fill the last segment and
//! begin another, which restoring empties again. It never reuses a segment that it emptied before it began a second.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::directory::remove_directory;
use super::super::{own_file, own_folder};
use super::SEGMENT_BYTES;
use super::segments::{HEADER_BYTES, Overwritten, SegmentState, position, read, segment};

/// The state of a database before it was opened.
#[derive(Debug)]
pub(super) struct Preimage {
    database: PathBuf,
    /// The folder of the copy: `log` with the copied parts in order, and links to the snapshots.
    folder: PathBuf,
    log_bytes: u64,
    /// The offset of each segment in the log, with its header or as much of it as there is.
    headers: Vec<(u64, Vec<u8>)>,
    /// The copied parts of the log.
    copied: Vec<Range<u64>>,
    /// The part of the log that was zeros and is overwritten.
    blank: Range<u64>,
    /// Whether sled replays everything that the log has.
    is_replayed_completely: bool,
}

impl Preimage {
    /// Examines the database, without copying anything yet. `folder` must be on the same disk. `overwritten` is what
    /// opening will overwrite, if that is known.
    pub(super) fn plan(database: &Path, folder: &Path, overwritten: Option<Overwritten>) -> io::Result<Self> {
        let log = own_file::read(&database.join("db"))?;
        let log_bytes = log.metadata()?.len();
        let covered = covered(database)?;
        let (mut headers, mut copied) = (Vec::new(), Vec::new());
        for offset in (0..log_bytes).step_by(SEGMENT_BYTES) {
            headers.push((offset, read(&log, offset, HEADER_BYTES)?));
            if overwritten.is_none() && may_be_overwritten(segment(&log, offset)?, covered) {
                copied.push(offset..offset + SEGMENT_BYTES as u64);
            }
        }
        let is_replayed_completely = overwritten.is_some();
        let blank = overwritten.map_or(0..0, |Overwritten { rest, blank }| {
            copied.extend(Some(rest).filter(|rest| !rest.is_empty()));
            blank
        });
        let (database, folder) = (database.to_path_buf(), folder.to_path_buf());
        Ok(Self { database, folder, log_bytes, headers, copied, blank, is_replayed_completely })
    }

    /// The folder of the copy.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The size that the copy will have, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.copied.iter().map(|part| part.end - part.start).sum()
    }

    /// Makes the copy. Its folder must not exist yet.
    pub(super) fn save(&self) -> io::Result<()> {
        own_folder::create(&self.folder)?;
        link_all(snapshots(&self.database)?, &self.folder)?;
        let copy = own_file::create(&self.folder.join("log"))?;
        let log = own_file::read(&self.database.join("db"))?;
        let mut to = 0;
        for part in &self.copied {
            copy_part(&log, part.start, &copy, to, part.end - part.start)?;
            to += part.end - part.start;
        }
        Ok(())
    }

    /// Restores the database from the copy. The database must be closed.
    pub(super) fn restore(&self) -> io::Result<()> {
        let copy = own_file::read(&self.folder.join("log"))?;
        let log = own_file::write(&self.database.join("db"))?;
        if self.is_replayed_completely && self.segments_begun_since(&log)? > 1 {
            // A segment whose pages sled moved may be in use again, so what it had is only where sled moved it.
            tracing::warn!(path = %self.database.display(), "sled moved too much during the opening to undo it");
            return Ok(());
        }
        for (offset, header) in &self.headers {
            if read(&log, *offset, HEADER_BYTES)? == *header {
                continue;
            }
            // sled zeroes segments of which it knows, from all of the log, that nothing refers to them any more. It may
            // also have continued in one of them, or in one that was empty.
            let is_freed = self.is_replayed_completely && position(header) < self.last_position();
            if is_freed || header.iter().all(|byte| *byte == 0) {
                clear(&log, &(*offset..offset + SEGMENT_BYTES as u64))?;
            } else {
                log.write_all_at(header, *offset)?;
            }
        }
        let mut from = 0;
        for part in &self.copied {
            copy_part(&copy, from, &log, part.start, part.end - part.start)?;
            from += part.end - part.start;
        }
        clear(&log, &self.blank)?;
        log.set_len(self.log_bytes)?;
        log.sync_all()?;
        for snapshot in snapshots(&self.database)? {
            fs::remove_file(snapshot)?;
        }
        link_all(snapshots(&self.folder)?, &self.database)?;
        File::open(&self.database)?.sync_all()
    }

    /// The position of the last segment of the log when it was examined.
    fn last_position(&self) -> Option<u64> {
        self.headers.iter().filter_map(|(_, header)| position(header)).max()
    }

    /// The number of segments that were begun since the database was examined.
    fn segments_begun_since(&self, log: &File) -> io::Result<usize> {
        let mut begun = 0;
        for offset in (0..log.metadata()?.len()).step_by(SEGMENT_BYTES) {
            begun += usize::from(position(&read(log, offset, HEADER_BYTES)?) > self.last_position());
        }
        Ok(begun)
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

/// Copies this many bytes, or as many as there are.
fn copy_part(from: &File, from_offset: u64, to: &File, to_offset: u64, bytes: u64) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    while done < bytes {
        let wanted = usize::try_from(bytes - done).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        let read = from.read_at(buffer.get_mut(..wanted).unwrap_or_default(), from_offset + done)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all_at(buffer.get(..read).unwrap_or_default(), to_offset + done)?;
        done += read as u64;
    }
    Ok(())
}

/// Fills a part of a file with zeros.
fn clear(file: &File, part: &Range<u64>) -> io::Result<()> {
    static PIECE: [u8; 64 << 10] = [0; 64 << 10];
    for at in part.clone().step_by(PIECE.len()) {
        let piece = usize::try_from(part.end - at).map_or(PIECE.len(), |rest| rest.min(PIECE.len()));
        file.write_all_at(PIECE.get(..piece).unwrap_or_default(), at)?;
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
