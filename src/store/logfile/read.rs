//! Reads a log file, one segment at a time, and checks all of it.

use std::io::{Read, Seek};

use zstd::stream::read::Decoder;

use super::frame::FrameKind;
use super::messages::{self, PackedSegment, Records};
use super::source::{FramePosition, FrameReader};
use super::{DECLARED_BYTES_MAX, LogEnd, LogFileError, LogHeader};
use crate::model::{LogDigest, Seq};
use crate::store::format::FORMAT_VERSION;
use crate::store::full_change::FullChange;

/// A log file that is being read.
pub struct LogReader<R> {
    source: FrameReader<R>,
    header: LogHeader,
    end: Option<LogEnd>,
}

impl<R: Read> LogReader<R> {
    /// Reads the first line and the header. Errors refer to the file as `file`.
    pub fn open(file: &str, bytes: R) -> Result<Self, LogFileError> {
        let mut source = FrameReader::open(file, bytes)?;
        let header = read_header(&mut source)?;
        Ok(Self { source, header, end: None })
    }

    /// The header: what the file contains.
    pub fn header(&self) -> &LogHeader {
        &self.header
    }

    /// The place in the file where the next segment begins.
    pub fn position(&self) -> FramePosition {
        self.source.position
    }

    /// The content of the end frame; `None` until the whole file has been read.
    pub fn end(&self) -> Option<&LogEnd> {
        self.end.as_ref()
    }

    /// Reads the changes of the next segment; `None` if the file has ended and is complete.
    pub fn next_segment(&mut self) -> Result<Option<Vec<FullChange>>, LogFileError> {
        if self.end.is_some() {
            return Ok(None);
        }
        let (kind, payload) = self.source.read_frame()?;
        match kind {
            FrameKind::Header => Err(self.source.altered("a second header")),
            FrameKind::Segment => self.read_segment(&payload).map(Some),
            FrameKind::End => self.read_end(&payload).map(|()| None),
        }
    }

    /// Builds an error about the change at `seq`, in the segment at `position`.
    pub fn altered(&self, position: FramePosition, seq: Seq, detail: impl Into<String>) -> LogFileError {
        let file = self.source.file.clone();
        LogFileError::Altered { file, offset: position.offset, seq, detail: detail.into() }
    }

    fn read_segment(&mut self, payload: &[u8]) -> Result<Vec<FullChange>, LogFileError> {
        let altered = |detail: &str| self.source.altered(detail);
        let position = self.source.position;
        let segment = messages::decode_segment(payload).ok_or_else(|| altered("a segment cannot be read"))?;
        if segment.first_seq != position.next_seq || segment.count == 0 {
            return Err(altered("a segment does not begin at the next change"));
        }
        let records = unpack(&segment).and_then(|bytes| Records::decode(&bytes));
        let records = records.ok_or_else(|| altered("the changes of a segment cannot be read"))?;
        if records.count() != segment.count {
            return Err(altered("a segment does not have the number of changes that it states"));
        }
        let changes = records.into_changes(position.next_seq, position.log_digest).collect::<Result<Vec<_>, _>>();
        let changes = changes.map_err(|error| altered(&error.to_string()))?;
        let last = changes.last().map(|last| (last.change.seq.next(), last.change.log_digest));
        let Some((next_seq, log_digest)) = last.filter(|(next_seq, _)| *next_seq <= self.header.end.next_seq) else {
            return Err(altered("there are more changes than the header states"));
        };
        if log_digest != segment.log_digest {
            return Err(altered("the changes of a segment do not have the log digest that it states"));
        }
        (self.source.position.next_seq, self.source.position.log_digest) = (next_seq, log_digest);
        self.source.advance(payload.len());
        Ok(changes)
    }

    fn read_end(&mut self, payload: &[u8]) -> Result<(), LogFileError> {
        let end = messages::decode_end(payload).ok_or_else(|| self.source.altered("the end cannot be read"))?;
        let (end, next_seq, log_digest, segments) = end;
        let FramePosition { next_seq: current_seq, log_digest: current_digest, frame, .. } = self.source.position;
        let snapshot = self.header.end;
        let current = (current_seq, current_digest);
        if current != (snapshot.next_seq, snapshot.log_digest) || current != (next_seq, log_digest) {
            return Err(self.source.altered("the end is not at the change that the header states"));
        }
        // The header is a frame, too.
        if segments + 1 != frame {
            return Err(self.source.altered("the number of segments is not the one that the end states"));
        }
        self.source.advance(payload.len());
        self.source.expect_end()?;
        self.end = Some(end);
        Ok(())
    }
}

impl<R: Read + Seek> LogReader<R> {
    /// Skips the changes without reading them, and returns the content of the end frame.
    pub fn skip_to_end(mut self) -> Result<LogEnd, LogFileError> {
        while self.source.skip_segment()? {}
        (self.source.position.next_seq, self.source.position.log_digest) =
            (self.header.end.next_seq, self.header.end.log_digest);
        let (kind, payload) = self.source.read_frame()?;
        if kind != FrameKind::End {
            return Err(self.source.altered("a second header"));
        }
        self.read_end(&payload)?;
        Ok(self.end.unwrap_or_default())
    }
}

fn read_header<R: Read>(source: &mut FrameReader<R>) -> Result<LogHeader, LogFileError> {
    let (kind, payload) = source.read_frame()?;
    let header = if kind == FrameKind::Header { messages::decode_header(&payload) } else { None };
    let header = header.ok_or_else(|| source.altered("the header cannot be read"))?;
    if header.format_version > FORMAT_VERSION {
        return Err(source.newer("storage format", header.format_version, FORMAT_VERSION));
    }
    let (first, end) = ((header.first_seq, header.first_log_digest), (header.end.next_seq, header.end.log_digest));
    let of_this_archive = first.0 > Seq::ZERO || first.1 == LogDigest::of_archive(&header.archive_id);
    if header.format_version < FORMAT_VERSION
        || !of_this_archive
        || first.0 > end.0
        || (first.0 == end.0 && first != end)
    {
        return Err(source.altered("the fields of the header contradict each other"));
    }
    (source.position.next_seq, source.position.log_digest) = first;
    source.advance(payload.len());
    Ok(header)
}

/// Decompresses the records of a segment. Reads at most one byte more than the length that the segment declares, so
/// that a false length is noticed and cannot exhaust memory.
fn unpack(segment: &PackedSegment) -> Option<Vec<u8>> {
    if segment.unpacked_bytes > DECLARED_BYTES_MAX {
        return None;
    }
    let mut bytes = Vec::new();
    let decoder = Decoder::with_buffer(segment.records.as_slice()).ok()?;
    decoder.take(segment.unpacked_bytes + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 == segment.unpacked_bytes).then_some(bytes)
}
