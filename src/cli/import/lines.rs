//! JSON Lines: a request to the archive a line, as `export` writes them.

use std::io::{self, BufRead};

use super::input::{self, Position, Raw};
use super::item::{Done, Found, Item, Items, Stopped};
use crate::cli::exit::{Exit, Failure};
use crate::wire::json::{JsonError, from_json};
use crate::wire::pb;
use crate::wire::pb::change_request::Request;

/// The longest line that is read. A content and an original at the limits, the latter in base64, take 13 MiB.
const LINE_BYTES_MAX: usize = 32 << 20;

/// Reads lines from `input` and hands on what they ask for, from the item after `skip` on. A line that cannot be read is an
/// item that failed; blank lines are none.
pub(super) fn read(name: &str, raw: Raw, position: &Position, skip: u64, items: &Items) -> Result<(), Stopped> {
    let mut input = match input::plain(raw) {
        Ok(input) => input,
        Err(error) => {
            let item = Item { place: name.to_owned(), found: Found::Broken(cut_off(&error)), done: Done::default() };
            return items.put(item, 0);
        }
    };
    let (mut number, mut count) = (0_u64, 0);
    let mut line = Vec::new();
    loop {
        number += 1;
        let read = next_line(&mut *input, &mut line);
        let place = format!("{name}, line {number}");
        let found = match read {
            Ok(Line::End) => return Ok(()),
            Ok(Line::Text) if line.iter().all(u8::is_ascii_whitespace) => continue,
            Ok(_) if count < skip => {
                count += 1;
                continue;
            }
            Ok(Line::Text) => request(&line).unwrap_or_else(Found::Broken),
            Ok(Line::TooLong(bytes)) => {
                let message = format!("the line has {bytes} bytes; at most {LINE_BYTES_MAX} are read");
                Found::Broken(Failure::new(Exit::Failed, message).kind("TOO_LARGE"))
            }
            Err(error) => {
                let done = Done { items: count + 1, measure: position.get() };
                return items.put(Item { place, found: Found::Broken(cut_off(&error)), done }, 0);
            }
        };
        count += 1;
        let done = Done { items: count, measure: position.get() };
        items.put(Item { place, found, done }, line.len())?;
    }
}

/// What was read of a line.
enum Line {
    Text,
    /// It has so many bytes, more than are kept.
    TooLong(usize),
    /// There is none.
    End,
}

/// Reads the next line into `line`, without keeping more of it than a line may have.
fn next_line(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let mut bytes = 0;
    loop {
        let buffer = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            buffer => buffer?,
        };
        let (part, ends) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        bytes += part;
        if bytes <= LINE_BYTES_MAX {
            line.extend_from_slice(buffer.get(..part).unwrap_or(buffer));
        }
        input.consume(part);
        if ends {
            return Ok(match bytes {
                0 => Line::End,
                _ if bytes > LINE_BYTES_MAX => Line::TooLong(bytes),
                _ => Line::Text,
            });
        }
    }
}

fn request(line: &[u8]) -> Result<Found, Failure> {
    let refused = |error: String| Failure::new(Exit::Failed, error).kind("UNREADABLE");
    let text = std::str::from_utf8(line)
        .map_err(|error| refused(format!("byte {} of the line is not UTF-8", error.valid_up_to() + 1)))?;
    let text = text.trim_start_matches('\u{feff}');
    let asked: pb::ChangeRequest =
        from_json(text).map_err(|JsonError { column, reason, .. }| refused(format!("column {column}: {reason}")))?;
    match asked.request {
        Some(Request::Publish(request)) => Ok(Found::Publish(Box::new(request))),
        Some(Request::Withdraw(request)) => Ok(Found::Withdraw(request)),
        Some(Request::Reinstate(request)) => Ok(Found::Reinstate(request)),
        Some(Request::Rollback(request)) => Ok(Found::Rollback(request)),
        None => {
            Err(refused("the line asks for nothing; it needs one of publish, withdraw, reinstate, rollback".to_owned()))
        }
    }
}

/// The file ends or breaks within what it is compressed with, or can't be read.
fn cut_off(error: &io::Error) -> Failure {
    let message = format!("the file can't be read from here on: {error}; all before it is imported");
    Failure::new(Exit::Failed, message)
        .kind("CUT_OFF")
        .hint("get the file anew; what is imported already is not imported twice")
}
