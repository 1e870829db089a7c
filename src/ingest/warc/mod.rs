//! Web archives: WARC 1.0 and 1.1 (ISO 28500), plain or in gzip.
//!
//! Source: <https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/>.
//!
//! Records are read one by one, in file order and in constant memory. Records that are not pages are reported as such.
//! A broken record is reported with its offset, and reading continues with the next record: in a compressed file at the
//! next gzip member, in a plain file right after the broken record's header, so that a wrong length hides no other
//! record.

mod block;
mod header;
mod http;
mod input;

use std::io::{self, BufRead, ErrorKind, Seek};

use self::block::RecordBlock;
use self::header::Header;
use self::input::Input;
use crate::model::Timestamp;

/// Maximum size of a record's header.
const HEADER_BYTES_MAX: usize = 64 << 10;
/// How many bytes may be read again after broken headers, in addition to four times the offset reached. Without a
/// limit, a file in which every header claims the rest of the file would be read once per record.
const READ_AGAIN_BYTES: u64 = 1 << 30;
/// The start of a record where one is expected.
const VERSION: &[u8] = b"WARC/";
/// The start of a record in a search through other bytes. Longer than [`VERSION`], and so less likely to occur by
/// chance.
const VERSION_IN_SEARCH: &[u8] = b"WARC/1.";
/// The start of an ARC file, the format before WARC.
const ARC_START: &[u8] = b"filedesc:";

/// Reads the records of a web archive.
pub struct Reader<R: BufRead + Seek> {
    input: Input<R>,
    ended: bool,
    /// Number of bytes that were read again so far, after headers with a wrong length.
    read_again: u64,
}

/// One record of a web archive.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// Offset in the file of the record's first byte or, in a compressed file, of the gzip member that contains it.
    pub offset: u64,
    /// What the record contains.
    pub found: RecordContent,
}

/// What a record contains.
#[derive(Debug, PartialEq, Eq)]
pub enum RecordContent {
    /// A page that a server returned.
    Page(Page),
    /// A visit that found a page unchanged.
    Revisit(Revisit),
    /// A visit that found no page.
    Missing(MissingPage),
    /// A record that is not archived, with a description of its kind in the plural.
    Other(&'static str),
    /// A record that cannot be read, with the reason.
    Broken(String),
}

/// A page that a server returned, from a `response` or `resource` record.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The URL as the record states it (`WARC-Target-URI`).
    pub url: String,
    /// When the page was fetched (`WARC-Date`).
    pub time: Timestamp,
    /// The bytes of the page, with transfer and content codings undone.
    pub body: Vec<u8>,
    /// The charset of the server's `Content-Type` header.
    pub charset: Option<String>,
    /// The server's `ETag` header; empty if there was none.
    pub etag: String,
    /// The server's `Last-Modified` header; empty if there was none.
    pub last_modified: String,
}

/// A visit that found a page unchanged, from a `revisit` record.
#[derive(Debug, PartialEq, Eq)]
pub struct Revisit {
    /// The URL visited, from `WARC-Target-URI`.
    pub url: String,
    /// When the URL was visited (`WARC-Date`).
    pub time: Timestamp,
    /// The URL of the earlier capture with the same content; equal to `url` if the record does not state it.
    pub refers_to_url: String,
    /// When the earlier capture was made; `None` if the record does not state it.
    pub refers_to_time: Option<Timestamp>,
}

/// A visit that found no page: a `response` record with the status 404 or 410.
#[derive(Debug, PartialEq, Eq)]
pub struct MissingPage {
    /// The URL visited, from `WARC-Target-URI`.
    pub url: String,
    /// When the URL was visited (`WARC-Date`).
    pub time: Timestamp,
    /// The HTTP status.
    pub http_status: u32,
    /// Whether the server says that the page was removed permanently: status 410.
    pub is_permanent: bool,
}

/// Why a record could not be read.
enum RecordError {
    /// The record is broken, with the reason.
    Broken(String),
    /// The file could not be read.
    Io(io::Error),
}

impl From<io::Error> for RecordError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<R: BufRead + Seek> Reader<R> {
    /// Reads `from` from its current position on. Offsets count from that position.
    pub fn new(from: R) -> io::Result<Self> {
        Ok(Self { input: Input::new(from)?, ended: false, read_again: 0 })
    }

    /// Returns the next record, or `None` after the last. Damaged records are returned as [`RecordContent::Broken`]; an
    /// error means that the file itself could not be read.
    pub fn next_record(&mut self) -> io::Result<Option<Record>> {
        if self.ended {
            return Ok(None);
        }
        let mut offset = self.input.offset();
        let found = match self.record(&mut offset) {
            Ok(found) => found.map(|found| Record { offset, found }),
            Err(error) if is_damage(&error) => {
                let reason = format!("its compression is damaged: {error}");
                offset = self.input.offset();
                self.ended = !self.input.skip_damage()?;
                Some(Record { offset, found: RecordContent::Broken(reason) })
            }
            Err(error) => return Err(error),
        };
        self.ended |= found.is_none();
        Ok(found)
    }

    /// Reads the next record and sets `offset` to its offset as soon as it is known.
    fn record(&mut self, offset: &mut u64) -> io::Result<Option<RecordContent>> {
        self.skip_line_ends()?;
        let start = self.input.peek(ARC_START.len())?;
        let (is_end, is_record, is_arc) = (start.is_empty(), start.starts_with(VERSION), start.starts_with(ARC_START));
        *offset = self.input.offset();
        if is_end {
            return Ok(None);
        }
        if is_arc {
            self.ended = true;
            let reason =
                "ARC files, the format before WARC, are not supported; convert this one with `warcio recompress`";
            return Ok(Some(RecordContent::Broken(reason.to_owned())));
        }
        if !is_record {
            return self.broken("no record starts here".to_owned(), None);
        }
        let header = match self.header() {
            Ok(header) => header,
            Err(RecordError::Broken(reason)) => return self.broken(reason, None),
            Err(RecordError::Io(error)) => return Err(error),
        };
        let after_header = self.input.offset();
        match self.content(&header) {
            Ok(found) => Ok(Some(found)),
            Err(RecordError::Broken(reason)) => self.broken(reason, Some(after_header)),
            Err(RecordError::Io(error)) => Err(error),
        }
    }

    /// Skips to the next record and returns the present one as broken. `after_header` is the offset after its header,
    /// if the header was readable.
    fn broken(&mut self, reason: String, after_header: Option<u64>) -> io::Result<Option<RecordContent>> {
        self.go_to_next_record(after_header)?;
        Ok(Some(RecordContent::Broken(reason)))
    }

    fn header(&mut self) -> Result<Header, RecordError> {
        let lines = self.header_lines()?;
        Header::read(&lines).map_err(RecordError::Broken)
    }

    /// Reads the lines up to an empty one.
    fn header_lines(&mut self) -> Result<Vec<u8>, RecordError> {
        let mut lines = Vec::new();
        loop {
            let buffer = self.input.fill()?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = end.map_or(buffer.len(), |end| end + 1);
            if part == 0 {
                return Err(RecordError::Broken("the file ends within its header".to_owned()));
            }
            lines.extend_from_slice(buffer.get(..part).unwrap_or_default());
            self.input.consume(part);
            if lines.ends_with(b"\n\r\n") || lines.ends_with(b"\n\n") {
                return Ok(lines);
            }
            if lines.len() > HEADER_BYTES_MAX {
                return Err(RecordError::Broken(format!("its header is longer than {HEADER_BYTES_MAX} bytes")));
            }
        }
    }

    /// Reads the block of a record, if records of its kind are archived.
    fn content(&mut self, header: &Header) -> Result<RecordContent, RecordError> {
        let kind = archived_kind(header);
        let length = header.block_bytes;
        let block = match kind {
            Ok(_) => block::read(&mut self.input, length)?,
            Err(_) => block::skip(&mut self.input, length)?,
        };
        self.check_end(&block, length)?;
        Ok(match kind {
            Ok(kind) => read_block(kind, header, &block),
            Err(what) => RecordContent::Other(what),
        })
    }

    /// Checks the stated length of a block: another record or the end of the file has to follow it.
    fn check_end(&mut self, block: &RecordBlock, length: u64) -> Result<(), RecordError> {
        if block.bytes < length {
            let what = if self.input.fill()?.is_empty() { "the file ends" } else { "another record starts" };
            let reason = format!("{what} after {} of the {length} bytes that its header states", block.bytes);
            return Err(RecordError::Broken(reason));
        }
        // Do not look past the end of the gzip member: the next member may be damaged without affecting this record.
        loop {
            let next = self.input.peek_in_member(VERSION.len())?;
            let line_ends = next.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            // The file may end within the first bytes of the next record.
            if line_ends == 0 && (next.starts_with(VERSION) || VERSION.starts_with(next)) {
                return Ok(());
            }
            if line_ends == 0 {
                let reason = format!("no record follows the {length} bytes that its header states");
                return Err(RecordError::Broken(reason));
            }
            self.input.consume(line_ends);
        }
    }

    fn skip_line_ends(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill()?;
            let line_ends = buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if line_ends == 0 {
                return Ok(());
            }
            self.input.consume(line_ends);
        }
    }

    /// Skips to the next line that starts a record. In a plain file the search starts right after the broken record's
    /// header.
    fn go_to_next_record(&mut self, after_header: Option<u64>) -> io::Result<()> {
        if let Some(offset) = after_header {
            let bytes = self.input.offset().saturating_sub(offset);
            if self.read_again.saturating_add(bytes) <= READ_AGAIN_BYTES + 4 * offset && self.input.go_back(offset) {
                self.read_again += bytes;
            }
        }
        let mut begins_line = true;
        loop {
            let next = self.input.peek(VERSION_IN_SEARCH.len())?;
            let (is_end, may_begin) = (next.is_empty(), next.starts_with(VERSION));
            // At the start of a gzip member, the shorter version is evidence enough.
            let is_record = begins_line && next.starts_with(VERSION_IN_SEARCH);
            if is_end || is_record || may_begin && self.input.is_at_member() {
                return Ok(());
            }
            let buffer = self.input.fill()?;
            let line = buffer.iter().position(|byte| *byte == b'\n');
            begins_line = line.is_some();
            let line_bytes = line.map_or(buffer.len(), |end| end + 1);
            self.input.consume(line_bytes);
        }
    }
}

/// The kinds of record that can contain a page.
#[derive(Clone, Copy)]
enum ArchivedKind {
    Response,
    Resource,
    Revisit,
}

/// Returns a record's kind by its header. The error describes a kind of record that is not archived, in the plural.
fn archived_kind(header: &Header) -> Result<ArchivedKind, &'static str> {
    let url = header.address("warc-target-uri");
    let is_web_url = url.starts_with("http://") || url.starts_with("https://");
    match header.field("warc-type") {
        "resource" if url.starts_with("urn:dateline:") => {
            Err("pages that Dateline exported without an original or a URL, to import from JSON Lines instead")
        }
        "response" | "resource" | "revisit" if !is_web_url => Err("records that are not of web pages"),
        "response" => Ok(ArchivedKind::Response),
        "resource" if http::is_html(header.field("content-type")) => Ok(ArchivedKind::Resource),
        "revisit" => Ok(ArchivedKind::Revisit),
        "resource" => Err("files that are not pages"),
        "continuation" => Err("parts of segmented records"),
        _ => Err("requests and crawl metadata"),
    }
}

fn read_block(kind: ArchivedKind, header: &Header, block: &RecordBlock) -> RecordContent {
    let Some(time) = date(header.field("warc-date")) else {
        let reason = format!("its WARC-Date is not a valid time: {:?}", header.field("warc-date"));
        return RecordContent::Broken(reason);
    };
    let url = header.address("warc-target-uri").to_owned();
    if let ArchivedKind::Revisit = kind {
        if http::is_not_page(&block.kept) {
            return RecordContent::Other("revisits that are not of pages");
        }
        let refers_to = header.address("warc-refers-to-target-uri");
        return RecordContent::Revisit(Revisit {
            refers_to_url: if refers_to.is_empty() { url.clone() } else { refers_to.to_owned() },
            refers_to_time: date(header.field("warc-refers-to-date")),
            url,
            time,
        });
    }
    if let Some(reason) = incomplete(header, block) {
        return RecordContent::Broken(reason);
    }
    match kind {
        ArchivedKind::Response => http::page(&block.kept, url, time),
        ArchivedKind::Resource | ArchivedKind::Revisit => RecordContent::Page(Page {
            url,
            time,
            body: block.kept.clone(),
            charset: http::charset(header.field("content-type")),
            etag: String::new(),
            last_modified: String::new(),
        }),
    }
}

/// The time in a field. WARC 1.1 allows a year, a month or a day alone (W3C-DTF), which then stands for its beginning.
fn date(text: &str) -> Option<Timestamp> {
    let rest = match text.len() {
        4 => "-01-01T00:00:00Z",
        7 => "-01T00:00:00Z",
        10 => "T00:00:00Z",
        _ => "",
    };
    format!("{text}{rest}").parse().ok()
}

/// Why a record does not contain the complete response; `None` if it does.
fn incomplete(header: &Header, block: &RecordBlock) -> Option<String> {
    let truncated = header.field("warc-truncated");
    if !truncated.is_empty() {
        return Some(format!("the crawler truncated it ({truncated})"));
    }
    if !header.field("warc-segment-number").is_empty() {
        return Some("it is split into segments, which is not supported".to_owned());
    }
    (block.bytes > block.kept.len() as u64)
        .then(|| format!("it has {} bytes, more than the limit for a page", block.bytes))
}

/// Whether an error means damage in the compressed data, after which reading can continue, rather than a failure to
/// read the file.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof)
}

#[cfg(test)]
mod tests;
