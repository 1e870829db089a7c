//! Reads JSON Lines, as `export` writes them.

use super::input::{self, Position, Raw};
use super::item::{Action, Done, Item, ItemError, ItemSender, Stopped};
use crate::wire::json_lines::{LineError, Lines};
use crate::wire::pb;
use crate::wire::pb::replay_request::Request;

/// Reads lines and sends their requests, starting after the first `skip` items. A line that cannot be read is an item
/// that failed.
pub(super) fn read(name: &str, raw: Raw, position: &Position, skip: u64, items: &ItemSender) -> Result<(), Stopped> {
    let mut lines = match input::plain(raw) {
        Ok(input) => Lines::new(input),
        Err(error) => return items.send_cut_off(name.to_owned(), error, Done { items: 1, measure: position.get() }),
    };
    let mut count = 0;
    loop {
        count += 1;
        let line = match lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(()),
            Err(error) => {
                let place = format!("{name}, line {}", lines.number());
                return items.send_cut_off(place, error, Done { items: count, measure: position.get() });
            }
        };
        if count <= skip {
            continue;
        }
        let action = line.request().map(action).unwrap_or_else(|error| Action::Fail(ItemError::from(error).into()));
        let (place, bytes) = (format!("{name}, line {}", line.number), line.bytes);
        items.send(Item { place, action, done: Done { items: count, measure: position.get() } }, bytes)?;
    }
}

/// Whether a file with this beginning may be JSON Lines: the first line is an object, or there are only blanks and so
/// no line.
pub(super) fn may_be_json_lines(first_bytes: &[u8]) -> bool {
    let text = first_bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first_bytes).trim_ascii_start();
    text.is_empty() || text.starts_with(b"{")
}

fn action(replay: pb::ReplayRequest) -> Action {
    match replay.request {
        Some(Request::Record(request)) => Action::Record(Box::new(request)),
        Some(Request::Withdraw(request)) => Action::Withdraw(request),
        Some(Request::Reinstate(request)) => Action::Reinstate(request),
        Some(Request::Rollback(request)) => Action::Rollback(request),
        Some(Request::Label(request)) => Action::Label(request),
        Some(Request::RecordAbsence(request)) => Action::Absent(request),
        Some(Request::MoveUrl(request)) => Action::MoveUrl(request),
        Some(Request::Expunge(request)) => Action::Expunge(request),
        None => Action::Fail(ItemError::from(LineError::Nothing).into()),
    }
}
