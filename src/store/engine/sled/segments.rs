//! Reads sled's log on disk without sled: its segments, and whether the part that an opening would replay is intact.
//!
//! sled 0.34.7 opens by replaying what came after its snapshot. After a message that it cannot read, it silently drops
//! the rest of the segment, and it drops a segment whose header it cannot read entirely. In the tail of the log,
//! however, sled ends the log there. The dropped data may have been torn by a crash and never acknowledged, or it may
//! be acknowledged data that was damaged. This module finds it before sled drops it, so that the layers above can check
//! whether anything is missing.
//!
//! The layout is that of sled 0.34.7, `src/pagecache/{logger,header,iterator}.rs`. A segment is [`SEGMENT_BYTES`] long
//! and begins with a header: the CRC-32 of the rest of the header (inverted), the segment's position in the log, and
//! the position up to which the log was stable when the segment was started (both with all bits except the sign
//! flipped), little-endian. Messages follow: CRC-32 (inverted) of body and header, kind (1 byte), length of the body,
//! numbers of the segment and the page (in sled's variable-length encoding), body. A message of the kind `CAP` ends a
//! segment that is not full.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::own_file;
use super::SEGMENT_BYTES;

/// The length of a segment's header in bytes.
pub(super) const HEADER_BYTES: usize = 20;
/// The maximum length of a message's header in bytes. Less space than this at the end of a segment stays empty.
const MESSAGE_HEADER_BYTES_MAX: usize = 32;
const CAP: u8 = 2;
const KIND_MAX: u8 = 11;

/// The state of a segment according to its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SegmentState {
    /// It is all zeros, or shorter than a header.
    Empty,
    /// Its header cannot be read.
    Unreadable,
    /// It contains a part of the log.
    Log {
        /// The position of that part in the log.
        position: u64,
        /// The position up to which the log was stable when the segment was started.
        stable: u64,
    },
}

/// The condition of a log before it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Survey {
    /// Everything that sled will replay before the tail can be read.
    Intact,
    /// sled will drop a part of the log, which was either torn by a crash and never acknowledged, or is lost. The text
    /// states where.
    PartlyUnreadable(String),
    /// The segment that sled would continue to write to cannot be read, so that new data would be lost at the next
    /// opening. The text states where.
    TailUnreadable(String),
}

/// Examines the segment at `offset`.
pub(super) fn segment(log: &File, offset: u64) -> io::Result<SegmentState> {
    let header = read(log, offset, HEADER_BYTES)?;
    let Some(header) = header.first_chunk() else { return Ok(SegmentState::Empty) };
    if let Some(segment) = parse(header) {
        return Ok(segment);
    }
    let is_empty = read(log, offset, SEGMENT_BYTES)?.iter().all(|byte| *byte == 0);
    Ok(if is_empty { SegmentState::Empty } else { SegmentState::Unreadable })
}

fn parse(header: &[u8; HEADER_BYTES]) -> Option<SegmentState> {
    let (stored, fields) = header.split_first_chunk::<4>()?;
    let (position, stable) = fields.split_first_chunk::<8>()?;
    let flip = |bytes: [u8; 8]| u64::from_le_bytes(bytes) ^ (u64::MAX >> 1);
    let position = flip(*position);
    let is_intact = crc32(&[fields]) == u32::from_le_bytes(*stored) ^ u32::MAX;
    let is_aligned = position.is_multiple_of(SEGMENT_BYTES as u64);
    // -1 means that nothing is stable yet.
    let stable = flip(*stable.first_chunk()?);
    let stable = if stable.cast_signed() < 0 { 0 } else { stable };
    (is_intact && is_aligned).then_some(SegmentState::Log { position, stable })
}

/// Examines the log in `database`, whose snapshot covers everything below the position `covered`.
pub(super) fn survey(database: &Path, covered: u64) -> io::Result<Survey> {
    let log = own_file::read(&database.join("db"))?;
    let bytes = log.metadata()?.len();
    let covered_from = covered / SEGMENT_BYTES as u64 * SEGMENT_BYTES as u64;
    let (mut replayed, mut tail, mut unreadable) = (Vec::new(), 0, None);
    for offset in (0..bytes).step_by(SEGMENT_BYTES) {
        match segment(&log, offset)? {
            SegmentState::Empty => {}
            SegmentState::Unreadable => {
                unreadable.get_or_insert_with(|| format!("the header of the segment at byte {offset} cannot be read"));
            }
            SegmentState::Log { position, stable } => {
                tail = tail.max(stable / SEGMENT_BYTES as u64 * SEGMENT_BYTES as u64);
                if position >= covered_from {
                    replayed.push((position, offset));
                }
            }
        }
    }
    if replayed.is_empty() && covered > covered_from {
        return Ok(Survey::TailUnreadable(
            unreadable.unwrap_or_else(|| "the last segment of the log is missing".to_owned()),
        ));
    }
    // In the tail, which a crash may have torn, the log ends at the first unreadable message.
    for (position, offset) in replayed.into_iter().filter(|(position, _)| *position < tail) {
        let number = position / SEGMENT_BYTES as u64;
        if let Some(at) = first_unreadable(&read(&log, offset, SEGMENT_BYTES)?, number) {
            return Ok(Survey::PartlyUnreadable(format!("what follows byte {} cannot be read", offset + at as u64)));
        }
    }
    Ok(unreadable.map_or(Survey::Intact, Survey::PartlyUnreadable))
}

/// The offset of the first unreadable message in the segment with this number.
fn first_unreadable(segment: &[u8], number: u64) -> Option<usize> {
    let mut at = HEADER_BYTES;
    while at + MESSAGE_HEADER_BYTES_MAX <= SEGMENT_BYTES {
        match message(segment.get(at..).unwrap_or_default(), number) {
            Some((CAP, _)) => return None,
            Some((_, length)) => at += length,
            None => return Some(at),
        }
    }
    None
}

/// The kind and length of the message at the start of `bytes`, if it is intact and belongs to this segment.
fn message(bytes: &[u8], segment: u64) -> Option<(u8, usize)> {
    let (stored, checked) = bytes.split_first_chunk::<4>()?;
    let (kind, rest) = checked.split_first()?;
    let (body_bytes, rest) = number(rest)?;
    let (of_segment, rest) = number(rest)?;
    let (_page, rest) = number(rest)?;
    let header = checked.get(..checked.len().checked_sub(rest.len())?)?;
    let body = rest.get(..usize::try_from(body_bytes).ok()?)?;
    let is_intact = crc32(&[body, header]) == u32::from_le_bytes(*stored) ^ u32::MAX;
    let is_known = (1..=KIND_MAX).contains(kind) && of_segment == segment;
    (is_intact && is_known).then_some((*kind, stored.len() + header.len() + body.len()))
}

/// Decodes a number in sled's variable-length encoding. Returns it with the remaining bytes.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let first = u64::from(*first);
    match first {
        0..=240 => Some((first, rest)),
        241..=248 => {
            let (byte, rest) = rest.split_first()?;
            Some((240 + 256 * (first - 241) + u64::from(*byte), rest))
        }
        249 => {
            let ([high, low], rest) = rest.split_first_chunk::<2>()?;
            Some((2288 + 256 * u64::from(*high) + u64::from(*low), rest))
        }
        _ => {
            let (bytes, rest) = rest.split_at_checked(usize::try_from(first - 247).ok()?)?;
            let value = bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
            Some((value, rest))
        }
    }
}

fn crc32(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// Reads up to `bytes_max` bytes; fewer only at the end of the file.
pub(super) fn read(log: &File, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; bytes_max];
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match log.read_at(rest, offset + done as u64)? {
            0 => break,
            count => done += count,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use std::sync::Arc;

    use super::*;
    use crate::model::Seq;
    use crate::store::engine::directory::Directory;
    use crate::store::engine::lock::Holder;
    use crate::store::engine::sled::{Options, SledEngine};
    use crate::store::engine::{Batch, Engine};
    use crate::store::key::content::{CHUNK_BYTES, ContentKey, OriginalKey};

    /// The log position of the last segment.
    fn last_position(database: &Path) -> u64 {
        let log = File::open(database.join("db")).unwrap();
        let segments = (0..log.metadata().unwrap().len()).step_by(SEGMENT_BYTES).map(|offset| segment(&log, offset));
        let positions = segments.filter_map(|segment| match segment.unwrap() {
            SegmentState::Log { position, .. } => Some(position),
            SegmentState::Empty | SegmentState::Unreadable => None,
        });
        positions.max().unwrap()
    }

    /// A power cut is safe only for a write that spans at most two segments. A slice of what is applied must not exceed
    /// that.
    #[test]
    fn a_slice_writes_less_than_a_segment() {
        let dir = tempfile::tempdir().unwrap();
        let holder = Holder { pid: 1, command: "test".to_owned(), address: None, since: String::new() };
        let directory = Arc::new(Directory::open_or_create(dir.path(), holder).unwrap());
        let database = directory.database();
        let engine = SledEngine::open(directory, Options { free_space_floor_bytes: 0, ..Options::default() }).unwrap();
        let (mut slices, mut longest) = (0, 0);
        for seq in 0..48 {
            let mut batch = Batch::default();
            for chunk in 0..8 {
                for key in [ContentKey { seq: Seq(seq), chunk }.encode(), OriginalKey { seq: Seq(seq), chunk }.encode()]
                {
                    batch.writes.insert(key, Some(vec![7; CHUNK_BYTES + 4]));
                }
            }
            let before = last_position(&database);
            engine.commit(&batch).unwrap();
            engine.settle().unwrap();
            (slices, longest) = (slices + 1, longest.max(last_position(&database) - before));
        }
        let average = last_position(&database) / slices;
        assert!(longest <= SEGMENT_BYTES as u64, "a slice advanced the log by {longest} bytes");
        assert!(average < SEGMENT_BYTES as u64 / 2, "a slice writes {average} bytes on average");
    }
}
