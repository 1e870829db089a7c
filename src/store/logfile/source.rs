//! Reads the frames of a log file one after the other, checks each, and tracks the place for error messages.

use std::io::{self, Read, Seek, SeekFrom};

use super::frame::{self, CHECKSUM_BYTES, FrameKind, HEAD_BYTES};
use super::{LOG_FILE_VERSION, LogFileError};
use crate::model::{LogDigest, Seq};

const FIRST_WORDS: &[u8] = b"dateline log ";
/// More than the length of the version's digits and the line end, in bytes.
const VERSION_BYTES_MAX: usize = 8;

/// A place in a file at which a frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramePosition {
    /// The offset in the file, in bytes.
    pub(super) offset: u64,
    /// The number of the frame.
    pub(super) frame: u64,
    /// The position of the next change.
    pub(super) next_seq: Seq,
    /// The log digest below `next_seq`.
    pub(super) log_digest: LogDigest,
}

impl FramePosition {
    /// The offset in the file, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The position of the first change after this place.
    pub fn next_seq(&self) -> Seq {
        self.next_seq
    }
}

/// A log file as a sequence of frames.
pub(super) struct FrameReader<R> {
    /// The name of the file in errors.
    pub(super) file: String,
    pub(super) bytes: R,
    /// The place of the frame to read next or, until [`Self::advance`], of the frame that was just read.
    pub(super) position: FramePosition,
}

impl<R: Read> FrameReader<R> {
    /// Reads the first line, which identifies the file.
    pub(super) fn open(file: &str, bytes: R) -> Result<Self, LogFileError> {
        let position = FramePosition { offset: 0, frame: 0, next_seq: Seq::ZERO, log_digest: LogDigest([0; 16]) };
        let mut source = Self { file: file.to_owned(), bytes, position };
        let not_a_log_file = || LogFileError::NotALogFile { file: file.to_owned() };
        let mut line = Vec::new();
        while line.len() < FIRST_WORDS.len() + VERSION_BYTES_MAX && line.last() != Some(&b'\n') {
            let byte = match source.read_bytes(line.len(), 1) {
                // A file counts as a log file that is cut short only if it begins like the first line of one.
                Err(LogFileError::CutShort { .. }) if line.is_empty() || !is_beginning(&line) => {
                    return Err(not_a_log_file());
                }
                byte => byte?,
            };
            line.extend(byte);
        }
        let version = line.strip_prefix(FIRST_WORDS).and_then(|rest| rest.strip_suffix(b"\n"));
        match version.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u32>().ok()) {
            Some(LOG_FILE_VERSION) => {}
            Some(found) if found > LOG_FILE_VERSION => {
                return Err(source.newer("log file format", found, LOG_FILE_VERSION));
            }
            Some(_) | None => return Err(not_a_log_file()),
        }
        source.position.offset = line.len() as u64;
        Ok(source)
    }

    /// Reads the frame at [`Self::position`] and verifies its checksum. The position stays there until
    /// [`Self::advance`].
    pub(super) fn read_frame(&mut self) -> Result<(FrameKind, Vec<u8>), LogFileError> {
        let head = self.read_bytes(0, HEAD_BYTES as u64)?;
        let head = head.try_into().map_err(|_| self.altered("a frame's header cannot be read"))?;
        let (kind, length) = frame::read_head(head).map_err(|detail| self.altered(detail))?;
        let payload = self.read_bytes(HEAD_BYTES, length.into())?;
        let checksum = self.read_bytes(HEAD_BYTES + payload.len(), CHECKSUM_BYTES as u64)?;
        if checksum != frame::checksum(self.position.frame, &head, &payload) {
            return Err(self.altered("a checksum does not match"));
        }
        Ok((kind, payload))
    }

    /// Moves [`Self::position`] past a frame whose payload has this many bytes.
    pub(super) fn advance(&mut self, payload_bytes: usize) {
        self.position.offset += (HEAD_BYTES + payload_bytes + CHECKSUM_BYTES) as u64;
        self.position.frame += 1;
    }

    /// Fails if there is anything after the end frame.
    pub(super) fn expect_end(&mut self) -> Result<(), LogFileError> {
        match self.read_bytes(0, 1) {
            Err(LogFileError::CutShort { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(self.altered("something follows the end")),
        }
    }

    /// Reads the next `count` bytes. Errors state their place as `frame_offset` bytes after the start of the frame.
    /// Memory is allocated as bytes arrive, whatever `count` is.
    fn read_bytes(&mut self, frame_offset: usize, count: u64) -> Result<Vec<u8>, LogFileError> {
        let mut bytes = Vec::new();
        match self.bytes.by_ref().take(count).read_to_end(&mut bytes) {
            Err(source) => Err(self.unreadable(frame_offset + bytes.len(), source)),
            Ok(read) if (read as u64) < count => Err(self.cut_short(frame_offset + read)),
            Ok(_) => Ok(bytes),
        }
    }

    pub(super) fn altered(&self, detail: impl Into<String>) -> LogFileError {
        let FramePosition { offset, next_seq: seq, .. } = self.position;
        LogFileError::Altered { file: self.file.clone(), offset, seq, detail: detail.into() }
    }

    fn cut_short(&self, frame_offset: usize) -> LogFileError {
        let FramePosition { offset, next_seq: seq, .. } = self.position;
        LogFileError::CutShort { file: self.file.clone(), offset: offset + frame_offset as u64, seq }
    }

    fn unreadable(&self, frame_offset: usize, source: io::Error) -> LogFileError {
        let offset = self.position.offset + frame_offset as u64;
        LogFileError::Unreadable { file: self.file.clone(), offset, source }
    }

    pub(super) fn newer(&self, what: &'static str, found: u32, known: u32) -> LogFileError {
        LogFileError::Newer { file: self.file.clone(), what, found, known }
    }
}

impl<R: Read + Seek> FrameReader<R> {
    /// Skips the frame if it is a segment, without reading its payload. Returns whether it was one.
    pub(super) fn skip_segment(&mut self) -> Result<bool, LogFileError> {
        let head = self.read_bytes(0, HEAD_BYTES as u64)?;
        let head = head.try_into().map_err(|_| self.altered("a frame's header cannot be read"))?;
        let (kind, length) = frame::read_head(head).map_err(|detail| self.altered(detail))?;
        let is_segment = kind == FrameKind::Segment;
        // Any other frame is read next, so the reader returns to its start.
        let distance = if is_segment { i64::from(length) + CHECKSUM_BYTES as i64 } else { -(HEAD_BYTES as i64) };
        self.bytes.seek(SeekFrom::Current(distance)).map_err(|error| self.unreadable(HEAD_BYTES, error))?;
        if is_segment {
            self.advance(length as usize);
        }
        Ok(is_segment)
    }
}

/// Whether a log file can begin with these bytes.
fn is_beginning(line: &[u8]) -> bool {
    FIRST_WORDS.starts_with(line) || line.starts_with(FIRST_WORDS)
}
