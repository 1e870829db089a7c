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
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::own_file;
use super::SEGMENT_BYTES;

/// The length of a segment's header in bytes.
pub(super) const HEADER_BYTES: usize = 20;
/// How much of a segment is read at once to find its end, in bytes.
const PIECE_BYTES: usize = 256 << 10;
/// The maximum length of a message's header in bytes. Less space than this at the end of a segment stays empty.
pub(super) const MESSAGE_HEADER_BYTES_MAX: usize = 32;
pub(super) const CAP: u8 = 2;
/// The body of such a message is the position of the last message of a batch, eight bytes, little-endian.
const BATCH: u8 = 3;
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

/// A log before it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Surveyed {
    pub(super) condition: Survey,
    /// What opening will overwrite; `None` if sled may drop a part of the log, so that this is not known.
    pub(super) overwritten: Option<Overwritten>,
}

/// The part of the file between the last message and the end of its segment, to which opening writes zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Overwritten {
    /// What is not zeros: of a torn message, or of an earlier use of the segment.
    pub(super) rest: Range<u64>,
    /// The zeros after it.
    pub(super) blank: Range<u64>,
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

/// The position in the log of the segment with this header; `None` if it cannot be read.
pub(super) fn position(header: &[u8]) -> Option<u64> {
    match parse(header.first_chunk()?)? {
        SegmentState::Log { position, .. } => Some(position),
        SegmentState::Empty | SegmentState::Unreadable => None,
    }
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

/// Removes the last segment of the log in `database` if it was begun and nothing was written to it, and the snapshot
/// covers everything below the position `covered`, where it begins. sled would fill it with zeros, and begins it again
/// without it.
pub(super) fn remove_unused(database: &Path, covered: u64) -> io::Result<()> {
    let log = own_file::write(&database.join("db"))?;
    let last = log.metadata()?.len().saturating_sub(1) / SEGMENT_BYTES as u64 * SEGMENT_BYTES as u64;
    let is_begun = matches!(segment(&log, last)?, SegmentState::Log { position, .. } if position == covered);
    if last == 0 || !is_begun {
        return Ok(());
    }
    let written = read(&log, last + HEADER_BYTES as u64, SEGMENT_BYTES)?;
    if written.iter().all(|byte| *byte == 0) { log.set_len(last) } else { Ok(()) }
}

/// Examines the log in `database`, whose snapshot covers everything below the position `covered`.
pub(super) fn survey(database: &Path, covered: u64) -> io::Result<Surveyed> {
    let incomplete = |condition| Ok(Surveyed { condition, overwritten: None });
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
        return incomplete(Survey::TailUnreadable(
            unreadable.unwrap_or_else(|| "the last segment of the log is missing".to_owned()),
        ));
    }
    replayed.sort_unstable();
    let mut replay = Replay::from(covered_from.max(tail));
    for (position, offset) in replayed {
        let (bytes, written) = read_written(&log, offset)?;
        let messages = walk(&bytes, position / SEGMENT_BYTES as u64);
        // In the tail, which a crash may have torn, the log ends at the first unreadable message.
        if let Some(at) = messages.unreadable.filter(|_| position < tail) {
            let at = offset + at as u64;
            return incomplete(Survey::PartlyUnreadable(format!("what follows byte {at} cannot be read")));
        }
        replay.add(position, offset, &messages, written);
    }
    match unreadable {
        None => Ok(Surveyed { condition: Survey::Intact, overwritten: replay.overwritten() }),
        Some(reason) => incomplete(Survey::PartlyUnreadable(reason)),
    }
}

/// Follows what sled will replay, in order of position, to find out whether it will drop anything.
#[derive(Debug, Default)]
struct Replay {
    /// Where the tail begins. Before it, segments may be missing that were used again.
    tail: u64,
    /// The position at which the next segment of the tail must begin, or sled ends the log before it.
    next: u64,
    /// The position after the last message, and what is in the file after it.
    end: Option<(u64, Overwritten)>,
    /// The highest position that a batch needs.
    batch_end: u64,
    drops: bool,
}

impl Replay {
    fn from(tail: u64) -> Self {
        Self { tail, next: tail, ..Self::default() }
    }

    fn add(&mut self, position: u64, offset: u64, messages: &Messages, written: usize) {
        if position >= self.tail {
            self.drops |= position != self.next || self.end.is_some();
            self.next = position + SEGMENT_BYTES as u64;
        }
        self.batch_end = self.batch_end.max(messages.batch_end);
        if let Some(at) = messages.unreadable {
            let (end, written) = (offset + at as u64, offset + written.max(at) as u64);
            let overwritten = Overwritten { rest: end..written, blank: written..offset + SEGMENT_BYTES as u64 };
            self.end = Some((position + at as u64, overwritten));
        }
    }

    fn overwritten(self) -> Option<Overwritten> {
        let (end, overwritten) = self.end?;
        (!self.drops && self.batch_end < end).then_some(overwritten)
    }
}

/// The messages of a segment.
#[derive(Debug, Default)]
struct Messages {
    /// The offset of the first unreadable one.
    unreadable: Option<usize>,
    /// The highest position that a batch among them needs. If the log ends before it, sled drops the batch.
    batch_end: u64,
}

/// Reads the messages of the segment with this number.
fn walk(segment: &[u8], number: u64) -> Messages {
    let (mut at, mut messages) = (HEADER_BYTES, Messages::default());
    while at + MESSAGE_HEADER_BYTES_MAX <= SEGMENT_BYTES {
        match message(segment.get(at..).unwrap_or_default(), number) {
            Some(Message { kind: CAP, .. }) => return messages,
            Some(Message { kind, length, body }) => {
                at += length;
                if kind == BATCH {
                    let end = body.first_chunk().map_or(u64::MAX, |end| u64::from_le_bytes(*end));
                    messages.batch_end = messages.batch_end.max(end);
                }
            }
            None => {
                messages.unreadable = Some(at);
                return messages;
            }
        }
    }
    messages
}

/// An intact message.
struct Message<'a> {
    kind: u8,
    /// Its length with the header.
    length: usize,
    body: &'a [u8],
}

/// The message at the start of `bytes`, if it is intact and belongs to this segment.
fn message(bytes: &[u8], segment: u64) -> Option<Message<'_>> {
    let (stored, checked) = bytes.split_first_chunk::<4>()?;
    let (kind, rest) = checked.split_first()?;
    let (body_bytes, rest) = number(rest)?;
    let (of_segment, rest) = number(rest)?;
    let (_page, rest) = number(rest)?;
    let header = checked.get(..checked.len().checked_sub(rest.len())?)?;
    let body = rest.get(..usize::try_from(body_bytes).ok()?)?;
    let is_intact = crc32(&[body, header]) == u32::from_le_bytes(*stored) ^ u32::MAX;
    let is_known = (1..=KIND_MAX).contains(kind) && of_segment == segment;
    let length = stored.len() + header.len() + body.len();
    (is_intact && is_known).then_some(Message { kind: *kind, length, body })
}

/// Decodes a number in sled's variable-length encoding. Returns it with the remaining bytes.
pub(super) fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
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

pub(super) fn crc32(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// Reads a segment, with zeros for what the file does not have. Returns it with the length up to its last byte that is
/// not zero. Memory for the zeros after that is never touched.
fn read_written(log: &File, offset: u64) -> io::Result<(Vec<u8>, usize)> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut written = 0;
    for at in (0..SEGMENT_BYTES).step_by(PIECE_BYTES).rev() {
        let count = read_into(log, offset + at as u64, &mut piece)?;
        let last = piece.get(..count).and_then(|piece| piece.iter().rposition(|byte| *byte != 0));
        if let Some(last) = last {
            written = at + last + 1;
            break;
        }
    }
    let mut segment = vec![0; SEGMENT_BYTES];
    read_into(log, offset, segment.get_mut(..written).unwrap_or_default())?;
    Ok((segment, written))
}

/// Reads up to `bytes_max` bytes; fewer only at the end of the file.
pub(super) fn read(log: &File, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; bytes_max];
    let count = read_into(log, offset, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// Fills `bytes`; less only at the end of the file. Returns the number of bytes that were read.
fn read_into(log: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match log.read_at(rest, offset + done as u64)? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
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
        let holder = Holder { pid: 1, command: "test".to_owned(), since: String::new() };
        let directory = Arc::new(Directory::open_or_create(dir.path(), holder).unwrap());
        let database = directory.database().join("sled");
        let engine = SledEngine::open(directory, Options { free_space_floor_bytes: 0, ..Options::default() }).unwrap();
        engine.commit(&Batch { writes: [(vec![0], Some(vec![0]))].into(), ..Batch::default() }).unwrap();
        engine.settle().unwrap();
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
