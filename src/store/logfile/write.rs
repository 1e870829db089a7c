//! Writes a log file, one piece at a time.

use super::frame::{self, FrameKind};
use super::messages::{self, PackedSegment, Records};
use super::{LOG_FILE_VERSION, LogEnd, LogHeader, SEGMENT_BYTES};
use crate::model::{LogDigest, Seq};
use crate::store::content::{Effort, compress};
use crate::store::full_change::FullChange;

/// A log file that is being written. The pieces that its methods return, concatenated, are the file.
pub struct LogWriter {
    /// The number of frames written so far.
    frames: u64,
    /// The changes that are not in a frame yet.
    records: Records,
    /// The encoded size of `records`, in bytes.
    bytes: usize,
    /// The position of the first change that is not in a frame yet.
    first_seq: Seq,
    /// The position of the next change.
    next_seq: Seq,
    /// The log digest below `next_seq`.
    log_digest: LogDigest,
}

impl LogWriter {
    /// Begins a file and returns its first piece.
    pub fn begin(header: &LogHeader) -> (Self, Vec<u8>) {
        let mut piece = first_line();
        frame::write(0, FrameKind::Header, &messages::encode_header(header), &mut piece);
        let writer = Self {
            frames: 1,
            records: Records::default(),
            bytes: 0,
            first_seq: header.first_seq,
            next_seq: header.first_seq,
            log_digest: header.first_log_digest,
        };
        (writer, piece)
    }

    /// The position that the next change must have.
    pub fn next_seq(&self) -> Seq {
        self.next_seq
    }

    /// The log digest that the next change must follow.
    pub fn log_digest(&self) -> LogDigest {
        self.log_digest
    }

    /// Adds the next change. Returns a piece when a segment is full.
    pub fn push(&mut self, change: FullChange) -> Option<Vec<u8>> {
        (self.next_seq, self.log_digest) = (change.change.seq.next(), change.change.log_digest);
        self.bytes += self.records.push(change);
        (self.bytes >= SEGMENT_BYTES).then(|| self.end_segment())
    }

    /// Ends the file and returns its last piece.
    pub fn finish(mut self, end: &LogEnd) -> Vec<u8> {
        let mut piece = self.end_segment();
        // All frames except the header are segments.
        let payload = messages::encode_end(end, self.next_seq, self.log_digest, self.frames - 1);
        frame::write(self.frames, FrameKind::End, &payload, &mut piece);
        piece
    }

    /// Ends the current segment and returns its frame; empty if the segment has no changes.
    pub fn end_segment(&mut self) -> Vec<u8> {
        if self.records.count() == 0 {
            return Vec::new();
        }
        let records = std::mem::take(&mut self.records);
        let count = records.count();
        let encoded = records.encode();
        let segment = PackedSegment {
            first_seq: self.first_seq,
            count,
            log_digest: self.log_digest,
            unpacked_bytes: encoded.len() as u64,
            records: compress(&encoded, None, Effort::Quick),
        };
        let mut piece = Vec::new();
        frame::write(self.frames, FrameKind::Segment, &messages::encode_segment(segment), &mut piece);
        (self.frames, self.bytes, self.first_seq) = (self.frames + 1, 0, self.next_seq);
        piece
    }
}

/// The line that a log file begins with.
pub(super) fn first_line() -> Vec<u8> {
    format!("dateline log {LOG_FILE_VERSION}\n").into_bytes()
}
