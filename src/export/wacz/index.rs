//! The index of the records: CDXJ lines in order, in compressed blocks (`index.cdx.gz`), and the first line of each block
//! (`index.idx`), as web archives call ZipNum.
//!
//! Lines are sorted in memory until they take [`SORTED_BYTES_MAX`]; then they go to a file. The files are merged when
//! the index is written. So memory is bounded, however many records there are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};

use flate2::{Compression, GzBuilder};
use serde::Serialize;
use url::Url;

use super::record::digest;
use crate::model::Timestamp;

/// Bytes of lines that are sorted in memory.
const SORTED_BYTES_MAX: usize = 16 << 20;
/// How many files are merged at once.
const FILES_MAX: usize = 64;
/// The number of lines in a block, as other writers choose it.
const BLOCK_LINES: usize = 300;
/// The name of the file that has the blocks.
pub(super) const BLOCKS: &str = "index.cdx.gz";

/// A line of the index, without the key and the time before it.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    pub(super) url: &'a str,
    pub(super) mime: &'a str,
    pub(super) digest: &'a str,
    /// The size of the record's gzip member, in bytes. Numbers of records are text in these lines.
    pub(super) length: String,
    /// The offset of the record's gzip member.
    pub(super) offset: String,
    pub(super) filename: &'a str,
}

/// Collects the lines of an index, and sorts them.
pub(super) struct Index<N> {
    lines: Vec<String>,
    /// The size of these lines.
    bytes: usize,
    /// Sorted lines.
    files: Vec<File>,
    /// Creates a temporary file.
    pub(super) new_file: N,
}

impl<N: Fn() -> io::Result<File>> Index<N> {
    pub(super) fn new(new_file: N) -> Self {
        Self { lines: Vec::new(), bytes: 0, files: Vec::new(), new_file }
    }

    pub(super) fn add(&mut self, time: Timestamp, line: &Line<'_>) -> io::Result<()> {
        let line = format!("{} {} {}\n", key(line.url), digits(time), serde_json::to_string(line)?);
        self.bytes += line.len() + size_of::<String>();
        self.lines.push(line);
        if self.bytes >= SORTED_BYTES_MAX { self.store() } else { Ok(()) }
    }

    /// Moves the lines in memory to a file.
    fn store(&mut self) -> io::Result<()> {
        self.lines.sort_unstable();
        let mut file = BufWriter::new((self.new_file)()?);
        for line in self.lines.drain(..) {
            file.write_all(line.as_bytes())?;
        }
        self.bytes = 0;
        self.files.push(file.into_inner().map_err(io::IntoInnerError::into_error)?);
        if self.files.len() < FILES_MAX {
            return Ok(());
        }
        let mut merged = BufWriter::new((self.new_file)()?);
        merge(std::mem::take(&mut self.files), |line| merged.write_all(line.as_bytes()))?;
        self.files.push(merged.into_inner().map_err(io::IntoInnerError::into_error)?);
        Ok(())
    }

    /// Passes the lines to `write`, in order.
    pub(super) fn write(mut self, mut write: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        if self.files.is_empty() {
            self.lines.sort_unstable();
            return self.lines.iter().try_for_each(|line| write(line));
        }
        self.store()?;
        merge(self.files, write)
    }
}

/// Passes the lines of sorted files to `write`, in order.
fn merge(files: Vec<File>, mut write: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    let (mut readers, count) = (Vec::new(), files.len());
    for mut file in files {
        file.rewind()?;
        readers.push(BufReader::new(file));
    }
    // The next line of each file, and which file it is of.
    let mut next = BinaryHeap::new();
    let mut read = |number: usize, next: &mut BinaryHeap<Reverse<(String, usize)>>| {
        let mut line = String::new();
        let bytes = readers.get_mut(number).map_or(Ok(0), |reader| reader.read_line(&mut line))?;
        if bytes > 0 {
            next.push(Reverse((line, number)));
        }
        Ok::<_, io::Error>(bytes > 0)
    };
    for number in 0..count {
        read(number, &mut next)?;
    }
    while let Some(Reverse((line, number))) = next.pop() {
        write(&line)?;
        read(number, &mut next)?;
    }
    Ok(())
}

/// Makes blocks of lines that come in order.
pub(super) struct Blocks {
    block: GzBlock,
    /// The size of the blocks already written.
    offset: u64,
}

/// A block that is being filled.
#[derive(Default)]
struct GzBlock {
    /// The key and the time of the first line.
    first: String,
    text: String,
    lines: usize,
}

/// A block, and its line in the file of first lines.
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    pub(super) first_line: String,
}

impl Blocks {
    pub(super) fn new() -> Self {
        Self { block: GzBlock::default(), offset: 0 }
    }

    /// What the file of first lines begins with.
    pub(super) fn header() -> String {
        format!("!meta 0 {}\n", serde_json::json!({ "format": "cdxj-gzip-1.0", "filename": BLOCKS }))
    }

    /// Adds a line; returns the block if it is full with it.
    pub(super) fn add(&mut self, line: &str) -> io::Result<Option<Block>> {
        if self.block.lines == 0 {
            let (first, _) = line.split_once(" {").unwrap_or((line, ""));
            first.clone_into(&mut self.block.first);
        }
        self.block.text.push_str(line);
        self.block.lines += 1;
        if self.block.lines < BLOCK_LINES { Ok(None) } else { self.end() }
    }

    /// The last block, if there are lines left. An index without lines is an empty block, because an empty file is no gzip.
    pub(super) fn end(&mut self) -> io::Result<Option<Block>> {
        let GzBlock { first, text, lines } = std::mem::take(&mut self.block);
        if lines == 0 && self.offset > 0 {
            return Ok(None);
        }
        let mut member = GzBuilder::new().write(Vec::new(), Compression::default());
        member.write_all(text.as_bytes())?;
        let bytes = member.finish()?;
        if lines == 0 {
            return Ok(Some(Block { bytes, first_line: String::new() }));
        }
        let place = serde_json::json!({
            "offset": self.offset,
            "length": bytes.len(),
            "digest": digest(&bytes),
            "filename": BLOCKS,
        });
        self.offset += bytes.len() as u64;
        Ok(Some(Block { bytes, first_line: format!("{first} {place}\n") }))
    }
}

/// The time of a line: 14 digits, to the second.
pub(super) fn digits(time: Timestamp) -> String {
    time.to_jiff().strftime("%Y%m%d%H%M%S").to_string()
}

/// The key that readers of web archives look a URI up by. It is not [`UrlKey`](crate::model::UrlKey), which is the
/// archive's own and tells apart what readers do not: `www.`, letter case, and the order of parameters.
pub(super) fn key(uri: &str) -> String {
    let lower = uri.to_ascii_lowercase();
    let Some(url) = Url::parse(&lower).ok().filter(|url| matches!(url.scheme(), "http" | "https")) else {
        return lower;
    };
    let host = url.host_str().unwrap_or_default();
    let mut key: Vec<&str> = without_www(host).split('.').collect();
    // The most significant part of an IP address comes first.
    if url.domain().is_some() {
        key.reverse();
    }
    let mut key = if url.domain().is_some() { key.join(",") } else { key.join(".") };
    if let Some(port) = url.port() {
        key.push_str(&format!(":{port}"));
    }
    key.push(')');
    let path = url.path();
    key.push_str(path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path));
    let mut parameters: Vec<(&str, Option<&str>)> = Vec::new();
    for parameter in url.query().filter(|query| !query.is_empty()).into_iter().flat_map(|query| query.split('&')) {
        let (name, value) = parameter.split_once('=').map_or((parameter, None), |(name, value)| (name, Some(value)));
        parameters.push((name, value));
    }
    parameters.sort_unstable();
    for (number, (name, value)) in parameters.into_iter().enumerate() {
        key.push(if number == 0 { '?' } else { '&' });
        key.push_str(name);
        if let Some(value) = value {
            key.push('=');
            key.push_str(value);
        }
    }
    key
}

/// A host without `www.` or, as some sites have, `www2.`.
fn without_www(host: &str) -> &str {
    let rest = host.strip_prefix("www").map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    rest.and_then(|rest| rest.strip_prefix('.')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys are those that the Python package `surt` gives, which the writers of WACZ use.
    #[test]
    fn keys_are_those_of_other_archives() {
        for (url, expected) in [
            ("https://www.Example.com/News/Bridge?b=2&a=1", "com,example)/news/bridge?a=1&b=2"),
            ("http://example.com", "com,example)/"),
            ("https://www2.example.com/a/", "com,example)/a"),
            ("https://example.com:8080/a?", "com,example:8080)/a"),
            ("https://example.com/?b&a=", "com,example)/?a=&b"),
            ("https://example.com/a#part", "com,example)/a"),
            ("http://10.1.2.3/a", "10.1.2.3)/a"),
            ("urn:dateline:sources/a/articles/b/revisions/1", "urn:dateline:sources/a/articles/b/revisions/1"),
        ] {
            assert_eq!(key(url), expected, "{url}");
        }
    }

    /// Few lines in memory at a time, so that files are written, and merged more than once.
    #[test]
    fn lines_are_in_order_however_many_files_they_went_to() {
        let mut index = Index::new(tempfile::tempfile);
        let mut expected = Vec::new();
        for number in 0..3 * FILES_MAX + 5 {
            let url = format!("https://example.com/{}", number * 7919 % 1_000);
            let (length, offset) = (number.to_string(), "0".to_owned());
            let line = Line { url: &url, mime: "text/html", digest: "", length, offset, filename: "a" };
            index.add(Timestamp::MAX, &line).unwrap();
            expected.extend(index.lines.last().cloned());
            if number % 2 == 0 {
                index.store().unwrap();
            }
        }
        assert!(!index.files.is_empty() && index.files.len() < FILES_MAX);
        expected.sort_unstable();
        let mut found = Vec::new();
        index
            .write(|line| {
                found.push(line.to_owned());
                Ok(())
            })
            .unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn each_block_is_where_its_first_line_says() {
        let mut blocks = Blocks::new();
        let mut lines = (0..2 * BLOCK_LINES + 1).map(|number| format!("com,example)/{number:04} 2026 {{}}\n"));
        let mut all: Vec<Block> = lines.by_ref().filter_map(|line| blocks.add(&line).unwrap()).collect();
        all.extend(blocks.end().unwrap());
        assert_eq!(all.len(), 3);
        assert!(blocks.end().unwrap().is_none());
        let mut offset = 0;
        for (number, block) in all.iter().enumerate() {
            let start = format!("com,example)/{:04} 2026 {{", number * BLOCK_LINES);
            assert!(block.first_line.starts_with(&start), "{}", block.first_line);
            let (_, place) = block.first_line.split_once(" 2026 ").unwrap();
            let place: serde_json::Value = serde_json::from_str(place).unwrap();
            assert_eq!(
                (place["offset"].as_u64(), place["length"].as_u64()),
                (Some(offset), Some(block.bytes.len() as u64))
            );
            offset += block.bytes.len() as u64;
        }
    }
}
