//! JSON Lines: a [`pb::ReplayRequest`] a line, as docs/FORMAT.md has it.

use std::io::{self, BufRead, ErrorKind};

use super::json::{JsonError, from_json};
use super::pb;

/// The longest line that is read, in bytes. A content and an original at the limits, the latter in base64, take 13 MiB.
pub const LINE_BYTES_MAX: usize = 17 << 20;
/// As many values as a line may have, since each takes memory however short it is. A content of 20,000 blocks has some
/// 100,000.
const LINE_VALUES_MAX: usize = 1 << 18;
/// A line of so few bytes cannot have too many.
const LINE_BYTES_UNCOUNTED: usize = 64 << 10;

/// Reads lines, without keeping more of one than a line may have.
pub struct Lines<R> {
    from: R,
    number: u64,
    line: Vec<u8>,
}

/// A line that is not blank.
#[derive(Debug)]
pub struct Line<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// How many bytes it has, with its end.
    pub bytes: usize,
    /// It, as far as it is kept.
    text: &'a [u8],
}

/// Why a line was refused.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is longer than any line may be.
    #[error("the line has {bytes} bytes; at most {LINE_BYTES_MAX} are read")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// It has more values than any line may have.
    #[error("the line has {values} values; at most {LINE_VALUES_MAX} are read")]
    TooMany {
        /// How many it has.
        values: usize,
    },
    /// It is no text.
    #[error("column {column}: this is not UTF-8")]
    NotUtf8 {
        /// The byte at which it ceases to be, from 1.
        column: usize,
    },
    /// It is no JSON, or none of a request.
    #[error("column {}: {}", .0.column, .0.reason)]
    Json(JsonError),
    /// It is a request for nothing.
    #[error("the line asks for nothing; it needs one of publish, withdraw, reinstate, rollback")]
    Nothing,
}

impl<R: BufRead> Lines<R> {
    /// Begins with line 1.
    pub fn new(from: R) -> Self {
        Self { from, number: 0, line: Vec::new() }
    }

    /// The next line that is not blank; `None` after the last. An error means that nothing can be read any more.
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

    /// The number of the line that is read next, or was being read when an error came.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Reads a line, and answers how long it is. One that is too long is not kept.
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
    /// What the line asks for. Its `request` is there.
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
        let asked: pb::ReplayRequest = from_json(text).map_err(LineError::Json)?;
        if asked.request.is_some() { Ok(asked) } else { Err(LineError::Nothing) }
    }
}

/// About how many values JSON has: each begins an object or a list, or follows another after a comma.
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

    /// What becomes of each line: its number, and whether it can be read.
    fn read(from: impl BufRead) -> Vec<(u64, Result<(), String>)> {
        let mut lines = Lines::new(from);
        let mut read = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            read.push((line.number, line.request().map(drop).map_err(|error| error.to_string())));
        }
        read
    }

    #[test]
    fn lines_are_told_with_their_numbers() {
        let text = "\u{feff}{\"publish\":{\"parent\":\"sources/press\"}}\n\n  \r\n{\"publish\"\n{\"publich\":{}}\n{}\n\
                    {\"recorded\":{\"seq\":\"1\"},\"withdraw\":{}}";
        let read = read(text.as_bytes());
        let numbers: Vec<_> = read.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 4, 5, 6, 7]);
        let [first, broken, unknown, nothing, last] = read.try_into().unwrap();
        assert_eq!((first.1, last.1), (Ok(()), Ok(())));
        assert!(broken.1.as_ref().unwrap_err().starts_with("column 10: "), "{broken:?}");
        assert!(unknown.1.as_ref().unwrap_err().contains("publich"), "{unknown:?}");
        assert!(nothing.1.as_ref().unwrap_err().contains("asks for nothing"), "{nothing:?}");
    }

    #[test]
    fn a_line_of_a_million_empty_blocks_is_refused_before_anything_is_made_of_it() {
        let long = format!("{{\"publish\":{{\"content\":{{\"blocks\":[{{}}{}]}}}}}}", ",{}".repeat(1 << 20));
        let read = read(long.as_bytes());
        assert!(read[0].1.as_ref().unwrap_err().contains("values; at most"), "{:?}", read[0].1);
    }

    #[test]
    fn what_stands_in_texts_is_no_value() {
        assert_eq!(values(r#"{"a":"{,[\\\",[","b":[1,2,"\\"]}"#), 5);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let long = io::repeat(b'x').take(LINE_BYTES_MAX as u64 + 1);
        let text = b"{".as_slice().chain(long).chain(&b"\n{\"withdraw\":{}}\n\xff\n"[..]);
        let read = read(BufReader::new(text));
        assert!(read[0].1.as_ref().unwrap_err().contains("bytes; at most"), "{:?}", read[0]);
        assert_eq!(read[1], (2, Ok(())));
        assert!(read[2].1.as_ref().unwrap_err().contains("not UTF-8"), "{:?}", read[2]);
    }
}
