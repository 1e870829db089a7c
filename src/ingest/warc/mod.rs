//! Web archives: WARC 1.0 and 1.1 (ISO 28500), plain or in gzip.
//!
//! Source: <https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/>.
//!
//! Records come one by one, in the order of the file and in constant memory. What is no page is passed over. A record that
//! is broken is told with its place, and reading goes on with the next one: at the next member of gzip, or, where the file
//! can be read again from a place, at the next record behind the broken one's header, so that a wrong length hides nothing.

mod block;
mod header;
mod http;
mod input;

use std::io::{self, BufRead, ErrorKind, Seek};

use self::block::Block;
use self::header::Header;
use self::input::Input;
use crate::model::Timestamp;

/// The most that a header may have.
const HEADER_BYTES_MAX: usize = 64 << 10;
/// Bytes that may be read once more in any file; in a large one as many more as four times what was read. Headers that each
/// claim all of a file would make a reader go over it for each.
const READ_AGAIN_MIN: u64 = 1 << 30;
const VERSION: &[u8] = b"WARC/";
/// Begins a record amid what is no record: a little more than what begins one where one is due.
const NEXT: &[u8] = b"WARC/1.";
const VERSION_OF_ARC: &[u8] = b"filedesc:";

/// Reads a web archive.
pub struct Reader<R: BufRead + Seek> {
    input: Input<R>,
    ended: bool,
    /// How many bytes were read once more, behind headers with a wrong length.
    read_again: u64,
}

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it stands: the place in the file of its first byte, or of the member of gzip that it is in.
    pub offset: u64,
    /// What it holds.
    pub found: Found,
}

/// What a record holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A page as it was answered.
    Page(Page),
    /// A page was seen to be as it had been.
    Revisit(Revisit),
    /// Nothing that is archived, and what it is.
    Other(&'static str),
    /// It cannot be read, and why.
    Broken(String),
}

/// A page as it was answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// Its address.
    pub url: String,
    /// When it was had.
    pub time: Timestamp,
    /// Its bytes, without what they were wrapped in for the way.
    pub body: Vec<u8>,
    /// The charset that the server stated.
    pub charset: Option<String>,
    /// `ETag` as the server stated it; empty where it stated none.
    pub etag: String,
    /// `Last-Modified` as the server stated it; empty where it stated none.
    pub last_modified: String,
}

/// A page was seen to be as it had been.
#[derive(Debug, PartialEq, Eq)]
pub struct Revisit {
    /// Its address.
    pub url: String,
    /// When it was seen.
    pub time: Timestamp,
    /// The address under which it had been seen.
    pub refers_to_url: String,
    /// When it had been seen; `None` where the record does not say.
    pub refers_to_time: Option<Timestamp>,
}

impl<R: BufRead + Seek> Reader<R> {
    /// Reads what `from` holds from its present place on, which is told as 0.
    pub fn new(from: R) -> io::Result<Self> {
        Ok(Self { input: Input::new(from)?, ended: false, read_again: 0 })
    }

    /// The next record; `None` after the last. An error is one of the file, and not of what it holds.
    pub fn next_record(&mut self) -> io::Result<Option<Record>> {
        if self.ended {
            return Ok(None);
        }
        let mut offset = self.input.offset();
        let found = match self.record(&mut offset) {
            Ok(found) => found.map(|found| Record { offset, found }),
            Err(error) if is_of_the_content(&error) => {
                let reason = format!("its compression is damaged: {error}");
                offset = self.input.offset();
                self.ended = !self.input.pass_over_damage()?;
                Some(Record { offset, found: Found::Broken(reason) })
            }
            Err(error) => return Err(error),
        };
        self.ended |= found.is_none();
        Ok(found)
    }

    /// The next record, whose place is put into `offset` once it is known.
    fn record(&mut self, offset: &mut u64) -> io::Result<Option<Found>> {
        self.pass_over_line_ends()?;
        let start = self.input.peek(VERSION_OF_ARC.len())?;
        let (is_end, is_record, is_arc) =
            (start.is_empty(), start.starts_with(VERSION), start.starts_with(VERSION_OF_ARC));
        *offset = self.input.offset();
        if is_end {
            return Ok(None);
        }
        if is_arc {
            self.ended = true;
            let reason =
                "this is an ARC file, the form before WARC, which is not read; `warcio recompress` makes a WARC of it";
            return Ok(Some(Found::Broken(reason.to_owned())));
        }
        if !is_record {
            return self.broken("no record begins here".to_owned(), None);
        }
        let (length, header) = match self.header()? {
            Ok(header) => header,
            Err(reason) => return self.broken(reason, None),
        };
        let behind_header = self.input.offset();
        let wanted = wanted(&header);
        let block = block::read(&mut self.input, length, wanted.is_ok())?;
        if let Err(reason) = self.check_end(&block, length)? {
            return self.broken(reason, Some(behind_header));
        }
        Ok(Some(match wanted {
            Ok(kind) => read_block(kind, &header, &block),
            Err(what) => Found::Other(what),
        }))
    }

    /// A record that can't be read is passed over.
    fn broken(&mut self, reason: String, behind_header: Option<u64>) -> io::Result<Option<Found>> {
        self.go_to_next_record(behind_header)?;
        Ok(Some(Found::Broken(reason)))
    }

    /// The header, and how many bytes it says that its block has; or what is wrong with it.
    fn header(&mut self) -> io::Result<Result<(u64, Header), String>> {
        let lines = self.header_lines()?;
        Ok(lines.and_then(|lines| {
            let header = Header::read(&lines)?;
            Ok((header.length()?, header))
        }))
    }

    /// The lines up to an empty one, or why there are none.
    fn header_lines(&mut self) -> io::Result<Result<Vec<u8>, String>> {
        let mut lines = Vec::new();
        loop {
            let buffer = self.input.fill()?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = end.map_or(buffer.len(), |end| end + 1);
            if part == 0 {
                return Ok(Err("the file ends in its header".to_owned()));
            }
            lines.extend_from_slice(buffer.get(..part).unwrap_or_default());
            self.input.consume(part);
            if lines.ends_with(b"\n\r\n") || lines.ends_with(b"\n\n") {
                return Ok(Ok(lines));
            }
            if lines.len() > HEADER_BYTES_MAX {
                return Ok(Err(format!("its header has over {HEADER_BYTES_MAX} bytes")));
            }
        }
    }

    /// A block is as long as its header says if a record or the end comes behind it.
    fn check_end(&mut self, block: &Block, length: u64) -> io::Result<Result<(), String>> {
        if block.bytes < length {
            let what = if self.input.fill()?.is_empty() { "the file ends" } else { "another record begins" };
            return Ok(Err(format!("{what} after {} bytes of it, and its header says {length}", block.bytes)));
        }
        // What comes behind its member is not looked at: it may be damaged, which is nothing to this record.
        loop {
            let next = self.input.peek_in_member(VERSION.len())?;
            let ends = next.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            // The file may end amid the next record's first bytes.
            if ends == 0 && (next.starts_with(VERSION) || VERSION.starts_with(next)) {
                return Ok(Ok(()));
            }
            if ends == 0 {
                return Ok(Err(format!("no record comes after the {length} bytes that its header says it has")));
            }
            self.input.consume(ends);
        }
    }

    fn pass_over_line_ends(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill()?;
            let ends = buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if ends == 0 {
                return Ok(());
            }
            self.input.consume(ends);
        }
    }

    /// Passes over everything up to a line that begins a record: from behind the header of the broken one, where the file
    /// can be read again from there.
    fn go_to_next_record(&mut self, behind_header: Option<u64>) -> io::Result<()> {
        if let Some(offset) = behind_header {
            let again = self.input.offset().saturating_sub(offset);
            if self.read_again.saturating_add(again) <= READ_AGAIN_MIN + 4 * offset && self.input.go_back(offset) {
                self.read_again += again;
            }
        }
        let mut begins_line = true;
        loop {
            let next = self.input.peek(NEXT.len())?;
            let (is_end, may_begin) = (next.is_empty(), next.starts_with(VERSION));
            let is_record = begins_line && next.starts_with(NEXT);
            if is_end || is_record || may_begin && self.input.is_at_member() {
                return Ok(());
            }
            let buffer = self.input.fill()?;
            let line = buffer.iter().position(|byte| *byte == b'\n');
            begins_line = line.is_some();
            let passed = line.map_or(buffer.len(), |end| end + 1);
            self.input.consume(passed);
        }
    }
}

/// The kinds of record that are read.
#[derive(Clone, Copy)]
enum Kind {
    Response,
    Resource,
    Revisit,
}

/// Whether a record is one that is read, going by its header; if not, what it is.
fn wanted(header: &Header) -> Result<Kind, &'static str> {
    let url = header.address("warc-target-uri");
    let is_of_the_web = url.starts_with("http://") || url.starts_with("https://");
    match header.field("warc-type") {
        "response" | "resource" | "revisit" if !is_of_the_web => Err("records that are not of the web"),
        "response" => Ok(Kind::Response),
        "resource" if http::is_html(header.field("content-type")) => Ok(Kind::Resource),
        "revisit" => Ok(Kind::Revisit),
        "resource" => Err("files that are no pages"),
        "continuation" => Err("parts of records in segments"),
        _ => Err("records of how it was made"),
    }
}

fn read_block(kind: Kind, header: &Header, block: &Block) -> Found {
    let time = match header.field("warc-date").parse::<Timestamp>() {
        Ok(time) => time,
        Err(_) => return Found::Broken(format!("its WARC-Date is no instant: {:?}", header.field("warc-date"))),
    };
    let url = header.address("warc-target-uri").to_owned();
    if let Kind::Revisit = kind {
        if http::is_of_no_page(&block.kept) {
            return Found::Other("visits to what is no page");
        }
        let before = header.address("warc-refers-to-target-uri");
        return Found::Revisit(Revisit {
            refers_to_url: if before.is_empty() { url.clone() } else { before.to_owned() },
            refers_to_time: header.field("warc-refers-to-date").parse().ok(),
            url,
            time,
        });
    }
    if let Some(reason) = incomplete(header, block) {
        return Found::Broken(reason);
    }
    match kind {
        Kind::Response => http::page(&block.kept, url, time),
        Kind::Resource | Kind::Revisit => Found::Page(Page {
            url,
            time,
            body: block.kept.clone(),
            charset: http::charset(header.field("content-type")),
            etag: String::new(),
            last_modified: String::new(),
        }),
    }
}

/// Why a record does not hold the whole of what was answered.
fn incomplete(header: &Header, block: &Block) -> Option<String> {
    let cut = header.field("warc-truncated");
    if !cut.is_empty() {
        return Some(format!("whoever made it cut it off ({cut})"));
    }
    if !header.field("warc-segment-number").is_empty() {
        return Some("it is one of several segments, which are not put together".to_owned());
    }
    (block.bytes > block.kept.len() as u64)
        .then(|| format!("it has {} bytes, more than any page may have", block.bytes))
}

/// Whether an error is one of the compressed bytes, behind which there may be more.
fn is_of_the_content(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof)
}

#[cfg(test)]
mod tests;
