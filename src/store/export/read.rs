//! Reads the log's export, a segment at a time, and checks all of it.

use std::io::{Read, Seek};

use zstd::stream::read::Decoder;

use super::frame::Kind;
use super::messages::{self, Records, Segment};
use super::source::{Place, Source};
use super::{ExportError, LENGTH_MAX, LogEnd, LogHeader};
use crate::model::{LogDigest, Seq};
use crate::store::format::FORMAT_VERSION;
use crate::store::whole::WholeChange;

/// A file that is being read.
pub struct LogReader<R> {
    source: Source<R>,
    header: LogHeader,
    end: Option<LogEnd>,
}

impl<R: Read> LogReader<R> {
    /// Reads the first line and the header. Errors call the file `file`.
    pub fn open(file: &str, bytes: R) -> Result<Self, ExportError> {
        let mut source = Source::open(file, bytes)?;
        let header = read_header(&mut source)?;
        Ok(Self { source, header, end: None })
    }

    /// What the file holds.
    pub fn header(&self) -> &LogHeader {
        &self.header
    }

    /// Where the next segment begins.
    pub fn place(&self) -> Place {
        self.source.place
    }

    /// What stands at the file's end; `None` before all of it was read.
    pub fn end(&self) -> Option<&LogEnd> {
        self.end.as_ref()
    }

    /// The changes of the next segment; `None` when the file has ended, and was whole.
    pub fn next_segment(&mut self) -> Result<Option<Vec<WholeChange>>, ExportError> {
        if self.end.is_some() {
            return Ok(None);
        }
        let (kind, payload) = self.source.read_frame()?;
        match kind {
            Kind::Header => Err(self.source.altered("a second header")),
            Kind::Segment => self.read_segment(&payload).map(Some),
            Kind::End => self.read_end(&payload).map(|()| None),
        }
    }

    /// An error about the change at `seq`, in the segment at `place`.
    pub fn altered(&self, place: Place, seq: Seq, detail: impl Into<String>) -> ExportError {
        let file = self.source.file.clone();
        ExportError::Altered { file, offset: place.offset, seq, detail: detail.into() }
    }

    fn read_segment(&mut self, payload: &[u8]) -> Result<Vec<WholeChange>, ExportError> {
        let altered = |detail: &str| self.source.altered(detail);
        let place = self.source.place;
        let segment = messages::decode_segment(payload).ok_or_else(|| altered("a segment can't be read"))?;
        if segment.first_seq != place.next_seq || segment.count == 0 {
            return Err(altered("a segment begins at another change than is next"));
        }
        let records = unpack(&segment).and_then(|bytes| Records::decode(&bytes));
        let records = records.ok_or_else(|| altered("the changes of a segment can't be read"))?;
        if records.count() != segment.count {
            return Err(altered("a segment has another number of changes than it says"));
        }
        let changes = records.into_changes(place.next_seq, place.log_digest).collect::<Result<Vec<_>, _>>();
        let changes = changes.map_err(|error| altered(&error.to_string()))?;
        let last = changes.last().map(|last| (last.change.seq.next(), last.change.log_digest));
        let Some((next_seq, log_digest)) = last.filter(|(next_seq, _)| *next_seq <= self.header.end.next_seq) else {
            return Err(altered("there are more changes than the header says"));
        };
        if log_digest != segment.log_digest {
            return Err(altered("the changes of a segment have another history than it says"));
        }
        (self.source.place.next_seq, self.source.place.log_digest) = (next_seq, log_digest);
        self.source.step_over(payload.len());
        Ok(changes)
    }

    fn read_end(&mut self, payload: &[u8]) -> Result<(), ExportError> {
        let end = messages::decode_end(payload).ok_or_else(|| self.source.altered("the end can't be read"))?;
        let (end, next_seq, log_digest, segments) = end;
        let Place { next_seq: here, log_digest: digest, frame, .. } = self.source.place;
        let snapshot = self.header.end;
        if (here, digest) != (snapshot.next_seq, snapshot.log_digest) || (here, digest) != (next_seq, log_digest) {
            return Err(self.source.altered("the end comes at another change than the header says"));
        }
        if segments + 1 != frame {
            return Err(self.source.altered("there is another number of segments than the end says"));
        }
        self.source.step_over(payload.len());
        self.source.must_end()?;
        self.end = Some(end);
        Ok(())
    }
}

impl<R: Read + Seek> LogReader<R> {
    /// Passes over the changes without reading them, and answers what stands at the end.
    pub fn pass_to_end(mut self) -> Result<LogEnd, ExportError> {
        while self.source.pass_over_segment()? {}
        (self.source.place.next_seq, self.source.place.log_digest) =
            (self.header.end.next_seq, self.header.end.log_digest);
        let (kind, payload) = self.source.read_frame()?;
        if kind != Kind::End {
            return Err(self.source.altered("a second header"));
        }
        self.read_end(&payload)?;
        Ok(self.end.unwrap_or_default())
    }
}

fn read_header<R: Read>(source: &mut Source<R>) -> Result<LogHeader, ExportError> {
    let (kind, payload) = source.read_frame()?;
    let header = if kind == Kind::Header { messages::decode_header(&payload) } else { None };
    let header = header.ok_or_else(|| source.altered("the header can't be read"))?;
    if header.format_version > FORMAT_VERSION {
        return Err(source.newer("format", header.format_version, FORMAT_VERSION));
    }
    let (first, end) = ((header.first_seq, header.first_log_digest), (header.end.next_seq, header.end.log_digest));
    let of_this_archive = first.0 > Seq::ZERO || first.1 == LogDigest::of_archive(&header.archive_id);
    if header.format_version < FORMAT_VERSION
        || !of_this_archive
        || first.0 > end.0
        || (first.0 == end.0 && first != end)
    {
        return Err(source.altered("the header contradicts itself"));
    }
    (source.place.next_seq, source.place.log_digest) = first;
    source.step_over(payload.len());
    Ok(header)
}

/// The encoded records of a segment. What it says of their length bounds what is made of them, and nothing more.
fn unpack(segment: &Segment) -> Option<Vec<u8>> {
    if segment.length > LENGTH_MAX {
        return None;
    }
    let mut bytes = Vec::new();
    let decoder = Decoder::with_buffer(segment.records.as_slice()).ok()?;
    decoder.take(segment.length + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 == segment.length).then_some(bytes)
}
