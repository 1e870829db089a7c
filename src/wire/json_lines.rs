//! Reads JSON Lines: one [`pb::ReplayRequest`] per line, as docs/FORMAT.md specifies. Lines that earlier versions of
//! Dateline exported are read too.

use std::io::{self, BufRead, ErrorKind};

use serde_json::{Map, Value};

use super::json::{JsonError, from_json};
use super::pb;

/// The longest line that is accepted, in bytes. A content and an original at their limits, the latter in base64, take
/// 13 MiB.
pub const LINE_BYTES_MAX: usize = 17 << 20;
/// The most values that a line may have, because each takes memory however short it is. A content of 20,000 blocks has
/// about 100,000.
const LINE_VALUES_MAX: usize = 1 << 18;
/// A line up to this many bytes cannot have too many values, so they are not counted.
const LINE_BYTES_UNCOUNTED: usize = 64 << 10;

/// Reads lines, and keeps at most `LINE_BYTES_MAX` bytes of each.
pub struct Lines<R> {
    from: R,
    number: u64,
    line: Vec<u8>,
}

/// A line that is not blank.
#[derive(Debug)]
pub struct Line<'a> {
    /// The line number, from 1. Blank lines count.
    pub number: u64,
    /// The length in bytes, including the line ending.
    pub bytes: usize,
    /// The text, empty if the line is too long.
    text: &'a [u8],
}

/// Why a line was rejected.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The line is longer than `LINE_BYTES_MAX`.
    #[error("the line has {bytes} bytes; at most {LINE_BYTES_MAX} are allowed")]
    TooLong {
        /// The length of the line, in bytes.
        bytes: usize,
    },
    /// The line has more values than `LINE_VALUES_MAX`.
    #[error("the line has {values} values; at most {LINE_VALUES_MAX} are allowed")]
    TooMany {
        /// The number of values in the line.
        values: usize,
    },
    /// The line is not UTF-8.
    #[error("column {column}: this is not UTF-8")]
    NotUtf8 {
        /// The first byte that is not UTF-8, from 1.
        column: usize,
    },
    /// The line is not JSON, or not a `ReplayRequest`.
    #[error("column {}: {}", .0.column, .0.reason)]
    Json(JsonError),
    /// The line has none of the requests.
    #[error("the line has no request; it needs one of record, withdraw, reinstate, rollback, label, recordAbsence")]
    Nothing,
}

impl<R: BufRead> Lines<R> {
    /// Starts at line 1.
    pub fn new(from: R) -> Self {
        Self { from, number: 0, line: Vec::new() }
    }

    /// The next line that is not blank; `None` after the last. After an error, nothing more can be read.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            self.number += 1;
            let bytes = self.read()?;
            if bytes == 0 {
                return Ok(None);
            }
            if bytes > self.line.len() || !self.line.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(Line { number: self.number, bytes, text: &self.line }));
            }
        }
    }

    /// The number of the line that is read next, or that was being read when an error occurred.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Reads a line and returns its length. A line that is too long is skipped and not kept.
    fn read(&mut self) -> io::Result<usize> {
        self.line.clear();
        let mut bytes = 0;
        loop {
            let buffer = match self.from.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = end.map_or(buffer.len(), |end| end + 1);
            bytes += part;
            if bytes <= LINE_BYTES_MAX {
                self.line.extend_from_slice(buffer.get(..part).unwrap_or(buffer));
            } else {
                self.line.clear();
            }
            self.from.consume(part);
            if end.is_some() || part == 0 {
                return Ok(bytes);
            }
        }
    }
}

impl Line<'_> {
    /// Parses the line. The returned message always has a `request`.
    pub fn request(&self) -> Result<pb::ReplayRequest, LineError> {
        if self.bytes > self.text.len() {
            return Err(LineError::TooLong { bytes: self.bytes });
        }
        let text =
            std::str::from_utf8(self.text).map_err(|error| LineError::NotUtf8 { column: error.valid_up_to() + 1 })?;
        let text = text.trim_end().trim_start_matches('\u{feff}');
        let values = if text.len() > LINE_BYTES_UNCOUNTED { values(text) } else { 0 };
        if values > LINE_VALUES_MAX {
            return Err(LineError::TooMany { values });
        }
        let request: pb::ReplayRequest = match from_json(text) {
            Ok(request) => request,
            // The error is that of the line as it is, unless an earlier version of Dateline wrote it.
            Err(error) => match in_present_words(text) {
                Some(text) => from_json(&text).map_err(LineError::Json)?,
                None => return Err(LineError::Json(error)),
            },
        };
        if request.request.is_some() { Ok(request) } else { Err(LineError::Nothing) }
    }
}

/// A line that was exported before observations were recorded and labels left the content, as it would be exported
/// today; `None` if nothing about it is of that time.
fn in_present_words(line: &str) -> Option<String> {
    let mut line: Value = serde_json::from_str(line).ok()?;
    let fields = line.as_object_mut()?;
    let mut is_old = rename(fields, "publish", "record");
    let record = fields.get_mut("record").and_then(Value::as_object_mut)?;
    let content = record.get_mut("content").and_then(Value::as_object_mut);
    let mut labels = None;
    if let Some(content) = content {
        labels = content.remove("labels");
        for block in content.get_mut("blocks").and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(block) = block.as_object_mut() else { continue };
            is_old |= rename(block, "crosshead", "subheading");
            let caption = block.get_mut("caption").and_then(Value::as_object_mut);
            is_old |= caption.is_some_and(|caption| rename(caption, "figureUrl", "imageUrl"));
        }
    }
    if let Some(labels) = labels {
        is_old = true;
        record.entry("labels").or_insert(labels);
    }
    is_old.then(|| line.to_string())
}

/// Renames a field. Returns whether it is there.
fn rename(fields: &mut Map<String, Value>, from: &str, to: &str) -> bool {
    let Some(value) = fields.remove(from) else { return false };
    fields.entry(to).or_insert(value);
    true
}

/// The approximate number of values in JSON: each begins an object or list, or follows a comma.
fn values(json: &str) -> usize {
    let (mut values, mut in_text, mut is_escaped) = (0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' | b',' if !in_text => values += 1,
            _ => {}
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use super::*;

    /// Reads all lines. Returns the number of each, and its error if it has one.
    fn read(from: impl BufRead) -> Vec<(u64, Result<(), String>)> {
        let mut lines = Lines::new(from);
        let mut read = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            read.push((line.number, line.request().map(drop).map_err(|error| error.to_string())));
        }
        read
    }

    #[test]
    fn lines_keep_their_numbers() {
        let text = "\u{feff}{\"record\":{\"parent\":\"sources/press\"}}\n\n  \r\n{\"record\"\n{\"publich\":{}}\n{}\n\
                    {\"recorded\":{\"seq\":\"1\"},\"withdraw\":{}}";
        let read = read(text.as_bytes());
        let numbers: Vec<_> = read.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 4, 5, 6, 7]);
        let [first, broken, unknown, nothing, last] = read.try_into().unwrap();
        assert_eq!((first.1, last.1), (Ok(()), Ok(())));
        assert!(broken.1.as_ref().unwrap_err().starts_with("column 9: "), "{broken:?}");
        assert!(unknown.1.as_ref().unwrap_err().contains("publich"), "{unknown:?}");
        assert!(nothing.1.as_ref().unwrap_err().contains("has no request"), "{nothing:?}");
    }

    #[test]
    fn a_line_of_a_million_empty_blocks_is_rejected_before_it_is_parsed() {
        let long = format!("{{\"record\":{{\"content\":{{\"blocks\":[{{}}{}]}}}}}}", ",{}".repeat(1 << 20));
        let read = read(long.as_bytes());
        assert!(read[0].1.as_ref().unwrap_err().contains("values; at most"), "{:?}", read[0].1);
    }

    #[test]
    fn commas_and_brackets_in_strings_do_not_count_as_values() {
        assert_eq!(values(r#"{"a":"{,[\\\",[","b":[1,2,"\\"]}"#), 5);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped() {
        let long = io::repeat(b'x').take(LINE_BYTES_MAX as u64 + 1);
        let text = b"{".as_slice().chain(long).chain(&b"\n{\"withdraw\":{}}\n\xff\n"[..]);
        let read = read(BufReader::new(text));
        assert!(read[0].1.as_ref().unwrap_err().contains("bytes; at most"), "{:?}", read[0]);
        assert_eq!(read[1], (2, Ok(())));
        assert!(read[2].1.as_ref().unwrap_err().contains("not UTF-8"), "{:?}", read[2]);
    }
}
