//! Reads JSON Lines, as `export` writes them.

use super::input::{self, Position, Raw};
use super::item::{Done, Found, Item, Items, Stopped};
use crate::cli::exit::{Exit, Failure};
use crate::wire::json_lines::{LineError, Lines};
use crate::wire::pb;
use crate::wire::pb::replay_request::Request;

/// Reads lines and sends their requests, starting after the first `skip` items. A line that cannot be read is an item
/// that failed.
pub(super) fn read(name: &str, raw: Raw, position: &Position, skip: u64, items: &Items) -> Result<(), Stopped> {
    let mut lines = match input::plain(raw) {
        Ok(input) => Lines::new(input),
        Err(error) => return items.put_cut_off(name.to_owned(), &error, Done { items: 1, measure: position.get() }),
    };
    let mut count = 0;
    loop {
        count += 1;
        let line = match lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(()),
            Err(error) => {
                let place = format!("{name}, line {}", lines.number());
                return items.put_cut_off(place, &error, Done { items: count, measure: position.get() });
            }
        };
        if count <= skip {
            continue;
        }
        let found = line.request().map(found).unwrap_or_else(|error| Found::Broken(refused(&error)));
        let (place, bytes) = (format!("{name}, line {}", line.number), line.bytes);
        items.put(Item { place, found, done: Done { items: count, measure: position.get() } }, bytes)?;
    }
}

/// Whether a file with this beginning may be JSON Lines: the first line is an object, or there are only blanks and so
/// no line.
pub(super) fn may_be(opening: &[u8]) -> bool {
    let opening = opening.strip_prefix(b"\xef\xbb\xbf").unwrap_or(opening).trim_ascii_start();
    opening.is_empty() || opening.starts_with(b"{")
}

fn found(asked: pb::ReplayRequest) -> Found {
    match asked.request {
        Some(Request::Publish(request)) => Found::Publish(Box::new(request)),
        Some(Request::Withdraw(request)) => Found::Withdraw(request),
        Some(Request::Reinstate(request)) => Found::Reinstate(request),
        Some(Request::Rollback(request)) => Found::Rollback(request),
        None => Found::Broken(refused(&LineError::Nothing)),
    }
}

fn refused(error: &LineError) -> Failure {
    let kind = match error {
        LineError::TooLong { .. } | LineError::TooMany { .. } => "TOO_LARGE",
        LineError::NotUtf8 { .. } | LineError::Json(_) | LineError::Nothing => "UNREADABLE",
    };
    Failure::new(Exit::Failed, error).kind(kind)
}
