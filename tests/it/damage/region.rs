//! What is stored where in the files of an archive, so that damage hits data more often than free space, and a failure
//! says what was hit.

use std::fs;
use std::path::{Path, PathBuf};

use super::harm::BLOCK_BYTES;
use super::messages;
use crate::feed::dice::Dice;

/// The engine's segment size.
pub(super) const SEGMENT_BYTES: u64 = 8 << 20;
const HEADER_BYTES: u64 = 20;
/// sled's log.
const LOG: &str = "db/sled/db";

/// The files of an archive in one state.
pub(super) struct Map {
    files: Vec<(PathBuf, Vec<u8>)>,
    /// Offsets of the log's blocks that are not zero.
    written: Vec<u64>,
    /// Each segment's place in sled's order, if its header has one.
    positions: Vec<Option<u64>>,
    /// The position up to which sled's snapshot covers the log.
    covered: u64,
    /// The file with the last data that was written, and the offset of its end.
    end: (PathBuf, u64),
}

impl Map {
    pub(super) fn of(archive: &Path) -> Self {
        let mut files = Vec::new();
        read_into(archive, Path::new(""), &mut files);
        files.sort();
        let Some((_, log)) = files.iter().find(|(path, _)| path == Path::new(LOG)) else {
            // A small archive, whose write-ahead log is a single file.
            let (path, ahead) = files.iter().find(|(path, _)| path == Path::new("db/wal/000000")).unwrap();
            let end = ahead.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
            let end = (path.clone(), end);
            return Self { files, written: Vec::new(), positions: Vec::new(), covered: 0, end };
        };
        let written = written(log);
        let positions: Vec<_> = log.chunks(usize::try_from(SEGMENT_BYTES).unwrap()).map(position).collect();
        let newest = newest(&positions);
        let segment = &log[usize::try_from(newest).unwrap()..];
        let segment = &segment[..segment.len().min(usize::try_from(SEGMENT_BYTES).unwrap())];
        let end = newest + messages::end(segment, position(segment).unwrap() / SEGMENT_BYTES) as u64;
        let end = (PathBuf::from(LOG), end);
        let covered = files.iter().filter_map(|(path, _)| covered_by(path)).max().unwrap_or(0);
        Self { files, written, positions, covered, end }
    }

    /// A random file, usually sled's log or one of the write-ahead log.
    pub(super) fn file(&self, dice: &mut Dice) -> PathBuf {
        let rest: Vec<_> = self.files.iter().filter(|(_, content)| !content.is_empty()).collect();
        let ahead: Vec<_> = self.files.iter().filter(|(path, content)| is_ahead(path) && content[0] != 0).collect();
        match dice.below(100) {
            0..50 if !self.positions.is_empty() => PathBuf::from(LOG),
            0..85 if !ahead.is_empty() => dice.one_of(&ahead).0.clone(),
            _ => dice.one_of(&rest).0.clone(),
        }
    }

    /// A random offset in a file. In the log it is one that was written, and more often than by chance in the header of
    /// a segment or near the end.
    pub(super) fn offset(&self, file: &Path, dice: &mut Dice) -> u64 {
        if is_ahead(file) && dice.percent(95) {
            let written = written(self.content(file));
            if !written.is_empty() {
                return dice.one_of(&written) + dice.below(BLOCK_BYTES);
            }
        }
        if file != Path::new(LOG) {
            return dice.below(self.bytes_of(file));
        }
        let within = dice.below(BLOCK_BYTES);
        let at = match dice.below(20) {
            0..2 => dice.below(self.positions.len() as u64) * SEGMENT_BYTES + dice.below(HEADER_BYTES),
            2..4 => *dice.one_of(&self.newest_segment()) + within,
            // The very last data that was written.
            4 => self.end.1.saturating_sub(1 + dice.below(1_500)),
            5 => dice.below(self.bytes_of(file)),
            _ => dice.one_of(&self.written) + within,
        };
        at.min(self.bytes_of(file) - 1)
    }

    /// The written blocks of the newest segment.
    fn newest_segment(&self) -> Vec<u64> {
        let newest = newest(&self.positions);
        self.written.iter().copied().filter(|at| (newest..newest + SEGMENT_BYTES).contains(at)).collect()
    }

    /// The file with the last data that was written, and the offset of its end.
    pub(super) fn end(&self) -> (PathBuf, u64) {
        self.end.clone()
    }

    pub(super) fn bytes_of(&self, file: &Path) -> u64 {
        self.content(file).len() as u64
    }

    pub(super) fn byte(&self, file: &Path, at: u64) -> u8 {
        self.content(file)[usize::try_from(at).unwrap()]
    }

    pub(super) fn content(&self, file: &Path) -> &[u8] {
        &self.files.iter().find(|(path, _)| path == file).unwrap().1
    }

    /// All files below `db/`.
    pub(super) fn database(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path()).filter(|path| path.starts_with("db"))
    }

    /// Describes what is stored at an offset.
    pub(super) fn region(&self, file: &Path, at: u64) -> String {
        if is_ahead(file) {
            return "write-ahead log".to_owned();
        }
        if file != Path::new(LOG) {
            return "small file".to_owned();
        }
        let segment = usize::try_from(at / SEGMENT_BYTES).unwrap();
        let part = if super::harm::in_segment(at) < HEADER_BYTES { "header" } else { "body" };
        let Some(position) = self.positions[segment] else { return format!("{part} of an empty segment") };
        let mut later: Vec<_> = self.positions.iter().flatten().filter(|other| **other > position).collect();
        later.sort();
        let covered = self.covered / SEGMENT_BYTES;
        let kind = match (position / SEGMENT_BYTES).cmp(&covered) {
            std::cmp::Ordering::Less => "covered".to_owned(),
            std::cmp::Ordering::Equal => format!("covered in part, {} after it", later.len()),
            std::cmp::Ordering::Greater => format!("after the snapshot, {} after it", later.len()),
        };
        format!("{part} of segment {segment}, {kind}")
    }
}

/// Whether a file is one of the write-ahead log.
fn is_ahead(path: &Path) -> bool {
    path.starts_with("db/wal") && !path.ends_with("secret")
}

/// The offsets of the blocks that are not zero.
fn written(content: &[u8]) -> Vec<u64> {
    let block_bytes = usize::try_from(BLOCK_BYTES).unwrap();
    let blocks = (0..).step_by(block_bytes).zip(content.chunks(block_bytes));
    blocks.filter(|(_, block)| block.iter().any(|byte| *byte != 0)).map(|(at, _)| at).collect()
}

/// The offset of the newest segment.
fn newest(positions: &[Option<u64>]) -> u64 {
    (0_u64..).zip(positions).max_by_key(|(_, position)| **position).unwrap().0 * SEGMENT_BYTES
}

/// A segment's place in the order in which segments were written.
fn position(segment: &[u8]) -> Option<u64> {
    let header = segment.get(..20)?;
    let position = u64::from_le_bytes(header[4..12].try_into().unwrap()) ^ (u64::MAX >> 1);
    (position % SEGMENT_BYTES == 0 && header.iter().any(|byte| *byte != 0)).then_some(position)
}

fn covered_by(path: &Path) -> Option<u64> {
    let position = path.file_name()?.to_str()?.strip_prefix("snap.")?;
    u64::from_str_radix(position, 16).ok()
}

fn read_into(root: &Path, below: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            read_into(root, &path, files);
        } else {
            files.push((path, fs::read(entry.path()).unwrap()));
        }
    }
}
